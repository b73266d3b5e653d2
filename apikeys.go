package snib

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// APIKeyID names an API key: "key_" and 32 characters, as of SessionID.
type APIKeyID string

// MaxAPIKeys is how many live API keys a user may have: 50.
const MaxAPIKeys = records.MaxAPIKeys

// APIKey lets a program act for a user, within its scopes. It is no session: no
// method that takes a session's token accepts it, and none that takes a key
// accepts a session's.
type APIKey struct {
	ID     APIKeyID // public
	UserID UserID   // for whom its bearer acts
	Name   string   // for people, as it was given
	Scopes []string // ascending; a private copy

	// Token is the secret text for the bearer, and is there only when Create or
	// CreateFor has just made it. Scanners for leaked secrets know it by its
	// beginning, "snkey_".
	Token Token

	CreatedAt  time.Time // when it was made
	ExpiresAt  time.Time // accepted before this; zero: never expires
	LastUsedAt time.Time // its hour, or CreatedAt in the first; zero: not known to be used
}

// HasScope reports whether scope is one of the key's, compared bytewise. There
// are no wildcards and no inheritance.
func (k APIKey) HasScope(scope string) bool { return slices.Contains(k.Scopes, scope) }

// NewAPIKey describes the key to be made.
type NewAPIKey struct {
	Name   string   // 1–64 bytes of text without control characters; need not be unique
	Scopes []string // at most 16, each 1–32 of [a-z0-9_:.-]; their meaning is the program's

	// TTL is how long the key is accepted: 1 s to 10 years, or [Never]. 0 is
	// refused: a key without an end must be asked for by name.
	TTL time.Duration
}

// Never is the TTL of a key that does not expire.
const Never = time.Duration(math.MaxInt64)

const maxAPIKeyLife = 10 * 365 * day

// APIKeys makes, validates, lists and revokes API keys. Transactions: see [Tx].
//
// A key ends when it expires, with its user, by EndEverything, ResetClock and
// Restore (but see [RestoreOptions].KeepSessions), and when the password is set or removed without the old one
// (UpdateUserPassword, RemoveUserPassword; but see
// [PasswordPolicy].ResetKeepsAPIKeys), and by [Factors.Reset]. While its user is
// disabled it is refused. It outlives ChangePassword, a sign-out everywhere and
// changes of identities and factors: show the list on those pages. A second factor
// is never asked of its bearer.
//
// 14 days before the end of a key that was made for as long, a sweep writes
// EventAPIKeyEnding, once, so that the program can ask its user for another: at
// the first [DB.Sweep] from then on, and of a disabled user not before the user is
// enabled.
type APIKeys struct{ at handle }

// APIKeys returns the methods on API keys, a transaction each.
func (db *DB) APIKeys() APIKeys { return APIKeys{handle{db: db}} }

// APIKeys returns the methods on API keys in this transaction.
func (tx *Tx) APIKeys() APIKeys { return APIKeys{handle{db: tx.db, tx: tx}} }

// Create makes a key for the user of an active session whose log-in is at most
// [FreshFor] ago, as the user does, and returns it with its Token, this once.
// The key outlives the session. Of a user with a second factor that log-in must
// have had it; a trusted device does not stand for it.
//
// ErrInvalidSession; ErrNotFresh; ErrUserDisabled; ErrAPIKeyLimit at
// [MaxAPIKeys] live keys; ErrInvalidInput (Proof, Name, Scopes, TTL).
func (a APIKeys) Create(ctx context.Context, fresh Session, k NewAPIKey) (APIKey, error) {
	return result(ctx, "create API key", a.at.update, func(tx *Tx) (APIKey, error) {
		p, err := tx.proven(fresh)
		if err == nil {
			_, err = tx.fresh(&p)
		}
		if err != nil {
			return APIKey{}, err
		}
		return tx.createAPIKey(p.user.ID, k)
	})
}

