package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/snibdb/snib"
)

// A historyOp is an operation of a history, its weight in drawOp, and the kind of
// input that draw fills in.
type historyOp struct {
	often int
	needs string
	do    func(db *snib.DB, c *request) (answer, error)
}

func (c *request) id() snib.UserID { return snib.UserID(fmt.Sprint("user-", c.User)) }

var historyNames = slices.Sorted(maps.Keys(historyOps))

var historyOps = map[string]historyOp{
	"GetUser":     {6, "", func(db *snib.DB, c *request) (answer, error) { return userAnswer(db.GetUser(ctx, c.id())) }},
	"ImportUser":  {8, "", doImport},
	"DeleteUser":  {1, "", func(db *snib.DB, c *request) (answer, error) { return answer{}, db.DeleteUser(ctx, c.id()) }},
	"DisableUser": {1, "", func(db *snib.DB, c *request) (answer, error) { return userAnswer(db.DisableUser(ctx, c.id(), "")) }},
	"EnableUser":  {6, "", func(db *snib.DB, c *request) (answer, error) { return userAnswer(db.EnableUser(ctx, c.id())) }},
	"UpdateUserPassword": {4, "next", func(db *snib.DB, c *request) (answer, error) {
		return userAnswer(db.UpdateUserPassword(ctx, c.id(), c.Next))
	}},
	"RemoveUserPassword": {1, "", func(db *snib.DB, c *request) (answer, error) {
		return userAnswer(db.RemoveUserPassword(ctx, c.id()))
	}},
	"ChangePassword": {8, "bearer, next", func(db *snib.DB, c *request) (answer, error) {
		s, err := db.ChangePassword(ctx, c.Token, c.Password, c.Next)
		return sessionAnswer(s), err
	}},
	"ChangeCredentials": {5, "session", func(db *snib.DB, c *request) (answer, error) {
		s, err := db.ChangeCredentials(ctx, c.Token, func(tx *snib.Tx, s snib.Session) error { return tx.RevokeUserSessions(s.UserID, s.ID) })
		return sessionAnswer(s), err
	}},
	"Reauthenticate": {8, "bearer", func(db *snib.DB, c *request) (answer, error) {
		s, err := db.Reauthenticate(ctx, c.Token, c.Password)
		return sessionAnswer(s), err
	}},
	"EndEverything": {1, "", func(db *snib.DB, c *request) (answer, error) { return answer{}, db.EndEverything(ctx) }},
	"LogIn":         {14, "password", doLogIn},
	"CreateSession": {16, "version", doCreateSession},
	"ValidateSession": {18, "session", func(db *snib.DB, c *request) (answer, error) {
		_, err := db.ValidateSession(ctx, c.Token)
		return answer{}, err
	}},
	"ValidateSessionUser": {18, "session", func(db *snib.DB, c *request) (answer, error) {
		_, u, err := db.ValidateSessionUser(ctx, c.Token)
		return userAnswer(u, err)
	}},
	"ListUserSessions": {8, "", doList},
	"RenewSession": {9, "session", func(db *snib.DB, c *request) (answer, error) {
		s, err := db.RenewSession(ctx, c.Token)
		return sessionAnswer(s), err
	}},
	"RevokeSession": {4, "session", func(db *snib.DB, c *request) (answer, error) {
		return answer{}, db.RevokeSession(ctx, c.id(), snib.SessionID(c.Session))
	}},
	"RevokeToken": {7, "token", func(db *snib.DB, c *request) (answer, error) { return answer{}, db.RevokeToken(ctx, c.Token) }},
	"RevokeUserSessions": {2, "keep", func(db *snib.DB, c *request) (answer, error) {
		return answer{}, db.RevokeUserSessions(ctx, c.id(), c.keep()...)
	}},
	"CreateRefreshToken": {10, "version", doCreateFamily},
	"Refresh":            {34, "family", doRefresh},
	"RefreshTokens.Revoke": {2, "family", func(db *snib.DB, c *request) (answer, error) {
		return answer{}, db.RefreshTokens().Revoke(ctx, c.id(), snib.RefreshTokenID(c.Family))
	}},
	"CreateOneTimeToken": {6, "purpose", doCreateLink},
	"UseOneTimeToken": {12, "link", func(db *snib.DB, c *request) (answer, error) {
		_, err := db.Tokens().Use(ctx, c.Purpose, c.Token)
		return answer{}, err
	}},
	"RevokeOneTimeToken": {2, "link", func(db *snib.DB, c *request) (answer, error) {
		return answer{}, db.Tokens().Revoke(ctx, c.id(), snib.OneTimeTokenID(c.Link))
	}},
	"RevokeUserOneTimeTokens": {1, "link", func(db *snib.DB, c *request) (answer, error) {
		return answer{}, db.Tokens().RevokeAll(ctx, c.id(), c.Purpose)
	}},
	"APIKeys.CreateFor": {5, "", func(db *snib.DB, c *request) (answer, error) {
		k, err := db.APIKeys().CreateFor(ctx, c.id(), newKey)
		return answer{Key: string(k.ID), Tokens: []string{k.Token.Reveal()}}, err
	}},
	"APIKeys.Validate": {14, "key", func(db *snib.DB, c *request) (answer, error) {
		_, u, err := db.APIKeys().Validate(ctx, c.Token)
		return userAnswer(u, err)
	}},
	"APIKeys.RevokeByID": {4, "key", func(db *snib.DB, c *request) (answer, error) {
		return answer{}, db.APIKeys().RevokeByID(ctx, snib.APIKeyID(c.Key))
	}},
	"a factor":      {2, "", doFactor},
	"Factors.Reset": {14, "factor", func(db *snib.DB, c *request) (answer, error) { return userAnswer(db.Factors().Reset(ctx, c.id())) }},
	"Factors.LogIn": {12, "code", doLogInByCode},
}

