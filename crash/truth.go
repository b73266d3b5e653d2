package main

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// truth is the content of a file, and the tokens that must be refused.
type truth struct {
	Users []person
	Ended []string // tokens
	Wrong []string // ids with another's secret or of another kind
}

type person struct {
	ID         snib.UserID
	Identifier string // at "github"; also the nick and in "name"
	Password   string // "" for a user without one
	Sessions   []string
	Refresh    string
	Link       string
}

// build makes a sound database at path with n users, each of them with a revoked
// session. Ids and secrets are the same for the same seed; which pages are used
// again depends on time.
func build(path string, n int, seed uint64) (truth, error) {
	o := options(func() time.Time { return start })
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	o.Rand = rand.NewChaCha8(key)
	o.Indexes, o.InsecureNoSync = declared, true
	var t truth
	db, err := snib.Open(path, o)
	if err != nil {
		return t, err
	}
	for i := range n {
		// A few at a time, so that pages are split and used again.
		err = errors.Join(err, t.addPerson(db, i))
	}
	for i := range t.Users {
		t.Wrong = append(t.Wrong, t.grafts(i)...)
	}
	// Where a meta page is damaged, the file is as it was one commit ago. The
	// accounts must be the same then.
	for range 2 {
		err = errors.Join(err, db.Update(ctx, func(tx *snib.Tx) error { return putRow(tx, "nobody", "") }))
	}
	return t, errors.Join(err, db.Close())
}

func (t *truth) addPerson(db *snib.DB, i int) error {
	p := person{ID: snib.UserID(fmt.Sprintf("u%d", i)), Identifier: fmt.Sprintf("person-%d", i)}
	var hash snib.PasswordHash
	if i%16 == 0 {
		p.Password = fmt.Sprintf("password of %d", i)
		var err error
		if hash, err = db.HashPassword(ctx, p.Password); err != nil {
			return err
		}
	}
	err := db.Update(ctx, func(tx *snib.Tx) error {
		p.Sessions = nil
		if _, err := tx.ImportUser(snib.UserImport{ID: p.ID, Provider: "github", Identifier: p.Identifier, Attributes: snib.Attributes{
			"nick": p.Identifier, "name": p.Identifier, "team": i % 7,
		}}); err != nil {
			return err
		}
		if p.Password != "" {
			if _, err := tx.UpdateUserPassword(p.ID, hash); err != nil {
				return err
			}
		}
		u, err := tx.GetUser(p.ID)
		if err != nil {
			return err
		}
		for range 3 {
			s, err := tx.CreateSession(u, snib.SessionOptions{Attributes: snib.Attributes{"device": p.Identifier}})
			if err != nil {
				return err
			}
			p.Sessions = append(p.Sessions, s.Token.Reveal())
		}
		_, r, err1 := tx.CreateRefreshToken(u, snib.SessionOptions{})
		l, err2 := tx.Tokens().Create(ctx, p.ID, "reset", time.Hour, []byte(p.ID))
		if err := errors.Join(err1, err2, putRow(tx, p.ID, p.Identifier)); err != nil {
			return err
		}
		p.Refresh, p.Link = r.Token.Reveal(), l.Token.Reveal()
		return nil
	})
	if err != nil {
		return err
	}
	ended := p.Sessions[2]
	p.Sessions = p.Sessions[:2]
	t.Ended = append(t.Ended, ended)
	t.Users = append(t.Users, p)
	return db.RevokeToken(ctx, ended)
}

// grafts are tokens with the ids of person i's and the secrets of another's,
// whole in their form.
func (t *truth) grafts(i int) []string {
	a, b := t.Users[i], t.Users[(i+1)%len(t.Users)]
	return []string{
		graft(a.Sessions[0], b.Sessions[0]), graft(a.Sessions[1], a.Sessions[0]), graft(a.Refresh, b.Refresh), graft(a.Link, b.Link),
		renamed(a.Sessions[0], "snott_"), renamed(a.Link, "snses_"), moved(a.Sessions[0], b.Sessions[0]),
	}
}

// renamed is a token with its digits and secret under another kind.
func renamed(text, kind string) string { return graft(kind+text[len(kind):], text) }

// moved is a token with the owner, the first 16 digits, of another's.
func moved(text, other string) string {
	const kind, owner = len("snses_"), len("snses_") + 16
	return graft(text[:kind]+other[kind:owner]+text[owner:], text)
}

var base32Digits = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// graft returns the token that has the id of one and the secret of another,
// with the checksum right: "snkind_id.secret" and 7 digits.
func graft(id, secret string) string {
	head, _, _ := strings.Cut(id, ".")
	_, tail, _ := strings.Cut(secret, ".")
	text := head + "." + tail[:len(tail)-7]
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
	return text + base32Digits.EncodeToString(sum[:])
}

func (t *truth) save(path string) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func loadTruth(path string) (t truth, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(b, &t)
}
