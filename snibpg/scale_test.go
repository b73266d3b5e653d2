package snibpg_test

import (
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

const (
	scalePassword = "correct horse battery"
	// scaleHash is of scalePassword, at the cost that open sets.
	scaleHash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$uxWTSOnvlCJwDdrvGjf7x3xvw771mTCJHUN5gdfCrTw"
	// sampled is how many tokens the rates are taken with.
	sampled = 20_000
)

// TestScale moves SNIB_SCALE users, each with an address, a password, two
// attributes and a session, from a file to PostgreSQL, and measures size and
// rates there, by one process and by three. Figures are logged, and only what is
// wrong fails. It is skipped without SNIB_SCALE.
func TestScale(t *testing.T) {
	users := number("SNIB_SCALE", 0)
	if users == 0 {
		t.Skip("SNIB_SCALE is not set")
	}
	name, dir := schema(t), t.TempDir()
	load(t)
	tokens := filepath.Join(dir, "tokens")
	file := fill(t, filepath.Join(dir, "accounts.db"), users, tokens)
	move(t, file, name)
	must(t, file.Close())
	size(t, name, users)

	children := []*child{newChild(t, name, 0), newChild(t, name, 0), newChild(t, name, 0)}
	for _, call := range []string{"validate", "validate-user", "create", "session", "log-in"} {
		for _, run := range []struct{ processes, goroutines int }{{1, 1}, {1, 16}, {3, 16}} {
			var group sync.WaitGroup
			var calls, failed atomic.Int64
			for _, c := range children[:run.processes] {
				group.Go(func() {
					var n, wrong int64
					line := c.ask(fmt.Sprintf("rate %s %d %d %s", call, run.goroutines, users, tokens))
					if _, err := fmt.Sscan(line, &n, &wrong); err != nil {
						t.Errorf("child: %s", line)
					}
					calls.Add(n)
					failed.Add(wrong)
				})
			}
			group.Wait()
			t.Logf("%-13s %d x %2d: %6.0f/s, %d failed", call, run.processes, run.goroutines, float64(calls.Load())/rateTime.Seconds(), failed.Load())
			if calls.Load() == 0 || failed.Load() > 0 {
				t.Error("a call failed, or none was made")
			}
		}
		load(t)
	}
	db, err := open(name, 0)
	must(t, err)
	began := time.Now()
	report, err := db.Check(ctx)
	must(t, err)
	t.Logf("check: %v, %d users, %d sessions, %d problems", time.Since(began).Round(time.Second), report.Users, report.Records["sessions"], report.Found)
	if report.Found > 0 || report.Users < users {
		t.Error("the accounts are not what they were")
	}
	must(t, db.Close())
	load(t)
}

// load logs how busy the machine is.
func load(t *testing.T) {
	text, _ := os.ReadFile("/proc/loadavg")
	t.Logf("load of the machine: %s", strings.TrimSpace(string(text)))
}

func scaleName(i int) string { return fmt.Sprintf("user%08d@example.com", i) }

// fill makes a file with users and sessions, and a list of some of their tokens.
func fill(t *testing.T, path string, users int, tokens string) *snib.DB {
	db, err := snib.Open(path, &snib.Options{InsecureNoSync: true, SweepEvery: -1})
	must(t, err)
	began := time.Now()
	var rows iter.Seq2[snib.UserImport, error] = func(yield func(snib.UserImport, error) bool) {
		for i := range users {
			if !yield(snib.UserImport{
				Provider: "email", Identifier: scaleName(i), PasswordHash: scaleHash,
				Attributes: snib.Attributes{"name": "User " + strconv.Itoa(i), "city": "Aberdeen"},
			}, nil) {
				return
			}
		}
	}
	report, err := db.ImportUsers(ctx, rows, snib.ImportOptions{})
	must(t, err)
	if report.Imported != users {
		t.Fatalf("%+v", report)
	}
	t.Logf("ImportUsers into a file, not synced: %d in %v", users, time.Since(began).Round(time.Second))
	began = time.Now()
	var sample, batch []string
	var ids []snib.User
	flush := func() {
		must(t, db.Update(ctx, func(tx *snib.Tx) error {
			batch = batch[:0]
			for _, u := range ids {
				s, err := tx.CreateSession(u, snib.SessionOptions{Attributes: snib.Attributes{"device": "laptop"}})
				if err != nil {
					return err
				}
				batch = append(batch, s.Token.Reveal())
			}
			return nil
		}))
		for _, token := range batch {
			if rand.IntN(max(1, users/sampled)) == 0 {
				sample = append(sample, token)
			}
		}
		ids = ids[:0]
	}
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		must(t, err)
		if ids = append(ids, u); len(ids) == 500 {
			flush()
		}
	}
	flush()
	must(t, os.WriteFile(tokens, []byte(strings.Join(sample, "\n")), 0o600))
	t.Logf("a session of each: %v", time.Since(began).Round(time.Second))
	info, err := os.Stat(path)
	must(t, err)
	t.Logf("the file: %d bytes a user", info.Size()/int64(users))
	return db
}

