package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/move"
	kinds "github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/snibtest"
)

// A mover has a scene and its export.
type mover struct {
	*scene
	clock  *snibtest.Clock
	export []byte
	report snib.MoveReport
}

func newMover(tb testing.TB) *mover {
	tb.Helper()
	m := &mover{clock: snibtest.NewClock()}
	db := snibtest.OpenDB(tb, filepath.Join(tb.TempDir(), "from.db"), m.options())
	m.scene = newScene(tb, db)
	m.export, m.report = exportOf(tb, db)
	return m
}

func (m *mover) options() *snib.Options {
	return snibtest.Fast(&snib.Options{
		Now: m.clock.Now, Keys: []snib.Key{testKey("k1", 1)}, Owned: []string{"notes"}, Outbox: []string{"mail"},
		Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}}, Roles: snib.RolePolicy{Protected: []string{"admin"}},
	})
}

func exportOf(tb testing.TB, db *snib.DB) ([]byte, snib.MoveReport) {
	tb.Helper()
	var b bytes.Buffer
	report := must(db.File().Export(ctx, &b))(tb)
	if report.Bytes != int64(b.Len()) {
		tb.Errorf("%d bytes, and the report says %d", b.Len(), report.Bytes)
	}
	return b.Bytes(), report
}

// recordsOf are those of an export: space and key to value.
func recordsOf(tb testing.TB, export []byte) map[string]string {
	tb.Helper()
	r := must(move.NewReader(bytes.NewReader(export)))(tb)
	out := map[string]string{}
	for _, p := range r.Meta {
		out["meta "+string(p.Key)] = string(p.Value)
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			tb.Fatal(err)
		}
		for _, p := range f.Pairs {
			value := string(p.Value)
			if f.Space == codec.SpaceFactors { // the step of a code is that of the import
				x := must(codec.DecodeFactor(p.Key, p.Value))(tb)
				x.Counter = 0
				clear(x.Passkey[:min(len(x.Passkey), 8)]) // and the last challenge is before it
				value = fmt.Sprint(x)
			}
			out[f.Space+" "+string(p.Key)] = value
		}
	}
}

func (m *mover) importFile(tb testing.TB, r io.Reader) (string, error) {
	path := filepath.Join(tb.TempDir(), "to.db")
	return path, second(snib.ImportFile(ctx, path, r, m.options()))
}

// goesOn checks that each secret of before is as good as before, or ended.
func (m *mover) goesOn(tb testing.TB, db *snib.DB) {
	tb.Helper()
	for _, s := range []snib.Session{m.session, m.born, m.other} {
		valid(tb, db, s)
	}
	must(db.AuthenticateUser(ctx, "email", "ada@example.com", password))(tb)
	if _, _, err := db.APIKeys().Validate(ctx, m.key.Token.Reveal()); err != nil {
		tb.Error(err)
	}
	_, next, err := db.Refresh(ctx, m.family.Token.Reveal())
	if err != nil {
		tb.Error(err)
	} else if _, _, err = db.Refresh(ctx, next.Token.Reveal()); err != nil {
		tb.Error(err)
	}
	_, _, err = db.Refresh(ctx, m.spent.Token.Reveal())
	wantErr(tb, err, snib.ErrRefreshTokenReused) // the memory of it travels too
	_, err = db.Tokens().Use(ctx, "reset", m.link.Token.Reveal())
	wantErr(tb, err, snib.ErrInvalidOneTimeToken)
	m.twoFactors(tb, db)
}

// twoFactors: a code that could have been used at the other store, and recovery
// codes, are not good; the next code is.
func (m *mover) twoFactors(tb testing.TB, db *snib.DB) {
	tb.Helper()
	pending := func() string {
		return pendingOf(tb, second(db.CreateSession(ctx, asNow(tb, db, m.factors.session.UserID), snib.SessionOptions{})))
	}
	_, _, err := db.Factors().FinishLogIn(ctx, pending(), m.factors.recovery)
	wantErr(tb, err, snib.ErrInvalidCredentials)
	_, _, err = db.Factors().FinishLogIn(ctx, pending(), m.factors.phone.code(db))
	wantErr(tb, err, snib.ErrInvalidCredentials)
	m.clock.Advance(2 * time.Minute)
	if _, _, err = db.Factors().FinishLogIn(ctx, pending(), m.factors.phone.code(db)); err != nil {
		tb.Error(err)
	}
}

