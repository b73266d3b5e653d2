// Package load puts contenders to work and measures them.
package load

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
)

// Tokens holds very many tokens without a pointer for each, so that the
// garbage collector has as little to do as in a program without tokens.
type Tokens struct {
	text []byte
	ends []uint64
}

// Add appends a token.
func (t *Tokens) Add(token string) {
	t.text = append(t.text, token...)
	t.ends = append(t.ends, uint64(len(t.text)))
}

// Len returns how many there are.
func (t *Tokens) Len() int { return len(t.ends) }

// At returns a copy of token i, as a request brings a new string each time.
func (t *Tokens) At(i int) string { return string(t.at(i)) }

func (t *Tokens) at(i int) []byte {
	from := uint64(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.text[from:t.ends[i]]
}

// pick puts copies of any tokens into a list, in memory that they share.
func (t *Tokens) pick(rng *rand.Rand, into []string) { t.pickFrom(0, rng, into) }

// pickNewest is pick among the newest hundredth.
func (t *Tokens) pickNewest(rng *rand.Rand, into []string) {
	t.pickFrom(t.Len()-max(1, t.Len()/100), rng, into)
}

func (t *Tokens) pickFrom(first int, rng *rand.Rand, into []string) {
	var text strings.Builder
	var ends [picks]int
	for i := range into {
		text.Write(t.at(first + rng.IntN(t.Len()-first)))
		ends[i] = text.Len()
	}
	from := 0
	for i, to := range ends[:len(into)] {
		into[i], from = text.String()[from:to], to
	}
}

// A Subject is a contender with a filled store.
type Subject struct {
	Peer     peer.Peer
	Store    peer.Store
	Sessions int // that it was filled with
	Users    []string
	Tokens   Tokens        // in the order of creation
	FileSize int64         // after filling and closing
	FillTime time.Duration // all of filling
	dir      string
	remote   *Remote // not nil: another process does the work, and Store is nil
	prepared any     // made by the Prepare of the present work
	series   int     // of users made so far, for names
}

// PerUser is how many sessions each user has after filling.
const PerUser = 10

// NewSubject fills a store of so many sessions in dir, without syncing, and
// opens it again as it is measured.
func NewSubject(p peer.Peer, dir string, n int) (*Subject, error) {
	s := &Subject{Peer: p, Sessions: n, dir: dir}
	start := time.Now()
	store, err := p.Open(dir, peer.Options{NoSync: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	s.Store = store
	users := peer.Users(max(1, n/PerUser))
	s.Users = idsOf(users)
	err = store.AddUsers(users)
	if err == nil {
		err = store.AddSessions(overTime(s.Users, min(n, PerUser), nil, 0), s.Tokens.Add)
	}
	if err == nil && p.Durability != peer.Memory {
		err = s.Reopen()
	}
	s.FillTime = time.Since(start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return s, nil
}

// Reopen closes the store, looks at its size and opens it synced.
func (s *Subject) Reopen() (err error) {
	if err := s.Store.Close(); err != nil {
		return err
	}
	if s.FileSize, err = folderSize(s.dir); err != nil {
		return err
	}
	s.Store, err = s.Peer.Open(s.dir, peer.Options{})
	return err
}

// Close closes the store and removes its files.
func (s *Subject) Close() error {
	if s.remote != nil {
		return s.remote.closeStore()
	}
	err := s.Store.Close()
	if e := os.RemoveAll(s.dir); err == nil {
		err = e
	}
	return err
}

// moreUsers adds users without sessions, of no other name than any before.
func (s *Subject) moreUsers(n int) ([]string, error) {
	s.series++
	users := peer.MoreUsers(fmt.Sprintf("x%dx", s.series), 0, n)
	return idsOf(users), s.Store.AddUsers(users)
}

// apart is how many sessions lie between two that a user made over time, at
// least: some pages of any store, but of one so small that it has few.
func (s *Subject) apart() int { return min(64, s.Sessions/100) }

// busyUsers adds users with so many sessions each that were made over time,
// between those of other users, whom it adds too. Every contender gets them so,
// as sessions come in life: where they are in its file is its own affair.
func (s *Subject) busyUsers(n, sessions int) ([]string, error) {
	ids, err := s.moreUsers(n)
	if err != nil || sessions == 1 {
		return ids, errors.Join(err, s.Store.AddSessions(ids, func(string) {}))
	}
	others, err := s.moreUsers(max(0, s.apart()-n) * sessions / PerUser)
	if err != nil {
		return nil, err
	}
	return ids, s.Store.AddSessions(overTime(ids, sessions, others, s.apart()), func(string) {})
}

// overTime returns the order in which users make their sessions: each round has
// every user once, and others up to apart users in all, shuffled.
func overTime(users []string, rounds int, others []string, apart int) (order []string) {
	rng := rand.New(rand.NewPCG(1, 1))
	next := 0
	for range rounds {
		from := len(order)
		order = append(order, users...)
		for i := len(users); i < apart && len(others) > 0; i++ {
			order = append(order, others[next%len(others)])
			next++
		}
		round := order[from:]
		rng.Shuffle(len(round), func(i, k int) { round[i], round[k] = round[k], round[i] })
	}
	return order
}

func idsOf(users []peer.User) []string {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	return ids
}

func (s *Subject) pickUsers(rng *rand.Rand, into []string) {
	for i := range into {
		into[i] = s.Users[rng.IntN(len(s.Users))]
	}
}

func folderSize(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
