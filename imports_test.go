package snib_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// rowsOf is the source of an import.
func rowsOf(rows ...snib.UserImport) iter.Seq2[snib.UserImport, error] {
	return func(yield func(snib.UserImport, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// manyRows are rows whose ids and addresses come in no order.
func manyRows(n int) (rows []snib.UserImport) {
	for i := range n {
		h := md5.Sum(fmt.Append(nil, i))
		name := hex.EncodeToString(h[:])
		rows = append(rows, snib.UserImport{ID: snib.UserID(name), Provider: "email", Identifier: name[16:] + "@example.com",
			PasswordHash: foreignHash, Attributes: snib.Attributes{"nick": name[8:24]}})
	}
	return rows
}

var nickIndex = &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}}}

func TestImportUsersIsImportUserForEachRow(t *testing.T) {
	rows := manyRows(2300)
	many, single := snibtest.NewDB(t, nickIndex), snibtest.NewDB(t, nickIndex)
	report := must(many.ImportUsers(ctx, rowsOf(rows...), snib.ImportOptions{}))(t)
	if report.Rows != 2300 || report.Imported != 2300 {
		t.Errorf("report %+v", report)
	}
	for _, r := range rows[:200] {
		want := must(single.ImportUser(ctx, r))(t)
		got := must(many.GetUserByProviderID(ctx, r.Provider, strings.ToUpper(r.Identifier)))(t)
		if got.ID != r.ID || !got.HasPassword || got.Attributes()["nick"] != want.Attributes()["nick"] || storedHash(t, many, r.ID) != storedHash(t, single, r.ID) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if u := must(many.GetUserByAttribute(ctx, "nick", r.Attributes["nick"]))(t); u.ID != r.ID {
			t.Fatalf("the nick of %s is %s's", r.ID, u.ID)
		}
	}
}

func TestImportUsersAgainWritesNothing(t *testing.T) {
	sealed := sealing(testKey("k1", 1))
	sealed.Indexes = nickIndex.Indexes
	for name, o := range map[string]*snib.Options{"": nickIndex, "sealed": sealed} {
		t.Run(name, func(t *testing.T) { importTwice(t, o) })
	}
}

func importTwice(t *testing.T, o *snib.Options) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, o)
	rows := manyRows(1500)
	digest := md5.Sum([]byte(password))
	rows[7].PasswordHash, rows[7].PasswordSource = hex.EncodeToString(digest[:]), "md5"
	rows[8].ID = "" // found by the identity
	rows[9].CreatedAt, rows[9].PasswordChangedAt, rows[9].LinkedAt = time.UnixMilli(1), time.UnixMilli(2), time.UnixMilli(3)
	must(db.ImportUsers(ctx, rowsOf(rows...), snib.ImportOptions{}))(t)
	for _, o := range []snib.ImportOptions{{}, {Update: true}, {DryRun: true}, {Update: true, DryRun: true}} {
		before := must(os.ReadFile(path))(t)
		report := must(db.ImportUsers(ctx, rowsOf(rows...), o))(t)
		want := snib.ImportReport{Rows: 1500, Unchanged: 1500}
		if !o.Update { // a digest is not hashed to be compared
			want.Unchanged, want.Kept = 1499, 1
		}
		if !reflect.DeepEqual(report, want) {
			t.Errorf("%+v: %+v, want %+v", o, report, want)
		}
		sameRecords(t, db, before, path)
	}
}

// sameRecords fails the test if a record other than the clock's has changed.
func sameRecords(t *testing.T, db *snib.DB, before []byte, path string) {
	t.Helper()
	old := filepath.Join(t.TempDir(), "old.db")
	if err := os.WriteFile(old, before, 0o600); err != nil {
		t.Fatal(err)
	}
	was, is := dumped(t, openBolt(t, old)), dumped(t, handle(t, db))
	delete(was, "meta/state")
	delete(is, "meta/state")
	if !maps.Equal(was, is) {
		t.Errorf("%s has changed", path)
	}
}