// CreateFor makes a key for any user and asks for no session: for operators,
// and for service accounts, which are users without a password. A handler for
// users calls Create, or a stolen session gets a key.
//
// ErrUserNotFound; ErrUserDisabled; ErrAPIKeyLimit at [MaxAPIKeys] live keys;
// ErrInvalidInput (Name, Scopes, TTL).
func (a APIKeys) CreateFor(ctx context.Context, user UserID, k NewAPIKey) (APIKey, error) {
	return result(ctx, "create API key", a.at.update, func(tx *Tx) (APIKey, error) {
		u, err := tx.user(user)
		switch {
		case err != nil:
			return APIKey{}, err
		case u.DisabledAt != 0:
			return APIKey{}, ErrUserDisabled
		}
		return tx.createAPIKey(u.ID, k)
	})
}

func (tx *Tx) createAPIKey(userID string, n NewAPIKey) (APIKey, error) {
	k := codec.APIKey{UserID: userID, Epoch: tx.rec.State.Epoch, LastUsedAt: clock.Never}
	if err := n.into(&k, tx.rec.Now); err != nil {
		return APIKey{}, err
	}
	dead, room, err := tx.rec.APIKeyRoom(userID)
	switch {
	case err != nil:
		return APIKey{}, err
	case !room:
		return APIKey{}, ErrAPIKeyLimit
	}
	if k.Key, err = tx.rec.NewKey(records.APIKeys, userID); err != nil {
		return APIKey{}, err
	}
	secret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return APIKey{}, err
	}
	k.SecretHash = token.APIKey.Hash(secret[:])
	if err := tx.rec.DeleteOwned(records.APIKeys, dead...); err != nil {
		return APIKey{}, err
	}
	if err := tx.rec.PutOwned(records.APIKeys, k.Key, k.Append(nil)); err != nil {
		return APIKey{}, err
	}
	if err := tx.rec.Note(userID, records.EventAPIKeyCreated, records.About{Subject: k.Key.OwnID(), Detail: k.Name}); err != nil {
		return APIKey{}, err
	}
	out := tx.publicAPIKey(&k)
	out.Token = newToken(token.APIKey, k.Key, secret[:])
	return out, nil
}

// into checks what is asked for and writes it into the record.
func (n *NewAPIKey) into(k *codec.APIKey, now int64) error {
	k.Name, k.Scopes = n.Name, slices.Compact(slices.Sorted(slices.Values(n.Scopes)))
	if field, fault := records.APIKeyFault(k.Name, k.Scopes); fault.Found() {
		return faulty(field, fault)
	}
	switch {
	case n.TTL == 0:
		return &InputError{Field: "TTL", Code: CodeRequired, Reason: "is required; Never for a key that does not expire"}
	case n.TTL == Never:
		k.ExpiresAt = clock.Never
	case n.TTL < time.Second || n.TTL > maxAPIKeyLife:
		return &InputError{Field: "TTL", Code: CodeOutOfRange, Reason: "must be from 1 s to 10 years, or Never", Min: int64(time.Second), Max: int64(maxAPIKeyLife)}
	default:
		k.ExpiresAt = clock.After(now, n.TTL)
	}
	return nil
}

func (tx *Tx) publicAPIKey(k *codec.APIKey) APIKey {
	return APIKey{
		ID: APIKeyID(token.APIKey.ID(k.Key)), UserID: UserID(k.UserID), Name: k.Name, Scopes: k.Scopes,
		CreatedAt: clock.Time(k.Key.Time()), ExpiresAt: clock.Time(k.ExpiresAt), LastUsedAt: clock.Time(tx.db.keyUses.Last(k)),
	}
}

// Validate returns the key of a presented token and its user, on one snapshot.
// It never writes: the hour of the use is kept in memory, for 65,536 keys, and
// written by the next Sweep or by Close. A crash loses the uses since then, and
// a key then looks as if it were used earlier, or not at all.
//
// A key that was revoked by a call that has returned is refused by every call
// that begins later. Look at the scope: [APIKey.HasScope]. ErrInvalidAPIKey.
func (a APIKeys) Validate(ctx context.Context, token string) (APIKey, User, error) {
	if a.at.tx == nil {
		v, err := read(ctx, a.at.db, "validate API key", readsAPIKey, (*Tx).validateAPIKey, token)
		return v.key, v.user, err
	}
	v, err := result(ctx, "validate API key", a.at.view, func(tx *Tx) (validated, error) { return tx.validateAPIKey(token) })
	return v.key, v.user, err
}

