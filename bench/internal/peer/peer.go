// Package peer is the seam of the harness: what a contender is, and the check
// that each must pass before it is measured.
package peer

import (
	"errors"
	"time"
)

// ErrRefused is what a Store answers for a token that is unknown, wrong,
// expired or ended. Every other error ends the measurement.
var ErrRefused = errors.New("peer: token refused")

// Durability is what has happened to a write that has returned.
type Durability string

// A comparison of writes is between contenders of one durability, or says so.
const (
	Synced   Durability = "fsync"    // on stable storage
	Unsynced Durability = "no fsync" // with the operating system: a power cut may lose it
	Memory   Durability = "memory"   // in this process, or in the client's cookie: nothing is stored
)

// A Peer describes one contender.
type Peer struct {
	Name       string     // as -peers and the tables have it
	Note       string     // what a reader of its figures must know
	Modules    []string   // whose versions are recorded
	Durability Durability // of its writes, as measured

	// Bare marks the floor: it looks a record up and checks nothing, so it
	// says neither whose the session is nor that a secret is wrong.
	Bare bool

	// WritesOnly leaves it out where it would be measured twice: it reads
	// as another one does.
	WritesOnly bool

	// OwnClock is set where the contender reads the clock itself, so that
	// the check cannot move it.
	OwnClock bool

	// MaxSessions is the largest size it is measured at, because filling it
	// takes too long beyond. 0 is any.
	MaxSessions int

	// Open opens the store in dir, creating it if there is none.
	Open func(dir string, o Options) (Store, error)
}

// Options are how a Store is opened.
type Options struct {
	// NoSync is for filling: what was written is durable after Close.
	NoSync bool

	// Now is the clock by which sessions expire. nil is time.Now.
	Now func() time.Time
}

// Life is how long every session and family of the harness lives.
const Life = 90 * 24 * time.Hour

// A User is what is known of one before the sessions.
type User struct {
	ID           string         // in the order of creation
	Identifier   string         // the name to log in with
	PasswordHash string         // a PHC string; the same for all
	Attributes   map[string]any // five of them, about 150 bytes
}

// A Store is an open contender. Its methods are safe for concurrent use and
// take ErrRefused for their answer where a token is not accepted.
type Store interface {
	// Fill adds users with so many sessions each, in large transactions, and
	// hands each token over in the order of creation.
	Fill(users []User, sessions int, each func(token string)) error

	// CreateSession makes a session of a user who exists.
	CreateSession(userID string) (token string, err error)

	// Validate checks a token: the hash of its secret in constant time, the
	// deadline. It returns whose session it is.
	Validate(token string) (userID string, err error)

	Close() error
}

// What only some contenders can do. A contender that lacks a part is not
// measured there, and the table shows a dash.
type (
	// An Ender can end one session, so that the next Validate refuses it.
	Ender interface {
		EndSession(token string) error
	}

	// A UserStore keeps users beside their sessions.
	UserStore interface {
		// ValidateUser is Validate, and fetches the user's record, the
		// attributes with it though not decoded. Both are of one snapshot.
		ValidateUser(token string) (identifier string, err error)

		// DeleteUser removes the user with all sessions, in one transaction.
		DeleteUser(userID string) error
	}

	// An Extender can move a session's deadline, one write each time.
	Extender interface {
		Extend(token string) error
	}

	// A Refresher keeps families of refresh tokens.
	Refresher interface {
		// StartFamily makes a family, with its first session.
		StartFamily(userID string) (refresh, session string, err error)

		// Refresh exchanges a refresh token: the family gets a new one, the
		// old session ends and a new one begins, in one transaction.
		Refresh(refresh string) (next, session string, err error)
	}

	// A LogIner verifies a password by itself and makes a session.
	LogIner interface {
		LogIn(identifier, password string) (token string, err error)
	}
)
