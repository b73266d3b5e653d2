package credentials

import (
	"errors"
	"io"
	"math"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
	"github.com/snibdb/snib/internal/token"
	"github.com/snibdb/snib/internal/witness"
)

// Rules are those of refresh tokens, in one transaction. All fields are required.
type Rules struct {
	*records.Tx
	Idle, Grace, SessionLife time.Duration  // of the policy
	Process                  []byte         // the key of this process, from which successors are derived without another
	Given                    *witness.Table // which answers have arrived
}

// A Pair is a refresh token and the session that it has given, with their secrets.
type Pair struct {
	Family        codec.Family
	Secret        Secret
	Session       codec.SessionView // valid until the next write
	SessionSecret []byte
}

// An Answer is an outcome of Refresh.
type Answer struct {
	Pair
	Before, After codec.OwnedKey // the session of the family
	Again         bool           // the answer of an earlier use
}

// ReusedError says that a spent refresh token was presented.
type ReusedError struct {
	Family codec.OwnedKey
	User   string
}

// Error tells so.
func (e *ReusedError) Error() string { return "refresh token was reused" }

func reused(f *codec.Family) error { return &ReusedError{f.Key, f.UserID} }

// active reports whether a session is valid.
func (r *Rules) active(v *codec.SessionView) bool {
	return v.Epoch() == r.State.Epoch && r.Now < v.ActiveUntil()
}

// Refresh decides by these rules, in this order. A [ReusedError] may come with a
// revocation, which must be committed.
func (r *Rules) Refresh(text string, client []byte) (Answer, error) {
	f, x, err := Presented(r.Tx, text)
	if err != nil {
		return Answer{}, err
	}
	// 1. Nothing that could be used: no write.
	if err := r.refreshable(&f); err != nil {
		return Answer{}, err
	}
	hash, session := token.Family.Hash(x.s()), f.Key.With(f.Session)
	switch {
	case token.Equal(hash, f.Current):
		// 2. The current token: rotate. Presented, it is used, even
		//    if the commit fails.
		r.Given.Accepted(session)
		return r.rotate(&f, &x, client)
	case !token.IsSet(f.Previous) || !token.Equal(hash, f.Previous):
		// 5. Not the parent: used before, or replaced.
	case r.inGrace(&f):
		// 3. The parent, soon: repeat.
		return r.repeat(&f, &x, client)
	case !r.Given.Used(session):
		// 4. The parent, late, and the answer may be lost: replace it. If it
		//    was not lost, its holder presents it and meets rule 5.
		return r.succeed(&f, &x, client)
	}
	return Answer{}, r.revoke(&f)
}

// refreshable is rule 1.
func (r *Rules) refreshable(f *codec.Family) error {
	if !Live(r.Tx, f) {
		return records.ErrInvalidRefreshToken
	}
	u, err := r.User(f.UserID)
	switch {
	case errors.Is(err, records.ErrUserNotFound), err == nil && u.DisabledAt != 0:
		return records.ErrInvalidRefreshToken
	case err != nil:
		return err
	case records.Revoked(f):
		return reused(f)
	}
	return nil
}

// inGrace reports whether the parent repeats. Nothing but the clock decides: a
// token that was spent days ago must not be good again because the process
// has restarted.
func (r *Rules) inGrace(f *codec.Family) bool {
	return r.Now < clock.After(f.RotatedAt, max(0, r.Grace))
}

// rotate makes the presented token the parent of a new one.
func (r *Rules) rotate(f *codec.Family, x *Secret, client []byte) (Answer, error) {
	f.Generation++
	f.Previous = f.Current
	if f.Flags&codec.FamilyForeign == 0 {
		f.ForeignRun = 0 // the generation that ends here was not counted
	}
	f.Flags &^= codec.FamilyForeign
	return r.succeed(f, x, client)
}

