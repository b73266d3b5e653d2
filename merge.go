package snib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// Bounds of the rows that a merge moves, in all that Options.Owned names together.
const (
	MaxMergeRows     = records.MaxRows     // 10,000; those in a nested bucket count, and it counts as one more
	MaxMergeRowBytes = records.MaxRowBytes // 16 MiB of keys and values, in buckets
)

// Codes of a [MergeError]. Their text stays as it is.
const (
	MergeInvalidSession = "invalid_session" // a token is not that of an active session: log in
	MergeNotFresh       = "not_fresh"       // the log-in is too long ago, or without the second factor: reauthenticate
	MergeSameUser       = "same_user"       // both tokens are of one account
	MergeGuest          = "guest"           // a guest would stay in the place of a real account: swap the two
	MergeSecondFactor   = "second_factor"   // the account that goes has one, or a passkey: remove it there first
	MergeAPIKey         = "api_key"         // the account that goes has a live one: revoke it first
	MergeIdentities     = "identities"      // together more than 16
	MergeRoles          = "roles"           // together more than 16
	MergeRows           = "rows"            // more than MaxMergeRows or MaxMergeRowBytes to move, or too long a key
	MergeRowTaken       = "row_taken"       // both accounts have a row under the rest of its key, or where a table has room for one: decide which one counts, then merge
)

// MergeError says why two accounts cannot be merged. Nothing was written. It is an
// [ErrInvalidSession], an [ErrNotFresh] or an [ErrTooMany] by its Code, and of all
// other codes an [ErrNotMergeable].
type MergeError struct {
	Code string // one of the constants MergeInvalidSession, MergeNotFresh, …

	// From says which of the tokens is meant, with MergeInvalidSession and
	// MergeNotFresh: that of the account that goes, or else of the one that stays.
	From bool

	Bucket string // of Options.Owned, with MergeRows and MergeRowTaken; "" of tables
	cause  error
}

// Error names the code.
func (e *MergeError) Error() string {
	text := "accounts cannot be merged: " + e.Code
	switch {
	case e.Bucket != "":
		text += " in " + e.Bucket
	case e.From:
		text += " of the account that goes"
	}
	return text
}

// Unwrap makes it the error that its Code says.
func (e *MergeError) Unwrap() error { return e.cause }

// Merged is the result of [Identities.Merge].
type Merged struct {
	// Session is that of the account that stays, with a new Token. Inside of
	// ChangeCredentials of that session it has none: that gives one.
	Session Session

	User User // the account that stays, with the identities and roles of both

	// From is the account that is gone, as it was. Its attributes and its password
	// went with it: take from here what is to be kept.
	From User

	Rows   int // that were moved, in all buckets or tables of Options.Owned
	Events int // likewise, of the history of From
}

// Merge makes one account of two that one person has: into stays, from goes. Both are
// tokens of active sessions, presented now, so that no id is enough. It is one commit:
//
//   - Identities of from move with their LinkedAt and VerifiedAt, behind those there
//     are. One that nothing has proven stays unproven, and reserves as little as
//     before.
//   - Roles become those of both.
//   - Rows of Options.Owned get the key, in tables the id, of the account that stays.
//   - Events move with their times, within the bounds of each class. They get new ids,
//     and no Subject, as the records that they name are gone. They are not sent again.
//     A guest's move to a guest alone.
//   - All else of from ends, as by DeleteUser: sessions, refresh and one-time tokens,
//     known devices, attributes and the password. Nothing that opened that account
//     opens this one, unless it is an identity.
//
// The session of into gets a new token, as by ChangeCredentials, so that a second call
// with the same tokens is refused; all else of the account stays. Of a guest, which
// takes in another guest, it ends, as at an upgrade ([Identities.CreateGuest]): a
// stranger may have planted the session, and holds another. The events are
// EventIdentityLinked and EventRoleGranted for each, EventUserMerged, and, in the
// outbox alone, EventUserDeleted for the other id, in this order.
//
// Both log-ins must be fresh, within [FreshFor] and with the second factor that the
// user has. A guest has nothing to log in with: of one any active session will do.
// So a visitor keeps the rows after a log-in to an account of before:
//
//	m, err := db.Identities().Merge(ctx, newSession.Token.Reveal(), guestToken)
//
// Ask before, on a page that names both accounts, unless from is a guest: its
// identities open into afterwards, and a browser can have been made to carry the
// session of a stranger. Of a stranger's guest only rows and granted roles come along. Within
// ChangeCredentials it can be of the session of into, and not of from's, which is gone.
//
// A [MergeError] has the reason of a refusal: an account that goes with a second
// factor, a passkey or a live API key (service accounts have one), a guest that would
// stay in the place of an account, bounds, rows in the way. [LastHolderError] for an
// account that goes as the last enabled holder of a protected role, unless the other
// has it too. ErrCorrupt and ErrNewerFormat if the records of from cannot be judged.
func (x Identities) Merge(ctx context.Context, into, from string) (Merged, error) {
	return result(ctx, "merge", x.at.updateIfNeeded, func(tx *Tx) (Merged, error) { return tx.merge(into, from) })
}