// TestAnImportRefusesChallengesOfItsTime: an assertion that was used at the other
// store since the export would be good again.
func TestAnImportRefusesChallengesOfItsTime(t *testing.T) {
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprint("in a later epoch than the passkey's last use: ", ended), func(t *testing.T) {
			h, k := newKeyholder(t, snib.Options{})
			if ended {
				if err := h.db.EndEverything(ctx); err != nil {
					t.Fatal(err)
				}
			}
			export, _ := exportOf(t, h.db)
			h.clock.Advance(time.Minute)
			a := k.touch(h.db)
			must(h.db.Factors().UsePasskey(ctx, a))(t)
			path, o := filepath.Join(t.TempDir(), "to.db"), snibtest.Fast(&snib.Options{Now: h.clock.Now, Keys: []snib.Key{testKey("k1", 1)}})
			must(snib.ImportFile(ctx, path, bytes.NewReader(export), o))(t)
			db := snibtest.OpenDB(t, path, o)
			_, err := db.Factors().UsePasskey(ctx, a)
			wantErr(t, err, snib.ErrInvalidChallenge)
			h.clock.Advance(time.Second)
			must(db.Factors().UsePasskey(ctx, k.touch(db)))(t)
		})
	}
}

func TestExportMovesAccountsAlive(t *testing.T) {
	m := newMover(t)
	path, err := m.importFile(t, bytes.NewReader(m.export))
	if err != nil {
		t.Fatal(err)
	}
	db := snibtest.OpenDB(t, path, m.options()) // and checks it at the end
	again, report := exportOf(t, db)
	equalRecords(t, recordsOf(t, again), recordsOf(t, m.export))
	if m.report.LeftOut == 0 || report.LeftOut != 0 || report.Users != m.report.Users || report.Records != m.report.Records {
		t.Errorf("reports %+v, %+v", m.report, report)
	}
	m.goesOn(t, db)
}

func equalRecords(tb testing.TB, got, want map[string]string) {
	tb.Helper()
	for key, value := range want {
		if got[key] != value {
			tb.Errorf("%q is %q, want %q", key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			tb.Errorf("%q is there", key)
		}
	}
}

// Each kind of record has its row here: whether it travels.
func TestExportHasEachKind(t *testing.T) {
	m := newMover(t)
	spaces := map[string]int{}
	for key := range recordsOf(t, m.export) {
		space, _, _ := strings.Cut(key, " ")
		spaces[space]++
	}
	for _, k := range kinds.Kinds {
		name := kinds.Spaces[k.Space].Name
		if stays := k == kinds.OneTimeTokens; (spaces[name] == 0) != stays {
			t.Errorf("%d records of %s, want none: %v", spaces[name], name, stays)
		}
	}
	for space := range kinds.Shared {
		name := kinds.Spaces[space].Name
		stays := space == kinds.SpaceQuarantine || space == kinds.SpaceLeaving || space == kinds.SpaceThrottle // of a scene
		if (spaces[name] == 0) != stays && space != kinds.SpaceThrottle {
			t.Errorf("%d records of %s, want none: %v", spaces[name], name, stays)
		}
	}
	for _, secret := range []string{m.factors.recovery, m.session.Token.Reveal(), password} {
		if bytes.Contains(m.export, []byte(secret)) {
			t.Error("the export has a secret in clear")
		}
	}
}

// cut is a reader that fails.
type cut struct {
	io.Reader
	err error
}

func (c cut) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = c.err
	}
	return n, err
}

func TestImportThatStopsGoesOn(t *testing.T) {
	m := newMover(t)
	want := recordsOf(t, m.export)
	stopped := errors.New("stopped")
	for part := range 9 {
		path := filepath.Join(t.TempDir(), "to.db")
		for at := range part { // it may stop more than once
			r := cut{bytes.NewReader(m.export[:len(m.export)*(at+1)/(part+1)]), stopped}
			wantErr(t, second(snib.ImportFile(ctx, path, r, m.options())), stopped)
			for _, o := range []*snib.Options{nil, m.options()} {
				_, err := snib.Open(path, o)
				wantErr(t, err, snib.ErrIncomplete)
			}
			_, err := snib.RepairFile(ctx, path, m.options())
			wantErr(t, err, snib.ErrIncomplete)
		}
		report := must(snib.ImportFile(ctx, path, bytes.NewReader(m.export), m.options()))(t)
		if report.Users != m.report.Users || report.Records != m.report.Records {
			t.Errorf("report %+v, want %+v", report, m.report)
		}
		db := snibtest.OpenDB(t, path, m.options())
		again, _ := exportOf(t, db)
		equalRecords(t, recordsOf(t, again), want)
	}
}

