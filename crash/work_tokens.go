package main

import (
	"errors"
	"slices"
	"time"

	"github.com/snibdb/snib"
)

// The operations of the workload about sessions, refresh tokens and one-time tokens.

func (w *work) createSession() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	s, err := w.db.CreateSession(ctx, waived(w.db, a.id), snib.SessionOptions{Attributes: snib.Attributes{"device": "tablet"}})
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return err
}

const manySessions = 60 // at once

// makeMany gives one user so many that ending them touches many pages.
func (w *work) makeMany() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	var made []snib.Session
	err = w.db.Update(ctx, func(tx *snib.Tx) error {
		made = nil
		u, err := tx.GetUser(a.id)
		if err != nil {
			return err
		}
		for range manySessions {
			s, err := tx.CreateSession(snib.FactorNotNeeded(u), snib.SessionOptions{Attributes: snib.Attributes{"device": "one of many"}})
			if err != nil {
				return err
			}
			made = append(made, s)
		}
		return nil
	})
	if err == nil {
		a.sessions = append(a.sessions, made...)
	}
	return err
}

// proofOf is a user as of now, as the proof for a new session. The call that takes
// the proof reports a user that cannot be read.
func proofOf(db *snib.DB, id snib.UserID) snib.Proof {
	u, err := db.GetUser(ctx, id)
	if err != nil {
		return snib.User{ID: id, CredentialVersion: 1}
	}
	return u
}

// waived is proofOf for a user whose second factor the program has seen elsewhere.
func waived(db *snib.DB, id snib.UserID) snib.Proof { return snib.FactorNotNeeded(proofOf(db, id)) }

func hasSession(a *account) bool { return len(a.sessions) > 0 }

func (w *work) renew() error {
	a, err := w.user(hasSession)
	if err != nil {
		return err
	}
	old := drop(w, &a.sessions)
	s, err := w.db.RenewSession(ctx, old.Token.Reveal())
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return w.unlessDead(err)
}

// reauthenticate takes a session with or without a refresh token.
func (w *work) reauthenticate() error {
	a, err := w.user(func(a *account) bool { return hasSession(a) && plain(a) })
	if err != nil {
		return err
	}
	old := drop(w, &a.sessions)
	s, err := w.db.Reauthenticate(ctx, old.Token.Reveal(), a.password)
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return w.unlessDead(err)
}

func (w *work) extend() error {
	a, err := w.user(hasSession)
	if err != nil {
		return err
	}
	_, err = w.db.ExtendSession(ctx, a.sessions[w.rng.IntN(len(a.sessions))].Token.Reveal())
	return w.unlessDead(err)
}

// unlessDead returns errSkip for a credential that has ended, by itself or with its
// family.
func (w *work) unlessDead(err error) error {
	for _, dead := range []error{
		snib.ErrInvalidSession, snib.ErrInvalidRefreshToken, snib.ErrRefreshTokenReused, snib.ErrInvalidOneTimeToken,
		snib.ErrInvalidAPIKey, snib.ErrDeviceNotFound, snib.ErrFactorNotFound,
	} {
		if errors.Is(err, dead) {
			return errSkip
		}
	}
	return err
}

func (w *work) endSession() error {
	a, err := w.user(hasSession)
	if err != nil {
		return err
	}
	return w.db.RevokeSessionByID(ctx, drop(w, &a.sessions).ID)
}

func (w *work) createFamily() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	_, r, err := w.db.CreateRefreshToken(ctx, waived(w.db, a.id), snib.SessionOptions{})
	if err == nil {
		a.current = append(a.current, r.Token.Reveal())
	}
	return err
}

func (w *work) refresh() error {
	a, err := w.user(func(a *account) bool { return len(a.current) > 0 })
	if err != nil {
		return err
	}
	return w.refreshOf(a, drop(w, &a.current))
}

// refreshAgain uses the answer of an earlier refresh.
func (w *work) refreshAgain() error {
	answer := func(a *account) int {
		return slices.IndexFunc(a.current, func(token string) bool { return a.parent[token] != "" })
	}
	a, err := w.user(func(a *account) bool { return answer(a) >= 0 })
	if err != nil {
		return err
	}
	i := answer(a)
	token := a.current[i]
	a.current = slices.Delete(a.current, i, i+1)
	return w.refreshOf(a, token)
}

func (w *work) refreshOf(a *account, token string) error {
	_, r, err := w.db.Refresh(ctx, token)
	if err != nil {
		return w.unlessDead(err)
	}
	next := r.Token.Reveal()
	a.current = append(a.current, next)
	if before, ok := a.parent[token]; ok {
		a.spent = append(a.spent, before)
		delete(a.parent, token)
	}
	if a.parent == nil {
		a.parent = map[string]string{}
	}
	a.parent[next] = token
	return nil
}

// reuse presents a token whose successor was used, which ends its family.
func (w *work) reuse() error {
	a, err := w.user(func(a *account) bool { return len(a.spent) > 0 })
	if err != nil {
		return err
	}
	w.now = w.now.Add(time.Minute) // beyond the grace
	token := drop(w, &a.spent)
	_, _, err = w.db.Refresh(ctx, token)
	switch {
	case errors.Is(err, snib.ErrRefreshTokenReused):
		return nil
	case err == nil:
		return errors.New("a spent refresh token was accepted")
	}
	return w.unlessDead(err)
}

func (w *work) createLink() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	l, err := w.db.Tokens().Create(ctx, a.id, "reset", time.Hour, []byte("data"))
	if errors.Is(err, snib.ErrOneTimeTokenLimit) {
		return errSkip
	}
	if err == nil {
		a.links = append(a.links, l.Token.Reveal())
	}
	return err
}

func (w *work) useLink() error {
	a, err := w.user(func(a *account) bool { return len(a.links) > 0 })
	if err != nil {
		return err
	}
	_, err = w.db.Tokens().Use(ctx, "reset", drop(w, &a.links))
	if errors.Is(err, snib.ErrInvalidOneTimeToken) {
		return errSkip // expired
	}
	return err
}

// createReset makes a link in the place of the one there is.
func (w *work) createReset() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	l, err := w.db.Tokens().CreateReset(ctx, a.id, time.Hour)
	if errors.Is(err, snib.ErrOneTimeTokenLimit) {
		return errSkip
	}
	if err == nil {
		a.resets = []string{l.Token.Reveal()}
	}
	return err
}

func (w *work) finishReset() error {
	a, err := w.user(func(a *account) bool { return len(a.resets) > 0 })
	if err != nil {
		return err
	}
	_, err = w.db.Tokens().FinishReset(ctx, drop(w, &a.resets), password)
	if errors.Is(err, snib.ErrInvalidOneTimeToken) {
		return errSkip // expired
	}
	if err == nil {
		a.forget()
		a.password = password
	}
	return err
}

func (w *work) enable() error {
	a, err := w.user(func(a *account) bool { return a.disabled })
	if err != nil {
		return err
	}
	_, err = w.db.EnableUser(ctx, a.id)
	if err == nil {
		a.disabled = false
	}
	return err
}

// reindex opens the file with one index more or less, for which all users are
// read and their entries written in one transaction.
func (w *work) reindex() error {
	if n := len(w.indexes); n > 2 {
		w.indexes = w.indexes[:2]
	} else {
		w.indexes = append(w.indexes, snib.Index{Name: "group"})
	}
	return w.reopen(w.options())
}
