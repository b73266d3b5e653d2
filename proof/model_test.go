package proof_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
	"github.com/snibdb/snib/snibtest"
)

var (
	modelSeed  = flag.Uint64("seed", 1, "seed of the random operations; 0 draws one")
	modelSteps = flag.Int("steps", 2000, "number of random steps")
)

// TestModel does random operations on a database and on a model of it in
// plain maps, and fails where the two differ.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	runModel(t, seed, *modelSteps)
}

// TestModelMeetsEverything does the same operations each time, and fails
// unless each has succeeded among them.
func TestModelMeetsEverything(t *testing.T) {
	good := map[string]int{}
	for seed := range uint64(4) {
		for op, n := range runModel(t, seed+20, 4000).good {
			good[op] += n
		}
	}
	for _, op := range append(slices.Sorted(maps.Keys(operations)), "rotate", "repeat", "replace", "session again", "reuse by the parent", "reuse elsewhere", "reuse", "limit of links", "second step") {
		if good[op] == 0 {
			t.Errorf("%s has never succeeded", op)
		}
	}
}

func runModel(t *testing.T, seed uint64, steps int) *driver {
	t.Logf("go test ./proof -run 'TestModel$' -seed %d -steps %d", seed, steps)
	return newDriver(t, seed, &engineOptions{}).runTo(steps)
}

// runTo does steps until there have been so many.
func (d *driver) runTo(steps int) *driver {
	t := d.t
	for d.step = 1; d.step <= steps; d.step++ {
		d.advance()
		d.change()
		d.act()
		d.check()
		if d.step%20 == 0 {
			d.compare()
		}
		if t.Failed() {
			t.Fatalf("step %d; the last operations:\n%s", d.step, strings.Join(d.log, "\n"))
		}
	}
	d.compare()
	snibtest.CheckAndClose(t, d.db)
	d.on.close(t)
	return d
}

// A driver is a database and its model, and what it knows to name.
type driver struct {
	t     *testing.T
	rng   *rand.Rand
	clock *snibtest.Clock
	path  string
	o     *snib.Options
	on    *engineOptions
	db    *snib.DB
	m     *model.Model

	programs []program // on one store; one of them makes each step
	opened   int

	hashes                           map[string]snib.PasswordHash
	users, sessions, families, texts []string // ids and tokens, rolled-back ones too
	step                             int
	log                              []string
	good                             map[string]int
}

const importedPassword = "U*U" // of foreignHash

func newDriver(t *testing.T, seed uint64, on *engineOptions) *driver {
	d := &driver{
		t: t, on: on, rng: rand.New(rand.NewPCG(seed, 1)), clock: snibtest.NewClock(),
		path: filepath.Join(t.TempDir(), "accounts.db"), good: map[string]int{},
		users: []string{"u1", "u2", "u10", "nobody", "", "mal\x00formed"}, sessions: []string{"", "ses_" + strings.Repeat("0", 32)},
		families: []string{"rft_" + strings.Repeat("0", 32)}, texts: []string{"", "snses_x"},
	}
	d.o = snibtest.Fast(&snib.Options{
		Now:      d.clock.Now,
		Rand:     rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%-32d", seed))),
		Sessions: snib.SessionPolicy{Active: time.Hour, Idle: 2 * time.Hour, Absolute: 12 * time.Hour, ExtendEvery: 10 * time.Minute, MaxPerUser: 4, KnownDevice: 6 * time.Hour},
		Roles:    snib.RolePolicy{Protected: []string{"admin"}},
		Refresh:  snib.RefreshPolicy{Idle: 3 * time.Hour, Absolute: 12 * time.Hour, Session: 30 * time.Minute, Grace: 30 * time.Second, MaxPerUser: 3},
		Indexes:  []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
		Throttle: snib.ThrottlePolicy{InsecureOff: true}, // the model counts no failures
	})
	if seed%2 == 1 {
		d.o.Keys = []snib.Key{must(snib.NewKey("k1", []byte(strings.Repeat("k", 32))))(t)}
	}
	ms := time.Duration.Milliseconds
	s, r := d.o.Sessions, d.o.Refresh
	d.m = model.New(model.Policy{
		Active: ms(s.Active), Idle: ms(s.Idle), Absolute: ms(s.Absolute), ExtendEvery: ms(s.ExtendEvery), MaxSessions: s.MaxPerUser,
		DeviceLife: ms(s.KnownDevice), Protected: "admin", RefreshIdle: ms(r.Idle), RefreshAbsolute: ms(r.Absolute), RefreshSession: ms(r.Session), Grace: ms(r.Grace), MaxFamilies: r.MaxPerUser,
	}, d.clock.Now().UnixMilli())
	d.open()
	d.hashes = map[string]snib.PasswordHash{}
	for _, p := range []string{"password-1", "password-2"} {
		d.hashes[p] = must(d.db.HashPassword(ctx, p))(t)
	}
	return d
}