// collidingRows collide within a batch, across batches and with who is here. The
// earlier row wins, whatever is in which batch.
func collidingRows() []snib.UserImport {
	rows := manyRows(2500)
	rows[10].Identifier = strings.ToUpper(rows[5].Identifier)     // of one batch
	rows[2000].Identifier = rows[6].Identifier                    // of different batches
	rows[2001].Attributes = snib.Attributes{"nick": "Resident"}   // of who is here
	rows[2002].ID = "resident"                                    // likewise, with another identity
	rows[2003].ID, rows[2003].Identifier = rows[3].ID, "other@x"  // an id twice
	rows[2004].PasswordHash = "$2b$99$" + strings.Repeat("a", 53) // wrong
	rows[2005].Provider = ""
	rows[2006].Others = []snib.Identity{{Provider: "github", Identifier: "1"}, {Provider: "email", Identifier: rows[6].Identifier}}
	rows[2007].Others = []snib.Identity{{Provider: "github", Identifier: "1"}} // free: 2006 left nothing
	rows[2008].Others = []snib.Identity{{Provider: "email", Identifier: rows[2008].Identifier}}
	rows[2009].Row = 7000 // rows are counted from here
	rows[2499].ID = "no id at all!"
	return rows
}

func TestImportUsersReportsEachRefusalAndGoesOn(t *testing.T) {
	rows := collidingRows()
	for _, dry := range []bool{true, false} {
		db := snibtest.NewDB(t, nickIndex)
		must(db.ImportUser(ctx, snib.UserImport{ID: "resident", Provider: "email", Identifier: "r@example.com", Attributes: snib.Attributes{"nick": "resident"}}))(t)
		var each []snib.ImportedRow
		report := must(db.ImportUsers(ctx, rowsOf(rows...), snib.ImportOptions{DryRun: dry, Each: func(r snib.ImportedRow) { each = append(each, r) }}))(t)
		want := []snib.ImportedRow{
			{Row: 11, Holder: rows[5].ID, HolderRow: 6, Err: snib.ErrIdentityTaken},
			{Row: 2001, Holder: rows[6].ID, HolderRow: 7, Err: snib.ErrIdentityTaken},
			{Row: 2002, Holder: "resident", Err: snib.ErrAttributeTaken},
			{Row: 2003, Holder: "resident", Err: &snib.InputError{Field: "ID"}},
			{Row: 2004, Holder: rows[3].ID, HolderRow: 4, Err: &snib.InputError{Field: "ID"}},
			{Row: 2005, Err: &snib.InputError{Field: "PasswordHash"}},
			{Row: 2006, Err: &snib.InputError{Field: "Provider"}},
			{Row: 2007, Holder: rows[6].ID, HolderRow: 7, Err: snib.ErrIdentityTaken},
			{Row: 2009, Err: &snib.InputError{Field: "Others[0].Identifier"}},
			{Row: 7490, Err: &snib.InputError{Field: "ID"}},
		}
		if report.Rows != 2500 || report.Refused != len(want) || report.Imported != 2500-len(want) || report.Collisions != 6 || len(each) != 2500 {
			t.Errorf("dry %t: %+v, %d told of", dry, report, len(each))
		}
		if n := report.Reasons[snib.ErrIdentityTaken.Error()]; n != 3 {
			t.Errorf("reasons %v", report.Reasons)
		}
		for i, got := range report.Refusals {
			if i >= len(want) {
				t.Errorf("dry %t: refused %+v", dry, got)
				continue
			}
			w := want[i]
			if got.Row != w.Row || got.Holder != w.Holder || got.HolderRow != w.HolderRow || got.Outcome != snib.RowRefused || !sameRefusal(got.Err, w.Err) {
				t.Errorf("dry %t: refused %+v, want %+v", dry, got, w)
			}
		}
		if n := must(db.Check(ctx))(t).Users; dry && n != 1 || !dry && n != 2500-len(want)+1 {
			t.Errorf("dry %t: %d users", dry, n)
		}
		for _, r := range each {
			if _, err := db.GetUser(ctx, r.ID); r.Outcome == snib.RowImported && (err == nil) == dry {
				t.Fatalf("dry %t: user %s of row %d: %v", dry, r.ID, r.Row, err)
			}
		}
	}
}

func sameRefusal(got, want error) bool {
	g, ok := errors.AsType[*snib.InputError](got)
	if w, is := errors.AsType[*snib.InputError](want); is {
		return ok && g.Field == w.Field
	}
	return errors.Is(got, want)
}

