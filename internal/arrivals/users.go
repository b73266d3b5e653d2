// Package arrivals takes in the users of another system: one, or many in batches.
package arrivals

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
	"github.com/snibdb/snib/internal/users"
)

// A User is a user of another system, checked as far as no transaction is needed. A
// zero time is unknown.
type User struct {
	ID         string     // kept; "" makes one
	Identities []Identity // the first is the primary

	Foreign phc.Foreign // the hash as the other system has it
	Hash    phc.Hash    // as it is to be stored; "" for none

	Attributes string         // encoded
	Values     map[string]any // the same
	Roles      []string       // ascending

	Disabled       bool
	DisabledReason string

	CreatedAt, PasswordChangedAt time.Time
}

// An Identity is an identity of a User.
type Identity struct {
	Provider, Identifier string
	LinkedAt, VerifiedAt time.Time
}

// Tx is a transaction in which users arrive.
type Tx struct {
	*records.Tx
	Open  func(u *codec.User) (string, error)     // the hash of a stored user, not sealed
	Store func(user, hash string) (string, error) // a hash as it is to be stored
	Reset records.Occasion                        // of a password that is set without the old one
}

// Create writes a new user.
func (tx Tx) Create(from *User) (codec.User, error) {
	id, err := tx.id(from.ID)
	if err != nil {
		return codec.User{}, err
	}
	u := codec.User{ID: id}
	if err := tx.fill(&u, from, ""); err != nil {
		return codec.User{}, err
	}
	if _, err := tx.taken(&u); err != nil {
		return codec.User{}, err
	}
	if err := tx.add(&u, from); err != nil {
		return codec.User{}, err
	}
	return u, tx.Note(u.ID, records.EventUserImported, users.About(u.Identities[0]))
}

// add writes a new user. Damage may have lost a user of an id that is given: the
// sessions and tokens of that one end.
func (tx Tx) add(u *codec.User, from *User) error {
	err := users.Add(tx.Tx, u)
	if err == nil && from.ID != "" {
		err = tx.DoomIf(true, tx.DeleteRemains(u.ID))
	}
	return err
}

// id returns the new user's id: the one given, if well formed and free.
func (tx Tx) id(id string) (string, error) {
	if id == "" {
		return token.NewUserID(tx.Now, tx.Rand)
	}
	if !token.ValidUserID(id) {
		return "", tx.Input("ID", fold.Fault{Code: fold.Malformed, Reason: "must be 1–128 of visible ASCII without space"})
	}
	taken, err := tx.Has(records.SpaceUsers, id)
	if err == nil && taken {
		err = tx.idTaken()
	}
	if err != nil {
		return "", err
	}
	_, leaving, err := tx.Leaving(id)
	if leaving {
		err = tx.Input("ID", fold.Fault{Code: fold.Taken, Reason: "is of a deleted user whose rows are being removed"})
	}
	return id, err
}

func (tx Tx) idTaken() error {
	return tx.Input("ID", fold.Fault{Code: fold.Taken, Reason: "is a user's already"})
}

// fill makes u, which has an id, the record of a user. An unknown time is that of u,
// and now in a new record. opened is the hash of u, not sealed.
func (tx Tx) fill(u *codec.User, from *User, opened string) (err error) {
	was, here := *u, u.CreatedAt != 0
	if u.CreatedAt, err = tx.time("CreatedAt", from.CreatedAt, was.CreatedAt); err != nil {
		return err
	}
	u.DisabledAt, u.DisabledReason = 0, from.DisabledReason
	if from.Disabled {
		u.DisabledAt = cmp.Or(was.DisabledAt, tx.Now)
	}
	changed := u.CreatedAt
	switch {
	case from.Hash == "": // none, or the other system's mark for none
		changed = 0
	case string(from.Hash) == opened:
		changed = was.PasswordChangedAt
	case here: // the other system does not tell since when
		changed = tx.Now
	}
	if u.PasswordHash = was.PasswordHash; string(from.Hash) != opened {
		if u.PasswordHash, err = tx.Store(u.ID, string(from.Hash)); err != nil {
			return err
		}
	}
	u.HashClass, u.PasswordChangedAt = records.HashForeign, changed
	if from.Hash == "" {
		u.HashClass = records.HashNone
	} else if u.PasswordChangedAt, err = tx.time("PasswordChangedAt", from.PasswordChangedAt, changed); err != nil {
		return err
	}
	if u.Identities, err = tx.identities(from, &was); err != nil {
		return err
	}
	if !here {
		u.Roles = from.Roles
	}
	u.Attributes = from.Attributes
	u.Entries, err = tx.Entries(tx.Declared.Indexes, from.Values)
	return err
}

