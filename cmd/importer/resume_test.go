package importer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
	"github.com/snibdb/snib/snibtest"
)

// mapping is one for the files of these tests.
const mapping = `{"format": "csv", "id": "{id}",
	"identities": [{"provider": "email", "identifier": "{email}"}, {"provider": "github", "identifier": "{github}", "proven": true}],
	"password": {"present": "{hash}", "rules": [{"hash": "{hash}"}]},
	"disabled": {"field": "off"}, "rest": true}`

const goodHash = "$2a$10$1sqaT05Thay1CTNAsdXlLOrCuuAslL8dWalI4vd1s7fN5iwhwMkt6" // correct horse 7

// users returns CSV of n users. Each tenth has the address of the one before, in
// other case, and each 17th a hash that is unknown.
func users(n int) string {
	var b strings.Builder
	b.WriteString("id,email,github,hash,off,name\n")
	for i := range n {
		email, hash := fmt.Sprintf("u%d@example.com", i), goodHash
		if i%10 == 9 {
			email = fmt.Sprintf("U%d@Example.com", i-1)
		}
		if i%17 == 16 {
			hash = "$unknown$abc"
		}
		fmt.Fprintf(&b, "id%07d,%s,,%s,%t,User %d\n", i, email, hash, i%5 == 0, i)
	}
	return b.String()
}

func csvSource(t testing.TB, text string) importer.Source {
	return importer.Source{From: "csv", Path: write(t, "users.csv", text), File: write(t, "mapping.json", mapping)}
}

// content is all users of a database, by id.
func content(t testing.TB, db *snib.DB) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for u, err := range db.ListUsers(t.Context(), snib.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[string(u.ID)] = fmt.Sprint(u.Identities, u.CreatedAt.UnixMilli() != 0, u.Attributes(), u.HasPassword, u.DisabledAt.IsZero())
	}
	return out
}

func sameContent(t *testing.T, a, b *snib.DB) {
	t.Helper()
	if x, y := content(t, a), content(t, b); !reflect.DeepEqual(x, y) {
		t.Errorf("the databases differ: %d and %d users", len(x), len(y))
	}
}

// TestAnInterruptedRunGoesOn: cancelled at some row and run again, the database and
// the report are those of one run.
func TestAnInterruptedRunGoesOn(t *testing.T) {
	s := csvSource(t, users(5000))
	whole := newDB(t, nil)
	want := run(t, whole, s, importer.Options{State: "-"})
	if want.Collisions < 400 || want.Refused <= want.Collisions || want.Imported < 4000 {
		t.Fatalf("the input is too tame: %+v", want)
	}
	db := newDB(t, nil)
	state := filepath.Join(t.TempDir(), "state")
	o := importer.Options{State: state, BatchSize: 700}
	for stop := 1000; stop < 4000; stop += 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		o.Progress = func(p importer.Progress) {
			if p.Rows >= stop {
				cancel()
			}
		}
		r, err := importer.Run(ctx, db, s, o)
		if !errors.Is(err, context.Canceled) || r.Finished || r.Rows < stop || r.Rows >= 5000 {
			t.Fatalf("stopped at %d: %d rows, %v", stop, r.Rows, err)
		}
		if _, err := os.Stat(state); err != nil {
			t.Fatal(err)
		}
	}
	o.Progress = nil
	r := run(t, db, s, o)
	if r.ResumedAfter < 3000 {
		t.Errorf("gone on after row %d", r.ResumedAfter)
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
	sameContent(t, whole, db)
	r.ResumedAfter, r.Seconds, want.Seconds = 0, 0, 0
	if !reflect.DeepEqual(r, want) {
		t.Errorf("the report of the whole\n%+v\nand of the parts\n%+v", want, r)
	}
}

