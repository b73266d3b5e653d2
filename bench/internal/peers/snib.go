package peers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
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

// OpenSnibOnBolt opens the store of dir over a bbolt handle. The caller closes
// the handle after the store.
func OpenSnibOnBolt(dir string) (peer.Store, *bolt.DB, error) {
	handle, err := bolt.Open(filepath.Join(dir, SnibFile), 0o600, &bolt.Options{Timeout: time.Second, InitialMmapSize: 1 << 30})
	if err != nil {
		return nil, nil, err
	}
	db, err := snib.New(handle, SnibOptions())
	if err != nil {
		return nil, nil, errors.Join(err, handle.Close())
	}
	return snibFile{&snibStore{db, knownIn(dir)}}, handle, nil
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
	return snibFile{&snibStore{db, knownIn(dir)}}, nil
}

// SnibOptions are the options of every measurement of snib: the defaults, but
// sessions that live as long as the other contenders', and an extension that
// writes at each call, because this write is measured.
func SnibOptions() *snib.Options {
	return &snib.Options{
		Sessions: snib.SessionPolicy{Active: peer.Life, Idle: -1, Absolute: peer.Life + 1, ExtendEvery: -1},
		Refresh:  snib.RefreshPolicy{Session: peer.Life},
	}
}

// snibStore is snib on any engine.
type snibStore struct {
	db    *snib.DB
	known *known
}

// known are the users of a store as a log-in would just have shown them, so
// that a session is made by proof of one without reading it first. Kept small,
// as a program does not hold them at all: the id and the version.
type known struct {
	mu       sync.RWMutex
	versions map[string]uint64
}

// stores holds the known users by the folder of each store, which is opened more
// than once.
var stores sync.Map

func knownIn(dir string) *known {
	k, _ := stores.LoadOrStore(dir, &known{versions: map[string]uint64{}})
	return k.(*known)
}

func (k *known) add(u snib.User) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.versions[string(u.ID)] = u.CredentialVersion
}

// user is an imported one; read gets another, once.
func (k *known) user(id string, read func(snib.UserID) (snib.User, error)) (snib.User, error) {
	k.mu.RLock()
	version, ok := k.versions[id]
	k.mu.RUnlock()
	if ok {
		return snib.User{ID: snib.UserID(id), CredentialVersion: version}, nil
	}
	u, err := read(snib.UserID(id))
	if err == nil {
		k.add(u)
	}
	return u, err
}

func (s *snibStore) user(id string) (snib.User, error) {
	return s.known.user(id, func(id snib.UserID) (snib.User, error) { return s.db.GetUser(ctx, id) })
}

// refused tells an answer from trouble.
func refused(err error, answers ...error) error {
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return peer.ErrRefused
		}
	}
	return err
}

// AddUsers implements peer.Store.
func (s *snibStore) AddUsers(list []peer.User) error {
	return addUsers(list, s.update, func(tx *snib.Tx, u peer.User) error {
		added, err := tx.ImportUser(snib.UserImport{
			ID: snib.UserID(u.ID), Provider: "email", Identifier: u.Identifier,
			PasswordHash: u.PasswordHash, Attributes: u.Attributes,
		})
		s.known.add(added) // of the last run of the closure, which is committed
		return err
	})
}

// AddSessions implements peer.Store.
func (s *snibStore) AddSessions(userIDs []string, each func(string)) error {
	return addSessions(userIDs, each, s.update, func(tx *snib.Tx, id string) (string, error) {
		user, err := s.known.user(id, tx.GetUser)
		if err != nil {
			return "", err
		}
		session, err := tx.CreateSession(user, snib.SessionOptions{})
		return session.Token.Reveal(), err
	})
}

func (s *snibStore) update(fn func(*snib.Tx) error) error { return s.db.Update(ctx, fn) }

// CreateSession implements peer.Store.
func (s *snibStore) CreateSession(userID string) (string, error) {
	user, err := s.user(userID)
	if err != nil {
		return "", err
	}
	session, err := s.db.CreateSession(ctx, user, snib.SessionOptions{})
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

// ListSessions implements peer.Lister.
func (s *snibStore) ListSessions(userID string) (int, error) {
	list, err := s.db.ListUserSessions(ctx, snib.UserID(userID))
	return len(list), err
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
	user, err := s.user(userID)
	if err != nil {
		return "", "", err
	}
	se, rt, err := s.db.CreateRefreshToken(ctx, user, snib.SessionOptions{})
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

// CreateWithin implements peer.Patient.
func (s *snibStore) CreateWithin(d time.Duration, userID string) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	user, err := s.user(userID)
	if err == nil {
		_, err = s.db.CreateSession(limited, user, snib.SessionOptions{})
	}
	return err
}

// Close implements peer.Store.
func (s *snibStore) Close() error { return s.db.Close() }
