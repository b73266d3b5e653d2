package peers

import (
	"errors"

	"github.com/snibdb/snib/bench/internal/frozen"
	"github.com/snibdb/snib/bench/internal/peer"
)

// StartFamily implements peer.Refresher.
func (s *recordStore) StartFamily(userID string) (refresh, session string, err error) {
	err = s.update(userID, func(w writer) (err error) {
		if err := mustHaveUser(w, userID); err != nil {
			return err
		}
		now := s.now()
		f := frozen.Family{ID: peer.NewID("rft_", now), UserID: userID, CreatedAt: now.UnixMilli(), AuthTime: now.UnixMilli()}
		refresh, session, err = s.rotate(w, &f)
		return err
	})
	return refresh, session, err
}

// rotate gives a family its next token and session.
func (s *recordStore) rotate(w writer, f *frozen.Family) (refresh, session string, err error) {
	now := s.now()
	if f.SessionID, session, err = s.newSession(w, f.UserID, f.ID); err != nil {
		return "", "", err
	}
	f.Previous = f.Current
	refresh, f.Current = peer.NewToken(f.ID)
	f.Generation++
	f.RotatedAt = now.UnixMilli()
	f.IdleUntil, f.AbsoluteUntil = now.Add(peer.Life).UnixMilli(), now.Add(peer.Life).UnixMilli()
	return refresh, session, w.put(families, []byte(f.ID), f.Encode())
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
		f, err := frozen.DecodeFamily([]byte(id), value)
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