func (tx *Tx) merge(into, from string) (Merged, error) {
	s, a, err := tx.freshBearer(into)
	if err != nil {
		return Merged{}, refusedMerge(err, false)
	}
	_, b, err := tx.freshBearer(from)
	if err != nil {
		return Merged{}, refusedMerge(err, true)
	}
	if a.ID != b.ID {
		err = tx.mayLose(&b, b.Roles...) // to a holder of the role, not to an heir
	}
	if err != nil {
		return Merged{}, err
	}
	m, err := tx.rec.Merge(&a, &b)
	if err != nil {
		return Merged{}, refusedMerge(err, false)
	}
	out := Merged{User: newUser(m.User), From: newUser(b), Rows: m.Rows, Events: m.Events}
	err = tx.keepAfterMerge(&out, &s, &a)
	return out, tx.rec.DoomIf(true, err)
}

// keepAfterMerge gives the session of the account that stays another token. All else
// of a guest ends, as at an upgrade: a stranger may hold a session of that guest, and
// would share what the other brings.
func (tx *Tx) keepAfterMerge(out *Merged, s *codec.Session, into *codec.User) error {
	if s.Key == tx.changing {
		v, err := tx.rec.Session(s.Key)
		if err != nil {
			return err
		}
		out.Session = tx.publicSession(&v) // before it ends: ChangeCredentials makes another
	}
	if into.GuestSeenAt != 0 {
		u, err := tx.updateUser(UserID(into.ID), func(u *codec.User, c *records.Cascade) error {
			u.Flags &^= records.UserHasFactor
			u.CredentialVersion++
			return c.On(&tx.rec, records.FactorsReset)
		})
		if err != nil {
			return err
		}
		out.User = u
	}
	if s.Key == tx.changing {
		return nil
	}
	var err error
	out.Session, err = tx.keep(s)
	return err
}

// freshBearer returns the active session of a token and its user, if its log-in is
// fresh. That of a guest is as fresh as it can be, but for a second factor.
func (tx *Tx) freshBearer(text string) (s codec.Session, u codec.User, err error) {
	if s, u, err = tx.sessionUser(text); err != nil {
		return s, u, err
	}
	p := proven{user: u, methods: Methods(s.Methods), at: s.AuthTime, session: s.Key}
	if u.GuestSeenAt != 0 {
		p.at = tx.rec.Now
	}
	_, err = tx.fresh(&p)
	return s, u, err
}

// refusedMerge gives an error of a merge the reason.
func refusedMerge(err error, from bool) error {
	if o, ok := errors.AsType[*records.Obstacle](err); ok {
		e := &MergeError{Code: o.Code, Bucket: o.Name, cause: ErrNotMergeable}
		if o.Code == MergeIdentities || o.Code == MergeRoles {
			e.cause = ErrTooMany
		}
		return e
	}
	switch {
	case errors.Is(err, ErrInvalidSession):
		return &MergeError{Code: MergeInvalidSession, From: from, cause: err}
	case errors.Is(err, ErrNotFresh):
		return &MergeError{Code: MergeNotFresh, From: from, cause: err}
	}
	return err
}

// A printedMerged is a Merged in a log.
type printedMerged struct {
	Session      SessionID
	User, From   printedUser
	Rows, Events int
}

func (m Merged) printed() printedMerged {
	return printedMerged{m.Session.ID, m.User.printed(), m.From.printed(), m.Rows, m.Events}
}

// Format implements fmt.Formatter, with the users as they print.
func (m Merged) Format(f fmt.State, verb rune) { printed(f, verb, m.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (m Merged) LogValue() slog.Value { return slog.AnyValue(m.printed()) }
