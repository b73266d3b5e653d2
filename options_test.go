package snib_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// Options outside their bounds, by field. A field without an entry has no
// bounds; TestEveryOptionHasBoundsOrNone holds the list complete.
var optionsOutOfBounds = map[string][]func(*snib.Options){
	"Sessions.Active": {
		func(o *snib.Options) { o.Sessions.Active = time.Second - 1 },
		func(o *snib.Options) { o.Sessions.Active = -1 },
		func(o *snib.Options) { o.Sessions.Active = 1 << 62 },
	},
	"Sessions.Idle": {func(o *snib.Options) { o.Sessions.Idle = 1 << 62 }},
	"Sessions.Absolute": {
		func(o *snib.Options) { o.Sessions.Absolute = time.Second - 1 },
		func(o *snib.Options) { o.Sessions.Absolute = 1 << 62 },
	},
	"Sessions.ExtendEvery": {func(o *snib.Options) { o.Sessions.ExtendEvery = 1 << 62 }},
	"Sessions.MaxPerUser": {
		func(o *snib.Options) { o.Sessions.MaxPerUser = -1 },
		func(o *snib.Options) { o.Sessions.MaxPerUser = 1001 },
	},
	"Sessions.KnownDevice": {
		func(o *snib.Options) { o.Sessions.KnownDevice = time.Second - 1 },
		func(o *snib.Options) { o.Sessions.KnownDevice = 400*24*time.Hour + 1 },
	},
	"Refresh.Idle": {
		func(o *snib.Options) { o.Refresh.Idle = -1 },
		func(o *snib.Options) { o.Refresh.Idle = time.Second - 1 },
		func(o *snib.Options) { o.Refresh.Idle = 1 << 62 },
	},
	"Refresh.Absolute": {
		func(o *snib.Options) { o.Refresh.Absolute = time.Second - 1 },
		func(o *snib.Options) { o.Refresh.Absolute = 1 << 62 },
	},
	"Refresh.Session": {
		func(o *snib.Options) { o.Refresh.Session = -1 },
		func(o *snib.Options) { o.Refresh.Session = 1 << 62 },
	},
	"Refresh.Grace": {func(o *snib.Options) { o.Refresh.Grace = 5*time.Minute + 1 }},
	"Refresh.MaxPerUser": {
		func(o *snib.Options) { o.Refresh.MaxPerUser = -1 },
		func(o *snib.Options) { o.Refresh.MaxPerUser = 101 },
	},
	"Passwords.MemoryKiB": {
		func(o *snib.Options) { o.Passwords.MemoryKiB = 7 },
		func(o *snib.Options) { o.Passwords.MemoryKiB = 1 << 31 },
	},
	"Passwords.Time":          {func(o *snib.Options) { o.Passwords.Time = 1 << 31 }},
	"Passwords.Parallelism":   {func(o *snib.Options) { o.Passwords.MemoryKiB, o.Passwords.Parallelism = 8, 2 }},
	"Passwords.MaxHashMemory": {func(o *snib.Options) { o.Passwords.MemoryKiB, o.Passwords.MaxHashMemory = 64, 1024 }},
	"Passwords.MaxImportTime": nil,
	"Outbox": {
		func(o *snib.Options) { o.Outbox = []string{""} },
		func(o *snib.Options) { o.Outbox = []string{"Mail"} },
		func(o *snib.Options) { o.Outbox = []string{strings.Repeat("x", 33)} },
		func(o *snib.Options) { o.Outbox = []string{"mail", "mail"} },
		func(o *snib.Options) { o.Outbox = strings.Split("abcdefghi", "") },
	},
	"Passwords.ForeignPeppers": {
		func(o *snib.Options) { o.Passwords.ForeignPeppers = map[string]string{"": "pepper"} },
		func(o *snib.Options) { o.Passwords.ForeignPeppers = map[string]string{"Old": "pepper"} },
		func(o *snib.Options) {
			o.Passwords.ForeignPeppers = map[string]string{strings.Repeat("x", 33): "pepper"}
		},
		func(o *snib.Options) { o.Passwords.ForeignPeppers = map[string]string{"old": ""} },
		func(o *snib.Options) {
			o.Passwords.ForeignPeppers = map[string]string{"old": strings.Repeat("x", 1025)}
		},
		func(o *snib.Options) {
			o.Passwords.ForeignPeppers = map[string]string{}
			for i := range 17 {
				o.Passwords.ForeignPeppers[fmt.Sprint("p", i)] = "pepper"
			}
		},
	},
	"Passwords.ForeignVerifier":   nil,
	"Passwords.ResetKeepsAPIKeys": {},
	"Roles.Protected": {
		func(o *snib.Options) { o.Roles.Protected = []string{"Admin"} },
		func(o *snib.Options) { o.Roles.Protected = strings.Split("abcdefghijklmnopq", "") },
		func(o *snib.Options) { o.Roles.Protected, o.Roles.Known = []string{"admin"}, []string{"support"} },
	},
	"Roles.Known": {
		func(o *snib.Options) { o.Roles.Known = []string{""} },
		func(o *snib.Options) { o.Roles.Known = slices.Repeat([]string{"r"}, 65) },
	},
	"SignUp.Mode": {
		func(o *snib.Options) { o.SignUp.Mode = "open" },
		func(o *snib.Options) { o.SignUp.Mode = "Closed" },
	},
	"SignUp.Domains": {
		func(o *snib.Options) { o.SignUp.Mode = snib.SignUpByDomain },
		func(o *snib.Options) { o.SignUp.Domains = []string{"example.com"} },
		func(o *snib.Options) {
			o.SignUp.Mode, o.SignUp.Domains = snib.SignUpByDomain, []string{"Example.com"}
		},
		func(o *snib.Options) { o.SignUp.Mode, o.SignUp.Domains = snib.SignUpByDomain, []string{""} },
		func(o *snib.Options) {
			o.SignUp.Mode, o.SignUp.Domains = snib.SignUpByDomain, []string{"@example.com"}
		},
		func(o *snib.Options) {
			o.SignUp.Mode, o.SignUp.Domains = snib.SignUpByDomain, slices.Repeat([]string{"a"}, 65)
		},
	},
	"Factors.Require":        {func(o *snib.Options) { o.Factors.Require = func(snib.User) bool { return true } }},
	"Factors.AssertsMFA":     {func(o *snib.Options) { o.Factors.AssertsMFA = []string{"a b"} }, func(o *snib.Options) { o.Factors.AssertsMFA = slices.Repeat([]string{"x"}, 65) }},
	"Factors.InsecureClones": nil,
	"Passwords.Seal":         {func(o *snib.Options) { o.Passwords.Seal = true }},
	"Passwords.GateMemory":   nil,
	"Passwords.Queue":        nil,
	"Passwords.Blocklist":    nil,
	"Passwords.Names":        nil,
	"Passwords.QueueTime":    nil,
	"Providers": {
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"": snib.Exact} },
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"e mail": snib.Email} },
		func(o *snib.Options) {
			o.Providers = map[string]snib.IdentifierRule{strings.Repeat("x", 65): snib.Exact}
		},
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"x": "rule"} },
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"x": ""} },
		func(o *snib.Options) {
			o.Providers = map[string]snib.IdentifierRule{}
			for i := range 65 {
				o.Providers[fmt.Sprint("p", i)] = snib.Exact
			}
		},
	},
	"Indexes": {
		func(o *snib.Options) { o.Indexes = []snib.Index{{}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: "a\x00b"}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: "\xff"}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: strings.Repeat("n", 65)}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: "a"}, {Name: "a", Unique: true}} },
		func(o *snib.Options) {
			for i := range 65 {
				o.Indexes = append(o.Indexes, snib.Index{Name: fmt.Sprint(i)})
			}
		},
	},
	"Owned": {
		func(o *snib.Options) { o.Owned = []string{""} },
		func(o *snib.Options) { o.Owned = []string{"notes", "snib"} },
		func(o *snib.Options) { o.Owned = []string{"notes", "more", "notes"} },
		func(o *snib.Options) { o.Owned = []string{"a\x00b"} },
		func(o *snib.Options) { o.Owned = []string{strings.Repeat("n", 65)} },
		func(o *snib.Options) {
			for i := range 65 {
				o.Owned = append(o.Owned, fmt.Sprint(i))
			}
		},
	},
	"Keys": {
		func(o *snib.Options) { o.Keys = make([]snib.Key, 1) },
		func(o *snib.Options) { o.Keys = []snib.Key{testKey("a", 1), testKey("b", 2), testKey("a", 3)} },
		func(o *snib.Options) {
			for i := range 17 {
				o.Keys = append(o.Keys, testKey(fmt.Sprint("k", i), byte(i+1)))
			}
		},
	},
	"Passwords.MinLength": {
		func(o *snib.Options) { o.Passwords.MinLength = 7 },
		func(o *snib.Options) { o.Passwords.MinLength = 65 },
		func(o *snib.Options) { o.Passwords.MinLength = -1 },
	},
	"SweepEvery": {
		func(o *snib.Options) { o.SweepEvery = time.Second - 1 },
		func(o *snib.Options) { o.SweepEvery = 1 << 62 },
	},
	"File.MaxSize": {
		func(o *snib.Options) { o.File.MaxSize = 1<<20 - 1 },
	},
	"File.LockTimeout": nil, "BusyTimeout": nil, "Throttle.BeforeAuth": nil, "Throttle.Closes": nil, "Throttle.InsecureOff": nil,
	"VouchesFor": nil, "Logger": nil, "Progress": nil, "Now": nil, "Rand": nil, "InsecureNoSync": nil,
}