// A program has the database open. The model has what it knows and the store does
// not.
type program struct {
	db      *snib.DB
	memory  *model.Memory
	process int
}

// open opens the database, twice where a store has room for two programs.
func (d *driver) open() {
	d.programs = nil
	for range d.on.programs() {
		db, err := d.on.open(d.path, d.o)
		if err != nil {
			d.t.Fatalf("step %d: open: %v", d.step, err)
		}
		d.t.Cleanup(func() { db.Close() })
		if len(d.o.Keys) == 0 { // with one, each process repeats the answers of all
			d.opened++
		}
		d.programs = append(d.programs, program{db, model.NewMemory(), d.opened})
	}
	d.use(d.programs[0])
}

// use makes a program the one that does the next steps.
func (d *driver) use(p program) { d.db, d.m.Memory, d.m.Process = p.db, p.memory, p.process }

// change draws the program of the next step.
func (d *driver) change() {
	if len(d.programs) < 2 {
		return
	}
	i := slices.IndexFunc(d.programs, func(p program) bool { return p.db == d.db })
	d.programs[i].memory = d.m.Memory
	d.use(d.programs[d.rng.IntN(len(d.programs))])
}

// advance lets time pass: mostly seconds, so that graces are met, sometimes
// to the very moment of a deadline, seldom as much as the life of something;
// now and then the clock is set back.
func (d *driver) advance() {
	const second, minute, hour = time.Second, time.Minute, time.Hour
	most := []time.Duration{0, 0, 0, 10 * second, 10 * second, 20 * second, minute, 5 * minute}[d.rng.IntN(8)]
	if d.rng.IntN(100) == 0 {
		most = 4 * hour
	}
	if d.rng.IntN(300) == 0 {
		most = 40 * hour
	}
	step := d.rng.Int64N(most.Milliseconds() + 1)
	if moments := d.moments(); len(moments) > 0 && d.rng.IntN(10) == 0 {
		step = moments[d.rng.IntN(min(len(moments), 3))] - d.m.Now - d.rng.Int64N(2)
	}
	d.m.Now += step
	d.see(time.Duration(step) * time.Millisecond)
	if d.rng.IntN(50) == 0 {
		d.see(-time.Duration(2+d.rng.IntN(3600)) * time.Second)
	}
}

// moments are the next at which something changes by itself.
func (d *driver) moments() (out []int64) {
	m := d.m
	const day = int64(24 * time.Hour / time.Millisecond)
	var all []int64
	for _, s := range m.Sessions {
		all = append(all, s.ActiveUntil, s.IdleUntil, s.Used+m.ExtendEvery, s.IdleUntil+day)
	}
	for _, f := range m.Families {
		all = append(all, f.IdleUntil, f.Absolute, f.Rotated+m.Grace, f.IdleUntil+day)
	}
	for _, l := range m.Links {
		all = append(all, l.Expires, l.Expires+day)
	}
	for _, d := range m.Devices {
		all = append(all, d.Expires, d.Expires+day, d.Trusted, d.Used+m.DeviceLife/2)
	}
	slices.Sort(all)
	for _, moment := range slices.Compact(all) {
		if moment > m.Now {
			out = append(out, moment)
		}
	}
	return out
}

// see moves the clock, and lets the database see it: of a time that it has not
// seen, it cannot know that it has been.
func (d *driver) see(step time.Duration) {
	d.clock.Advance(step)
	must(d.db.Stats(ctx))(d.t)
}

// act does one step.
func (d *driver) act() {
	switch n := d.rng.IntN(100); {
	case n < 3:
		d.note("reopen")
		for _, p := range d.programs {
			closeDB(d.t, p.db)
		}
		d.on.close(d.t)
		d.open()
		d.run(func(r *run) { r.refreshes() }) // with another key
	case n < 20:
		d.closure()
	default:
		d.run(func(r *run) { r.one() })
	}
}

// run does something that is a transaction by itself.
func (d *driver) run(do func(*run)) {
	r := d.newRun(d.rng.Uint64(), d.m, direct{d.db})
	do(r)
	r.keep()
}

