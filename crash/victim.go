package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	bolt "go.etcd.io/bbolt"
)

// A cascade that finds nothing to remove is no cascade. Each gets a user who
// has several of everything; what it removed is counted in the bytes of the
// file and compared with what docs/INVARIANTS.md says that it ends.

// census counts what a user has. Sessions and tokens of an earlier epoch, and
// revoked refresh tokens, are none.
type census struct {
	user, identities, entries, sessions, families, tokens, row int
}

// aFullUser is what a victim has at least, of every kind.
var aFullUser = census{user: 1, identities: 3, entries: 2, sessions: 6, families: 2, tokens: 2, row: 1}

// What cascades leave, by the table "What ends what". The row is the
// application's own.
func endsAll(c census) census    { c.sessions, c.families, c.tokens = 0, 0, 0; return c }
func endsButOne(c census) census { c.sessions, c.families, c.tokens = 1, 0, 0; return c }
func endsLinks(c census) census  { c.tokens = 0; return c }
func endsFamilies(c census) census {
	c.sessions, c.families, c.tokens = c.sessions-c.families, 0, 0
	return c
}
func unlinks(c census) census  { c.identities, c.tokens = c.identities-1, 0; return c }
func deletes(c census) census  { return census{row: c.row} }
func deletesRow(census) census { return census{} }

// fullVictim comes before each cascade.
var fullVictim = operation{name: "a full user", do: (*work).makeFull}

// makeFull makes a user with several of everything, in one transaction.
func (w *work) makeFull() error {
	n, a := w.newUser()
	hash, err := w.db.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	n.PasswordHash, a.password = hash, password
	a.identities = append(a.identities, identity{"gitlab", w.name()}, identity{"google", w.name()})
	err = w.db.Update(ctx, func(tx *snib.Tx) error {
		a.forget()
		u, err := tx.CreateUser(n)
		if err != nil {
			return err
		}
		a.id = u.ID
		for _, x := range a.identities[1:] {
			if u, err = tx.LinkIdentity(a.id, x.provider, x.name); err != nil {
				return err
			}
		}
		return errors.Join(a.fill(tx, u), putRow(tx, a.id, "of a full user"))
	})
	if err == nil {
		w.users, w.full = append(w.users, a), a
	}
	return err
}

// fill gives a user sessions and tokens.
func (a *account) fill(tx *snib.Tx, u snib.User) error {
	for range aFullUser.sessions - aFullUser.families {
		s, err := tx.CreateSession(u, snib.SessionOptions{Attributes: snib.Attributes{"device": "tablet"}})
		if err != nil {
			return err
		}
		a.sessions = append(a.sessions, s)
	}
	for range aFullUser.families {
		s, r, err := tx.CreateRefreshToken(u, snib.SessionOptions{})
		if err != nil {
			return err
		}
		a.sessions, a.current = append(a.sessions, s), append(a.current, r.Token.Reveal())
	}
	for i := range aFullUser.tokens {
		l, err := tx.Tokens().Create(ctx, u.ID, []string{"reset", "verify"}[i], time.Hour, []byte("data"))
		if err != nil {
			return err
		}
		a.links = append(a.links, l.Token.Reveal())
	}
	return nil
}

// victim is the user made full for this operation.
func (w *work) victim() (*account, error) {
	if w.full == nil {
		return nil, errSkip
	}
	return w.full, nil
}

// counted takes the census of the victim.
func (w *work) counted() (c census, err error) {
	id := []byte(w.full.id)
	err = w.db.View(ctx, func(tx *snib.Tx) error {
		b := tx.Bolt()
		if rows := b.Bucket(appRows); rows != nil && rows.Get(id) != nil {
			c.row = 1
		}
		return c.take(b.Bucket([]byte("snib")), id)
	})
	return c, err
}

func (c *census) take(b *bolt.Bucket, id []byte) error {
	space := func(name string) *bolt.Bucket { return b.Bucket([]byte(name)) }
	state, err1 := codec.DecodeState(space(codec.SpaceMeta).Get([]byte(codec.KeyState)))
	key, err2 := codec.DecodeOwnerKey(space(codec.SpaceMeta).Get([]byte(codec.KeyOwners)))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if space(codec.SpaceUsers).Get(id) != nil {
		c.user = 1
	}
	c.identities = leading(space(codec.SpaceIdentities), codec.SpaceIdentities, id)
	c.entries = leading(space(codec.SpaceAttributes), codec.SpaceAttributes, id)
	owner := codec.NewOwners(key.Key).Of(string(id))
	for name, k := range map[string]struct {
		n    *int
		live func(key, value []byte) (epoch uint32, live bool, err error)
	}{
		codec.SpaceSessions: {&c.sessions, func(key, value []byte) (uint32, bool, error) {
			v, err := codec.DecodeSession(key, value)
			return v.Epoch, true, err
		}},
		codec.SpaceFamilies: {&c.families, func(key, value []byte) (uint32, bool, error) {
			v, err := codec.DecodeFamily(key, value)
			return v.Epoch, v.RevokedAt == codec.Never, err
		}},
		codec.SpaceOneTime: {&c.tokens, func(key, value []byte) (uint32, bool, error) {
			v, err := codec.DecodeOneTimeToken(key, value)
			return v.Epoch, true, err
		}},
	} {
		cursor := space(name).Cursor()
		for key, value := cursor.Seek(owner[:]); bytes.HasPrefix(key, owner[:]); key, value = cursor.Next() {
			epoch, live, err := k.live(key, value)
			if err != nil {
				return fmt.Errorf("counting %s: %w", name, err)
			}
			if live && epoch == state.Epoch {
				*k.n++
			}
		}
	}
	return nil
}

// leading counts the entries of an index that lead to a user: by their value,
// or by the end of their key.
func leading(b *bolt.Bucket, space string, id []byte) (n int) {
	b.ForEach(func(k, v []byte) error {
		ref, err := codec.DecodeUserRef(space, k, v)
		if err == nil && ref.UserID == string(id) || len(v) == 0 && bytes.HasSuffix(k, id) {
			n++
		}
		return nil
	})
	return n
}

// full reports whether c has as much of everything as a victim needs.
func (c census) full() bool {
	d := aFullUser
	return c.user >= d.user && c.identities >= d.identities && c.entries >= d.entries && c.sessions >= d.sessions &&
		c.families >= d.families && c.tokens >= d.tokens && c.row >= d.row
}

// cascade does an operation on a full user and compares what it leaves.
func (w *work) cascade(op operation) error {
	before, err := w.counted()
	if err != nil {
		return err
	}
	if !before.full() {
		return fmt.Errorf("EMPTY: the victim has %+v, want %+v", before, aFullUser)
	}
	if err := w.run(op); err != nil {
		return err
	}
	after, err := w.counted()
	if want := op.leaves(before); err == nil && after != want {
		return fmt.Errorf("INCOMPLETE: it leaves %+v of %+v, want %+v", after, before, want)
	}
	return err
}