// keep is the session to keep, if there is one.
func (c *request) keep() []snib.SessionID {
	if c.Keep == "" {
		return nil
	}
	return []snib.SessionID{snib.SessionID(c.Keep)}
}

func userAnswer(u snib.User, err error) (answer, error) {
	return answer{Version: u.CredentialVersion, Disabled: u.Disabled()}, err
}

func sessionAnswer(s snib.Session) answer {
	return answer{Session: string(s.ID), Tokens: []string{s.Token.Reveal()}}
}

func doImport(db *snib.DB, c *request) (answer, error) {
	return userAnswer(db.ImportUser(ctx, snib.UserImport{ID: c.id(), Provider: "github", Identifier: string(c.id())}))
}

func doLogIn(db *snib.DB, c *request) (answer, error) {
	s, u, err := db.LogIn(ctx, "github", string(c.id()), c.Password, snib.SessionOptions{})
	r := sessionAnswer(s)
	r.Version, r.Disabled = u.CredentialVersion, u.Disabled()
	return r, err
}

// doFactor gives the user a new authenticator and recovery codes, in the place of
// all factors, in one transaction.
func doFactor(db *snib.DB, c *request) (r answer, err error) {
	a := &account{id: c.id()}
	var u snib.User
	err = db.Update(ctx, func(tx *snib.Tx) error {
		_, err := tx.Factors().Reset(ctx, a.id)
		if err == nil {
			a.begun, err = a.begin(tx)
		}
		if err == nil {
			err = a.confirm(tx, start)
		}
		if err == nil {
			err = a.recover(tx)
		}
		if err == nil {
			u, err = tx.GetUser(a.id)
		}
		return err
	})
	r, err = userAnswer(u, err)
	r.Codes = a.recovery
	return r, err
}

func doLogInByCode(db *snib.DB, c *request) (answer, error) {
	s, u, err := db.Factors().LogIn(ctx, "github", string(c.id()), c.Password, c.Code, snib.SessionOptions{})
	r := sessionAnswer(s)
	r.Version, r.Disabled = u.CredentialVersion, u.Disabled()
	return r, err
}

// proof is the user as it was at the version.
func (c *request) proof() snib.User { return snib.User{ID: c.id(), CredentialVersion: c.Version} }

func doCreateSession(db *snib.DB, c *request) (answer, error) {
	s, err := db.CreateSession(ctx, c.proof(), snib.SessionOptions{})
	return sessionAnswer(s), err
}

func doList(db *snib.DB, c *request) (r answer, err error) {
	list, err := db.ListUserSessions(ctx, c.id())
	for i := range list {
		r.Sessions = append(r.Sessions, string(list[i].ID))
	}
	return r, err
}

func pairAnswer(s snib.Session, f snib.RefreshToken, err error) (answer, error) {
	r := sessionAnswer(s)
	r.Family, r.Tokens = string(f.ID), append(r.Tokens, f.Token.Reveal())
	return r, err
}

func doCreateFamily(db *snib.DB, c *request) (answer, error) {
	return pairAnswer(db.CreateRefreshToken(ctx, c.proof(), snib.SessionOptions{}))
}

func doRefresh(db *snib.DB, c *request) (answer, error) { return pairAnswer(db.Refresh(ctx, c.Token)) }

func doCreateLink(db *snib.DB, c *request) (answer, error) {
	l, err := db.Tokens().Create(ctx, c.id(), c.Purpose, purposeLife, nil)
	return answer{Link: string(l.ID), Purpose: c.Purpose, Tokens: []string{l.Token.Reveal()}}, err
}
