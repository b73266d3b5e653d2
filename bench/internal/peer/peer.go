// Package peer is the seam of the harness: the interface of a contender, and the
// check that each must pass before it is measured.
package peer

import (
	"errors"
	"io"
	"time"
)

// ErrRefused is a Store's answer to a token that is unknown, wrong, expired or
// ended. Every other error ends the measurement.
var ErrRefused = errors.New("peer: token refused")

// Durability is the place that a write has reached when it returns.
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
	Note       string     // for the reader of its figures
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

	// Open opens the store in dir, or creates it.
	Open func(dir string, o Options) (Store, error)
}

// Options are how a Store is opened.
type Options struct {
	// NoSync is for filling: writes are durable after Close.
	NoSync bool

	// Now is the clock by which sessions expire. nil is time.Now.
	Now func() time.Time
}

// Life is how long every session and family of the harness lives.
const Life = 90 * 24 * time.Hour

// A User is the data of a user before the first session.
type User struct {
	ID           string         // in the order of creation
	Identifier   string         // the name to log in with
	PasswordHash string         // a PHC string; the same for all
	Attributes   map[string]any // five of them, about 150 bytes
}

// A Store is an open contender. Its methods are safe for concurrent use and
// take ErrRefused for their answer where a token is not accepted.
type Store interface {
	// AddUsers adds users, in large transactions.
	AddUsers(users []User) error

	// AddSessions makes a session for each of these users, in this order and
	// in large transactions, and hands each token over in the same order. A
	// user may be named more than once.
	AddSessions(userIDs []string, each func(token string)) error

	// CreateSession makes a session of an existing user.
	CreateSession(userID string) (token string, err error)

	// Validate checks a token: the hash of its secret in constant time, the
	// deadline. It returns whose session it is.
	Validate(token string) (userID string, err error)

	Close() error
}

// Parts that only some contenders have. A contender that lacks a part is not
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

	// A Lister lists the live sessions of a user, each read and, but by the
	// floor, decoded. It returns how many there are.
	Lister interface {
		ListSessions(userID string) (int, error)
	}

	// A LogIner verifies a password by itself and makes a session.
	LogIner interface {
		LogIn(identifier, password string) (token string, err error)
	}

	// Closures are transactions in which the program's own code runs.
	Closures interface {
		// Update runs fn in a transaction that writes; write puts one row of
		// the program's own. Update returns the error of fn, and an error
		// undoes the row.
		Update(fn func(write func() error) error) error

		// View runs fn in a transaction that reads.
		View(fn func() error) error

		// ViewUser gets one user's record in a transaction that reads.
		ViewUser(userID string) error

		// Backup copies the store to w in one transaction that reads.
		Backup(w io.Writer) error
	}

	// A Patient can make a session within a time, or give up with an error
	// that is context.DeadlineExceeded.
	Patient interface {
		CreateWithin(d time.Duration, userID string) error
	}

	// A Checker verifies every record of its file.
	Checker interface {
		Check() error
	}

	// A Sweeper removes records that have been dead for a day, and returns how many.
	Sweeper interface {
		Sweep() (int, error)
	}
)
