// Package lists reads pages of users: all, in the order of their ids, or those of a
// search, in the order of their identities.
package lists

import (
	"errors"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// ErrAfter says that a list cannot go on behind a user who is not of it.
var ErrAfter = errors.New("not a user of this list")

// Users returns at most n users whose ids come behind after; "" begins with the
// first.
func Users(tx *records.Tx, after string, n int) (users []codec.User, err error) {
	var from []byte
	if after != "" {
		from = append([]byte(after), 0)
	}
	err = tx.R.Scan(records.SpaceUsers, from, nil, n, func(key, value []byte) error {
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return tx.Damaged(records.SpaceUsers, err)
		}
		users = append(users, u)
		return nil
	})
	return users, err
}

// A Search reads pages of users in the order of their identities of a provider
// that begin with a text.
type Search struct {
	Provider, Prefix string

	last string // the user that was returned last
	next []byte // where the entries behind that user begin
}

// Users returns at most n users behind after; fewer if there are no more. ErrAfter.
func (s *Search) Users(tx *records.Tx, after string, n int) (out []codec.User, err error) {
	prefix, ok := tx.Declared.FoldPrefix(s.Provider, s.Prefix)
	if !ok {
		return nil, nil
	}
	from, to := codec.PairPrefixRange(s.Provider, prefix)
	if after != "" {
		if from, err = s.behind(tx, after, prefix); err != nil {
			return nil, err
		}
	}
	for len(out) < n {
		found, err := identities(tx, from, to, n-len(out))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			break
		}
		for _, x := range found {
			u, err := tx.User(x.owner)
			if err != nil {
				return nil, tx.Orphan(records.SpaceIdentities, err)
			}
			if s.first(&u, prefix) == x.key { // by another one the user was shown before
				out = append(out, u)
			}
			from = append([]byte(x.key), 0)
		}
	}
	if len(out) > 0 {
		s.last, s.next = out[len(out)-1].ID, from
	}
	return out, nil
}

// behind returns where the list goes on behind a user of it.
func (s *Search) behind(tx *records.Tx, after, prefix string) ([]byte, error) {
	if after == s.last {
		return s.next, nil
	}
	u, err := tx.User(after)
	if err != nil && !errors.Is(err, records.ErrUserNotFound) {
		return nil, err
	}
	key := s.first(&u, prefix)
	if key == "" {
		return nil, ErrAfter
	}
	return append([]byte(key), 0), nil
}

// first returns the key of the first identity of u that the search finds, or "".
func (s *Search) first(u *codec.User, prefix string) (key string) {
	for _, x := range u.Identities {
		if x.Provider != s.Provider || !strings.HasPrefix(x.Key, prefix) {
			continue
		}
		if k := records.PairKey(x.Provider, x.Key); key == "" || k < key {
			key = k
		}
	}
	return key
}

// An owned is an entry of the space identities: its key and the user's id.
type owned struct{ key, owner string }

// identities returns at most n entries of a range.
func identities(tx *records.Tx, from, to []byte, n int) (out []owned, err error) {
	err = tx.R.Scan(records.SpaceIdentities, from, to, n, func(key, value []byte) error {
		ref, err := codec.DecodeUserRef(codec.SpaceIdentities, key, value)
		if err != nil {
			return tx.Damaged(records.SpaceIdentities, err)
		}
		out = append(out, owned{string(key), ref.UserID})
		return nil
	})
	return out, err
}