func TestImportRefuses(t *testing.T) {
	m := newMover(t)
	other, _ := exportOf(t, m.db)
	half := filepath.Join(t.TempDir(), "half.db")
	stopped := errors.New("stopped")
	wantErr(t, second(snib.ImportFile(ctx, half, cut{bytes.NewReader(m.export[:len(m.export)-60]), stopped}, m.options())), stopped)
	used := filepath.Join(t.TempDir(), "used.db")
	db := openFile(t, used, nil)
	nobody(t, db, "bob")
	closeDB(t, db)
	fresh := func() string { return filepath.Join(t.TempDir(), "fresh.db") }
	with := func(keys ...snib.Key) *snib.Options { o := m.options(); o.Keys = keys; return o }
	for name, test := range map[string]struct {
		path string
		r    io.Reader
		o    *snib.Options
		want error
	}{
		"another export into half a one": {half, bytes.NewReader(other), m.options(), snib.ErrInvalidInput},
		"a store with accounts":          {used, bytes.NewReader(m.export), m.options(), snib.ErrInvalidInput},
		"no key":                         {fresh(), bytes.NewReader(m.export), with(), snib.ErrNoKey},
		"another key of that id":         {fresh(), bytes.NewReader(m.export), with(testKey("k1", 9)), snib.ErrInvalidInput},
		"another key":                    {fresh(), bytes.NewReader(m.export), with(testKey("k2", 2)), snib.ErrNoKey},
		"no path":                        {"", bytes.NewReader(m.export), m.options(), snib.ErrInvalidInput},
		"no reader":                      {fresh(), nil, m.options(), snib.ErrInvalidInput},
		"an option":                      {fresh(), bytes.NewReader(m.export), &snib.Options{Indexes: []snib.Index{{}}}, snib.ErrInvalidInput},
		"nothing":                        {fresh(), strings.NewReader(""), m.options(), snib.ErrForeignFile},
		"something else":                 {fresh(), strings.NewReader(strings.Repeat("else", 100)), m.options(), snib.ErrForeignFile},
		"a newer form":                   {fresh(), bytes.NewReader(append([]byte("snib accounts 02"), m.export[16:]...)), m.options(), snib.ErrNewerFormat},
	} {
		if err := second(snib.ImportFile(ctx, test.path, test.r, test.o)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	wantErr(t, second(snib.ImportStore(ctx, nil, bytes.NewReader(m.export), nil)), snib.ErrInvalidInput)
	_, err := m.db.File().Export(ctx, nil)
	wantErr(t, err, snib.ErrInvalidInput)
	db = openFile(t, used, nil) // as it was
	must(db.GetUserByProviderID(ctx, "x", "bob"))(t)
	must(snib.ImportFile(ctx, half, bytes.NewReader(m.export), m.options()))(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = m.db.File().Export(ended, io.Discard)
	wantErr(t, err, context.Canceled)
	wantErr(t, second(snib.ImportFile(ended, fresh(), bytes.NewReader(m.export), m.options())), context.Canceled)
}

// Whatever is cut off or changed is found, with its place, and the store is of no
// use.
func TestImportRefusesDamage(t *testing.T) {
	m := newMover(t)
	step := len(m.export)/40 + 1
	for at := 17; at < len(m.export); at += step {
		changed := bytes.Clone(m.export)
		changed[at] ^= 0x10
		for name, export := range map[string][]byte{"cut": m.export[:at], "changed": changed, "longer": append(bytes.Clone(m.export), 0)} {
			path, err := m.importFile(t, bytes.NewReader(export))
			wantErr(t, err, snib.ErrCorrupt)
			if at, ok := errors.AsType[*move.Error](err); !ok || at.At < 16 || at.At > int64(len(export)) {
				t.Errorf("%s: %v, without its place", name, err)
			}
			db, err := snib.Open(path, m.options())
			if err == nil { // nothing was written yet: the header is damaged
				if n := must(db.Stats(ctx))(t); n.Commits > 10 {
					t.Errorf("%s at %d: opens", name, at)
				}
				if _, err := db.GetUserByProviderID(ctx, "email", "ada@example.com"); !errors.Is(err, snib.ErrUserNotFound) {
					t.Errorf("%s at %d: a user is there: %v", name, at, err)
				}
				closeDB(t, db)
				continue
			}
			wantErr(t, err, snib.ErrIncomplete)
		}
	}
}