func (d *driver) note(format string, args ...any) {
	d.log = append(d.log, fmt.Sprintf("%d (%v) %s", d.step, time.UnixMilli(d.m.Now).UTC().Format("02 15:04:05.000"), fmt.Sprintf(format, args...)))
	d.log = d.log[max(0, len(d.log)-40):]
}

var errAborted = errors.New("aborted")

// closure does several operations in one transaction, which may fail.
func (d *driver) closure() {
	seed, n := d.rng.Uint64(), 1+d.rng.IntN(6)
	abort, panics := d.rng.IntN(4) == 0, d.rng.IntN(4) == 0
	var r *run
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v: %w", p, errAborted)
			}
		}()
		return d.db.Update(ctx, func(tx *snib.Tx) error {
			r = d.newRun(seed, d.m.Clone(), tx) // anew at each run
			for range n {
				if r.one(); r.wrong {
					return errAborted
				}
			}
			switch {
			case abort && panics:
				panic("as it was told")
			case abort:
				return errAborted
			}
			return nil
		})
	}()
	r.keep()
	switch {
	case abort && errors.Is(err, errAborted):
		d.note("rolled back")
	case err != nil:
		d.t.Errorf("step %d: update: %v", d.step, err)
	default:
		d.m = r.m
		d.note("committed")
	}
}

// A run is one run of operations in one transaction, or on the database.
type run struct {
	d     *driver
	on    methods
	m     *model.Model
	rng   *rand.Rand
	wrong bool

	users, sessions, families, texts []string // made in it
	good                             []string
}

func (d *driver) newRun(seed uint64, m *model.Model, on methods) *run {
	return &run{d: d, on: on, m: m, rng: rand.New(rand.NewPCG(seed, 2))}
}

// keep remembers what a run has made, so that it is named again, the more so
// if it was rolled back.
func (r *run) keep() {
	d := r.d
	for _, x := range []struct {
		to   *[]string
		made []string
	}{{&d.users, r.users}, {&d.sessions, r.sessions}, {&d.families, r.families}, {&d.texts, r.texts}} {
		*x.to = append(*x.to, x.made...)
		if len(*x.to) > 250 {
			*x.to = slices.Delete(*x.to, 2, len(*x.to)-200)
		}
	}
	for _, op := range r.good {
		d.good[op]++
	}
}

// outcomes pairs the errors of the database with those of the model.
var outcomes = []struct{ got, want error }{
	{snib.ErrUserNotFound, model.ErrUserNotFound}, {snib.ErrUserDisabled, model.ErrUserDisabled},
	{snib.ErrIdentityTaken, model.ErrIdentityTaken}, {snib.ErrAttributeTaken, model.ErrAttributeTaken},
	{snib.ErrInvalidCredentials, model.ErrInvalidCredentials}, {snib.ErrInvalidSession, model.ErrInvalidSession},
	{snib.ErrInvalidRefreshToken, model.ErrInvalidRefresh}, {snib.ErrRefreshTokenReused, model.ErrReused},
	{snib.ErrDeviceNotFound, model.ErrDeviceNotFound},
	{snib.ErrInvalidOneTimeToken, model.ErrInvalidOneTimeToken}, {snib.ErrOneTimeTokenLimit, model.ErrOneTimeTokenLimit},
	{snib.ErrSecondFactor, model.ErrSecondFactor}, {snib.ErrPasskeyTaken, model.ErrPasskeyTaken}, {snib.ErrInvalidAPIKey, model.ErrInvalidAPIKey}, {snib.ErrAPIKeyLimit, model.ErrAPIKeyLimit}, {snib.ErrNotFresh, model.ErrNotFresh}, {snib.ErrLastHolder, model.ErrLastHolder},
	{snib.ErrNotMergeable, model.ErrNotMergeable}, {snib.ErrInvalidInput, model.ErrInvalidInput}, {snib.ErrTooMany, model.ErrTooLarge},
}

// agree fails the test unless the two errors are of one kind, and reports
// whether both are nil.
func (r *run) agree(got, want error) bool {
	r.d.t.Helper()
	kind := got
	for _, o := range outcomes {
		if errors.Is(got, o.got) {
			kind = o.want
		}
	}
	if kind != want {
		r.differ("the database says %v, the model %v", got, want)
	}
	return got == nil && want == nil
}