// TestAStateOfAnotherKindIsNotGoneOnFrom: another database, another source, other
// options begin anew, and a file that is no state is not overwritten.
func TestAStateOfAnotherKindIsNotGoneOnFrom(t *testing.T) {
	s := csvSource(t, users(3000))
	state := filepath.Join(t.TempDir(), "state")
	interrupted := func() *snib.DB {
		db := newDB(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		o := importer.Options{State: state, BatchSize: 100, Progress: func(importer.Progress) { cancel() }}
		if _, err := importer.Run(ctx, db, s, o); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return db
	}
	interrupted()
	other := newDB(t, nil)
	if r := run(t, other, s, importer.Options{State: state}); r.ResumedAfter != 0 || r.Rows != 3000 {
		t.Errorf("another database is gone on with after row %d", r.ResumedAfter)
	}
	db := interrupted()
	if r := run(t, db, s, importer.Options{State: state, Update: true}); r.ResumedAfter != 0 {
		t.Errorf("with Update, gone on after row %d", r.ResumedAfter)
	}
	db = interrupted()
	changed := s
	changed.Path = write(t, "users.csv", strings.Replace(users(3000), "User 0\n", "User zero\n", 1))
	if r := run(t, db, changed, importer.Options{State: state, Update: true}); r.ResumedAfter != 0 || r.Updated != 1 {
		t.Errorf("another file is gone on with after row %d, %d updated", r.ResumedAfter, r.Updated)
	}
	mine := write(t, "notes.txt", "mine")
	if _, err := importer.Run(t.Context(), db, s, importer.Options{State: mine}); err == nil {
		t.Error("a file that is no state was taken for one")
	}
	if data, err := os.ReadFile(mine); string(data) != "mine" || err != nil {
		t.Errorf("it was overwritten: %q, %v", data, err)
	}
}

// killed is set in the child process of TestAKilledRunGoesOn: its database.
const killed = "SNIB_TEST_KILLED_IMPORT"

// TestAKilledRunGoesOn: a process is killed in the middle and run again.
func TestAKilledRunGoesOn(t *testing.T) {
	s := csvSource(t, users(6000))
	whole := newDB(t, nil)
	want := run(t, whole, s, importer.Options{State: "-"})
	path := filepath.Join(t.TempDir(), "accounts.db")
	state := s.Path + ".snib-state"
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killed+"="+path, "SOURCE="+s.Path, "MAPPING="+s.File)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "half way") {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	if _, err := os.Stat(state); err != nil {
		t.Fatal(err)
	}
	db := snibtest.OpenDB(t, path, &snib.Options{Now: snibtest.NewClock().Now})
	r := run(t, db, s, importer.Options{})
	if r.ResumedAfter < 1000 || r.Rows != want.Rows || r.Refused != want.Refused || r.Imported+r.Unchanged != want.Imported {
		t.Errorf("gone on after %d: %+v", r.ResumedAfter, r)
	}
	sameContent(t, whole, db)
	if left, _ := filepath.Glob(state + "*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestKilledChild is the child: it imports and dies when it is half way.
func TestKilledChild(t *testing.T) {
	path := os.Getenv(killed)
	if path == "" {
		t.Skip("the child of another test")
	}
	db, err := snib.Open(path, snibtest.Fast(&snib.Options{Now: snibtest.NewClock().Now}))
	if err != nil {
		t.Fatal(err)
	}
	s := importer.Source{From: "csv", Path: os.Getenv("SOURCE"), File: os.Getenv("MAPPING")}
	_, err = importer.Run(t.Context(), db, s, importer.Options{BatchSize: 900, Progress: func(p importer.Progress) {
		if p.Rows > 3000 {
			fmt.Println("half way")
			process, _ := os.FindProcess(os.Getpid())
			_ = process.Kill()
			select {}
		}
	}})
	t.Fatal("not killed: ", err)
}

// TestASecondRunBringsChanges: upsert replaces what is as imported, keeps what was
// changed here, and without Update changes nothing.
func TestASecondRunBringsChanges(t *testing.T) {
	clock := snibtest.NewClock()
	db := newDB(t, &snib.Options{Now: clock.Now})
	run(t, db, csvSource(t, "id,email,github,hash,off,name\na,a@example.com,,"+goodHash+",f,A\nb,b@example.com,,,f,B\nc,c@example.com,,,f,C\n"), importer.Options{})
	clock.Advance(time.Hour)
	if _, err := db.UpdateUserAttributes(t.Context(), "c", snib.Attributes{"name": "changed here"}); err != nil {
		t.Fatal(err)
	}
	later := "id,email,github,hash,off,name\na,a@example.com,77,$2b$10$EVXSZRfADb6AOtqS4cfuwO6B/wFdFeBbeLXOGlB2ARAQ2oYqWhW1S,f,A2\nb,b@example.com,,,t,B\nc,c@example.com,,,f,C2\nd,d@example.com,,,f,D\na,other@example.com,,,f,twice\n"
	without := run(t, db, csvSource(t, later), importer.Options{})
	if without.Updated != 0 || without.Kept != 3 || without.Imported != 1 || without.Collisions != 1 {
		t.Errorf("without Update: %+v", without)
	}
	if on := without.CollisionList[0]; on.On != "id" || on.Row != 6 || on.Holder != "a" {
		t.Errorf("the collision: %+v", on)
	}
	with := run(t, db, csvSource(t, later[:strings.LastIndex(later, "a,other")]), importer.Options{Update: true})
	if with.Updated != 2 || with.Kept != 1 || with.Unchanged != 1 || with.Refused != 0 {
		t.Errorf("with Update: %+v", with)
	}
	if u := user(t, db, "github", "77"); u.ID != "a" || u.Attributes()["name"] != "A2" {
		t.Errorf("a is %+v", u)
	}
	if u := user(t, db, "email", "b@example.com"); u.DisabledAt.IsZero() {
		t.Errorf("b is not disabled")
	}
	if u := user(t, db, "email", "c@example.com"); u.Attributes()["name"] != "changed here" {
		t.Errorf("c is %v", u.Attributes())
	}
	logsIn(t, db, "email", "a@example.com", "correct horse 7")
}
