package main

import (
	"errors"
	"time"

	"github.com/snibdb/snib"
)

// The operations of the workload that bring new users: by invitation, by a sign-up
// that a mail has proven, or as a guest.

func (w *work) invite() error { return w.inviteAs(w.name()) }

func (w *work) inviteAs(name string) error {
	i, err := w.db.Identities().Invite(ctx, snib.NewInvitation{
		Provider: "github", Identifier: name, TTL: time.Hour, Roles: []string{"support"}, Attributes: snib.Attributes{"team": 1},
	})
	if err == nil {
		w.mails = append(w.mails, invitation{name, i.ID, i.Token.Reveal()})
	}
	return err
}

// An invitation was mailed.
type invitation struct {
	name  string
	id    snib.InvitationID
	token string
}

// mailed draws an invitation that is not used yet.
func (w *work) mailed() (invitation, error) {
	if len(w.mails) == 0 {
		return invitation{}, errSkip
	}
	return drop(w, &w.mails), nil
}

// inviteAgain takes the place of an invitation.
func (w *work) inviteAgain() error {
	i, err := w.mailed()
	if err != nil {
		return err
	}
	return w.inviteAs(i.name)
}

func (w *work) acceptInvitation() error {
	i, err := w.mailed()
	if err != nil {
		return err
	}
	u, err := w.db.Identities().AcceptInvitation(ctx, i.token, snib.NewUser{Attributes: w.attributes(i.name)})
	if err != nil {
		return w.unlessDead(err)
	}
	w.users = append(w.users, &account{id: u.ID, identities: []identity{{"github", i.name}}})
	return nil
}

func (w *work) revokeInvitation() error {
	i, err := w.mailed()
	if err != nil {
		return err
	}
	return w.db.Identities().RevokeInvitation(ctx, i.id)
}

func (w *work) finishSignUp() error { return w.signUpAs(w.name()) }

// signUpAs makes a user of an address by a token that is stored nowhere.
func (w *work) signUpAs(name string) error {
	up, err := w.db.Identities().BeginSignUp(ctx, "github", name, time.Hour)
	if err != nil {
		return err
	}
	if up.UserID != "" {
		return errors.New("a stranger's address has a verified holder")
	}
	u, err := w.db.Identities().FinishSignUp(ctx, up.Token.Reveal(), snib.NewUser{Attributes: w.attributes(w.name())})
	if err == nil {
		w.users = append(w.users, &account{id: u.ID, identities: []identity{{"github", name}}})
	}
	return err
}

// claimIdentity takes an unverified identity from the victim, which has others.
func (w *work) claimIdentity() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	if err := w.signUpAs(a.identities[0].name); err != nil {
		return err
	}
	a.identities, a.links = a.identities[1:], nil
	return nil
}

func (w *work) createGuest() error {
	s, u, err := w.db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	if err == nil {
		w.guests = append(w.guests, &account{id: u.ID, guest: true, sessions: []snib.Session{s}})
	}
	return err
}

func (w *work) guestSignsUp() error {
	if len(w.guests) == 0 {
		return errSkip
	}
	a := drop(w, &w.guests)
	if len(a.sessions) == 0 {
		return errSkip
	}
	return w.signsUp(a)
}

// mergeGuest makes one of a guest and a new user, by a session of each.
func (w *work) mergeGuest() error {
	if len(w.guests) == 0 {
		return errSkip
	}
	a := drop(w, &w.guests)
	if len(a.sessions) == 0 {
		return errSkip
	}
	n, heir := w.newUser()
	var m snib.Merged
	err := w.db.Update(ctx, func(tx *snib.Tx) error {
		u, err := tx.CreateUser(n)
		if err != nil {
			return err
		}
		s, err := tx.CreateSession(u, snib.SessionOptions{})
		if err != nil {
			return err
		}
		m, err = tx.Identities().Merge(ctx, s.Token.Reveal(), a.sessions[0].Token.Reveal())
		return err
	})
	if err != nil {
		return w.unlessDead(err)
	}
	heir.id, heir.sessions = m.User.ID, []snib.Session{m.Session}
	w.users = append(w.users, heir)
	return nil
}

// signsUp gives a guest an identity, by a session that gets another token.
func (w *work) signsUp(a *account) error {
	name := w.name()
	s, err := w.db.ChangeCredentials(ctx, a.sessions[0].Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		return second(tx.Identities().Verify(ctx, s.UserID, "github", name))
	})
	if err != nil {
		return w.unlessDead(err)
	}
	a.forget()
	a.guest, a.identities, a.sessions = false, []identity{{"github", name}}, []snib.Session{s}
	w.users = append(w.users, a)
	return nil
}

func (w *work) fullGuestSignsUp() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	if len(a.sessions) == 0 {
		return errSkip
	}
	return w.signsUp(a)
}

// settleDown makes ordinary users of all guests, so that a sweep finds no guest.
func (w *work) settleDown() error {
	var guests []snib.User
	for u, err := range w.db.ListUsers(ctx, snib.ListOptions{}) {
		if err != nil {
			return err
		}
		if u.Guest {
			guests = append(guests, u)
		}
	}
	w.guests = nil
	return w.db.Update(ctx, func(tx *snib.Tx) error {
		for _, u := range guests {
			if _, err := tx.LinkIdentity(u.ID, "github", "guest "+string(u.ID)); err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepGuest finds nothing dead but the guest.
func (w *work) sweepGuest() error {
	if w.now.Sub(start) > 360*day {
		return errSkip // events of others end as well
	}
	return w.onVictim(func(*account) error { return second(w.db.Sweep(ctx)) })
}

// sweepAgain is a sweep soon after another, which empties the outbox.
func (w *work) sweepAgain() error { return second(w.db.Sweep(ctx)) }
