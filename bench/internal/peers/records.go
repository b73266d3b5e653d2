package peers

import (
	"errors"
	"time"

	"github.com/snibdb/snib/codec"

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

// An engine is a key-value store under recordStore. Bytes that get and scan
// return are valid inside the closure only; get returns nil for what is absent.
type engine interface {
	view(fn func(reader) error) error
	// update runs fn in a transaction that is durable when it returns nil.
	// lock names what fn decides about, for engines without transactions
	// that read.
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

// recordStore is what a careful program would write over a key-value engine:
// snib's spaces and its records (package codec), so that all of them store the
// same bytes, without what snib adds (clock, epoch, bounds per user, versions).
type recordStore struct {
	engine
	now func() time.Time
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
	attributes, err := codec.AppendAttributes(nil, u.Attributes, codec.Bounds{})
	r := codec.User{
		ID: u.ID, CreatedAt: now, UpdatedAt: now, CredentialVersion: 1,
		PasswordHash: u.PasswordHash, PasswordChangedAt: now,
		Identities: []codec.Identity{{Provider: "email", Key: u.Identifier, Identifier: u.Identifier, LinkedAt: now}},
		Attributes: string(attributes),
	}
	return r.Append(nil), err
}

// newSession puts a session with its entry in the index.
func (s *recordStore) newSession(w writer, userID, familyID string) (id, token string, err error) {
	now := s.now()
	id = peer.NewID("ses_", now)
	token, hash := peer.NewToken(id)
	deadline := now.Add(peer.Life).UnixMilli()
	r := codec.Session{
		ID: id, UserID: userID, FamilyID: familyID, SecretHash: hash, ActiveUntil: deadline, IdleUntil: deadline, AbsoluteUntil: deadline,
		CreatedAt: now.UnixMilli(), AuthTime: now.UnixMilli(), LastUsedAt: now.UnixMilli(),
	}
	if err := w.put(sessions, []byte(id), r.Append(nil)); err != nil {
		return "", "", err
	}
	return id, token, w.put(userSessions, codec.AppendPair(nil, userID, id), nil)
}

// Fill implements peer.Store.
func (s *recordStore) Fill(list []peer.User, count int, each func(string)) error {
	const most = 3000
	perTx := max(1, most/(2*count+1))
	for len(list) > 0 {
		part := list[:min(perTx, len(list))]
		list = list[len(part):]
		var tokens []string
		err := s.update("", func(w writer) error {
			tokens = tokens[:0]
			for _, u := range part {
				record, err := userRecord(u, s.now().UnixMilli())
				if err == nil {
					err = w.put(users, []byte(u.ID), record)
				}
				if err != nil {
					return err
				}
				for range count {
					_, token, err := s.newSession(w, u.ID, "")
					if err != nil {
						return err
					}
					tokens = append(tokens, token)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, token := range tokens {
			each(token)
		}
	}
	return nil
}

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

// session finds what a token stands for and checks it.
func (s *recordStore) session(r reader, token string) (codec.Session, error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return codec.Session{}, peer.ErrRefused
	}
	value, err := r.get(sessions, []byte(id))
	if err != nil || value == nil {
		return codec.Session{}, errors.Join(err, errIf(value == nil && err == nil))
	}
	record, err := codec.DecodeSession([]byte(id), value)
	if err != nil {
		return codec.Session{}, err
	}
	if !peer.SameHash(record.SecretHash[:], hash[:]) || record.ActiveUntil <= s.now().UnixMilli() {
		return codec.Session{}, peer.ErrRefused
	}
	return record, nil
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
		user, err := codec.DecodeUser([]byte(record.UserID), value)
		if err != nil {
			return err
		}
		identifier = user.Identities[0].Identifier
		return nil
	})
	return identifier, err
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
		return w.put(sessions, []byte(record.ID), record.Append(nil))
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
	return errors.Join(w.del(sessions, []byte(id)), w.del(userSessions, codec.AppendPair(nil, userID, id)))
}

// DeleteUser implements peer.UserStore.
func (s *recordStore) DeleteUser(userID string) error {
	return s.update(userID, func(w writer) error {
		from, to := codec.PairRange(userID)
		keys, err := w.keys(userSessions, from, to)
		if err != nil {
			return err
		}
		for _, key := range keys {
			_, id, _ := codec.SplitPair(key)
			if err := errors.Join(w.del(sessions, id), w.del(userSessions, key)); err != nil {
				return err
			}
		}
		return w.del(users, []byte(userID))
	})
}

// StartFamily implements peer.Refresher.
func (s *recordStore) StartFamily(userID string) (refresh, session string, err error) {
	err = s.update(userID, func(w writer) (err error) {
		if err := mustHaveUser(w, userID); err != nil {
			return err
		}
		now := s.now()
		f := codec.Family{ID: peer.NewID("rft_", now), UserID: userID, CreatedAt: now.UnixMilli(), AuthTime: now.UnixMilli()}
		refresh, session, err = s.rotate(w, &f)
		return err
	})
	return refresh, session, err
}

// rotate gives a family its next token and session.
func (s *recordStore) rotate(w writer, f *codec.Family) (refresh, session string, err error) {
	now := s.now()
	if f.SessionID, session, err = s.newSession(w, f.UserID, f.ID); err != nil {
		return "", "", err
	}
	f.Previous = f.Current
	refresh, f.Current = peer.NewToken(f.ID)
	f.Generation++
	f.RotatedAt = now.UnixMilli()
	f.IdleUntil, f.AbsoluteUntil = now.Add(peer.Life).UnixMilli(), now.Add(peer.Life).UnixMilli()
	return refresh, session, w.put(families, []byte(f.ID), f.Append(nil))
}

// Refresh implements peer.Refresher.
func (s *recordStore) Refresh(token string) (next, session string, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", "", peer.ErrRefused
	}
	err = s.update(id, func(w writer) error {
		value, err := w.get(families, []byte(id))
		if err != nil || value == nil {
			return errors.Join(err, errIf(value == nil && err == nil))
		}
		f, err := codec.DecodeFamily([]byte(id), value)
		if err != nil {
			return err
		}
		if !peer.SameHash(f.Current[:], hash[:]) || f.IdleUntil <= s.now().UnixMilli() {
			return peer.ErrRefused
		}
		if err := dropSession(w, f.UserID, f.SessionID); err != nil {
			return err
		}
		next, session, err = s.rotate(w, &f)
		return err
	})
	return next, session, err
}

// Close implements peer.Store.
func (s *recordStore) Close() error { return s.close() }
