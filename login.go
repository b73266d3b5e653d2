package snib

import (
	"context"
	"errors"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/users"
)

// AuthenticateUser returns the user with this identity and password. An unknown
// identity, a user without password, a disabled one and a wrong password are
// all ErrInvalidCredentials after equal work: one verification with the current
// parameters. So are an identifier or a password that cannot be: empty, too
// long, not UTF-8, no address. Identifiers are taken as they are: a space before
// or behind an address, as keyboards of phones add it, makes another text.
// Trim what comes from a form.
//
// A password is accepted under each identity of its user. The program chooses
// the provider of its form, and with it which ones.
//
// The error for a disabled user with the right password is also
// ErrUserDisabled by errors.Is, so that a program can say so to that user. A
// program that does not ask answers all alike.
//
// A user whose hash has others takes that hash's time, which a
// stranger can measure: an imported one until the first log-in replaces it
// (CheckReport.ForeignHashes counts these), likewise one from before
// Options.Passwords was raised; one from before it was lowered until the
// password is set again.
//
// Of a user with a second factor it is the first half of a log-in: the password
// was right, and no more. A program that makes no session from it must ask for the
// second half by itself; CreateSession does.
//
// The result is true when it is returned. To create a session from it, use
// LogIn, which does both in one, or give the User to CreateSession as its
// Proof, which decides anew as LogIn does.
//
// ErrInvalidInput (Provider) for a name that no provider can have, which the
// program chooses and not a stranger; ErrBusy if the queue for hashing is full;
// Options.Throttle.BeforeAuth's error; ErrNoKey, before it and alike for everybody.
func (db *DB) AuthenticateUser(ctx context.Context, provider, identifier, password string) (User, error) {
	u, err := db.authenticate(ctx, provider, identifier, password, func(v *verifiedLogin) (User, error) {
		// The hash is upgraded here if it can be, and never at the price of
		// the log-in.
		if v.upgrade != "" {
			soon, cancel := context.WithTimeout(ctx, upgradeWait)
			defer cancel()
			u, err := result(soon, "", db.update, v.user)
			if err == nil || errors.Is(err, ErrInvalidCredentials) {
				return u, err
			}
			db.o.Logger.Warn("snib: a password hash was not upgraded", "user", v.id, "error", err)
			v.upgrade = ""
		}
		return result(ctx, "", db.view, v.user)
	})
	return u, during("authenticate", err)
}

// upgradeWait is how long AuthenticateUser waits for the writer to replace a
// hash; if it is not free by then, the next log-in does it.
const upgradeWait = time.Second

// LogIn authenticates as AuthenticateUser does and creates a session, in one
// transaction that decides anew whether the verification still holds: if the
// password was changed, the user disabled or the identity moved meanwhile,
// there is no session. Sessions that were revoked meanwhile are no reason. A
// hash of weaker parameters or from another system is replaced in the same
// commit, and one that is to be sealed (PasswordPolicy.Seal), or is under an
// older key, is sealed.
//
// Of a user with a second factor it makes no session. Ask for the code and finish:
//
//	s, u, err := db.LogIn(ctx, "email", address, password, o)
//	if e, ok := errors.AsType[*snib.SecondFactorError](err); ok { // in the handler of the next form
//		s, u, err = db.Factors().FinishLogIn(ctx, e.Pending.Reveal(), code)
//	}
//
// snibhttp carries the Pending in a cookie between the two.
//
// Errors are those of AuthenticateUser and, for the options, of CreateSession;
// [SecondFactorError].
func (db *DB) LogIn(ctx context.Context, provider, identifier, password string, o SessionOptions) (Session, User, error) {
	// Before anything is looked up, like every other argument.
	if _, err := o.encode(); err != nil {
		return Session{}, User{}, during("log in", err)
	}
	if _, err := o.life(&db.o.Sessions); err != nil {
		return Session{}, User{}, during("log in", err)
	}
	var s Session
	var second error
	u, err := db.authenticate(ctx, provider, identifier, password, func(v *verifiedLogin) (User, error) {
		ahead := func() records.Foresight {
			return records.Foresight{User: v.id, Owned: logInSpaces(), Refs: readsIdentity(db, providerID{provider, identifier})}
		}
		return result(ctx, "", db.ahead(ahead), func(tx *Tx) (User, error) {
			u, err := v.recheck(tx)
			if err != nil {
				return User{}, err
			}
			second = nil
			methods, err := v.methods(tx)
			if err != nil {
				return User{}, err
			}
			s, err = tx.newSession(proven{user: u, at: tx.rec.Now, until: clock.Never, methods: methods}, o)
			if isSecondStep(err) && v.upgrade != "" {
				second, err = err, nil // the hash is upgraded all the same
			}
			if err != nil {
				return User{}, err
			}
			return v.apply(tx, u)
		})
	})
	if err == nil {
		err = second
	}
	if err != nil {
		return Session{}, User{}, during("log in", err)
	}
	return s, u, nil
}

