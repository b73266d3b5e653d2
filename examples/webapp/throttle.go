package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A throttle bounds how often a password can be guessed: for each address, so
// many attempts in a window that begins with the first. It does not matter
// whether there is such an account. A program that strangers can reach would
// bound the attempts of each client as well, so that an attacker cannot lock a
// user out by guessing.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	attempts map[string]attempts
}

// attempts are those with one identifier in one window.
type attempts struct {
	number int
	until  time.Time
}

const (
	maxAttempts  = 10
	window       = 15 * time.Minute
	maxThrottled = 10_000 // identifiers that are remembered
)

var errThrottled = errors.New("too many attempts")

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, attempts: map[string]attempts{}}
}

// before counts an attempt, for snib.Options.BeforeAuth. It counts first, so
// that many at once are no way around it.
func (t *throttle) before(_ context.Context, provider, identifier string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, key := t.now(), provider+" "+identifier
	a := t.attempts[key]
	if !now.Before(a.until) {
		a = attempts{until: now.Add(window)}
		t.makeRoom(now)
	}
	if a.number >= maxAttempts {
		return errThrottled
	}
	a.number++
	t.attempts[key] = a
	return nil
}

// after forgets the attempts before one that was right.
func (t *throttle) after(_ context.Context, provider, identifier string, ok bool) {
	if ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.attempts, provider+" "+identifier)
	}
}

// makeRoom keeps the memory bounded: it evicts expired entries and, if there
// are still too many, all.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.attempts) < maxThrottled {
		return
	}
	for key, a := range t.attempts {
		if !now.Before(a.until) {
			delete(t.attempts, key)
		}
	}
	if len(t.attempts) >= maxThrottled {
		clear(t.attempts)
	}
}
