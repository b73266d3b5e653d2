package snib_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv/sharedkv"
)

// openStore opens the accounts of an engine, checked and closed at the end.
func openStore(t *testing.T, e snib.Engine, o *snib.Options) *snib.DB {
	t.Helper()
	if o == nil {
		o = &snib.Options{}
	}
	o.Passwords.Parallelism, o.Passwords.MemoryKiB, o.Passwords.Time, o.Passwords.QueueTime = 1, 8, 1, -1
	if o.SweepEvery == 0 {
		o.SweepEvery = -1
	}
	db, err := snib.OpenStore(ctx, e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		report, err := db.Check(ctx)
		if err != nil && !errors.Is(err, snib.ErrClosed) || len(report.Problems) > 0 {
			t.Errorf("check: %v, %v", report.Problems, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestOpenStoreRefusesWhatNeedsAFile(t *testing.T) {
	db := openStore(t, sharedkv.New(t, sharedkv.Options{}), nil)
	var out bytes.Buffer
	wantErr(t, db.File().Backup(ctx, &out), snib.ErrUnsupported)
	wantErr(t, db.File().Backup(ctx, &out), errors.ErrUnsupported)
	_, err := db.Join(nil)
	wantErr(t, err, snib.ErrUnsupported)
}

func TestRedeclareWithoutShadowsIsUnsupported(t *testing.T) {
	db := openStore(t, sharedkv.New(t, sharedkv.Options{NoShadows: true}), nil)
	wantErr(t, db.File().Redeclare(ctx, []snib.Index{{Name: "nick"}}, nil), snib.ErrUnsupported)
	_, err := db.GetUserByAttribute(ctx, "nick", "x")
	wantErr(t, err, snib.ErrInvalidInput)
}

func TestRedeclareOfAFileIsThatOfOpen(t *testing.T) {
	path := t.TempDir() + "/a.db"
	db, err := snib.Open(path, nil)
	wantErr(t, err, nil)
	defer db.Close()
	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{"nick": "Ada"}})
	wantErr(t, err, nil)
	wantErr(t, db.File().Redeclare(ctx, []snib.Index{{Name: "nick", Unique: true}}, nil), nil)
	_, err = db.GetUserByAttribute(ctx, "nick", "Ada")
	wantErr(t, err, nil)
	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "eve", Attributes: snib.Attributes{"nick": "Ada"}})
	wantErr(t, err, snib.ErrAttributeTaken)
	wantErr(t, db.File().Redeclare(ctx, []snib.Index{{Name: ""}}, nil), snib.ErrInvalidInput)
}

// A store without a clock: machines agree within a minute.
func TestOpenStoreWithMachinesWhoseClocksDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sharedkv.New(t, sharedkv.Options{NoClock: true})
		off := func(d time.Duration) *snib.Options {
			return &snib.Options{Now: func() time.Time { return time.Now().Add(d) }}
		}
		right := openStore(t, e, off(0))
		u, err := right.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"})
		wantErr(t, err, nil)
		s, err := right.CreateSession(ctx, u, snib.SessionOptions{})
		wantErr(t, err, nil)
		time.Sleep(time.Hour) // idle
		for _, d := range []time.Duration{25 * time.Hour, -25 * time.Hour, 2 * time.Minute, -2 * time.Minute} {
			_, err := snib.OpenStore(ctx, e, off(d))
			if !errors.Is(err, snib.ErrClock) {
				t.Errorf("off by %v: %v, want ErrClock", d, err)
			}
		}
		for _, d := range []time.Duration{40 * time.Second, -10 * time.Second} {
			db := openStore(t, e, off(d))
			_, err := db.ExtendSession(ctx, s.Token.Reveal())
			wantErr(t, err, nil)
			wantErr(t, db.Close(), nil)
		}
		_, err = right.ValidateSession(ctx, s.Token.Reveal())
		wantErr(t, err, nil)
		wantErr(t, right.Close(), nil)

		// Alone: after a night the wall is believed.
		time.Sleep(10 * time.Hour)
		ahead := openStore(t, e, off(24*time.Hour))
		_, err = ahead.LinkIdentity(ctx, u.ID, "github", "1")
		wantErr(t, err, nil)
		wantErr(t, ahead.Close(), nil)

		// It was wrong: the others read, and write once the operator says so.
		later := openStore(t, e, off(0))
		_, err = later.ValidateSession(ctx, s.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidSession) // dead by the time that has been
		_, err = later.LinkIdentity(ctx, u.ID, "github", "2")
		wantErr(t, err, snib.ErrClock)
		wantErr(t, later.File().ResetClock(ctx), nil)
		_, err = later.LinkIdentity(ctx, u.ID, "github", "2")
		wantErr(t, err, nil)
		_, err = later.ValidateSession(ctx, s.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidSession)
	})
}

// On a store of several programs one of them sweeps in the background, and
// another one goes on when that is gone.
func TestBackgroundSweepOfSeveralProgramsTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sharedkv.New(t, sharedkv.Options{})
		var dbs []*snib.DB
		for range 3 {
			dbs = append(dbs, openStore(t, e, &snib.Options{SweepEvery: time.Hour}))
		}
		sweeps := func() (out []int64) {
			for _, db := range dbs {
				stats, err := db.Stats(ctx)
				wantErr(t, err, nil)
				out = append(out, stats.Sweeps)
			}
			return out
		}
		time.Sleep(100 * time.Hour)
		got, sum, holder := sweeps(), int64(0), 0
		for i, n := range got {
			if sum += n; n > got[holder] {
				holder = i
			}
		}
		if sum < 85 || sum > 130 {
			t.Errorf("%v sweeps of three programs in 100 h, want about 100", got)
		}
		wantErr(t, dbs[holder].Close(), nil)
		dbs = append(dbs[:holder], dbs[holder+1:]...)
		before := sweeps()
		time.Sleep(10 * time.Hour)
		after := sweeps()
		if n := after[0] + after[1] - before[0] - before[1]; n < 7 || n > 14 {
			t.Errorf("%d sweeps in 10 h by those that are left, want about 9", n)
		}
	})
}