func TestOptionsOutsideTheirBoundsAreNamed(t *testing.T) {
	for field, ways := range optionsOutOfBounds {
		for i, way := range ways {
			t.Run(fmt.Sprint(field, i), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "accounts.db")
				o := snib.Options{InsecureNoSync: true}
				way(&o)
				want := "Options." + field
				if strings.HasPrefix(field, "Passwords.") {
					want = "Options.Passwords" // the reason names the parameter
				}
				db, err := snib.Open(path, &o)
				if err == nil {
					db.Close()
				}
				wantField(t, err, want)
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a file was made: %v", err)
				}
			})
		}
	}
}

func TestEveryOptionHasBoundsOrNone(t *testing.T) {
	var fields func(prefix string, of reflect.Type)
	n := 0
	fields = func(prefix string, of reflect.Type) {
		for f := range of.Fields() {
			name := prefix + f.Name
			if f.Type.Kind() == reflect.Struct {
				fields(name+".", f.Type)
				continue
			}
			n++
			if _, ok := optionsOutOfBounds[name]; !ok {
				t.Errorf("nothing is said of Options.%s", name)
			}
		}
	}
	fields("", reflect.TypeFor[snib.Options]())
	if n != len(optionsOutOfBounds) {
		t.Errorf("%d fields, %d in the table", n, len(optionsOutOfBounds))
	}
}