func (r *run) differ(format string, args ...any) {
	r.d.t.Helper()
	r.wrong = true
	r.d.t.Errorf("step %d: "+format, append([]any{r.d.step}, args...)...)
}

// one does one operation.
func (r *run) one() {
	names := slices.Sorted(maps.Keys(operations))
	name := names[r.rng.IntN(len(names))]
	if _, ok := r.on.(direct); !ok && operations[name].direct {
		return
	}
	if rare := operations[name].rare; rare > 0 && r.rng.IntN(rare) > 0 {
		return
	}
	r.d.note("%s in %T", name, r.on)
	if operations[name].do(r) {
		r.good = append(r.good, name)
	}
}

// check runs Check and compares how many records there are.
func (d *driver) check() {
	report, err := d.db.Check(ctx)
	for _, p := range report.Problems {
		d.t.Errorf("step %d: %v", d.step, p)
	}
	if err != nil && len(report.Problems) == 0 {
		d.t.Errorf("step %d: check: %v", d.step, err)
	}
	want := map[string]int{
		"sessions": len(d.m.Sessions), "refresh_families": len(d.m.Families), "one_time_tokens": len(d.m.Links), "devices": len(d.m.Devices), "api_keys": len(d.m.Keys),
	}
	got := maps.Clone(report.Records)
	delete(got, "events")  // which the model does not have
	delete(got, "factors") // which the model has as a trait of their users
	if report.Users != len(d.m.Users) || !maps.Equal(got, want) {
		d.t.Errorf("step %d: %d users, want %d; records %v, want %v: a kind that the model does not know has no acts in internal/model", d.step, report.Users, len(d.m.Users), got, want)
	}
}

// compare looks at everything that can be seen.
func (d *driver) compare() {
	r := d.newRun(1, d.m, direct{d.db})
	imported := 0
	for _, u := range d.m.Users {
		if u.Imported {
			imported++
		}
	}
	if got := must(d.db.Check(ctx))(d.t).ForeignHashes; got != imported {
		d.t.Errorf("step %d: %d imported hashes, want %d", d.step, got, imported)
	}
	var want []snib.UserID
	for _, id := range slices.Sorted(maps.Keys(d.m.Users)) {
		want = append(want, snib.UserID(id))
	}
	if got := ids(d.t, d.db.ListUsers(ctx, snib.ListOptions{})); !slices.Equal(got, want) {
		d.t.Errorf("step %d: users %v, want %v", d.step, got, want)
	}
	for _, id := range append(want, "u1", "u10", "nobody") {
		r.compareUser(id)
	}
	for _, x := range allIdentities {
		u, err := d.db.GetUserByProviderID(ctx, x.Provider, x.Identifier)
		owner := d.m.Owner(x)
		if (err == nil) != (owner != nil) || owner != nil && string(u.ID) != owner.ID {
			d.t.Errorf("step %d: %v is %q, %v; want %v", d.step, x, u.ID, err, owner)
		}
	}
	for name, values := range map[string][]any{"nick": nicks, "team": teams} {
		for _, v := range values {
			var want []snib.UserID
			for _, id := range d.m.Named(name, model.Key(name, stored(v))) {
				want = append(want, snib.UserID(id))
			}
			if got := ids(d.t, d.db.ListUsersByAttribute(ctx, name, v, snib.ListOptions{})); !slices.Equal(got, want) {
				d.t.Errorf("step %d: %s %v is of %v, want %v", d.step, name, v, got, want)
			}
		}
	}
	for _, role := range roles {
		var want []snib.UserID
		for _, id := range d.m.Holders(role) {
			want = append(want, snib.UserID(id))
		}
		if got := ids(d.t, d.db.Roles().List(ctx, role, snib.ListOptions{})); !slices.Equal(got, want) {
			d.t.Errorf("step %d: %s is of %v, want %v", d.step, role, got, want)
		}
	}
	for _, text := range d.texts {
		r.validate(text)
		r.validateKey(text)
	}
	for _, id := range d.sessions {
		s, err := d.db.GetSession(ctx, snib.SessionID(id))
		if ms := d.m.Sessions[id]; ms == nil || d.m.State(ms) == model.Dead {
			r.agree(err, model.ErrInvalidSession)
		} else if r.agree(err, nil) {
			r.sameSession(s, ms)
		}
	}
}

