package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/snibdb/snib"
	bolt "go.etcd.io/bbolt"
)

// The workload: every kind of cascade that the library has, one after the
// other, each one transaction. It is drawn from a seed; the ids and secrets in
// it are not.

var ctx = context.Background()

const (
	password = "correct horse battery"

	// A bcrypt hash of "U*U" at cost 5, from the vectors of crypt_blowfish.
	foreignHash     = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	foreignPassword = "U*U"

	day = 24 * time.Hour
)

var appRows = []byte("application")

// start is when the clock of every process here begins.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// options are those of every database here: nothing that depends on the
// machine, and hashes that cost next to nothing.
func options(now func() time.Time) *snib.Options {
	return &snib.Options{
		Now:       now,
		File:      snib.FileOptions{LockTimeout: 2 * time.Second},
		Passwords: snib.PasswordPolicy{MemoryKiB: 8, Time: 1, Parallelism: 1},
		Sessions:  snib.SessionPolicy{ExtendEvery: -1},
		Throttle:  snib.ThrottlePolicy{InsecureOff: true}, // histories guess much
	}
}

// declared are the indexes of a new file.
var declared = []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}

// options are those of the workload's database, now.
func (w *work) options() *snib.Options {
	o := options(w.clock)
	o.Indexes, o.Owned = w.indexes, []string{ownedRows}
	// Everything that is not used dies in a month, before a guest does.
	o.Sessions.KnownDevice, o.Refresh.Idle, o.Refresh.Absolute = 20*day, 20*day, 20*day
	if w.keyed {
		o.Keys = keys()
	}
	if w.consumed {
		o.Outbox = []string{consumer}
	}
	return o
}

// keys are those with which factors are sealed, the same in every process.
func keys() []snib.Key {
	k, err := snib.NewKey("k1", []byte("thirty-two bytes for a test only"))
	if err != nil {
		panic(err) // unreachable: the secret is a constant
	}
	return []snib.Key{k}
}

// consumer is the reader of the outbox.
const consumer = "mail"

// account is the workload's knowledge of a user.
type account struct {
	id         snib.UserID
	identities []identity // each of another provider; the first is the primary
	password   string
	sessions   []snib.Session
	links      []string          // one-time tokens
	resets     []string          // likewise, of CreateReset
	current    []string          // refresh tokens
	parent     map[string]string // of a current one, the token that was used for it
	spent      []string          // refresh tokens whose successor was used too
	devices    []string          // tokens of known devices
	disabled   bool
	guest      bool

	begun    *authenticator // that waits to be confirmed
	phone    *authenticator // confirmed
	passkey  *passkey
	recovery []string // codes
}

// factors reports whether log-ins ask for a second step.
func (a *account) factors() bool { return a.phone != nil || a.passkey != nil }

// identity is a name at a provider.
type identity struct{ provider, name string }

// forget drops the sessions, tokens and devices of a user, once they have ended.
func (a *account) forget() {
	a.sessions, a.links, a.resets, a.current, a.parent, a.spent, a.devices = nil, nil, nil, nil, nil, nil, nil
}

type work struct {
	db      *snib.DB
	reopen  func(*snib.Options) error // closes the database and opens it
	rng     *rand.Rand
	now     time.Time
	users   []*account
	guests  []*account
	full    *account // made for the cascade that comes
	mails   []invitation
	used    string // the token of an API key
	heard   uint64 // the position of the outbox up to which events were compared
	count   int    // of names given out
	indexes []snib.Index

	keyed, consumed bool // the file has keys, and a consumer

	halved bool // split one transaction into two: a mistake to be found
}

func newWork(seed uint64, halved bool) *work {
	return &work{rng: rand.New(rand.NewPCG(seed, 1)), now: start, indexes: declared, halved: halved}
}

// errSkip says that the workload has nothing for an operation to work on.
var errSkip = errors.New("nothing to do that with")

func (w *work) clock() time.Time { return w.now }

// pass lets time pass before an operation, mostly within the grace of refresh
// tokens.
func (w *work) pass(op operation) {
	w.now = w.now.Add(op.later + time.Duration(w.rng.IntN(20))*time.Second)
}

func (w *work) name() string {
	w.count++
	return fmt.Sprintf("user-%d", w.count)
}

