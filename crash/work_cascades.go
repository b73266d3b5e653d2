package main

import (
	"errors"

	"github.com/snibdb/snib"
)

// The operations of the workload that take from a user, each from a full user made
// for it.

// onVictim does something to the victim, whose sessions and tokens then have
// ended.
func (w *work) onVictim(do func(a *account) error) error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	if err := do(a); err != nil {
		return err
	}
	a.forget()
	return nil
}

func (w *work) updateProviderID() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	name := w.name()
	if _, err := w.db.UpdateUserProviderID(ctx, a.id, a.identities[0].provider, name); err != nil {
		return err
	}
	a.identities[0].name, a.links = name, nil
	return nil
}

func (w *work) unlink() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	if _, err := w.db.UnlinkIdentity(ctx, a.id, a.identities[0].provider, a.identities[0].name); err != nil {
		return err
	}
	a.identities, a.links = a.identities[1:], nil
	return nil
}

func (w *work) updatePassword() error {
	return w.onVictim(func(a *account) error { return second(w.db.UpdateUserPassword(ctx, a.id, password)) })
}

// changePassword keeps one session, with or without a refresh token.
func (w *work) changePassword() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	if len(a.sessions) == 0 { // a try that failed has ended them
		return errSkip
	}
	s, err := w.db.ChangePassword(ctx, a.sessions[w.rng.IntN(len(a.sessions))].Token.Reveal(), a.password, password)
	if err != nil {
		return err
	}
	a.forget()
	a.sessions = []snib.Session{s}
	return nil
}

// changeCredentials unlinks an identity by a session, which gets another token.
func (w *work) changeCredentials() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	if len(a.sessions) == 0 {
		return errSkip
	}
	x := a.identities[len(a.identities)-1]
	s, err := w.db.ChangeCredentials(ctx, drop(w, &a.sessions).Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.UnlinkIdentity(s.UserID, x.provider, x.name)
		return err
	})
	if err != nil {
		return err
	}
	a.sessions = append(a.sessions, s)
	a.identities, a.links = a.identities[:len(a.identities)-1], nil
	return nil
}

func (w *work) removePassword() error {
	return w.onVictim(func(a *account) error {
		_, err := w.db.RemoveUserPassword(ctx, a.id)
		if err == nil {
			a.password = ""
		}
		return err
	})
}

func (w *work) disable() error {
	return w.onVictim(func(a *account) error {
		_, err := w.db.DisableUser(ctx, a.id, "as the workload wants it")
		if err == nil {
			a.disabled = true
		}
		return err
	})
}

func (w *work) endSessions() error {
	return w.onVictim(func(a *account) error { return w.db.RevokeUserSessions(ctx, a.id) })
}

func (w *work) revokeAll() error {
	return w.onVictim(func(a *account) error { return w.db.RefreshTokens().RevokeAll(ctx, a.id) })
}

// forgetAll drops the sessions, tokens and devices of all users.
func (w *work) forgetAll() {
	for _, a := range w.users {
		a.forget()
	}
}

func (w *work) endEverything() error {
	w.forgetAll()
	return w.db.EndEverything(ctx)
}

// sweep finds everything dead, as late as it comes.
func (w *work) sweep() error {
	w.forgetAll()
	return second(w.db.Sweep(ctx))
}

// resetClock ends everything, as a wrong clock may have let any credential in.
func (w *work) resetClock() error {
	w.forgetAll()
	return w.db.File().ResetClock(ctx)
}

// gone takes a user out of the list.
func (w *work) gone(a *account) {
	for i, u := range w.users {
		if u == a {
			w.users = append(w.users[:i:i], w.users[i+1:]...)
			return
		}
	}
}

func (w *work) deleteUser() error {
	return w.onVictim(func(a *account) error {
		err := w.db.DeleteUser(ctx, a.id)
		if err == nil {
			w.gone(a)
		}
		return err
	})
}

func (w *work) deleteInTwo() error {
	return w.onVictim(func(a *account) error {
		if err := w.db.RevokeUserSessions(ctx, a.id); err != nil {
			return err
		}
		w.gone(a)
		return w.db.DeleteUser(ctx, a.id)
	})
}

func (w *work) deleteWithRow() error {
	return w.onVictim(func(a *account) error {
		err := w.db.Update(ctx, func(tx *snib.Tx) error {
			return errors.Join(tx.DeleteUser(a.id), deleteRow(tx.Bolt(), a.id))
		})
		if err == nil {
			w.gone(a)
		}
		return err
	})
}