// move is what an operator does, without a file between.
func move(t *testing.T, from *snib.DB, to string) {
	e, err := snibpg.Open(ctx, dsn, &snibpg.Options{Schema: to})
	must(t, err)
	began := time.Now()
	r, w := io.Pipe()
	go func() {
		_, err := from.File().Export(ctx, w)
		w.CloseWithError(err)
	}()
	report, err := snib.ImportStore(ctx, e, r, nil)
	must(t, err)
	took := time.Since(began)
	t.Logf("Export to ImportStore: %d users, %d records in %v, %.0f records/s", report.Users, report.Records, took.Round(time.Second), float64(report.Records)/took.Seconds())
	load(t)
}

// size logs what the tables take.
func size(t *testing.T, schema string, users int) {
	exec(t, func(conn *pgx.Conn) error {
		var version string
		var total, rows int64
		if err := conn.QueryRow(ctx, "select version()").Scan(&version); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "vacuum analyze"); err != nil {
			return err
		}
		err := conn.QueryRow(ctx, `select sum(pg_total_relation_size(c.oid)), sum(c.reltuples)::bigint from pg_class c
			join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r'`, schema).Scan(&total, &rows)
		t.Logf("%s: %d bytes, %d a user, %.1f rows a user", version, total, total/int64(users), float64(rows)/float64(users))
		return err
	})
}

// rateTime is how long each rate is taken.
const rateTime = 8 * time.Second

// rate makes one kind of call, by some goroutines at once, and answers how many
// succeeded and failed.
func rate(db *snib.DB, arg string) string {
	var call, path string
	var goroutines, users int
	if _, err := fmt.Sscan(arg, &call, &goroutines, &users, &path); err != nil {
		return err.Error()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	tokens := strings.Split(string(text), "\n")
	var made, wrong atomic.Int64
	one := func() error {
		switch call {
		case "validate":
			_, err := db.ValidateSession(ctx, tokens[rand.IntN(len(tokens))])
			return err
		case "validate-user":
			_, _, err := db.ValidateSessionUser(ctx, tokens[rand.IntN(len(tokens))])
			return err
		case "create":
			_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("new%016x@example.com", rand.Uint64())})
			return err
		case "session":
			s, err := db.ValidateSession(ctx, tokens[rand.IntN(len(tokens))])
			if err == nil {
				_, err = db.CreateSession(ctx, s, snib.SessionOptions{})
			}
			return err
		}
		_, _, err := db.LogIn(ctx, "email", scaleName(rand.IntN(users)), scalePassword, snib.SessionOptions{})
		return err
	}
	end := time.Now().Add(rateTime)
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for time.Now().Before(end) {
				if one() == nil {
					made.Add(1)
				} else {
					wrong.Add(1)
				}
			}
		})
	}
	group.Wait()
	return fmt.Sprint(made.Load(), wrong.Load())
}
