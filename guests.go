package snib

import (
	"context"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
	"github.com/snibdb/snib/internal/users"
)

// CreateGuest makes a user without identity and password, and a session, in one
// commit: for a visitor who begins to use the program before signing up. What the
// guest does is kept under the id like that of any user. The session, and those
// carried from it ([Session] as a [Proof]), are the only way in: without their tokens
// the account is out of reach. Bound how often a client may ask: each call makes a
// record.
//
// LinkIdentity, UpdateUserPassword and all else that gives the guest an identity or a
// password make an ordinary user of the guest in the same commit: same id, same
// rows, [User].Guest is false, EventGuestUpgraded. The credential version is raised
// and all sessions, tokens, known devices, API keys, passkeys and other factors end, as
// somebody else may have planted or copied one: add a passkey after it. Call it within
// [DB.ChangeCredentials], which gives the session of the guest another token in that
// commit:
//
//	s, err := db.ChangeCredentials(ctx, token, func(tx *snib.Tx, s snib.Session) error {
//		_, err := tx.Identities().Verify(ctx, s.UserID, "email", address)
//		return err
//	})
//
// A guest who logs in to an account of before keeps the rows by [Identities.Merge].
//
// A sweep removes a guest unseen for 30 days, as DeleteUser does, with all
// rows. A guest is seen at log-in, when a session is extended, renewed or refreshed, and
// counts as seen as long as a session is active, as a request writes nothing. API
// keys and one-time tokens do not count. The last holder of a protected role stays.
//
// ErrSignUpClosed by Options.SignUp, unless anybody can sign up; errors of
// CreateSession for o.
func (x Identities) CreateGuest(ctx context.Context, o SessionOptions) (Session, User, error) {
	var u User
	s, err := result(ctx, "create guest", x.at.update, func(tx *Tx) (s Session, err error) {
		if err := tx.db.o.SignUp.admits(""); err != nil {
			return Session{}, err
		}
		if u, err = tx.createGuest(); err != nil {
			return Session{}, err
		}
		s, err = tx.CreateSession(u, o)
		return s, tx.rec.DoomIf(err != nil, err)
	})
	if err != nil {
		u = User{}
	}
	return s, u, err
}

func (tx *Tx) createGuest() (User, error) {
	id, err := token.NewUserID(tx.rec.Now, tx.db.o.Rand)
	if err != nil {
		return User{}, err
	}
	u := codec.User{ID: id, CreatedAt: tx.rec.Now, GuestSeenAt: tx.rec.Now}
	if err := users.Add(&tx.rec, &u); err != nil {
		return User{}, err
	}
	return newUser(u), tx.rec.Note(u.ID, records.EventGuestCreated, records.About{})
}
