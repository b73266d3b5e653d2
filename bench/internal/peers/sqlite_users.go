//go:build !race && !light

package peers

import (
	"database/sql"
	"errors"

	"github.com/snibdb/snib/bench/internal/peer"
)

// ValidateUser implements peer.UserStore.
func (s *sqlStore) ValidateUser(token string) (identifier string, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", peer.ErrRefused
	}
	var attributes, stored []byte
	var deadline int64
	err = s.reading[findSessionUser].QueryRow(id).Scan(&identifier, &attributes, &stored, &deadline)
	return identifier, s.check(err, stored, hash, deadline)
}

// ListSessions implements peer.Lister.
func (s *sqlStore) ListSessions(userID string) (n int, err error) {
	rows, err := s.reading[listSessions].QueryContext(ctx, userID)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	now := s.now().UnixMilli()
	for rows.Next() {
		var id, family string
		var hash sql.RawBytes
		var active, idle, absolute, created, auth, used int64
		if err := rows.Scan(&id, &family, &hash, &active, &idle, &absolute, &created, &auth, &used); err != nil {
			return n, err
		}
		if now < active && now < idle && now < absolute {
			n++
		}
	}
	return n, rows.Err()
}

// presented checks a token inside of a transaction.
func (s *sqlStore) presented(tx sqlTx, token string) (id string, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", peer.ErrRefused
	}
	var userID string
	var stored []byte
	var deadline int64
	err = tx.row(findSession, id).Scan(&userID, &stored, &deadline)
	return id, s.check(err, stored, hash, deadline)
}

// Extend implements peer.Extender.
func (s *sqlStore) Extend(token string) error {
	return s.update(func(tx sqlTx) error {
		id, err := s.presented(tx, token)
		if err != nil {
			return err
		}
		now := s.now()
		return tx.exec(touchSession, now.Add(peer.Life).UnixMilli(), now.UnixMilli(), id)
	})
}

// EndSession implements peer.Ender.
func (s *sqlStore) EndSession(token string) error {
	return s.update(func(tx sqlTx) error {
		id, err := s.presented(tx, token)
		if errors.Is(err, peer.ErrRefused) {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.exec(dropSessionRow, id)
	})
}

// DeleteUser implements peer.UserStore: ON DELETE CASCADE does the rest.
func (s *sqlStore) DeleteUser(userID string) error {
	return s.update(func(tx sqlTx) error { return tx.exec(dropUser, userID) })
}

// StartFamily implements peer.Refresher.
func (s *sqlStore) StartFamily(userID string) (refresh, session string, err error) {
	err = s.update(func(tx sqlTx) error {
		now := s.now()
		id := peer.NewID("rft_", now)
		var sessionID string
		if sessionID, session, err = s.newSession(tx, userID, id); err != nil {
			return err
		}
		var hash [32]byte
		refresh, hash = peer.NewToken(id)
		made := now.UnixMilli()
		return tx.exec(addFamily, id, userID, sessionID, hash[:], []byte{}, 0, now.Add(peer.Life).UnixMilli(), made, made)
	})
	return refresh, session, err
}

// Refresh implements peer.Refresher.
func (s *sqlStore) Refresh(token string) (next, session string, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", "", peer.ErrRefused
	}
	err = s.update(func(tx sqlTx) error {
		var userID, old string
		var current []byte
		var generation, deadline int64
		err := tx.row(findFamily, id).Scan(&userID, &old, &current, &generation, &deadline)
		if err := s.check(err, current, hash, deadline); err != nil {
			return err
		}
		if err := tx.exec(dropSessionRow, old); err != nil {
			return err
		}
		var sessionID string
		if sessionID, session, err = s.newSession(tx, userID, id); err != nil {
			return err
		}
		var successor [32]byte
		next, successor = peer.NewToken(id)
		now := s.now()
		return tx.exec(rotateFamily, sessionID, successor[:], generation+1, now.Add(peer.Life).UnixMilli(), now.UnixMilli(), id)
	})
	return next, session, err
}

// Close implements peer.Store. Closing the last connection puts the log into
// the file.
func (s *sqlStore) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }
