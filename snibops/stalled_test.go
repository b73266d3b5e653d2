package snibops

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// TestAnInputThatStopsIsSaid: a client whose input gives no row for too long is
// told so, and a later import goes on.
func TestAnInputThatStopsIsSaid(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	s := newServer(db, (*Options)(nil).clean(), true)
	s.idle = time.Second
	t.Cleanup(s.close)
	here, there := net.Pipe()
	t.Cleanup(func() { _ = here.Close() })
	s.start(there, "test")
	handshake(t, here)
	ask(t, here, string(VerbImport), ImportArgs{})
	go func() { // a batch, and a part of one
		for i := range 1500 {
			if writeFrame(here, kindInput, fmt.Appendf(nil, `{"provider":"username","identifier":"i%05d"}`, i)) != nil {
				return
			}
		}
	}()
	k, payload, err := readFrame(here, MaxFrame)
	for err == nil && k == kindProgress {
		k, payload, err = readFrame(here, MaxFrame)
	}
	if err != nil || k != kindError {
		t.Fatalf("%c %s %v", k, payload, err)
	}
	if err = failed(payload); !errors.Is(err, ErrStalled) || strings.Contains(err.Error(), "context") {
		t.Errorf("told: %v", err)
	}
	if n := must(db.Check(t.Context()))(t).Users; n%1000 != 0 {
		t.Errorf("%d users: not a whole batch", n)
	}
}

// TestAFloatStaysOne on its way through JSON, which writes 1.0 as 1.
func TestAFloatStaysOne(t *testing.T) {
	want := snib.UserImport{Attributes: snib.Attributes{"a": 1.0, "b": int64(1), "c": map[string]any{"d": []any{-2.0, 1e300}}}}
	var row ImportRow
	if err := exact(mustJSON(t, NewImportRow(want)), &row); err != nil {
		t.Fatal(err)
	}
	db := open(t, dbPath(t), snib.Options{})
	i := row.user()
	i.Provider, i.Identifier = "username", "ada"
	a := must(db.ImportUser(t.Context(), i))(t).Attributes()
	deep := a["c"].(map[string]any)["d"].([]any)
	if a["a"] != 1.0 || a["b"] != int64(1) || deep[0] != -2.0 || deep[1] != 1e300 {
		t.Errorf("%#v", a)
	}
}

// TestAPartOfAnIDFindsNobody: ids are found by their beginning alone.
func TestAPartOfAnIDFindsNobody(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	c := local(t, db, nil)
	for i, id := range []string{"usr-xadax", "ADA-1"} {
		must(db.ImportUser(t.Context(), snib.UserImport{ID: snib.UserID(id), Provider: "username", Identifier: fmt.Sprint("n", i)}))(t)
	}
	for part, want := range map[string]int{"ada": 1, "usr-xa": 1, "xadax": 0, "Usr": 1} {
		n := 0
		r, err := VerbUsers.Do(t.Context(), c, UsersArgs{Contains: part}, func(User) error { n++; return nil })
		if err != nil || n != want || r.Shown != want {
			t.Errorf("%q: %d users, %v, want %d", part, n, err, want)
		}
	}
}

// TestARefusalCrossesAsItsError: a row that was refused is the same error at the client.
func TestARefusalCrossesAsItsError(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{Indexes: []snib.Index{{Name: "plan", Unique: true}}})
	c := live(t, db, path, nil)
	lines := `{"provider":"username","identifier":"ada","attributes":{"plan":"x"}}
{"provider":"username","identifier":"ADA","attributes":{"n":1}}
{"provider":"username","identifier":"bob","attributes":{"plan":"x"}}
{"provider":"username","identifier":"not a name"}`
	var got []error
	must(c.Import(t.Context(), ImportArgs{All: true}, strings.NewReader(lines), func(r ImportedRow) error {
		got = append(got, r.Err())
		return nil
	}, nil))(t)
	taken, _ := errors.AsType[*snib.AttributeTakenError](got[2])
	wrong, _ := errors.AsType[*snib.InputError](got[3])
	if len(got) != 4 || got[0] != nil || !errors.Is(got[1], snib.ErrIdentityTaken) || taken == nil || taken.Name != "plan" || wrong == nil || wrong.Field != "Identifier" {
		t.Errorf("%v", got)
	}
}

// TestLatenciesWithin finds the bound that a part of the operations kept.
func TestLatenciesWithin(t *testing.T) {
	bounds := snib.LatencyBounds()
	l := Latencies{Count: 100, UpTo: make([]int64, len(bounds))}
	for i := range bounds {
		l.UpTo[i] = int64(min(i*20, 90))
	}
	for part, want := range map[float64]time.Duration{0.5: bounds[3], 0.2: bounds[1], 0.9: bounds[5]} {
		if d, more := l.Within(part); d != want || more {
			t.Errorf("%v: %v %v, want %v", part, d, more, want)
		}
	}
	if d, more := l.Within(0.99); d != bounds[len(bounds)-1] || !more {
		t.Errorf("beyond the bounds: %v %v", d, more)
	}
	if d, more := (Latencies{}).Within(0.5); d != 0 || more {
		t.Errorf("of none: %v %v", d, more)
	}
}
