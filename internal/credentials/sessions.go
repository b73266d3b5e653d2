// Package credentials writes sessions and families of refresh tokens, and decides
// what a refresh token is good for. It knows no public type.
package credentials

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// EvictedSessions returns the sessions of a user that end when there is one
// more, in the place of replaced: that one, and those above the bound.
func EvictedSessions(tx *records.Tx, userID string, replaced codec.OwnedKey) ([]codec.OwnedKey, error) {
	keys, err := tx.Evicted(records.Sessions, userID, replaced)
	if replaced != (codec.OwnedKey{}) {
		keys = append(keys, replaced)
	}
	return keys, err
}

// PutNewSession writes a session that is not there yet, with a secret, and removes
// the sessions in ended.
func PutNewSession(tx *records.Tx, s *codec.Session, secret []byte, ended []codec.OwnedKey) (codec.SessionView, error) {
	if err := tx.DeleteOwned(records.Sessions, ended...); err != nil {
		return codec.SessionView{}, err
	}
	s.Epoch = tx.State.Epoch
	s.SecretHash = token.Session.Hash(secret)
	return PutSession(tx, s)
}

// PutSession writes a session and returns it as read from the record, which bounds
// times more than a caller may have done.
func PutSession(tx *records.Tx, s *codec.Session) (codec.SessionView, error) {
	record := s.Append(nil)
	if err := tx.PutOwned(records.Sessions, s.Key, record); err != nil {
		return codec.SessionView{}, err
	}
	v, err := codec.ViewSession(s.Key[:], record)
	if err != nil {
		return codec.SessionView{}, tx.Damaged(records.SpaceSessions, err) // unreachable
	}
	return v, nil
}