// Monday's import, Friday's: users who did nothing here are as on Friday in the
// other system, the others as they are here.
func TestImportUsersUpdatesUsersWhoDidNothingHere(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Indexes: nickIndex.Indexes})
	hash := func(password string) string { return string(must(bcrypt.GenerateFromPassword([]byte(password), 4))(t)) }
	row := func(id, password string) snib.UserImport {
		return snib.UserImport{ID: snib.UserID(id), Provider: "email", Identifier: id + "@example.com", PasswordHash: hash(password),
			Attributes: snib.Attributes{"nick": id}, CreatedAt: clock.Now().Add(-time.Hour)}
	}
	monday := []snib.UserImport{row("idle", "monday-pass"), row("user", "monday-pass"), row("edited", "monday-pass"), row("banned", "monday-pass"), row("moved", "monday-pass")}
	must(db.ImportUsers(ctx, rowsOf(monday...), snib.ImportOptions{}))(t)
	clock.Advance(time.Hour)
	session := session(t, db, "idle")
	must2(db.LogIn(ctx, "email", "user@example.com", "monday-pass", snib.SessionOptions{}))(t)
	must(db.UpdateUserAttributes(ctx, "edited", snib.Attributes{"nick": "Edited here"}))(t)
	must(db.DisableUser(ctx, "banned", "here"))(t)
	version := must(db.GetUser(ctx, "idle"))(t).CredentialVersion

	friday := slices.Clone(monday)
	for i := range friday {
		friday[i].PasswordHash, friday[i].Attributes = hash("friday-pass"), snib.Attributes{"nick": "friday" + fmt.Sprint(i)}
	}
	friday[4].Identifier, friday[4].Others = "new@example.com", []snib.Identity{{Provider: "github", Identifier: "4", LinkedAt: time.UnixMilli(5)}}
	if r := must(db.ImportUsers(ctx, rowsOf(friday...), snib.ImportOptions{}))(t); r.Kept != 4 || r.Refused != 1 {
		t.Errorf("without Update: %+v", r)
	}
	for n, want := range []snib.ImportReport{{Rows: 5, Updated: 2, Kept: 3}, {Rows: 5, Updated: 2, Kept: 3}, {Rows: 5, Unchanged: 2, Kept: 3}} {
		if r := must(db.ImportUsers(ctx, rowsOf(friday...), snib.ImportOptions{Update: true, DryRun: n == 0}))(t); !reflect.DeepEqual(r, want) {
			t.Errorf("with Update, run %d: %+v, want %+v", n, r, want)
		}
		if n == 0 {
			valid(t, db, session)
		}
	}
	invalid(t, db, session) // the password it came by is another's secret now
	idle := must(db.GetUser(ctx, "idle"))(t)
	if idle.CredentialVersion != version+1 || !idle.PasswordChangedAt.Equal(clock.Now()) || !idle.CreatedAt.Equal(monday[0].CreatedAt) {
		t.Errorf("idle is %+v, the version was %d", idle, version)
	}
	friday[0].Attributes = snib.Attributes{"nick": "saturday"} // an update is not a change made here
	if r := must(db.ImportUsers(ctx, rowsOf(friday...), snib.ImportOptions{Update: true}))(t); r.Updated != 1 {
		t.Errorf("on Saturday: %+v", r)
	}
	for id, password := range map[string]string{"idle": "friday-pass", "user": "monday-pass", "edited": "monday-pass"} {
		must2(db.LogIn(ctx, "email", id+"@example.com", password, snib.SessionOptions{}))(t)
	}
	if u := must(db.GetUserByProviderID(ctx, "github", "4"))(t); u.ID != "moved" || u.Identities[0].Identifier != "new@example.com" || !u.Identities[1].LinkedAt.Equal(time.UnixMilli(5)) {
		t.Errorf("moved is %+v", u)
	}
	wantErr(t, second(db.GetUserByProviderID(ctx, "email", "moved@example.com")), snib.ErrUserNotFound)
	if u := must(db.GetUserByAttribute(ctx, "nick", "edited here"))(t); u.ID != "edited" {
		t.Errorf("the nick is %s's", u.ID)
	}
	if !must(db.GetUser(ctx, "banned"))(t).Disabled() {
		t.Error("an update has let a banned user in")
	}
}

