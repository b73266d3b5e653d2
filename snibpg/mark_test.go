package snibpg_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// TestMarks: a commit and its fence exclude each other, in either order, whether
// the commit has read before the fence or begins after it.
func TestMarks(t *testing.T) {
	s := store(t, schema(t), false, []kv.SpaceSpec{{Name: "a"}})
	b := snibpg.BackendOf(s)
	id := "00000000000000000000000000000001"
	resolve := func(n int64) bool {
		happened, err := b.Resolve(ctx, remote.Mark{ID: id, N: n})
		must(t, err)
		return happened
	}
	begin := func(read bool) remote.Session {
		in, err := b.Begin(ctx, remote.Write)
		must(t, err)
		if read {
			_, err := in.Get(ctx, []kv.Ref{{Key: []byte("k")}})
			must(t, err)
		}
		return in
	}
	commit := func(in remote.Session, n int64) error {
		defer in.Rollback()
		return in.Commit(ctx, []remote.Change{{Key: fmt.Append(nil, n), Value: []byte{}}}, remote.Mark{ID: id, N: n})
	}
	n := int64(0)
	for range 2 { // the first number makes the row
		for _, read := range []bool{true, false} {
			n++
			in := begin(read)
			for range 2 {
				if resolve(n) {
					t.Errorf("%d: happened before it was sent", n)
				}
			}
			if err := commit(in, n); !errors.Is(err, kv.ErrAgain) {
				t.Errorf("%d: %v, want a refusal of a commit that was fenced off", n, err)
			}
			n++
			must(t, commit(begin(read), n))
			for range 2 {
				if !resolve(n) {
					t.Errorf("%d: did not happen", n)
				}
			}
			if err := commit(begin(read), n); !errors.Is(err, kv.ErrAgain) {
				t.Errorf("%d: %v, want a refusal of the second of one number", n, err)
			}
		}
	}
	for i := range n {
		want := map[bool]string{true: "", false: "absent"}[(i+1)%2 == 0]
		if got := get(t, s, 0, fmt.Sprint(i+1)); got != want {
			t.Errorf("key %d: %s", i+1, got)
		}
	}
}

// TestAnInterruptedWaitForTheStandby: a commit that the server reports before its
// standby has it, because somebody interrupted the wait, is not acknowledged until
// the standby has it: of snib and of Retry, also where the role has warnings off.
func TestAnInterruptedWaitForTheStandby(t *testing.T) {
	primary, standby := pair(t, true)
	on(t, primary, "create role quiet login superuser; alter role quiet set client_min_messages = error")
	runs := map[string]func(name string) error{}
	for who, dsn := range map[string]string{"snib": primary.DSN(), "quiet": strings.Replace(primary.DSN(), "snib@", "quiet@", 1)} {
		e, err := snibpg.Open(ctx, dsn, &snibpg.Options{Schema: who + "s"})
		must(t, err)
		snibpg.Hurry(e, 0, patience)
		db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1, BusyTimeout: patience})
		must(t, err)
		defer func() { must(t, db.Close()) }()
		pool, err := pgxpool.New(ctx, dsn)
		must(t, err)
		defer pool.Close()
		runs[who] = func(name string) error { return db.Update(ctx, create(name)) }
		runs[who+", settings of the closure"] = func(name string) error {
			return db.Update(ctx, func(tx *snib.Tx) error {
				_, err := snibpg.Conn(tx).Exec(ctx, "set local client_min_messages = error")
				return errors.Join(err, create(name)(tx))
			})
		}
		runs[who+", Retry"] = func(name string) error {
			return snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error { return join(db, tx, create(name)) })
		}
	}
	for who, run := range runs {
		for _, how := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
			interrupted(t, primary, standby, who+", "+how, how, func() error {
				return run(how + "@" + strings.NewReplacer(", ", ".", " ", "-").Replace(who) + ".example")
			})
		}
	}
}

// interrupted runs a commit and interrupts its wait for the standby.
func interrupted(t *testing.T, primary, standby *cluster.Server, what, how string, commit func() error) {
	t.Helper()
	standby.Freeze()
	acked := make(chan error, 1)
	go func() { acked <- commit() }()
	const waiting = " from pg_stat_activity where wait_event = 'SyncRep'"
	reach(t, what+": waits", func() bool { return len(acked) > 0 || on(t, primary, "select count(*)"+waiting) != "0" })
	first := on(t, primary, "select pid"+waiting)
	on(t, primary, "select "+how+"("+first+")")
	// The fence of its mark waits in its place, for the same standby, or it has returned.
	reach(t, what+": waits again", func() bool {
		return len(acked) > 0 || on(t, primary, "select count(*)"+waiting+" and (pid <> "+first+" or query like '%returning fenced%')") != "0"
	})
	if len(acked) > 0 {
		t.Errorf("%s: acknowledged without the standby", what)
	}
	standby.Thaw()
	if err := <-acked; err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestCommitsThatDoNotWait: where the role has synchronous_commit off, commits of
// the library wait for the disk all the same.
func TestCommitsThatDoNotWait(t *testing.T) {
	name := schema(t)
	e, err := snibpg.Open(ctx, server(t)+"&options=-csynchronous_commit%3Doff", &snibpg.Options{Schema: name})
	must(t, err)
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	must(t, db.Update(ctx, func(tx *snib.Tx) error {
		var setting string
		err := snibpg.Conn(tx).QueryRow(ctx, "show synchronous_commit").Scan(&setting)
		if setting != "on" {
			t.Errorf("synchronous_commit is %s in a write", setting)
		}
		return err
	}))
}