// user draws a suitable user, or returns errSkip.
func (w *work) user(suits func(*account) bool) (*account, error) {
	var fit []*account
	for _, a := range w.users {
		if suits == nil && !a.disabled || suits != nil && suits(a) {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return nil, errSkip
	}
	return fit[w.rng.IntN(len(fit))], nil
}

// drop takes one element out of a list.
func drop[T any](w *work, from *[]T) T {
	i := w.rng.IntN(len(*from))
	taken := (*from)[i]
	*from = append((*from)[:i:i], (*from)[i+1:]...)
	return taken
}

func (w *work) newUser() (snib.NewUser, *account) {
	a := &account{identities: []identity{{"github", w.name()}}}
	return snib.NewUser{Provider: "github", Identifier: a.identities[0].name, Attributes: w.attributes(a.identities[0].name)}, a
}

func (w *work) attributes(nick string) snib.Attributes {
	return snib.Attributes{"nick": nick, "team": w.rng.IntN(3), "group": w.rng.IntN(9), "about": string(make([]byte, w.rng.IntN(2000)))}
}

func (w *work) createUser() error {
	n, a := w.newUser()
	n.Password, a.password = password, password
	u, err := w.db.CreateUser(ctx, n)
	if err == nil {
		a.id = u.ID
		w.users = append(w.users, a)
	}
	return err
}

// putRow keeps a row of the application's own for a user.
func putRow(tx *snib.Tx, id snib.UserID, value string) error {
	rows, err := tx.Bolt().CreateBucketIfNotExists(appRows)
	if err != nil {
		return err
	}
	return rows.Put([]byte(id), []byte(value))
}

func deleteRow(btx *bolt.Tx, id snib.UserID) error {
	if rows := btx.Bucket(appRows); rows != nil {
		return rows.Delete([]byte(id))
	}
	return nil
}

func (w *work) createWithRow() error {
	n, a := w.newUser()
	err := w.db.Update(ctx, func(tx *snib.Tx) error {
		u, err := tx.CreateUser(n)
		if err != nil {
			return err
		}
		a.id = u.ID
		return putRow(tx, u.ID, "created with the user")
	})
	if err == nil {
		w.users = append(w.users, a)
	}
	return err
}

func (w *work) createThenRow() error {
	if err := w.createUser(); err != nil {
		return err
	}
	id := w.users[len(w.users)-1].id
	return w.db.Update(ctx, func(tx *snib.Tx) error { return putRow(tx, id, "too late") })
}

func (w *work) importUser() error {
	a := &account{identities: []identity{{"github", w.name()}}, password: foreignPassword}
	a.id = snib.UserID("u:" + a.identities[0].name)
	_, err := w.db.ImportUser(ctx, snib.UserImport{ID: a.id, Provider: "github", Identifier: a.identities[0].name, PasswordHash: foreignHash})
	if err == nil {
		w.users = append(w.users, a)
	}
	return err
}

// rehash writes a hash of this library's in the place of an imported one.
func (w *work) rehash() error {
	a, err := w.user(func(a *account) bool { return a.password == foreignPassword && !a.disabled })
	if err != nil {
		return err
	}
	_, err = w.db.AuthenticateUser(ctx, a.identities[0].provider, a.identities[0].name, a.password)
	return err
}

// plain reports whether a user signs in by the password alone.
func plain(a *account) bool { return a.password == password && !a.disabled && !a.factors() }

func (w *work) logIn() error {
	a, err := w.user(plain)
	if err != nil {
		return err
	}
	s, _, err := w.db.LogIn(ctx, a.identities[0].provider, a.identities[0].name, a.password, snib.SessionOptions{})
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return err
}

func (w *work) link() error {
	a, err := w.user(func(a *account) bool { return len(a.identities) < snib.MaxIdentities })
	if err != nil {
		return err
	}
	name := w.name()
	x := identity{"of-" + name, name}
	if _, err := w.db.LinkIdentity(ctx, a.id, x.provider, x.name); err != nil {
		return err
	}
	a.identities = append(a.identities, x)
	return nil
}

func (w *work) updateAttributes() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	_, err = w.db.UpdateUserAttributes(ctx, a.id, snib.Attributes{"nick": w.name(), "team": w.rng.IntN(3), "group": w.rng.IntN(9), "about": nil})
	return err
}

func (w *work) rowsOnly() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	value := fmt.Sprint(w.rng.Uint64())
	return w.db.Update(ctx, func(tx *snib.Tx) error { return putRow(tx, a.id, value) })
}
