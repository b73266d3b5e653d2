package snib

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
	"github.com/snibdb/snib/internal/throttle"
	"github.com/snibdb/snib/internal/token"
)

// Refresh uses a refresh token: it returns the next one and a new session,
// both with their Tokens, and ends the session that the last use gave.
//
// The token before the current one, the parent, is answered too, as an answer
// can be lost and two tabs can ask at once. Within Options.Refresh.Grace of its
// use it gives the same refresh token and session again, in another process if
// both have the current one of Options.Keys. After that, or if it cannot give
// them, it replaces them by new ones, and the ones that it replaces end; but if
// they are known to have been used (the refresh token was presented, or the
// session accepted by a method that takes its token, in this process), two hold
// the parent, and that is reuse.
//
// Reuse is any other token of the family: one from before the parent, one that
// was replaced; and a third generation in a row that was given to one client
// network and again to another (see [WithClient]). The family and its session
// are ended, durably, and Refresh returns [ReuseError]
// (ErrRefreshTokenReused), also for every later token of the family until its
// absolute deadline. All else is ErrInvalidRefreshToken and writes nothing.
//
// An ErrBusy, ErrClosed, ErrFull or ErrUnknown says nothing about the token:
// the client must keep it and try again.
func (db *DB) Refresh(ctx context.Context, token string) (Session, RefreshToken, error) {
	client := clientNetwork(ctx)
	out, err := result(ctx, "refresh", db.updateIfNeeded, func(tx *Tx) (answer, error) {
		out, err := tx.refresh(token, client)
		if e, ok := errors.AsType[*ReuseError](err); ok && tx.rec.Written {
			// The revocation must be committed: the error waits outside.
			return answer{reused: e}, nil
		}
		return out, err
	})
	switch {
	case err != nil:
	case out.reused != nil:
		db.o.Logger.Warn("snib: a refresh token was reused, its family is revoked", "family", out.reused.ID, "user", out.reused.UserID)
		err = during("refresh", out.reused)
	case out.again:
		db.given.Repeated(out.before, out.after)
	default:
		db.given.Expect(out.before, out.after)
	}
	return out.session, out.refresh, err
}

// clientNetwork returns the network of the client; nil for one that is not known
// or whose address is not its own, such as that of one of two proxies.
func clientNetwork(ctx context.Context) []byte {
	if addr := clientOf(ctx); addr != nil {
		if a := throttle.Address(addr.As16()); a.Public() {
			return []byte(a.Network())
		}
	}
	return nil
}

// An answer is an outcome of Refresh.
type answer struct {
	pair
	before, after codec.OwnedKey // the session of the family
	again         bool           // the answer of an earlier use
	reused        *ReuseError    // committed
}

// refresh decides by these rules, in this order.
func (tx *Tx) refresh(text string, client []byte) (answer, error) {
	f, x, err := tx.presentedFamily(text)
	if err != nil {
		return answer{}, err
	}
	// 1. Nothing that could be used: no write.
	if err := tx.refreshable(&f); err != nil {
		return answer{}, err
	}
	hash, session := token.Family.Hash(x.s()), f.Key.With(f.Session)
	switch {
	case token.Equal(hash, f.Current):
		// 2. The current token: rotate. Presented, it is used, even
		//    if the commit fails.
		tx.db.given.Accepted(session)
		return tx.rotate(&f, &x, client)
	case !token.IsSet(f.Previous) || !token.Equal(hash, f.Previous):
		// 5. Not the parent: used before, or replaced.
	case tx.inGrace(&f):
		// 3. The parent, soon: repeat.
		return tx.repeat(&f, &x, client)
	case !tx.db.given.Used(session):
		// 4. The parent, late, and the answer may be lost: replace it. If it
		//    was not lost, its holder presents it and meets rule 5.
		return tx.succeed(&f, &x, client)
	}
	return answer{}, tx.revoke(&f)
}

// refreshable is rule 1.
func (tx *Tx) refreshable(f *codec.Family) error {
	if !tx.familyLive(f) {
		return ErrInvalidRefreshToken
	}
	u, err := tx.user(UserID(f.UserID))
	switch {
	case errors.Is(err, ErrUserNotFound), err == nil && u.DisabledAt != 0:
		return ErrInvalidRefreshToken
	case err != nil:
		return err
	case records.Revoked(f):
		return reuse(f)
	}
	return nil
}

// inGrace reports whether the parent repeats. Nothing but the clock decides: a
// token that was spent days ago must not be good again because the process
// has restarted.
func (tx *Tx) inGrace(f *codec.Family) bool {
	return tx.rec.Now < clock.After(f.RotatedAt, max(0, tx.db.o.Refresh.Grace))
}

// rotate makes the presented token the parent of a new one.
func (tx *Tx) rotate(f *codec.Family, x *familySecret, client []byte) (answer, error) {
	f.Generation++
	f.Previous = f.Current
	if f.Flags&codec.FamilyForeign == 0 {
		f.ForeignRun = 0 // the generation that ends here was not counted
	}
	f.Flags &^= codec.FamilyForeign
	return tx.succeed(f, x, client)
}

