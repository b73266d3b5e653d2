package peers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

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

// Snib returns the contender that all of this is about.
func Snib() peer.Peer { return snibPeer }

// OpenSnibOnBolt opens the store of dir over a handle of the caller's, who
// closes it after the store.
func OpenSnibOnBolt(dir string) (peer.Store, *bolt.DB, error) {
	handle, err := bolt.Open(filepath.Join(dir, SnibFile), 0o600, &bolt.Options{Timeout: time.Second, InitialMmapSize: 1 << 30})
	if err != nil {
		return nil, nil, err
	}
	db, err := snib.New(handle, SnibOptions())
	if err != nil {
		return nil, nil, errors.Join(err, handle.Close())
	}
	return &snibStore{db}, handle, nil
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
	return &snibStore{db}, nil
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

type snibStore struct{ db *snib.DB }

// refused tells an answer from trouble.
func refused(err error, answers ...error) error {
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return peer.ErrRefused
		}
	}
	return err
}

// Fill implements peer.Store. Users come back in no order, as they do, so that
// the index by user fills as it would; the tokens are handed over user by user.
func (s *snibStore) Fill(users []peer.User, sessions int, each func(string)) error {
	err := s.inParts(len(users), 4, func(tx *snib.Tx, n int) error { return importUser(tx, users[n]) })
	if err != nil {
		return err
	}
	tokens := make([]string, len(users)*sessions)
	create := func(tx *snib.Tx, n, d int) error {
		session, err := tx.CreateSession(imported(users[n].ID), snib.SessionOptions{})
		tokens[n*sessions+d] = session.Token.Reveal()
		return err
	}
	if sessions >= 100 { // they are to be deleted, and lie together as the others' do
		err := s.inParts(len(tokens), 2, func(tx *snib.Tx, i int) error { return create(tx, i/sessions, i%sessions) })
		return s.hand(tokens, each, err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for d := range sessions {
		order := rng.Perm(len(users))
		err := s.inParts(len(users), 2, func(tx *snib.Tx, n int) error { return create(tx, order[n], d) })
		if err != nil {
			return err
		}
	}
	return s.hand(tokens, each, nil)
}

// hand hands tokens over, unless there was an error.
func (s *snibStore) hand(tokens []string, each func(string), err error) error {
	if err == nil {
		for _, token := range tokens {
			each(token)
		}
	}
	return err
}

// inParts runs do for each number below n, in transactions as large as they
// may be; do makes so many writes.
func (s *snibStore) inParts(n, writes int, do func(tx *snib.Tx, i int) error) error {
	const most = 3000
	for from := 0; from < n; from += most / writes {
		err := s.db.Update(ctx, func(tx *snib.Tx) error {
			for i := from; i < min(n, from+most/writes); i++ {
				if err := do(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("filling: %w", err)
		}
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

// imported is a user as read after the import, which every program has at hand
// that has just authenticated one.
func imported(id string) snib.User {
	return snib.User{ID: snib.UserID(id), CredentialVersion: 1}
}

// CreateSession implements peer.Store.
func (s *snibStore) CreateSession(userID string) (string, error) {
	session, err := s.db.CreateSession(ctx, imported(userID), snib.SessionOptions{})
	return session.Token.Reveal(), err
}

// Validate implements peer.Store.
func (s *snibStore) Validate(token string) (string, error) {
	session, err := s.db.ValidateSession(ctx, token)
	if err != nil {
		return "", refused(err, snib.ErrInvalidSession)
	}
	return string(session.UserID), nil
}

// ValidateUser implements peer.UserStore.
func (s *snibStore) ValidateUser(token string) (string, error) {
	_, user, err := s.db.ValidateSessionUser(ctx, token)
	if err != nil {
		return "", refused(err, snib.ErrInvalidSession)
	}
	return user.Identities[0].Identifier, nil
}

// DeleteUser implements peer.UserStore.
func (s *snibStore) DeleteUser(userID string) error { return s.db.DeleteUser(ctx, snib.UserID(userID)) }

// EndSession implements peer.Ender.
func (s *snibStore) EndSession(token string) error { return s.db.RevokeToken(ctx, token) }

// Extend implements peer.Extender.
func (s *snibStore) Extend(token string) error {
	_, err := s.db.ExtendSession(ctx, token)
	return refused(err, snib.ErrInvalidSession)
}

// StartFamily implements peer.Refresher.
func (s *snibStore) StartFamily(userID string) (refresh, session string, err error) {
	se, rt, err := s.db.CreateRefreshToken(ctx, imported(userID), snib.SessionOptions{})
	return rt.Token.Reveal(), se.Token.Reveal(), err
}

// Refresh implements peer.Refresher.
func (s *snibStore) Refresh(refresh string) (next, session string, err error) {
	se, rt, err := s.db.Refresh(ctx, refresh)
	if err != nil {
		return "", "", refused(err, snib.ErrInvalidRefreshToken, snib.ErrRefreshTokenReused)
	}
	return rt.Token.Reveal(), se.Token.Reveal(), nil
}

// LogIn implements peer.LogIner.
func (s *snibStore) LogIn(identifier, password string) (string, error) {
	session, _, err := s.db.LogIn(ctx, "email", identifier, password, snib.SessionOptions{})
	if err != nil {
		return "", refused(err, snib.ErrInvalidCredentials)
	}
	return session.Token.Reveal(), nil
}

// Sweep removes what has been dead for a day.
func (s *snibStore) Sweep() (int, error) { return s.db.Sweep(ctx) }

// Close implements peer.Store.
func (s *snibStore) Close() error { return s.db.Close() }
