package peers

import (
	"errors"
	"time"

	"github.com/snibdb/snib/bench/internal/frozen"
	"github.com/snibdb/snib/bench/internal/peer"
)

// A space is one ordered set of keys in a key-value engine.
type space byte

const (
	users space = iota
	sessions
	userSessions
	families
	spaceCount
)

// An engine is a key-value store under recordStore. Bytes that get returns are
// valid inside the closure only; get returns nil for an absent key.
type engine interface {
	view(fn func(reader) error) error
	// update runs fn in a transaction that is durable when it returns nil.
	// lock is the id of the record that fn decides about, for engines without
	// transactions that read.
	update(lock string, fn func(writer) error) error
	close() error
}

type reader interface {
	get(sp space, key []byte) ([]byte, error)
	keys(sp space, from, to []byte) ([][]byte, error) // copies
}

type writer interface {
	reader
	put(sp space, key, value []byte) error
	del(sp space, key []byte) error
}

// recordStore is a careful program over a key-value engine. It writes snib's
// first format (package frozen), so that every engine stores the same bytes even
// if snib changes. It lacks snib's additions (clock, epoch, bounds per user,
// versions).
type recordStore struct {
	engine
	now   func() time.Time
	epoch uint64 // that of all sessions; nothing moves it here
}

func newRecordStore(e engine, o peer.Options) *recordStore {
	s := &recordStore{engine: e, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

var errNoUser = errors.New("no such user")

func userRecord(u peer.User, now int64) ([]byte, error) {
	attributes, err := frozen.EncodeAttributes(u.Attributes)
	r := frozen.User{
		ID: u.ID, CreatedAt: now, UpdatedAt: now, CredentialVersion: 1, PasswordHash: u.PasswordHash, PasswordChangedAt: now,
		Provider: "email", Key: u.Identifier, Identifier: u.Identifier, LinkedAt: now, Attributes: attributes,
	}
	return r.Encode(), err
}

// newSession puts a session with its entry in the index.
func (s *recordStore) newSession(w writer, userID, familyID string) (id, token string, err error) {
	now := s.now()
	id = peer.NewID("ses_", now)
	token, hash := peer.NewToken(id)
	deadline := now.Add(peer.Life).UnixMilli()
	r := frozen.Session{
		ID: id, UserID: userID, FamilyID: familyID, SecretHash: hash, ActiveUntil: deadline, IdleUntil: deadline, AbsoluteUntil: deadline,
		CreatedAt: now.UnixMilli(), AuthTime: now.UnixMilli(), LastUsedAt: now.UnixMilli(),
	}
	if err := w.put(sessions, []byte(id), r.Encode()); err != nil {
		return "", "", err
	}
	return id, token, w.put(userSessions, frozen.Pair(userID, id), nil)
}

// AddUsers implements peer.Store.
func (s *recordStore) AddUsers(list []peer.User) error {
	return addUsers(list, s.fill, func(w writer, u peer.User) error {
		record, err := userRecord(u, s.now().UnixMilli())
		if err != nil {
			return err
		}
		return w.put(users, []byte(u.ID), record)
	})
}

// AddSessions implements peer.Store.
func (s *recordStore) AddSessions(userIDs []string, each func(string)) error {
	return addSessions(userIDs, each, s.fill, func(w writer, id string) (string, error) {
		_, token, err := s.newSession(w, id, "")
		return token, err
	})
}

func (s *recordStore) fill(fn func(writer) error) error { return s.update("", fn) }

// CreateSession implements peer.Store.
func (s *recordStore) CreateSession(userID string) (token string, err error) {
	err = s.update(userID, func(w writer) (err error) {
		if err := mustHaveUser(w, userID); err != nil {
			return err
		}
		_, token, err = s.newSession(w, userID, "")
		return err
	})
	return token, err
}

func mustHaveUser(r reader, userID string) error {
	value, err := r.get(users, []byte(userID))
	if err == nil && value == nil {
		err = errNoUser
	}
	return err
}

// session finds the session of a token and checks it.
func (s *recordStore) session(r reader, token string) (frozen.Session, error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return frozen.Session{}, peer.ErrRefused
	}
	value, err := r.get(sessions, []byte(id))
	if err != nil || value == nil {
		return frozen.Session{}, errors.Join(err, errIf(value == nil && err == nil))
	}
	record, err := frozen.DecodeSession([]byte(id), value)
	if err != nil {
		return frozen.Session{}, err
	}
	if !peer.SameHash(record.SecretHash[:], hash[:]) || !s.alive(&record) {
		return frozen.Session{}, peer.ErrRefused
	}
	return record, nil
}

// alive compares the epoch and all three deadlines, as snib does.
func (s *recordStore) alive(r *frozen.Session) bool {
	now := s.now().UnixMilli()
	return r.Epoch == s.epoch && now < r.ActiveUntil && now < r.IdleUntil && now < r.AbsoluteUntil
}

func errIf(absent bool) error {
	if absent {
		return peer.ErrRefused
	}
	return nil
}

// Validate implements peer.Store.
func (s *recordStore) Validate(token string) (userID string, err error) {
	err = s.view(func(r reader) error {
		record, err := s.session(r, token)
		userID = record.UserID
		return err
	})
	return userID, err
}

// ValidateUser implements peer.UserStore.
func (s *recordStore) ValidateUser(token string) (identifier string, err error) {
	err = s.view(func(r reader) error {
		record, err := s.session(r, token)
		if err != nil {
			return err
		}
		value, err := r.get(users, []byte(record.UserID))
		if err != nil || value == nil {
			return errors.Join(err, errIf(value == nil && err == nil))
		}
		user, err := frozen.DecodeUser([]byte(record.UserID), value)
		if err != nil {
			return err
		}
		if user.ID != record.UserID || user.DisabledAt != 0 {
			return peer.ErrRefused
		}
		identifier = user.Identifier
		return nil
	})
	return identifier, err
}

// ListSessions implements peer.Lister.
func (s *recordStore) ListSessions(userID string) (n int, err error) {
	err = s.view(func(r reader) error {
		n = 0
		return s.eachSession(r, userID, func(id, value []byte) error {
			record, err := frozen.DecodeSession(id, value)
			if err == nil && record.UserID == userID && s.alive(&record) {
				n++
			}
			return err
		})
	})
	return n, err
}

// eachSession gets every session that the index has of a user.
func (s *recordStore) eachSession(r reader, userID string, do func(id, value []byte) error) error {
	from, to := frozen.PairRange(userID)
	keys, err := r.keys(userSessions, from, to)
	if err != nil {
		return err
	}
	for _, key := range keys {
		id := frozen.Second(key)
		value, err := r.get(sessions, id)
		if err == nil {
			err = do(id, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Extend implements peer.Extender.
func (s *recordStore) Extend(token string) error {
	id, _, ok := peer.ParseToken(token)
	if !ok {
		return peer.ErrRefused
	}
	return s.update(id, func(w writer) error {
		record, err := s.session(w, token)
		if err != nil {
			return err
		}
		record.LastUsedAt = s.now().UnixMilli()
		record.ActiveUntil = s.now().Add(peer.Life).UnixMilli()
		return w.put(sessions, []byte(record.ID), record.Encode())
	})
}

// EndSession implements peer.Ender.
func (s *recordStore) EndSession(token string) error {
	id, _, ok := peer.ParseToken(token)
	if !ok {
		return nil
	}
	return s.update(id, func(w writer) error {
		record, err := s.session(w, token)
		if errors.Is(err, peer.ErrRefused) {
			return nil
		}
		if err != nil {
			return err
		}
		return dropSession(w, record.UserID, record.ID)
	})
}

func dropSession(w writer, userID, id string) error {
	return errors.Join(w.del(sessions, []byte(id)), w.del(userSessions, frozen.Pair(userID, id)))
}

// DeleteUser implements peer.UserStore.
func (s *recordStore) DeleteUser(userID string) error {
	return s.update(userID, func(w writer) error {
		from, to := frozen.PairRange(userID)
		keys, err := w.keys(userSessions, from, to)
		if err != nil {
			return err
		}
		for _, key := range keys {
			id := frozen.Second(key)
			if err := errors.Join(w.del(sessions, id), w.del(userSessions, key)); err != nil {
				return err
			}
		}
		return w.del(users, []byte(userID))
	})
}

// Close implements peer.Store.
func (s *recordStore) Close() error { return s.close() }