// time returns a time as it is stored; if it is unknown, that of the record or now.
func (tx Tx) time(field string, at time.Time, of int64) (int64, error) {
	if at.IsZero() {
		return cmp.Or(of, tx.Now), nil
	}
	// Compared as times: milliseconds of a far one wrap around.
	latest := time.UnixMilli(tx.Now).Add(clock.Tolerance)
	if !at.After(time.UnixMilli(0)) || at.After(latest) {
		return 0, tx.Input(field, fold.Fault{Code: fold.OutOfRange, Reason: "must be from 1970 to now", Max: latest.Unix()})
	}
	return min(at.UnixMilli(), tx.Now), nil
}

// identities returns those of a user; was is the record so far.
func (tx Tx) identities(from *User, was *codec.User) ([]codec.Identity, error) {
	u := codec.User{Identities: make([]codec.Identity, 0, len(from.Identities))}
	for n, given := range from.Identities {
		field := ""
		if n > 0 {
			field = fmt.Sprintf("Others[%d].", n-1)
		}
		x, wrong, fault := users.Known(tx.Declared, given.Provider, given.Identifier)
		if fault.Found() {
			return nil, tx.Input(field+wrong, fault)
		}
		if records.FindIdentity(&u, x) >= 0 {
			return nil, tx.Input(field+"Identifier", fold.Fault{Code: fold.Taken, Reason: "is an identity that the user has already"})
		}
		if at := records.FindIdentity(was, x); at >= 0 {
			x.LinkedAt = was.Identities[at].LinkedAt
		}
		var err error
		if x.LinkedAt, err = tx.time(field+"LinkedAt", given.LinkedAt, x.LinkedAt); err == nil && !given.VerifiedAt.IsZero() {
			x.VerifiedAt, err = tx.time(field+"VerifiedAt", given.VerifiedAt, 0)
		}
		if err != nil {
			return nil, err
		}
		u.Identities = append(u.Identities, x)
	}
	return u.Identities, nil
}

// stored returns the record that a user has here, or a zero one.
func (tx Tx) stored(from *User) (u codec.User, err error) {
	if from.ID != "" {
		u, err = tx.User(from.ID)
	} else {
		u, err = users.ByIdentity(tx.Tx, from.Identities[0].Provider, from.Identities[0].Identifier)
	}
	if errors.Is(err, records.ErrUserNotFound) {
		return codec.User{}, nil
	}
	return u, err
}

// untouched reports whether nothing but an import has written u: every other
// change tells its time.
func untouched(u *codec.User) bool {
	return u.UpdatedAt == u.CreatedAt && u.HashClass != records.HashOwn
}

// replace writes an import over a user, and ends the credentials that the changes end.
func (tx Tx) replace(have, want *codec.User) error {
	var ends records.Occasion
	if want.PasswordHash != have.PasswordHash {
		ends |= tx.Reset
	}
	if want.DisabledAt != 0 && have.DisabledAt == 0 {
		ends |= records.UserDisabled
	}
	if slices.ContainsFunc(have.Identities, func(x codec.Identity) bool { return records.FindIdentity(want, x) < 0 }) {
		ends |= records.IdentityMoves
	}
	if ends != 0 || want.DisabledAt != have.DisabledAt {
		want.CredentialVersion++
	}
	c := records.Cascade{UserID: want.ID}
	if err := errors.Join(c.On(tx.Tx, ends), users.Upgrade(tx.Tx, want, &c)); err != nil {
		return err
	}
	if err := c.Write(tx.Tx); err != nil {
		return err
	}
	want.UpdatedAt, want.Flags = want.CreatedAt, have.Flags
	return tx.PutUser(have, want)
}

// taken returns an ErrIdentityTaken or ErrAttributeTaken if another user, the owner,
// has an identity or a unique value of u.
func (tx Tx) taken(u *codec.User) (owner string, err error) {
	if owner, err = tx.EntriesFree(u); err != nil {
		return owner, err
	}
	for _, x := range u.Identities {
		owner, ok, err := tx.IdentityOwner(x)
		if err != nil {
			return "", err
		}
		if ok && owner != u.ID {
			return owner, records.ErrIdentityTaken
		}
	}
	return "", nil
}