// must2 is must for three results.
func must2[A, B any](_ A, _ B, err error) func(testing.TB) {
	return func(tb testing.TB) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func TestImportUserKeepsTimesAndIdentities(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	at := func(n int64) time.Time { return time.UnixMilli(1_000_000 + n) }
	u := must(db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: "a@example.com", LinkedAt: at(1),
		Others:       []snib.Identity{{Provider: "github", Identifier: "7", LinkedAt: at(2), VerifiedAt: at(4)}, {Provider: "google", Identifier: "8"}},
		PasswordHash: foreignHash, CreatedAt: at(0), PasswordChangedAt: at(3)}))(t)
	got := must(db.GetUserByProviderID(ctx, "github", "7"))(t)
	if providers(got) != providers(u) || len(got.Identities) != 3 || !got.Identities[0].LinkedAt.Equal(at(1)) || !got.Identities[1].LinkedAt.Equal(at(2)) ||
		!got.Identities[0].VerifiedAt.IsZero() || !got.Identities[1].VerifiedAt.Equal(at(4)) ||
		time.Since(got.Identities[2].LinkedAt).Abs() > time.Minute || !got.CreatedAt.Equal(at(0)) || !got.PasswordChangedAt.Equal(at(3)) {
		t.Errorf("imported as %+v", got)
	}
	many := snib.UserImport{Provider: "email", Identifier: "b@example.com", Others: make([]snib.Identity, 16)}
	wantField(t, second(db.ImportUser(ctx, many)), "Others")
	for field, i := range map[string]snib.UserImport{
		"LinkedAt":             {LinkedAt: time.Now().Add(time.Hour)},
		"VerifiedAt":           {VerifiedAt: time.Now().Add(time.Hour)},
		"PasswordChangedAt":    {PasswordHash: foreignHash, PasswordChangedAt: time.UnixMilli(-1)},
		"Others[1].LinkedAt":   {Others: []snib.Identity{{Provider: "github", Identifier: "9"}, {Provider: "github", Identifier: "10", LinkedAt: time.UnixMilli(-1)}}},
		"Others[0].Identifier": {Others: []snib.Identity{{Provider: "github"}}},
		"Others[0].Provider":   {Others: []snib.Identity{{Provider: "Git Hub", Identifier: "9"}}},
	} {
		i.Provider, i.Identifier = "email", "b@example.com"
		wantField(t, second(db.ImportUser(ctx, i)), field)
	}
}