// compareUser compares one user, with lists of sessions and families.
func (r *run) compareUser(id snib.UserID) {
	d, m := r.d, r.m
	u, err := d.db.GetUser(ctx, id)
	mu := m.Users[string(id)]
	if mu == nil {
		r.agree(err, model.ErrUserNotFound)
	} else if r.agree(err, nil) {
		r.sameUser(u, mu)
		r.comparePasskeys(mu)
	}
	var sessions []*model.Session
	for _, s := range m.SessionsOf(string(id)) {
		if m.State(s) != model.Dead {
			sessions = append(sessions, s)
		}
	}
	if got := must(d.db.ListUserSessions(ctx, id))(d.t); len(got) != len(sessions) {
		r.differ("%d sessions of %s, want %d", len(got), id, len(sessions))
	} else {
		for i := range got {
			r.sameSession(got[i], sessions[i])
		}
	}
	var families []*model.Family
	for _, f := range m.FamiliesOf(string(id)) {
		if !f.Revoked && m.Alive(f) {
			families = append(families, f)
		}
	}
	if got := must(d.db.RefreshTokens().List(ctx, id))(d.t); len(got) != len(families) {
		r.differ("%d families of %s, want %d", len(got), id, len(families))
	} else {
		for i := range got {
			r.sameFamily(got[i], families[i])
		}
	}
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func unixMilli(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

func (r *run) sameUser(u snib.User, want *model.User) {
	r.d.t.Helper()
	got := model.User{
		ID: string(u.ID), Attributes: u.Attributes(), Version: u.CredentialVersion, Disabled: u.Disabled(), Reason: u.DisabledReason,
		Created: u.CreatedAt.UnixMilli(), Update: u.UpdatedAt.UnixMilli(),
		Roles: u.Roles, Password: want.Password, Imported: want.Imported, // AuthenticateUser tells
		Guest: u.Guest, Seen: want.Seen,
		Seed: want.Seed, Step: want.Step, Passkeys: want.Passkeys, // and log-ins, and comparePasskeys
		Identities: []model.Identity{},
	}
	for _, x := range u.Identities {
		got.Identities = append(got.Identities, model.Identity{Provider: x.Provider, Identifier: x.Identifier, Verified: unixMilli(x.VerifiedAt)})
	}
	if !reflect.DeepEqual(got, *want) || u.HasPassword != (want.Password != "") {
		r.differ("the user is\n%+v, want\n%+v", got, *want)
	}
}

func (r *run) sameSession(s snib.Session, want *model.Session) {
	r.d.t.Helper()
	got := model.Session{
		ID: string(s.ID), User: string(s.UserID), Family: string(s.RefreshTokenID), Token: want.Token, Epoch: want.Epoch,
		Created: s.CreatedAt.UnixMilli(), Auth: s.AuthenticatedAt.UnixMilli(), Used: s.LastUsedAt.UnixMilli(),
		ActiveUntil: s.ActiveUntil.UnixMilli(), IdleUntil: s.IdleUntil.UnixMilli(), Absolute: s.AbsoluteUntil.UnixMilli(),
		Traits: want.Traits, Replaced: want.Replaced,
	}
	got.Methods, got.Persistent = int(s.Methods), s.Persistent
	got.Room, _ = snib.Attr[string](s.Attributes(), "room")
	if got != *want || int(s.State) != r.m.State(want) {
		r.differ("the session is %v\n%+v, want\n%+v", s.State, got, *want)
	}
}

func (r *run) sameFamily(f snib.RefreshToken, want *model.Family) {
	r.d.t.Helper()
	got := []any{f.ID, f.UserID, f.SessionID, f.CreatedAt, f.AuthenticatedAt, f.RotatedAt, f.IdleUntil, f.AbsoluteUntil, f.Rotations, f.Repeats}
	expect := []any{snib.RefreshTokenID(want.ID), snib.UserID(want.User), snib.SessionID(want.Session), at(want.Created), at(want.Created),
		at(want.Rotated), at(want.IdleUntil), at(want.Absolute), want.Rotations, want.Repeats}
	if !reflect.DeepEqual(got, expect) {
		r.differ("the family is\n%v, want\n%v", got, expect)
	}
}

// validate compares what a token is accepted as.
func (r *run) validate(text string) bool {
	s, u, err := r.on.ValidateSessionUser(text)
	ms := r.m.Accept(text)
	if ms == nil {
		return r.agree(err, model.ErrInvalidSession)
	}
	if !r.agree(err, nil) {
		return false
	}
	r.sameSession(s, ms)
	r.sameUser(u, r.m.Users[ms.User])
	return true
}
