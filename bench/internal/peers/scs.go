package peers

import (
	"errors"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/snibdb/snib/bench/internal/peer"
)

var scsMemory = peer.Peer{
	Name:       "scs-memory",
	Note:       "scs with its memstore: nothing is stored; it has no users",
	Modules:    []string{"github.com/alexedwards/scs/v2"},
	Durability: peer.Memory,
	OwnClock:   true,
	Open: func(string, peer.Options) (peer.Store, error) {
		return newSCS(memstore.New()), nil
	},
}

// scsStore uses a session manager as its middleware does: load, put, commit.
// Tokens are hashed in the store, as everywhere here.
type scsStore struct {
	manager *scs.SessionManager
	close   func() error
}

func newSCS(store scs.Store) *scsStore {
	m := scs.New()
	m.Store, m.Lifetime, m.HashTokenInStore = store, peer.Life, true
	return &scsStore{manager: m, close: func() error { return nil }}
}

// AddUsers implements peer.Store. scs has no users.
func (s *scsStore) AddUsers([]peer.User) error { return nil }

// AddSessions implements peer.Store.
func (s *scsStore) AddSessions(userIDs []string, each func(string)) error {
	return createEach(s, userIDs, each)
}

// CreateSession implements peer.Store.
func (s *scsStore) CreateSession(userID string) (string, error) {
	c, err := s.manager.Load(ctx, "")
	if err != nil {
		return "", err
	}
	now := time.Now()
	s.manager.Put(c, "user", userID)
	s.manager.Put(c, "created", now.UnixMilli())
	s.manager.Put(c, "used", now.UnixMilli())
	token, _, err := s.manager.Commit(c)
	return token, err
}

// Validate implements peer.Store. An unknown token gives a new, empty session,
// which has no user.
func (s *scsStore) Validate(token string) (string, error) {
	c, err := s.manager.Load(ctx, token)
	if err != nil {
		return "", err
	}
	user := s.manager.GetString(c, "user")
	return user, errIf(user == "")
}

// Extend implements peer.Extender.
func (s *scsStore) Extend(token string) error {
	c, err := s.manager.Load(ctx, token)
	if err != nil {
		return err
	}
	s.manager.Put(c, "used", time.Now().UnixMilli())
	s.manager.SetDeadline(c, time.Now().Add(peer.Life))
	_, _, err = s.manager.Commit(c)
	return err
}

// EndSession implements peer.Ender.
func (s *scsStore) EndSession(token string) error {
	c, err := s.manager.Load(ctx, token)
	return errors.Join(err, s.manager.Destroy(c))
}

// Close implements peer.Store.
func (s *scsStore) Close() error { return s.close() }
