package snibops

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

const someLines = "\ufeff" + `{"id":"a1","provider":"email","identifier":"ada@example.com","attributes":{"n":1152921504606846977,"f":1.0},"roles":["staff"],"created_at":"2020-01-02T03:04:05Z"}

{"id":"a2","provider":"email","identifier":"ADA@example.com"}
{"provider":"username","identifier":"grace","others":[{"provider":"email","identifier":"g@example.com","verified_at":"2020-01-02T03:04:05Z"}],"disabled":true,"disabled_reason":"left"}
{"provider":"username","identifier":"x","pasword_hash":"$2y$10$typing-error"}
nonsense
{"provider":"username","identifier":"not a name"}
`

// TestImportBothWays: good lines take effect, the others are told by their line,
// and a dry run tells the same and writes nothing.
func TestImportBothWays(t *testing.T) {
	for _, served := range []bool{false, true} {
		path := dbPath(t)
		db := open(t, path, snib.Options{})
		c := local(t, db, nil)
		if served {
			c = live(t, db, path, nil)
		}
		for _, dry := range []bool{true, false} {
			var refused []int
			var reasons []string
			r, err := c.Import(t.Context(), ImportArgs{DryRun: dry}, strings.NewReader(someLines), func(r ImportedRow) error {
				refused = append(refused, r.Row)
				reasons = append(reasons, r.Outcome+" "+r.Reason)
				return nil
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(refused)
			if r.Rows != 6 || r.Imported != 2 || r.Refused != 4 || r.Collisions != 1 || r.Reasons[noRow] != 2 || !slices.Equal(refused, []int{3, 5, 6, 7}) {
				t.Errorf("served %v, dry %v: %+v, refused lines %v %q", served, dry, r, refused, reasons)
			}
			if n := must(db.Check(t.Context()))(t).Users; n != map[bool]int{true: 0, false: 2}[dry] {
				t.Errorf("served %v, dry %v: %d users", served, dry, n)
			}
		}
		ada := must(db.GetUser(t.Context(), "a1"))(t)
		n, whole := snib.Attr[int64](ada.Attributes(), "n")
		f, broken := snib.Attr[float64](ada.Attributes(), "f")
		if n != 1<<60+1 || !whole || f != 1 || !broken || !ada.HasRole("staff") || !ada.CreatedAt.Equal(time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Errorf("served %v: %+v %v", served, ada, ada.Attributes())
		}
		grace := must(db.GetUserByProviderID(t.Context(), "email", "g@example.com"))(t)
		if !grace.Disabled() || grace.DisabledReason != "left" || grace.Identities[1].VerifiedAt.IsZero() {
			t.Errorf("served %v: %+v %v", served, grace, grace.Identities)
		}
	}
}

// manyLines gives n rows and then an error, or an end.
func manyLines(n int, end error) io.Reader {
	r, w := io.Pipe()
	go func() {
		for i := range n {
			if _, err := fmt.Fprintf(w, `{"id":"i%05d","provider":"username","identifier":"i%05d"}`+"\n", i, i); err != nil {
				return
			}
		}
		_ = w.CloseWithError(end)
	}()
	return r
}

// TestAnImportThatEndsEarlyLeavesWholeUsers, and the next one completes it: after
// an error of the source, of the caller, and of a client that dies.
func TestAnImportThatEndsEarlyLeavesWholeUsers(t *testing.T) {
	const n = 5000
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	c := live(t, db, path, nil)
	broken := errors.New("the disk of the source")
	if _, err := c.Import(t.Context(), ImportArgs{}, manyLines(n/2, broken), nil, nil); !errors.Is(err, broken) {
		t.Errorf("of the source: %v", err)
	}
	stop := errors.New("enough")
	if _, err := c.Import(t.Context(), ImportArgs{All: true}, manyLines(n, nil), func(r ImportedRow) error {
		if r.Row == 1500 {
			return stop
		}
		return nil
	}, nil); !errors.Is(err, stop) {
		t.Errorf("of the caller: %v", err)
	}
	conn := raw(t, path)
	ask(t, conn, string(VerbImport), ImportArgs{})
	for i := range 1700 {
		if err := writeFrame(conn, kindInput, fmt.Appendf(nil, `{"id":"i%05d","provider":"username","identifier":"i%05d"}`, i, i)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = conn.Write([]byte{0, 0}) // within a frame
	_ = conn.Close()
	settles(t, "rows of the dead client are there, and no more come", func() bool {
		before := must(db.Check(t.Context()))(t).Users
		return before >= 1000 && before < n && before == must(db.Check(t.Context()))(t).Users
	})
	last := Progress{}
	r := must(c.Import(t.Context(), ImportArgs{}, manyLines(n, nil), nil, func(p Progress) { last = p }))(t)
	if r.Rows != n || r.Imported+r.Unchanged != n || r.Unchanged < 1000 || last != (Progress{Op: "import", Done: n}) {
		t.Errorf("the next: %+v, told %+v", r, last)
	}
}

// TestInputOutOfTurnEndsAnImport with the rows of its batch.
func TestInputOutOfTurnEndsAnImport(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	live(t, db, path, nil)
	conn := raw(t, path)
	ask(t, conn, string(VerbImport), ImportArgs{})
	ask(t, conn, string(VerbUserDelete), UserArgs{"id=x"})
	k, payload, err := readFrame(conn, MaxFrame)
	if err != nil || k != kindError {
		t.Errorf("%c %s %v", k, payload, err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the connection goes on: %v", err)
	}
}

func TestALineThatIsTooLongIsToldByItsNumber(t *testing.T) {
	c := local(t, open(t, dbPath(t), snib.Options{}), nil)
	lines := `{"provider":"username","identifier":"a"}` + "\n" + strings.Repeat("x", MaxFrame)
	if _, err := c.Import(t.Context(), ImportArgs{}, strings.NewReader(lines), nil, nil); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Error(err)
	}
}

// TestRowsKeepEveryField on their way into JSON and back.
func TestRowsKeepEveryField(t *testing.T) {
	at := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	want := snib.UserImport{
		ID: "i", Provider: "p", Identifier: "x", LinkedAt: at, VerifiedAt: at.Add(1), Others: []snib.Identity{{Provider: "q", Identifier: "y", LinkedAt: at, VerifiedAt: at}},
		PasswordHash: "h", PasswordSource: "s", PasswordKey: &snib.PasswordKey{Scheme: "scrypt", Iterations: 1, N: 2, R: 3, P: 4, MemoryKiB: 5, Salt: []byte{6}, Key: []byte{7}},
		PasswordPepper: "pp", Roles: []string{"r"}, Attributes: snib.Attributes{"a": int64(1), "b": 1.5, "c": []any{"d", nil, true}},
		Disabled: true, DisabledReason: "why", CreatedAt: at.Add(2), PasswordChangedAt: at.Add(3), Row: 8,
	}
	everyFieldIsSet(t, want)
	var row ImportRow
	if err := exact(mustJSON(t, NewImportRow(want)), &row); err != nil {
		t.Fatal(err)
	}
	if got := row.user(); mustText(t, got) != mustText(t, want) {
		t.Errorf("got %s\nwant %s", mustText(t, got), mustText(t, want))
	}
}