func TestExtremeOptionsInsideTheirBounds(t *testing.T) {
	for name, o := range map[string]snib.Options{
		"least": {
			Sessions:   snib.SessionPolicy{Active: time.Second, Idle: -1, Absolute: time.Second, ExtendEvery: -1, MaxPerUser: 1, KnownDevice: -1},
			Refresh:    snib.RefreshPolicy{Idle: time.Second, Absolute: time.Second, Session: time.Second, Grace: -1, MaxPerUser: 1},
			SweepEvery: time.Second, File: snib.FileOptions{LockTimeout: -1, MaxSize: 1 << 20}, BusyTimeout: -1,
			Providers: map[string]snib.IdentifierRule{}, Indexes: []snib.Index{},
			Passwords: snib.PasswordPolicy{Queue: -1},
		},
		"most": {
			Sessions: snib.SessionPolicy{Active: 10950 * 24 * time.Hour, Idle: 10950 * 24 * time.Hour, Absolute: -1, MaxPerUser: 1000, KnownDevice: 400 * 24 * time.Hour},
			Refresh:  snib.RefreshPolicy{Idle: 10950 * 24 * time.Hour, Absolute: -1, Grace: 5 * time.Minute, MaxPerUser: 100},
			Indexes:  []snib.Index{{Name: strings.Repeat("n", 64)}},
		},
		"none of the rest": {SweepEvery: -1},
	} {
		t.Run(name, func(t *testing.T) {
			db := snibtest.NewDB(t, &o)
			u := nobody(t, db, "ada")
			valid(t, db, session(t, db, u.ID))
			s, _, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			valid(t, db, s)
		})
	}
}

// What the caller does with the options later changes nothing.
func TestOptionsAreCopied(t *testing.T) {
	o := &snib.Options{
		Providers: map[string]snib.IdentifierRule{"corp": snib.Email},
		Indexes:   []snib.Index{{Name: "nick", Unique: true}},
	}
	db := snibtest.NewDB(t, o)
	o.Providers["corp"], o.Indexes[0] = snib.Exact, snib.Index{Name: "other"}
	must(db.CreateUser(ctx, snib.NewUser{Provider: "corp", Identifier: "A@corp", Attributes: snib.Attributes{"nick": "a"}}))(t)
	must(db.GetUserByProviderID(ctx, "corp", "a@corp"))(t)
	must(db.GetUserByAttribute(ctx, "nick", "a"))(t)
}