type validated struct {
	key  APIKey
	user User
}

func readsAPIKey(_ *DB, text string) []kv.Ref {
	var secret [32]byte
	key, ok := token.APIKey.Parse(text, secret[:])
	if !ok {
		return nil
	}
	return ref(records.SpaceAPIKeys, string(key[:]))
}

func (tx *Tx) validateAPIKey(text string) (validated, error) {
	k, err := tx.presentedAPIKey(text)
	if err != nil {
		return validated{}, err
	}
	u, err := tx.publicUser(UserID(k.UserID))
	if errors.Is(err, ErrUserNotFound) || err == nil && u.Disabled() {
		err = ErrInvalidAPIKey // without a user, a damaged file: Check says more
	}
	if err != nil {
		return validated{}, err
	}
	tx.db.keyUses.Note(&k, tx.rec.Now)
	return validated{tx.publicAPIKey(&k), u}, nil
}

// presentedAPIKey returns the live record that a token leads to. The secret is
// hashed whether there is a record or not, and compared in constant time.
func (tx *Tx) presentedAPIKey(text string) (codec.APIKey, error) {
	var secret [32]byte
	key, ok := token.APIKey.Parse(text, secret[:])
	if !ok {
		return codec.APIKey{}, ErrInvalidAPIKey
	}
	hash := token.APIKey.Hash(secret[:])
	k, err := tx.rec.APIKey(key)
	if err != nil {
		return codec.APIKey{}, err
	}
	if !token.Equal(hash, k.SecretHash) || !tx.rec.APIKeyLive(&k) {
		return codec.APIKey{}, ErrInvalidAPIKey
	}
	return k, nil
}

// List returns the live keys of the user without their Token, oldest first: at
// most 50, of a disabled user too, and an empty list for an unknown user.
func (a APIKeys) List(ctx context.Context, user UserID) ([]APIKey, error) {
	return result(ctx, "list API keys", a.at.view, func(tx *Tx) (out []APIKey, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		err = tx.rec.EachAPIKey(string(user), func(k *codec.APIKey, err error) error {
			if err != nil {
				return tx.rec.Damaged(records.SpaceAPIKeys, err)
			}
			if tx.rec.APIKeyLive(k) {
				out = append(out, tx.publicAPIKey(k))
			}
			return nil
		})
		return out, err
	})
}

// Revoke ends a key of this user by its id. An unknown id and a key of another
// user are no error. ErrInvalidInput (UserID, APIKeyID) for a text that cannot
// be an id, such as the token itself.
func (a APIKeys) Revoke(ctx context.Context, user UserID, id APIKeyID) error {
	return a.revoke(ctx, &user, id)
}

// RevokeByID is Revoke for a key of any user: for operators, and for a report of
// a leaked key. With an id that a form or an address contained, use Revoke.
// ErrInvalidInput (APIKeyID).
func (a APIKeys) RevokeByID(ctx context.Context, id APIKeyID) error { return a.revoke(ctx, nil, id) }

func (a APIKeys) revoke(ctx context.Context, of *UserID, id APIKeyID) error {
	return during("revoke API key", a.at.update(ctx, func(tx *Tx) error {
		key, err := tx.revoking(of, "APIKeyID", token.APIKey, string(id))
		if err != nil {
			return err
		}
		k, err := tx.rec.APIKey(key)
		if err != nil || of != nil && k.UserID != string(*of) {
			return unless(ErrInvalidAPIKey, err)
		}
		if err := tx.rec.DeleteOwned(records.APIKeys, key); err != nil {
			return err
		}
		return tx.rec.Note(k.UserID, records.EventAPIKeyRevoked, records.About{Subject: key.OwnID(), Detail: k.Name})
	}))
}

// RevokeAll ends all keys of the user. ErrUserNotFound.
func (a APIKeys) RevokeAll(ctx context.Context, user UserID) error {
	return during("revoke API keys", a.at.update(ctx, func(tx *Tx) error {
		return tx.endAll(user, records.APIKeys, func(c *records.Cascade, key codec.OwnedKey, _ []byte) (bool, error) {
			c.Note(records.EventAPIKeyRevoked, records.About{Subject: key.OwnID()})
			return true, nil
		})
	}))
}