// succeed gives the parent x a successor and a session, both new, in the place
// of the family's.
func (tx *Tx) succeed(f *codec.Family, x *familySecret, client []byte) (answer, error) {
	before := f.Key.With(f.Session)
	session, err := tx.rec.NewKey(records.Sessions, f.UserID)
	if err != nil {
		return answer{}, err
	}
	if _, err := io.ReadFull(tx.db.o.Rand, f.Nonce[:]); err != nil {
		return answer{}, err
	}
	f.Session = session.OwnID()
	f.RotatedAt = tx.rec.Now
	f.IdleUntil = min(clock.After(tx.rec.Now, tx.db.o.Refresh.Idle), f.AbsoluteUntil)
	repeats := tx.db.given.Repeats(before)
	f.Repeats += min(repeats, math.MaxUint32-f.Repeats)
	f.KeyID = ""
	if k, err := tx.rec.CurrentKey(); err == nil {
		f.KeyID = k.ID()
	}
	d, successor := tx.derive(f, x)
	f.Current, f.Client = token.Family.Hash(successor.s()), d.Client(client)
	s, r, err := tx.putFamily(f, &successor, d.Session(f.Session), before, nil)
	return answer{pair: pair{s, r}, before: before, after: session}, err
}

// maxForeignRun is how many generations in a row may be given to one client
// network and again to another: a device that moves does it once or twice.
const maxForeignRun = 2

// repeat gives the answer of the last use again; if another process gave that,
// others in its place. It writes only if the client is another one, or if the
// session has ended meanwhile (it was evicted, or lives shorter than the
// grace, or has a token that its user got by Reauthenticate): no ended secret
// comes back and no later one is given away, the same refresh token gets a new
// session.
func (tx *Tx) repeat(f *codec.Family, x *familySecret, client []byte) (answer, error) {
	d, successor := tx.derive(f, x)
	if !token.Equal(token.Family.Hash(successor.s()), f.Current) {
		return tx.succeed(f, x, client)
	}
	counted := f.Flags&codec.FamilyForeign == 0 && d.Foreign(f, client)
	if counted {
		f.Flags |= codec.FamilyForeign
		if f.ForeignRun++; f.ForeignRun > maxForeignRun {
			return answer{}, tx.revoke(f)
		}
	}
	key := f.Key.With(f.Session)
	v, err := tx.rec.Session(key)
	switch {
	case err != nil && !records.DamagedOrMissing(err):
		return answer{}, err
	case err != nil || tx.stateOf(&v) != SessionActive || !token.Equal(token.Session.Hash(d.Session(f.Session)), v.SecretHash()):
		return tx.sessionAgain(f, &successor, &d)
	}
	s := tx.publicSession(&v)
	s.Token = newToken(token.Session, key, d.Session(f.Session))
	if counted {
		err = tx.rec.PutOwned(records.Families, f.Key, f.Append(nil))
	}
	return answer{pair: pair{s, withToken(f, &successor)}, before: key, after: key, again: true}, err
}

// sessionAgain gives a refresh token again, with a new session in the place of
// one that has ended.
func (tx *Tx) sessionAgain(f *codec.Family, successor *familySecret, d *token.Derivation) (answer, error) {
	before := f.Key.With(f.Session)
	session, err := tx.rec.NewKey(records.Sessions, f.UserID)
	if err != nil {
		return answer{}, err
	}
	f.Session = session.OwnID()
	s, r, err := tx.putFamily(f, successor, d.Session(f.Session), before, nil)
	return answer{pair: pair{s, r}, before: before, after: session, again: true}, err
}

// derive returns the derivation of the parent x of a family, and its successor.
// Under a key that the last use did not have it derives another token than the
// current one, which is how they are told apart.
func (tx *Tx) derive(f *codec.Family, x *familySecret) (token.Derivation, familySecret) {
	d := token.Derive(tx.successorKey(f.KeyID), f, x.s())
	successor := *x
	copy(successor.s(), d.Successor())
	return d, successor
}

// successorKey returns the key of an id in a family: one of Options.Keys, from
// which every process derives the same answer, or the process's own, for "" and
// where the program does not have that one any more.
func (tx *Tx) successorKey(id string) []byte {
	if id != "" {
		if k, err := tx.rec.KeyOf(id); err == nil {
			shared := k.Subkey(seal.LabelRefresh)
			return shared[:]
		}
	}
	return tx.db.processKey[:]
}

// revoke ends a family for reuse. Its record stays as a tombstone, so that
// later tokens of it are recognised as reuse. It returns the ReuseError.
func (tx *Tx) revoke(f *codec.Family) error {
	forgotten, err := tx.rec.OldTombstones(records.Families, f.UserID, f.Key)
	if err != nil {
		return err
	}
	ended := f.Key.With(f.Session)
	f.RevokedAt, f.Session = tx.rec.Now, codec.OwnID{}
	if err := tx.rec.DeleteOwned(records.Sessions, ended); err != nil {
		return err
	}
	if err := tx.rec.DeleteOwned(records.Families, forgotten...); err != nil {
		return err
	}
	if err := tx.rec.PutOwned(records.Families, f.Key, f.Append(nil)); err != nil {
		return err
	}
	about := records.About{Subject: f.Key.OwnID(), Library: true}
	if err := tx.rec.Note(f.UserID, records.EventRefreshReuse, about); err != nil {
		return err
	}
	return reuse(f)
}

func reuse(f *codec.Family) *ReuseError {
	return &ReuseError{ID: RefreshTokenID(token.Family.ID(f.Key)), UserID: UserID(f.UserID)}
}
