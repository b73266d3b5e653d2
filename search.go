package snib

import (
	"errors"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// A search reads pages of users in the order of their identities of a provider
// that begin with a text.
type search struct {
	provider, prefix string

	last UserID // that was returned
	next []byte // where the entries behind that user begin
}

// page returns the page of the users that o chooses.
func (o *ListOptions) page() page {
	if o.Provider == "" && o.Prefix == "" {
		return (*Tx).userPage
	}
	if fault := fold.Provider(o.Provider); fault.Found() {
		return failing(faulty("Provider", fault))
	}
	s := &search{provider: o.Provider, prefix: o.Prefix}
	return s.page
}

// only returns a page for options that choose no users.
func (o *ListOptions) only(next page) page {
	if o.Provider == "" && o.Prefix == "" {
		return next
	}
	return failing(&InputError{Field: "Provider", Code: CodeNotAllowed, Reason: "must not be given here"})
}

func failing(err error) page {
	return func(*Tx, UserID, int) ([]User, error) { return nil, err }
}

// page reads at most n users behind after; fewer if there are no more.
func (s *search) page(tx *Tx, after UserID, n int) (out []User, err error) {
	prefix, ok := tx.rec.Declared.FoldPrefix(s.provider, s.prefix)
	if !ok {
		return nil, nil
	}
	from, to := codec.PairPrefixRange(s.provider, prefix)
	if after != "" {
		if from, err = s.behind(tx, after, prefix); err != nil {
			return nil, err
		}
	}
	for len(out) < n {
		found, err := tx.identities(from, to, n-len(out))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			break
		}
		for _, x := range found {
			u, err := tx.user(UserID(x.owner))
			if err != nil {
				return nil, tx.rec.Orphan(records.SpaceIdentities, err)
			}
			if s.first(&u, prefix) == x.key { // by another one the user was shown before
				out = append(out, newUser(u))
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
func (s *search) behind(tx *Tx, after UserID, prefix string) ([]byte, error) {
	if after == s.last {
		return s.next, nil
	}
	u, err := tx.user(after)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, err
	}
	key := s.first(&u, prefix)
	if key == "" {
		return nil, &InputError{Field: "After", Code: CodeNotAllowed, Reason: "must be a user of this list"}
	}
	return append([]byte(key), 0), nil
}

// first returns the key of the first identity of u that the search finds, or "".
func (s *search) first(u *codec.User, prefix string) (key string) {
	for _, x := range u.Identities {
		if x.Provider != s.provider || !strings.HasPrefix(x.Key, prefix) {
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
func (tx *Tx) identities(from, to []byte, n int) (out []owned, err error) {
	err = tx.rec.R.Scan(records.SpaceIdentities, from, to, n, func(key, value []byte) error {
		ref, err := codec.DecodeUserRef(codec.SpaceIdentities, key, value)
		if err != nil {
			return tx.rec.Damaged(records.SpaceIdentities, err)
		}
		out = append(out, owned{string(key), ref.UserID})
		return nil
	})
	return out, err
}