func TestOptionsOutsideTheirBoundsCreateNoFile(t *testing.T) {
	const years = 200 * 365 * 24 * time.Hour
	manyProviders, manyIndexes := map[string]snib.IdentifierRule{}, []snib.Index{}
	for i := range 65 {
		manyProviders[fmt.Sprint("p", i)] = snib.Exact
		manyIndexes = append(manyIndexes, snib.Index{Name: fmt.Sprint(i)})
	}
	for i, c := range []struct {
		field string
		o     snib.Options
	}{
		{"Options.Sessions.Active", snib.Options{Sessions: snib.SessionPolicy{Active: -1}}},
		{"Options.Sessions.Active", snib.Options{Sessions: snib.SessionPolicy{Active: time.Second - 1}}},
		{"Options.Sessions.Active", snib.Options{Sessions: snib.SessionPolicy{Active: years}}},
		{"Options.Sessions.Idle", snib.Options{Sessions: snib.SessionPolicy{Idle: years}}},
		{"Options.Sessions.Absolute", snib.Options{Sessions: snib.SessionPolicy{Absolute: time.Millisecond}}},
		{"Options.Sessions.ExtendEvery", snib.Options{Sessions: snib.SessionPolicy{ExtendEvery: years}}},
		{"Options.Sessions.MaxPerUser", snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 1001}}},
		{"Options.Sessions.MaxPerUser", snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: -1}}},
		{"Options.Refresh.Idle", snib.Options{Refresh: snib.RefreshPolicy{Idle: -1}}},
		{"Options.Refresh.Absolute", snib.Options{Refresh: snib.RefreshPolicy{Absolute: years}}},
		{"Options.Refresh.Session", snib.Options{Refresh: snib.RefreshPolicy{Session: 1}}},
		{"Options.Refresh.Grace", snib.Options{Refresh: snib.RefreshPolicy{Grace: 5*time.Minute + 1}}},
		{"Options.Refresh.MaxPerUser", snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: 101}}},
		{"Options.Refresh.MaxPerUser", snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: -1}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 7, Time: 1, Parallelism: 1}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 16, Parallelism: 3}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: math.MaxUint32}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{Time: math.MaxUint32}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 2048, MaxHashMemory: 1 << 20}}},
		{"Options.SweepEvery", snib.Options{SweepEvery: time.Millisecond}},
		{"Options.File.MaxSize", snib.Options{File: snib.FileOptions{MaxSize: 1<<20 - 1}}},
		{"Options.Providers", snib.Options{Providers: manyProviders}},
		{"Options.Providers", snib.Options{Providers: map[string]snib.IdentifierRule{"": snib.Exact}}},
		{"Options.Providers", snib.Options{Providers: map[string]snib.IdentifierRule{"A/B": snib.Exact}}},
		{"Options.Providers", snib.Options{Providers: map[string]snib.IdentifierRule{"a": "soundex"}}},
		{"Options.Indexes", snib.Options{Indexes: manyIndexes}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: ""}}}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: "a\x00b"}}}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: strings.Repeat("x", 65)}}}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: "a"}, {Name: "a", Unique: true}}}},
	} {
		dir := t.TempDir()
		db, err := snib.Open(filepath.Join(dir, "a.db"), &c.o)
		if err == nil {
			db.Close()
		}
		e, ok := errors.AsType[*snib.InputError](err)
		if !ok || !strings.HasPrefix(e.Field, c.field) || db != nil {
			t.Errorf("case %d: got %v, want an InputError of %s", i, err, c.field)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
			t.Errorf("case %d, %s: a file was created", i, c.field)
		}
	}
}

// What an operator sees: each of these is in the log, without secrets.
func TestEventsOfUpkeep(t *testing.T) {
	var log events
	clock := snibtest.NewClock()
	o := snibtest.Fast(shortLived(clock))
	o.Logger = log.logger()
	told := map[string][]int64{}
	o.Progress = func(p snib.Progress) { told[p.Op] = append(told[p.Op], p.Done) }
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := must(snib.Open(path, o))(t)
	u := nobody(t, db, "ada")
	session(t, db, u.ID)
	for step, c := range map[string]struct {
		do   func() error
		says string
	}{
		"backup":  {func() error { return db.File().BackupFile(ctx, path+".b", nil) }, "copy"},
		"compact": {func() error { return db.File().CompactTo(ctx, path+".c", nil) }, "copy"},
		"restore": {func() error {
			return second(snib.Restore(ctx, path+".s", path+".r", &snib.RestoreOptions{Options: o}))
		}, "restored"},
		"sweep": {func() error { clock.Advance(1000 * time.Hour); return second(db.Sweep(ctx)) }, "sweep"},
		"check": {func() error {
			rawPut(t, handle(t, db), "sessions", "ghost", []byte("x"))
			_, err := db.Check(ctx)
			return map[bool]error{false: fmt.Errorf("check returned %w", err)}[err != nil]
		}, "problems"},
		"repair": {func() error {
			rawPut(t, handle(t, db), "sessions", "ghost", []byte("x"))
			return second(db.Repair(ctx))
		}, "repaired"},
	} {
		if step == "restore" {
			if err := db.File().BackupFile(ctx, path+".s", nil); err != nil {
				t.Fatal(err)
			}
		}
		before := len(log.String())
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if text := log.String()[before:]; !strings.Contains(text, c.says) {
			t.Errorf("%s: the log says %q", step, text)
		}
		must(db.Repair(ctx))(t)
	}
	for _, op := range []string{"backup", "compact", "restore", "check", "repair"} {
		if len(told[op]) == 0 {
			t.Errorf("nobody was told of the progress of %s", op)
		}
	}
	snibtest.CheckAndClose(t, db)
}
