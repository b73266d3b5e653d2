package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib"
)

const (
	historyUsers   = 3 // few, so that clients meet
	historyClients = 8
	purposeLife    = time.Hour
)

// How a call ended, in the words of the model.
const (
	answerOK          = "ok"
	answerMissing     = "missing"     // ErrUserNotFound
	answerDisabled    = "disabled"    // ErrUserDisabled
	answerCredentials = "credentials" // ErrInvalidCredentials
	answerInvalid     = "invalid"     // the token or session was refused
	answerReused      = "reused"      // ErrRefreshTokenReused
	answerInput       = "input"       // ErrInvalidInput: the id exists
	answerFactor      = "factor"      // ErrSecondFactor: the code is missing or wrong
	answerPending     = "pending"     // ErrInvalidPending: the credentials have changed meanwhile
	answerFailed      = "failed"      // by the system: it did not happen
	answerUnknown     = "unknown"     // ErrUnknown: it may have happened
)

var answersOf = []struct {
	err  error
	kind string
}{
	{nil, answerOK}, {snib.ErrUnknown, answerUnknown}, {snib.ErrUserNotFound, answerMissing},
	{snib.ErrSecondFactor, answerFactor}, {snib.ErrInvalidPending, answerPending}, {snib.ErrInvalidAPIKey, answerInvalid},
	// Before the next: the right password of a disabled user is both.
	{snib.ErrInvalidCredentials, answerCredentials}, {snib.ErrUserDisabled, answerDisabled}, {snib.ErrRefreshTokenReused, answerReused}, {snib.ErrInvalidInput, answerInput},
	{snib.ErrInvalidSession, answerInvalid}, {snib.ErrInvalidRefreshToken, answerInvalid}, {snib.ErrInvalidOneTimeToken, answerInvalid},
}

// causeOf returns the error of the system by which the second step of a log-in
// failed, and every other error as it is: a failure is no verdict on the code.
func causeOf(err error) error {
	e, ok := errors.AsType[*snib.SecondFactorError](err)
	if !ok || errors.Is(err, snib.ErrInvalidCredentials) {
		return err
	}
	return e.Unwrap()[len(e.Unwrap())-1]
}

func answerOf(err error) string {
	err = causeOf(err)
	for _, x := range answersOf {
		if errors.Is(err, x.err) {
			return x.kind
		}
	}
	return answerFailed
}

// historyUser is the clients' knowledge of a user, from the calls and their
// answers.
type historyUser struct {
	versions, sessions, families, links, keys []request
	passwords, codes                          []string
}

// learn notes the content of an answer.
func (u *historyUser) learn(c *request, r *answer) {
	if c.Next != "" {
		u.passwords = append(u.passwords, c.Next) // it may have been set
	}
	if r.Kind != answerOK {
		return
	}
	if c.Op == "Factors.Reset" {
		u.codes = nil
	}
	if r.Version != 0 {
		u.versions = append(u.versions, request{Version: r.Version})
	}
	u.codes = append(u.codes, r.Codes...)
	if r.Key != "" {
		u.keys = append(u.keys, request{Key: r.Key, Token: r.token(0)})
		return
	}
	if r.Link != "" {
		u.links = append(u.links, request{Link: r.Link, Purpose: r.Purpose, Token: r.token(0)})
		return
	}
	if r.token(0) != "" {
		u.sessions = append(u.sessions, request{Session: r.Session, Token: r.token(0)})
	}
	if r.token(1) != "" {
		u.families = append(u.families, request{Family: r.Family, Token: r.token(1)})
	}
}

func init() { jobs["history"] = historyJob }

// historyJob runs the clients. A file at j.Said has the output of earlier children
// on the same database.
func historyJob(j job) error {
	w := &historyWork{job: j}
	said, err := os.ReadFile(j.Said)
	if err != nil && j.Said != "" {
		return err
	}
	if err := w.remember(string(said)); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	var group sync.WaitGroup
	errs := make([]error, j.Lanes)
	for i := range j.Lanes {
		rng := rand.New(rand.NewPCG(j.Seed, uint64(w.epoch*100+i)))
		group.Go(func() { errs[i] = w.client(rng) })
	}
	group.Wait()
	return errors.Join(append(errs, w.db.Load().Close())...)
}

// historyWork is the state that the clients share.
type historyWork struct {
	job
	db    atomic.Pointer[snib.DB]
	calls atomic.Int64

	mu    sync.Mutex
	epoch int
	users [historyUsers]historyUser
}