// verifiedLogin is the result of a verification outside of any transaction, for
// the transaction that relies on it.
type verifiedLogin struct {
	opened
	provider, identifier string
	id                   string
	upgrade              phc.Hash // the replacement of the hash, not sealed; "" keeps it
	hashed               bool     // the replacement is another hash, not the same to be sealed

	device codec.Device // from which the password came; zero for a stranger
}

// methods implements evidence.
func (v *verifiedLogin) methods(tx *Tx) (Methods, error) {
	trusted, err := tx.trusted(&v.device)
	if trusted {
		return MethodPassword | MethodTrustedDevice, err
	}
	return MethodPassword, err
}

// complete implements evidence.
func (v *verifiedLogin) complete(*Tx) bool { return false }

// opened is the hash that a password has opened, and the version of the
// credentials then.
type opened struct {
	version uint64
	hash    string // not sealed
}

// holds reports whether the password is still good for u. The version rises for
// much that says nothing of the password, such as a sign-out on another device;
// the same hash, with its salt, is the same password. A version that is the same
// covers a hash that was upgraded meanwhile.
func (o *opened) holds(tx *Tx, u *codec.User) bool {
	return u.DisabledAt == 0 && (u.CredentialVersion == o.version || o.same(tx, u))
}

// same reports whether the hash of u is that which was opened, however it is
// sealed by now.
func (o *opened) same(tx *Tx, u *codec.User) bool {
	hash, err := tx.openHash(u)
	return err == nil && hash == o.hash
}

// recheck implements evidence.
func (v *verifiedLogin) recheck(tx *Tx) (codec.User, error) {
	u, err := tx.userByIdentity(v.provider, v.identifier)
	if errors.Is(err, ErrUserNotFound) || err == nil && (u.ID != v.id || !v.holds(tx, &u)) {
		return codec.User{}, ErrInvalidCredentials
	}
	return u, err
}

// apply writes the upgraded hash unless the stored one is another by now, or the
// key to seal it is not there: neither is worth failing a log-in for.
func (v *verifiedLogin) apply(tx *Tx, u codec.User) (User, error) {
	if v.upgrade == "" || !v.same(tx, &u) || tx.canStoreHash() != nil {
		return newUser(u), nil
	}
	return tx.updateUser(UserID(u.ID), func(u *codec.User, _ *records.Cascade) (err error) {
		if v.hashed {
			u.HashClass = records.HashOwn
		}
		u.PasswordHash, err = tx.storedHash(u.ID, string(v.upgrade))
		return err
	})
}

// user is recheck and, where there is something to upgrade, apply.
func (v *verifiedLogin) user(tx *Tx) (User, error) {
	u, err := v.recheck(tx)
	if err != nil {
		return User{}, err
	}
	out, err := v.apply(tx, u)
	out.login = v
	return out, err
}

