package peers

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/timshannon/bolthold"
	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/bench/internal/peer"
)

var boltholdPeer = peer.Peer{
	Name:        "bolthold",
	Note:        "its defaults: gob records, an index by user; one transaction each",
	Modules:     []string{"github.com/timshannon/bolthold"},
	Durability:  peer.Synced,
	MaxSessions: 100_000,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		store, err := bolthold.Open(filepath.Join(dir, "hold.db"), 0o600, &bolthold.Options{
			Options: &bolt.Options{Timeout: time.Second, NoSync: o.NoSync, InitialMmapSize: 1 << 30},
		})
		s := &holdStore{store: store, now: o.Now}
		if s.now == nil {
			s.now = time.Now
		}
		return s, err
	},
}

type holdUser struct {
	Identifier, PasswordHash string
	CreatedAt                time.Time
	Name, Plan, Locale       string
	Newsletter               bool
	Since                    time.Time
}

type holdSession struct {
	UserID                  string `boltholdIndex:"UserID"`
	Hash                    []byte
	CreatedAt, LastUsedAt   time.Time
	ActiveUntil, IdleUntil  time.Time
	AbsoluteUntil, AuthTime time.Time
}

type holdStore struct {
	store *bolthold.Store
	now   func() time.Time
}

func (s *holdStore) addUser(tx *bolt.Tx, u peer.User) error {
	a := u.Attributes
	return s.store.TxInsert(tx, u.ID, &holdUser{
		Identifier: u.Identifier, PasswordHash: u.PasswordHash, CreatedAt: s.now(),
		Name: a["name"].(string), Plan: a["plan"].(string), Locale: a["locale"].(string),
		Newsletter: a["newsletter"].(bool), Since: a["since"].(time.Time),
	})
}

func (s *holdStore) addSession(tx *bolt.Tx, userID string) (string, error) {
	now := s.now()
	id := peer.NewID("ses_", now)
	token, hash := peer.NewToken(id)
	deadline := now.Add(peer.Life)
	return token, s.store.TxInsert(tx, id, &holdSession{
		UserID: userID, Hash: hash[:], CreatedAt: now, LastUsedAt: now,
		ActiveUntil: deadline, IdleUntil: deadline, AbsoluteUntil: deadline, AuthTime: now,
	})
}

// AddUsers implements peer.Store.
func (s *holdStore) AddUsers(list []peer.User) error {
	return addUsers(list, s.store.Bolt().Update, s.addUser)
}

// AddSessions implements peer.Store.
func (s *holdStore) AddSessions(userIDs []string, each func(string)) error {
	return addSessions(userIDs, each, s.store.Bolt().Update, s.addSession)
}

// CreateSession implements peer.Store.
func (s *holdStore) CreateSession(userID string) (token string, err error) {
	err = s.store.Bolt().Update(func(tx *bolt.Tx) (err error) {
		var u holdUser
		if err := s.store.TxGet(tx, userID, &u); err != nil {
			return err
		}
		token, err = s.addSession(tx, userID)
		return err
	})
	return token, err
}

func (s *holdStore) session(tx *bolt.Tx, token string) (id string, found holdSession, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", found, peer.ErrRefused
	}
	err = s.store.TxGet(tx, id, &found)
	if errors.Is(err, bolthold.ErrNotFound) || err == nil && (!peer.SameHash(found.Hash, hash[:]) || !found.ActiveUntil.After(s.now())) {
		err = peer.ErrRefused
	}
	return id, found, err
}

// Validate implements peer.Store.
func (s *holdStore) Validate(token string) (userID string, err error) {
	err = s.store.Bolt().View(func(tx *bolt.Tx) error {
		_, found, err := s.session(tx, token)
		userID = found.UserID
		return err
	})
	return userID, err
}

// ValidateUser implements peer.UserStore.
func (s *holdStore) ValidateUser(token string) (identifier string, err error) {
	err = s.store.Bolt().View(func(tx *bolt.Tx) error {
		_, found, err := s.session(tx, token)
		if err != nil {
			return err
		}
		var u holdUser
		err = s.store.TxGet(tx, found.UserID, &u)
		identifier = u.Identifier
		return err
	})
	return identifier, err
}

// ListSessions implements peer.Lister.
func (s *holdStore) ListSessions(userID string) (n int, err error) {
	var list []holdSession
	err = s.store.Find(&list, bolthold.Where("UserID").Eq(userID).Index("UserID"))
	for i := range list {
		if list[i].ActiveUntil.After(s.now()) {
			n++
		}
	}
	return n, err
}

// Extend implements peer.Extender.
func (s *holdStore) Extend(token string) error {
	return s.store.Bolt().Update(func(tx *bolt.Tx) error {
		id, found, err := s.session(tx, token)
		if err != nil {
			return err
		}
		found.LastUsedAt, found.ActiveUntil = s.now(), s.now().Add(peer.Life)
		return s.store.TxUpdate(tx, id, &found)
	})
}

// EndSession implements peer.Ender.
func (s *holdStore) EndSession(token string) error {
	return s.store.Bolt().Update(func(tx *bolt.Tx) error {
		id, found, err := s.session(tx, token)
		if errors.Is(err, peer.ErrRefused) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.store.TxDelete(tx, id, &found)
	})
}

// DeleteUser implements peer.UserStore.
func (s *holdStore) DeleteUser(userID string) error {
	return s.store.Bolt().Update(func(tx *bolt.Tx) error {
		if err := s.store.TxDeleteMatching(tx, &holdSession{}, bolthold.Where("UserID").Eq(userID).Index("UserID")); err != nil {
			return err
		}
		return s.store.TxDelete(tx, userID, &holdUser{})
	})
}

// Close implements peer.Store.
func (s *holdStore) Close() error { return s.store.Close() }