// remember learns the answers that earlier children got.
func (w *historyWork) remember(said string) error {
	all, err := parseHistory(said)
	for _, x := range all {
		w.users[x.User].learn(&x.request, &x.answer)
		w.epoch = max(w.epoch, x.Epoch)
	}
	w.calls.Store(int64(len(all)))
	return err
}

// open opens the file, as often as it takes while system calls fail.
func (w *historyWork) open() (err error) {
	o := options(func() time.Time { return start })
	o.Keys, o.InsecureNoSync = keys(), w.Mutant == "nosync"
	w.epoch++
	for range tries {
		var db *snib.DB
		if db, err = snib.Open(w.Path, o); err == nil {
			w.db.Store(db)
			return nil
		}
	}
	return err
}

// again opens the file again after ErrUnknown, once for all clients that met it.
func (w *historyWork) again(closed *snib.DB) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.db.Load() != closed {
		return nil
	}
	closed.Close()
	return w.open()
}

// client makes j.Ops calls.
func (w *historyWork) client(rng *rand.Rand) error {
	for range w.Ops {
		c, db, ok := w.draw(rng)
		for !ok { // nothing to make it with: another
			c, db, ok = w.draw(rng)
		}
		n := w.calls.Add(1)
		if err := sayJSON("call", n, c); err != nil {
			return err
		}
		r, err := historyOps[c.Op].do(db, &c)
		r.Kind = answerOf(err)
		if w.Mutant == "plain" && r.Kind == answerUnknown {
			r.Kind = answerFailed
		}
		if err := sayJSON("ret", n, r); err != nil {
			return err
		}
		w.mu.Lock()
		w.users[c.User].learn(&c, &r)
		w.mu.Unlock()
		if errors.Is(err, snib.ErrUnknown) || errors.Is(err, snib.ErrClosed) {
			if err := w.again(db); err != nil {
				return err
			}
		}
	}
	return nil
}

func sayJSON(word string, n int64, v any) error {
	text, err := json.Marshal(v)
	say("%s %d %s", word, n, text)
	return err
}

// draw chooses a call and fills in its input from the knowledge of a user; ok is
// false if that has no such input.
func (w *historyWork) draw(rng *rand.Rand) (c request, db *snib.DB, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	user := rng.IntN(historyUsers)
	u, name := &w.users[user], drawOp(rng)
	c, ok = request{}, true
	switch historyOps[name].needs {
	case "version":
		c, ok = recent(rng, u.versions, 1+rng.IntN(2))
	case "session":
		c, ok = recent(rng, u.sessions, 4)
	case "family":
		c, ok = recent(rng, u.families, 1+rng.IntN(3))
	case "token":
		c, ok = recent(rng, [][]request{u.sessions, u.families}[rng.IntN(2)], 4)
	case "link":
		c, ok = recent(rng, u.links, 2)
	case "key":
		c, ok = recent(rng, u.keys, 3)
	case "password":
		c.Password, ok = recent(rng, u.passwords, 2)
	case "factor":
		ok = len(u.codes) > 0
	case "code":
		if c.Password, ok = recent(rng, u.passwords, 1); ok {
			c.Code, ok = recent(rng, u.codes, 8)
		}
	case "purpose":
		c.Purpose = fmt.Sprint("p", w.calls.Add(1))
	case "next":
		c.Next = w.nextPassword(user)
	case "bearer", "bearer, next":
		if c, ok = recent(rng, u.sessions, 4); ok {
			c.Password, ok = recent(rng, u.passwords, 1)
		}
		if historyOps[name].needs != "bearer" {
			c.Next = w.nextPassword(user)
		}
	case "keep":
		if kept, ok := recent(rng, u.sessions, 2); ok && rng.IntN(2) == 0 {
			c.Keep = kept.Session
		}
	}
	c.Op, c.User, c.Epoch = name, user, w.epoch
	return c, w.db.Load(), ok
}

func (w *historyWork) nextPassword(user int) string {
	return fmt.Sprintf("password %d of %d", w.calls.Add(1), user)
}

// recent draws one of the last n.
func recent[T any](rng *rand.Rand, from []T, n int) (x T, ok bool) {
	if len(from) == 0 {
		return x, false
	}
	return from[len(from)-1-rng.IntN(min(n, len(from)))], true
}

func drawOp(rng *rand.Rand) string {
	all := 0
	for _, name := range historyNames {
		all += historyOps[name].often
	}
	i := rng.IntN(all)
	for _, name := range historyNames {
		if i -= historyOps[name].often; i < 0 {
			return name
		}
	}
	panic("unreachable: the sum is all")
}