// authenticate verifies, then lets finish rely on it in a transaction.
func (db *DB) authenticate(ctx context.Context, provider, identifier, password string, finish func(*verifiedLogin) (User, error)) (User, error) {
	if fault := fold.Provider(provider); fault.Found() {
		return User{}, faulty("Provider", fault)
	}
	key := db.presented(provider, identifier)
	if err := db.keysFirst(ctx); err != nil {
		return User{}, err
	}
	if err := db.beforeAuth(ctx, provider, key); err != nil {
		return User{}, err
	}
	g := &guess{db: db}
	v, err := db.verify(ctx, g, provider, key, identifier, password)
	var u User
	if err == nil {
		db.afterVerify()
		v.device = g.device
		u, err = finish(v)
	}
	g.settle(v != nil, err)
	return u, err
}

func (db *DB) beforeAuth(ctx context.Context, provider, key string) error {
	if db.o.Throttle.BeforeAuth == nil {
		return nil
	}
	return db.o.Throttle.BeforeAuth(ctx, Attempt{Provider: provider, Identifier: key, Client: clientOf(ctx)})
}

// presented returns an identifier of a log-in as it is compared, for the hooks:
// as it came if the provider's rule refuses it, and "" if it is no text of 1 to
// 256 bytes, so that the memory of a throttle stays bounded.
func (db *DB) presented(provider, identifier string) string {
	if x, err := users.Identity(db.file, db.file.Declared.Load(), provider, identifier, 0); err == nil {
		return x.Key
	}
	if fold.PlainText(identifier, fold.MaxIdentifier).Found() {
		return ""
	}
	return identifier
}

// standIn is verified in the place of a password that cannot be one, against
// a hash that it cannot match or whose answer is not used: the work is that of
// a wrong password.
const standIn = "no password"

// disabledError refuses the right password of a disabled user. It reads like
// any refused log-in.
type disabledError struct{}

func (disabledError) Error() string { return ErrInvalidCredentials.Error() }

func (disabledError) Is(target error) bool {
	return target == ErrInvalidCredentials || target == ErrUserDisabled
}

// verify looks the user up, counts the attempt and does the work of one
// verification, even without a user or a password, or with a password that
// cannot be one.
func (db *DB) verify(ctx context.Context, g *guess, provider, key, identifier, password string) (*verifiedLogin, error) {
	var hash string
	var resealed bool
	look := db.viewAhead(func() []kv.Ref { return readsIdentity(db, providerID{provider, identifier}) })
	u, err := result(ctx, "", look, func(tx *Tx) (codec.User, error) {
		if err := tx.rec.NeedKeys(records.PasswordHashes.Use | records.FactorSeeds.Use); err != nil {
			return codec.User{}, err
		}
		u, err := tx.userByIdentity(provider, identifier)
		if err == nil {
			hash, err = tx.openHash(&u)
			resealed = tx.rec.Resealed(records.PasswordHashes, u.PasswordHash, db.o.Passwords.Seal)
		}
		return u, err
	})
	unknown := errors.Is(err, ErrUserNotFound)
	if err == nil || unknown {
		ctx, err = g.admit(ctx, &u, provider, key)
	}
	if err != nil {
		return nil, err
	}
	if phc.CheckInput(password) != nil {
		unknown, password = true, standIn
	}
	if unknown {
		if err := db.o.hasher.Decoy(ctx, password); err != nil {
			return nil, hashingError(err)
		}
		return nil, ErrInvalidCredentials
	}
	if u.DisabledAt != 0 {
		ok, err := db.o.hasher.Verify(ctx, phc.Hash(hash), password)
		if err := db.verdict(&u, ok, err); err != nil {
			return nil, err
		}
		return nil, disabledError{}
	}
	ok, upgrade, err := db.o.hasher.VerifyAndRehash(ctx, phc.Hash(hash), password)
	if err := db.verdict(&u, ok, err); err != nil {
		return nil, err
	}
	v := &verifiedLogin{
		opened: opened{u.CredentialVersion, hash}, provider: provider, identifier: identifier,
		id: u.ID, upgrade: upgrade, hashed: upgrade != "",
	}
	if !v.hashed && !resealed {
		v.upgrade = phc.Hash(hash)
	}
	return v, nil
}
