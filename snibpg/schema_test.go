package snibpg_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/snibpg"
)

// TestOneOfManyMakesTheTables: programs that start at once open one database.
func TestOneOfManyMakesTheTables(t *testing.T) {
	e := engine(t, snibpg.Options{})
	var group sync.WaitGroup
	inits := make(chan bool, 8)
	for range 8 {
		group.Go(func() {
			s, err := e.Open(ctx, kv.Setup{
				Spaces: []kv.SpaceSpec{{Name: "a"}},
				Init:   func(tx kv.Tx) error { inits <- true; return tx.Put(0, []byte("k"), []byte("v")) },
			})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(inits) != 1 {
		t.Errorf("filled %d times, want once", len(inits))
	}
}

// TestTablesOfOthers: a schema of a later version, or of another program, is
// left as it is; spaces of an earlier version are made.
func TestTablesOfOthers(t *testing.T) {
	name := schema(t)
	a, ab := []kv.SpaceSpec{{Name: "a"}}, []kv.SpaceSpec{{Name: "a"}, {Name: "b"}}
	open := func(spaces []kv.SpaceSpec, init error) error {
		e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: name})
		must(t, err)
		s, err := e.Open(ctx, kv.Setup{Spaces: spaces, Init: func(kv.Tx) error { return init }})
		if err == nil {
			err = s.View(ctx, func(r kv.Reader) error { _, _, err := r.Get(kv.Space(len(spaces)-1), []byte("k")); return err })
			s.Close()
		}
		return err
	}
	alter := func(sql string) {
		exec(t, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, strings.ReplaceAll(sql, "SCHEMA", name))
			return err
		})
	}
	own := errors.New("not now")
	if err := open(a, own); !errors.Is(err, own) {
		t.Errorf("got %v, want the error of Init", err)
	}
	must(t, open(a, nil)) // nothing of the failed one is there
	must(t, open(ab, own))
	must(t, open(a, own))
	alter("update SCHEMA.control set format = 2")
	if err := open(a, nil); !errors.Is(err, snib.ErrNewerFormat) {
		t.Errorf("a later version: %v", err)
	}
	alter("drop table SCHEMA.control")
	if err := open(a, nil); !errors.Is(err, snib.ErrForeignFile) {
		t.Errorf("tables without a control: %v", err)
	}
	alter("create table SCHEMA.control (x int)")
	if err := open(a, nil); !errors.Is(err, snib.ErrForeignFile) {
		t.Errorf("a control of another program: %v", err)
	}
}

// TestErrorsHideTheDSN: neither a dsn that is not valid nor one that leads nowhere
// is in an error.
func TestErrorsHideTheDSN(t *testing.T) {
	for _, dsn := range []string{
		"postgres://me:s3cret@127.0.0.1:1/x",
		"postgres://me:s3cret@127.0.0.1:notaport/x",
		"postgres://me:s3cret%zz@127.0.0.1/x",
		"host=127.0.0.1 port=1 password=s3cret sslmode=nonsense",
		"host=127.0.0.1 port=1 user=me password=s3cret connect_timeout=1",
	} {
		_, err := snibpg.Open(ctx, dsn, nil)
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "s3cret") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	e := engine(t, snibpg.Options{})
	if text := fmt.Sprintf("%v", e); strings.Contains(text, "postgres") {
		t.Errorf("an engine prints as %.60s…", text)
	}
}

// TestOptions: what is out of bounds is refused.
func TestOptions(t *testing.T) {
	for _, o := range []snibpg.Options{{MaxConns: 3}, {MaxConns: -1}, {MaxConns: 10_001}, {Schema: strings.Repeat("x", 64)}} {
		if _, err := snibpg.Open(ctx, server(t), &o); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
	odd := schema(t) + ` "odd" ; drop`
	e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: odd, MaxConns: 4})
	must(t, err)
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1})
	must(t, err)
	newUser(t, db)
	must(t, db.Close())
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "drop schema "+pgx.Identifier{odd}.Sanitize()+" cascade")
		return err
	})
}

// TestNoConnectionLeft: one who waits for a connection that does not come is told
// in time, and a closed store leaves no marks.
func TestNoConnectionLeft(t *testing.T) {
	name := schema(t)
	e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: name, MaxConns: 4})
	must(t, err)
	s, err := e.Open(ctx, kv.Setup{Spaces: []kv.SpaceSpec{{Name: "a"}}, BusyTimeout: 50 * time.Millisecond})
	must(t, err)
	admitted := func(call func() error) error { // a server with other work may need longer than the timeout
		for {
			if err := call(); !errors.Is(err, snib.ErrBusy) {
				return err
			}
		}
	}
	must(t, admitted(func() error {
		return s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(0, []byte("k"), nil) })
	}))
	letGo := make(chan bool)
	var began, group sync.WaitGroup
	began.Add(4)
	for range 4 {
		begin := sync.OnceFunc(began.Done)
		group.Go(func() {
			if err := admitted(func() error {
				return s.View(ctx, func(kv.Reader) error { begin(); <-letGo; return nil })
			}); err != nil {
				t.Error(err)
			}
		})
	}
	began.Wait()
	if _, err := s.Pin(ctx); !errors.Is(err, snib.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := s.Pin(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	close(letGo)
	group.Wait()
	must(t, s.Close())
	exec(t, func(conn *pgx.Conn) error {
		var n int
		err := conn.QueryRow(ctx, "select count(*) from "+name+".marks_1").Scan(&n)
		if n != 0 {
			t.Errorf("%d marks left", n)
		}
		return err
	})
}

// TestOldMarksAreSwept: those of crashed programs go when another opens, after a
// week.
func TestOldMarksAreSwept(t *testing.T) {
	name := schema(t)
	store(t, name, false, []kv.SpaceSpec{{Name: "a"}})
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "insert into "+name+".marks_1 values ('old', 1, false, now() - interval '8 days'), ('young', 1, false, now() - interval '6 days')")
		return err
	})
	store(t, name, false, []kv.SpaceSpec{{Name: "a"}})
	exec(t, func(conn *pgx.Conn) error {
		var left string
		err := conn.QueryRow(ctx, "select string_agg(id, ' ') from "+name+".marks_1").Scan(&left)
		if left != "young" {
			t.Errorf("left: %s", left)
		}
		return err
	})
}