// succeed gives the parent x a successor and a session, both new, in the place
// of the family's.
func (r *Rules) succeed(f *codec.Family, x *Secret, client []byte) (Answer, error) {
	before := f.Key.With(f.Session)
	session, err := r.NewKey(records.Sessions, f.UserID)
	if err != nil {
		return Answer{}, err
	}
	if _, err := io.ReadFull(r.Rand, f.Nonce[:]); err != nil {
		return Answer{}, err
	}
	f.Session = session.OwnID()
	f.RotatedAt = r.Now
	f.IdleUntil = min(clock.After(r.Now, r.Idle), f.AbsoluteUntil)
	repeats := r.Given.Repeats(before)
	f.Repeats += min(repeats, math.MaxUint32-f.Repeats)
	f.KeyID = ""
	if k, err := r.CurrentKey(); err == nil {
		f.KeyID = k.ID()
	}
	d, successor := r.derive(f, x)
	f.Current, f.Client = token.Family.Hash(successor.s()), d.Client(client)
	pair, err := r.putFamily(f, &successor, d.Session(f.Session), before, nil)
	return Answer{Pair: pair, Before: before, After: session}, err
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
func (r *Rules) repeat(f *codec.Family, x *Secret, client []byte) (Answer, error) {
	d, successor := r.derive(f, x)
	if !token.Equal(token.Family.Hash(successor.s()), f.Current) {
		return r.succeed(f, x, client)
	}
	counted := f.Flags&codec.FamilyForeign == 0 && d.Foreign(f, client)
	if counted {
		f.Flags |= codec.FamilyForeign
		if f.ForeignRun++; f.ForeignRun > maxForeignRun {
			return Answer{}, r.revoke(f)
		}
	}
	key := f.Key.With(f.Session)
	v, err := r.Session(key)
	switch {
	case err != nil && !records.DamagedOrMissing(err):
		return Answer{}, err
	case err != nil || !r.active(&v) || !token.Equal(token.Session.Hash(d.Session(f.Session)), v.SecretHash()):
		return r.sessionAgain(f, &successor, &d)
	}
	if counted {
		if err = r.PutOwned(records.Families, f.Key, f.Append(nil)); err == nil {
			v, err = r.Session(key) // the view ended with the write
		}
	}
	return Answer{Pair: Pair{*f, successor, v, d.Session(f.Session)}, Before: key, After: key, Again: true}, err
}

// sessionAgain gives a refresh token again, with a new session in the place of
// one that has ended.
func (r *Rules) sessionAgain(f *codec.Family, successor *Secret, d *token.Derivation) (Answer, error) {
	before := f.Key.With(f.Session)
	session, err := r.NewKey(records.Sessions, f.UserID)
	if err != nil {
		return Answer{}, err
	}
	f.Session = session.OwnID()
	pair, err := r.putFamily(f, successor, d.Session(f.Session), before, nil)
	return Answer{Pair: pair, Before: before, After: session, Again: true}, err
}

// derive returns the derivation of the parent x of a family, and its successor.
// Under a key that the last use did not have it derives another token than the
// current one, which is how they are told apart.
func (r *Rules) derive(f *codec.Family, x *Secret) (token.Derivation, Secret) {
	d := token.Derive(r.successorKey(f.KeyID), f, x.s())
	successor := *x
	copy(successor.s(), d.Successor())
	return d, successor
}

// successorKey returns the key of an id in a family: one of Options.Keys, from
// which every process derives the same answer, or the process's own, for "" and
// where the program does not have that one any more.
func (r *Rules) successorKey(id string) []byte {
	if id != "" {
		if k, err := r.KeyOf(id); err == nil {
			shared := k.Subkey(seal.LabelRefresh)
			return shared[:]
		}
	}
	return r.Process
}

// revoke ends a family for reuse. Its record stays as a tombstone, so that
// later tokens of it are recognised as reuse. It returns the ReusedError.
func (r *Rules) revoke(f *codec.Family) error {
	forgotten, err := r.OldTombstones(records.Families, f.UserID, f.Key)
	if err != nil {
		return err
	}
	ended := f.Key.With(f.Session)
	f.RevokedAt, f.Session = r.Now, codec.OwnID{}
	if err := r.DeleteOwned(records.Sessions, ended); err != nil {
		return err
	}
	if err := r.DeleteOwned(records.Families, forgotten...); err != nil {
		return err
	}
	if err := r.PutOwned(records.Families, f.Key, f.Append(nil)); err != nil {
		return err
	}
	about := records.About{Subject: f.Key.OwnID(), Library: true}
	if err := r.Note(f.UserID, records.EventRefreshReuse, about); err != nil {
		return err
	}
	return reused(f)
}
