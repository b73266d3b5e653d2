package peers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"

	"github.com/snibdb/snib/bench/internal/peer"
)

var snibPeer = peer.Peer{
	Name:       "snib",
	Note:       "public methods, all checks on; ExtendSession writes at each call",
	Modules:    []string{"github.com/snibdb/snib"},
	Durability: peer.Synced,
	Open:       openSnib,
}

// SnibFile is the name of snib's file in the folder of its store.
const SnibFile = "snib.db"

func openSnib(dir string, o peer.Options) (peer.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	opts := SnibOptions()
	opts.InsecureNoSync = o.NoSync
	opts.Now = o.Now
	db, err := snib.Open(filepath.Join(dir, SnibFile), opts)
	if err != nil {
		return nil, err
	}
	return &Snib{DB: db}, nil
}

// SnibOptions are the options of every measurement of snib: the defaults, but
// sessions that live as long as the other contenders', and an extension that
// writes at each call, because that is what is measured.
func SnibOptions() *snib.Options {
	return &snib.Options{
		Sessions: snib.SessionPolicy{Active: peer.Life, Idle: -1, Absolute: peer.Life + 1, ExtendEvery: -1},
		Refresh:  snib.RefreshPolicy{Session: peer.Life},
	}
}

// Snib is the store over a database that the caller may also use directly.
type Snib struct{ DB *snib.DB }

// refused tells an answer from trouble.
func refused(err error, answers ...error) error {
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return peer.ErrRefused
		}
	}
	return err
}

// Fill implements peer.Store: as many users and sessions in a transaction as
// fit in its bounds, of which each takes two writes.
func (s *Snib) Fill(users []peer.User, sessions int, each func(string)) error {
	const most = 3000
	next, done := 0, 0 // the user, and how many sessions it has
	var tokens []string
	for next < len(users) {
		n, d := next, done
		err := s.DB.Update(ctx, func(tx *snib.Tx) error {
			n, d, tokens = next, done, tokens[:0]
			for writes := 0; writes < most && n < len(users); writes += 2 {
				if d == 0 {
					if err := importUser(tx, users[n]); err != nil {
						return err
					}
					writes += 2
				}
				if d < sessions {
					session, err := tx.CreateSession(snib.UserID(users[n].ID), snib.SessionOptions{})
					if err != nil {
						return err
					}
					tokens = append(tokens, session.Token.Reveal())
					d++
				}
				if d == sessions {
					n, d = n+1, 0
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("filling: %w", err)
		}
		for _, token := range tokens {
			each(token)
		}
		next, done = n, d
	}
	return nil
}

func importUser(tx *snib.Tx, u peer.User) error {
	_, err := tx.ImportUser(snib.UserImport{
		ID: snib.UserID(u.ID), Provider: "email", Identifier: u.Identifier,
		PasswordHash: u.PasswordHash, Attributes: u.Attributes,
	})
	return err
}

// CreateSession implements peer.Store.
func (s *Snib) CreateSession(userID string) (string, error) {
	session, err := s.DB.CreateSession(ctx, snib.UserID(userID), snib.SessionOptions{})
	return session.Token.Reveal(), err
}

// Validate implements peer.Store.
func (s *Snib) Validate(token string) (string, error) {
	session, err := s.DB.ValidateSession(ctx, token)
	if err != nil {
		return "", refused(err, snib.ErrInvalidSession)
	}
	return string(session.UserID), nil
}

// ValidateUser implements peer.UserStore.
func (s *Snib) ValidateUser(token string) (string, error) {
	_, user, err := s.DB.ValidateSessionUser(ctx, token)
	if err != nil {
		return "", refused(err, snib.ErrInvalidSession)
	}
	return user.Identities[0].Identifier, nil
}

// DeleteUser implements peer.UserStore.
func (s *Snib) DeleteUser(userID string) error { return s.DB.DeleteUser(ctx, snib.UserID(userID)) }

// EndSession implements peer.Ender.
func (s *Snib) EndSession(token string) error { return s.DB.InvalidateToken(ctx, token) }

// Extend implements peer.Extender.
func (s *Snib) Extend(token string) error {
	_, err := s.DB.ExtendSession(ctx, token)
	return refused(err, snib.ErrInvalidSession)
}

// StartFamily implements peer.Refresher.
func (s *Snib) StartFamily(userID string) (refresh, session string, err error) {
	se, rt, err := s.DB.CreateRefreshToken(ctx, snib.UserID(userID), snib.SessionOptions{})
	return rt.Token.Reveal(), se.Token.Reveal(), err
}

// Refresh implements peer.Refresher.
func (s *Snib) Refresh(refresh string) (next, session string, err error) {
	se, rt, err := s.DB.Refresh(ctx, refresh)
	if err != nil {
		return "", "", refused(err, snib.ErrInvalidRefreshToken, snib.ErrRefreshTokenReused)
	}
	return rt.Token.Reveal(), se.Token.Reveal(), nil
}

// LogIn implements peer.LogIner.
func (s *Snib) LogIn(identifier, password string) (string, error) {
	session, _, err := s.DB.LogIn(ctx, "email", identifier, password, snib.SessionOptions{})
	if err != nil {
		return "", refused(err, snib.ErrInvalidCredentials)
	}
	return session.Token.Reveal(), nil
}

// Close implements peer.Store.
func (s *Snib) Close() error { return s.DB.Close() }
