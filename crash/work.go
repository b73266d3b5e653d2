package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
		Now:         now,
		LockTimeout: 2 * time.Second,
		Passwords:   snib.PasswordPolicy{MemoryKiB: 8, Time: 1, Parallelism: 1},
		Sessions:    snib.SessionPolicy{ExtendEvery: -1},
		Throttle:    snib.ThrottlePolicy{InsecureOff: true}, // histories guess much
	}
}

// declared are the indexes of a new file.
var declared = []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}

// options are those of the workload's database, now.
func (w *work) options() *snib.Options {
	o := options(w.clock)
	o.Indexes = w.indexes
	return o
}

// account is what the workload knows of a user.
type account struct {
	id         snib.UserID
	identities []identity // each of another provider; the first is the primary
	password   string
	sessions   []snib.Session
	links      []string          // one-time tokens
	current    []string          // refresh tokens
	parent     map[string]string // of a current one, the token that was used for it
	spent      []string          // refresh tokens whose successor was used too
	disabled   bool
}

// identity is a name at a provider.
type identity struct{ provider, name string }

// forget is for when everything by which somebody is let in has ended.
func (a *account) forget() {
	a.sessions, a.links, a.current, a.parent, a.spent = nil, nil, nil, nil, nil
}

type work struct {
	db      *snib.DB
	reopen  func(*snib.Options) error // closes the database and opens it
	rng     *rand.Rand
	now     time.Time
	users   []*account
	full    *account // made for the cascade that comes
	count   int      // of names given out
	indexes []snib.Index
	halved  bool // do in two transactions what must be one: a mistake to be found
}

func newWork(seed uint64, halved bool) *work {
	return &work{rng: rand.New(rand.NewPCG(seed, 1)), now: start, indexes: declared, halved: halved}
}

// errSkip says that the workload has nothing for an operation to work on.
var errSkip = errors.New("nothing to do that with")

// An operation is one transaction; with steps set, one for each space.
type operation struct {
	name   string
	often  int // how often it is drawn, relative to the others
	steps  bool
	later  time.Duration // comes so much later than the one before
	still  bool          // comes after a Close, at the same moment
	do     func(w *work) error
	halved func(w *work) error // the same in two transactions

	// leaves makes it a cascade, of a user made full for it: what the rules
	// leave of all that the user had.
	leaves func(census) census
	hurt   bool // and whose record is damaged before
}

// operations in an order in which each has something to work on.
var operations = []operation{
	{name: "CreateUser", often: 6, do: (*work).createUser},
	{name: "CreateUser with a row", often: 4, do: (*work).createWithRow, halved: (*work).createThenRow},
	{name: "ImportUser", often: 3, do: (*work).importUser},
	{name: "AuthenticateUser and rehash", often: 2, do: (*work).rehash},
	{name: "LogIn", often: 4, do: (*work).logIn},
	{name: "CreateSession", often: 6, do: (*work).createSession},
	{name: "many sessions", often: 2, do: (*work).manySessions},
	{name: "RenewSession", often: 3, do: (*work).renew},
	{name: "Reauthenticate", often: 3, do: (*work).reauthenticate},
	{name: "ExtendSession", often: 3, do: (*work).extend},
	{name: "RevokeSessionByID", often: 2, do: (*work).endSession},
	{name: "CreateRefreshToken", often: 4, do: (*work).createFamily},
	{name: "Refresh", often: 8, do: (*work).refresh},
	{name: "Refresh again", often: 3, do: (*work).refreshAgain},
	{name: "Refresh after reuse", often: 3, do: (*work).reuse},
	{name: "CreateOneTimeToken", often: 3, do: (*work).createLink},
	{name: "UseOneTimeToken", often: 3, do: (*work).useLink},
	{name: "UpdateUserProviderID", often: 3, do: (*work).updateProviderID, leaves: endsLinks},
	{name: "LinkIdentity", often: 2, do: (*work).link},
	{name: "UnlinkIdentity", often: 1, do: (*work).unlink, leaves: unlinks},
	{name: "UpdateUserAttributes", often: 4, do: (*work).updateAttributes},
	{name: "UpdateUserPassword", often: 2, do: (*work).updatePassword, leaves: endsAll},
	{name: "ChangePassword", often: 2, do: (*work).changePassword, leaves: endsButOne},
	{name: "ChangeCredentials", often: 2, do: (*work).changeCredentials, leaves: unlinks},
	{name: "RemoveUserPassword", often: 1, do: (*work).removePassword, leaves: endsAll},
	{name: "DisableUser", often: 2, do: (*work).disable, leaves: endsAll},
	{name: "EnableUser", often: 2, do: (*work).enable},
	{name: "RevokeUserSessions", often: 1, do: (*work).endSessions, leaves: endsAll},
	{name: "RefreshTokens.RevokeAll", often: 1, do: (*work).revokeAll, leaves: endsFamilies},
	{name: "rows only", often: 3, do: (*work).rowsOnly},
	{name: "DeleteUser", often: 3, do: (*work).deleteUser, halved: (*work).deleteInTwo, leaves: deletes},
	{name: "DeleteUser with a row", often: 2, do: (*work).deleteWithRow, leaves: deletesRow},
	{name: "EndEverything", often: 1, do: (*work).endEverything, leaves: endsAll},
	{name: "Sweep", often: 1, steps: true, later: 100 * day, do: (*work).sweep, leaves: endsAll},
	{name: "ResetClock", often: 1, do: (*work).resetClock, leaves: endsAll},
	closeAndOpen,
	{name: "Open with other indexes", often: 1, still: true, do: (*work).reindex},
}

// closeAndOpen stores the clock. It goes before what is still, so that nothing
// is left for Close to store.
var closeAndOpen = operation{name: "Close and Open", often: 1, do: func(w *work) error { return w.reopen(w.options()) }}

// draw chooses operation n: each once, then by how often they come.
func (w *work) draw(n int) operation {
	if n < len(operations) {
		return operations[n]
	}
	all := 0
	for _, op := range operations {
		all += op.often
	}
	i := w.rng.IntN(all)
	for _, op := range operations {
		if i -= op.often; i < 0 {
			return op
		}
	}
	panic("unreachable: the sum is all")
}

// operationOf returns the operation of a name.
func operationOf(name string) operation {
	for _, op := range append(slices.Clip(operations), repair) {
		if op.name == name {
			return op
		}
	}
	panic("unreachable: there is no operation " + name)
}

// run does op, or the mistake in its place.
func (w *work) run(op operation) error {
	if op.halved != nil && w.halved {
		return op.halved(w)
	}
	return op.do(w)
}

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

// user draws a user who is suitable, or is errSkip.
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
	return snib.NewUser{Provider: "github", Identifier: a.identities[0].name, Attributes: snib.Attributes{
		"nick": a.identities[0].name, "team": w.rng.IntN(3), "group": w.rng.IntN(9), "about": string(make([]byte, w.rng.IntN(2000))),
	}}, a
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

func (w *work) logIn() error {
	a, err := w.user(func(a *account) bool { return a.password == password && !a.disabled })
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