// Between batches: what is committed is told, and the rest comes with another run.
func TestImportUsersEndsBetweenBatchesAndGoesOn(t *testing.T) {
	db := snibtest.NewDB(t, nickIndex)
	rows := manyRows(3500)
	stop, cancel := context.WithCancel(ctx)
	seen := 0
	report, err := db.ImportUsers(stop, rowsOf(rows...), snib.ImportOptions{Each: func(snib.ImportedRow) {
		if seen++; seen == 1200 {
			cancel()
		}
	}})
	wantErr(t, err, context.Canceled)
	if report.Rows != 2000 || must(db.Check(ctx))(t).Users != 2000 {
		t.Errorf("report %+v", report)
	}
	broken := errors.New("the source is broken")
	report, err = db.ImportUsers(ctx, func(yield func(snib.UserImport, error) bool) {
		for i, r := range rows {
			if i == 3300 {
				yield(snib.UserImport{}, broken)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}, snib.ImportOptions{})
	wantErr(t, err, broken)
	if report.Imported != 1300 || report.Unchanged != 2000 {
		t.Errorf("report %+v", report)
	}
	if report := must(db.ImportUsers(ctx, rowsOf(rows...), snib.ImportOptions{}))(t); report.Imported != 200 || report.Unchanged != 3300 {
		t.Errorf("report %+v", report)
	}
}

func TestImportUsersTellsItsProgress(t *testing.T) {
	var log events
	var told []snib.Progress
	db := snibtest.NewDB(t, &snib.Options{Logger: log.logger(), Progress: func(p snib.Progress) { told = append(told, p) }})
	told = nil
	must(db.ImportUsers(ctx, rowsOf(manyRows(1200)...), snib.ImportOptions{}))(t)
	want := []snib.Progress{{Op: "import", Done: 1000}, {Op: "import", Done: 1200}, {Op: "import", Done: 1200, Total: 1200}}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if s := log.String(); !strings.Contains(s, "users are being imported") || !strings.Contains(s, "rows=1200") && !strings.Contains(s, `"rows":1200`) {
		t.Errorf("log %q", s)
	}
}

// A dry run keeps users, but no hash, in a temporary file, which goes.
func TestImportUsersDryRunLeavesNoFileAndNoHash(t *testing.T) {
	dir := t.TempDir()
	db := snibtest.OpenDB(t, filepath.Join(dir, "a.db"), nil)
	found, other := 0, snibtest.NewDB(t, nil)
	stored := storedHash(t, other, must(other.ImportUser(ctx, manyRows(1)[0]))(t).ID)
	must(db.ImportUsers(ctx, rowsOf(manyRows(1500)...), snib.ImportOptions{DryRun: true, Each: func(r snib.ImportedRow) {
		if r.Row != 1000 {
			return
		}
		for _, path := range must(filepath.Glob(filepath.Join(dir, "*sorting*")))(t) {
			content := string(must(os.ReadFile(path))(t))
			if found++; strings.Contains(content, stored) || !strings.Contains(content, "@example.com") {
				t.Error("the temporary file has a hash, or no user")
			}
		}
	}}))(t)
	if left := must(os.ReadDir(dir))(t); found != 1 || len(left) != 1 {
		t.Errorf("found %d, left %v", found, left)
	}
}

// A callback that panics leaves no file with users behind either.
func TestImportUsersDryRunPanics(t *testing.T) {
	dir := t.TempDir()
	db := snibtest.OpenDB(t, filepath.Join(dir, "a.db"), nil)
	func() {
		defer func() { recover() }()
		db.ImportUsers(ctx, rowsOf(manyRows(1)...), snib.ImportOptions{DryRun: true, Each: func(snib.ImportedRow) { panic("each") }})
	}()
	if left := must(os.ReadDir(dir))(t); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// A dry run says what the run then does, on a file too in which nothing was
// sealed before.
func TestImportUsersDryRunOfTheFirstSealedHash(t *testing.T) {
	db := snibtest.OpenDB(t, filepath.Join(t.TempDir(), "a.db"), sealing(testKey("k1", 1)))
	rows := manyRows(1100)
	rows = append(rows, rows[1090], rows[3]) // of this batch, and of the one before
	var reports []snib.ImportReport
	for _, dry := range []bool{true, false} {
		reports = append(reports, must(db.ImportUsers(ctx, rowsOf(rows...), snib.ImportOptions{DryRun: dry, Update: true}))(t))
	}
	if want := (snib.ImportReport{Rows: 1102, Imported: 1100, Unchanged: 2}); !reflect.DeepEqual(reports[0], want) || !reflect.DeepEqual(reports[1], want) {
		t.Errorf("%+v, want %+v", reports, want)
	}
}

// An import of digests has the operator's turn at the gate: a flood of strangers
// does not turn it away.
func TestImportsHashInTheOperatorsTurn(t *testing.T) {
	digest := md5.Sum([]byte(password))
	row := snib.UserImport{Provider: "email", Identifier: "ada@example.com", PasswordHash: hex.EncodeToString(digest[:]), PasswordSource: "md5"}
	for name, imports := range map[string]func(context.Context, *snib.DB) error{
		"ImportUser": func(ctx context.Context, db *snib.DB) error { return second(db.ImportUser(ctx, row)) },
		"ImportUsers": func(ctx context.Context, db *snib.DB) error {
			return second(db.ImportUsers(ctx, rowsOf(row), snib.ImportOptions{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := snibtest.NewDB(t, &snib.Options{Passwords: snib.PasswordPolicy{Queue: 1, QueueTime: -1}})
			release := make(chan struct{})
			if err := db.ObserveHashes(func(string) { <-release }); err != nil {
				t.Fatal(err)
			}
			lanes := runtime.GOMAXPROCS(0)
			var flood sync.WaitGroup
			defer flood.Wait()
			for i := range lanes + 1 { // one waits
				flood.Go(func() { db.AuthenticateUser(ctx, "email", fmt.Sprint(i, "@example.com"), "a guess") })
			}
			until := func(reached func(snib.Stats) bool) {
				for !reached(must(db.Stats(ctx))(t)) {
					time.Sleep(time.Millisecond)
				}
			}
			until(func(s snib.Stats) bool { return s.HashesRunning == lanes && s.HashesWaiting == 1 })
			done := make(chan error)
			go func() { done <- imports(snib.AsOperator(ctx), db) }()
			until(func(s snib.Stats) bool { return s.HashesRefused > 0 })
			close(release)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestImportUsersThatReplacesAHashIsAReset: of API keys too, which a user keeps who
// gives the old password.
func TestImportUsersThatReplacesAHashIsAReset(t *testing.T) {
	for _, keep := range []bool{false, true} {
		db := snibtest.NewDB(t, &snib.Options{Passwords: snib.PasswordPolicy{ResetKeepsAPIKeys: keep}})
		row := snib.UserImport{ID: "ada", Provider: "email", Identifier: "ada@example.com", PasswordHash: strings.Repeat("0a", 16), PasswordSource: "md5"}
		must(db.ImportUsers(ctx, rowsOf(row), snib.ImportOptions{}))(t)
		must(db.APIKeys().Create(ctx, session(t, db, "ada"), snib.NewAPIKey{Name: "backup", TTL: time.Hour}))(t)
		row.PasswordHash = strings.Repeat("0b", 16)
		if r := must(db.ImportUsers(ctx, rowsOf(row), snib.ImportOptions{Update: true}))(t); r.Updated != 1 {
			t.Fatalf("report %+v", r)
		}
		if keys := must(db.APIKeys().List(ctx, "ada"))(t); len(keys) == 1 != keep {
			t.Errorf("kept %v: %d keys", keep, len(keys))
		}
	}
}
