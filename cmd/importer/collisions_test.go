package importer_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
)

// TestCollisionsNameBothSides: with users of before and with rows of the file, equal
// and equal but for case, on identities, ids and unique values.
func TestCollisionsNameBothSides(t *testing.T) {
	db := newDB(t, &snib.Options{Indexes: []snib.Index{{Name: "name", Unique: true}}})
	before, err := db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "Before@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	s := csvSource(t, strings.Join([]string{
		"id,email,github,hash,off,name",
		"a,first@example.com,,,f,one",    // line 2
		"b,FIRST@example.com,,,f,two",    // 3: line 2, by case
		"c,before@example.com,,,f,three", // 4: the user of before, by case
		"d,d@example.com,,,f,one",        // 5: name of line 2
		"a,e@example.com,,,f,five",       // 6: id of line 2
		"f,f@example.com,7,,f,six",       // 7
		"g,g@example.com,7,,f,seven",     // 8: github of line 7
	}, "\n")+"\n")
	for _, o := range []importer.Options{{DryRun: true}, {}} {
		r := run(t, db, s, o)
		want := []importer.Collision{
			{Row: 3, ID: "b", On: "email", Value: "FIRST@example.com", Holder: "a", HolderRow: 2, HolderValue: "first@example.com", ByCase: true},
			{Row: 4, ID: "c", On: "email", Value: "before@example.com", Holder: string(before.ID), HolderValue: "Before@example.com", ByCase: true},
			{Row: 5, ID: "d", On: "attribute name", Holder: "a", HolderRow: 2},
			{Row: 6, ID: "a", On: "id", Value: "a", Holder: "a", HolderRow: 2, HolderValue: "a"},
			{Row: 8, ID: "g", On: "github", Value: "7", Holder: "f", HolderRow: 7, HolderValue: "7"},
		}
		if r.Collisions != len(want) || len(r.CollisionList) != len(want) {
			t.Fatalf("%d collisions: %+v", r.Collisions, r.CollisionList)
		}
		for i, c := range r.CollisionList {
			if c != want[i] {
				t.Errorf("dry run %v:\ngot  %+v\nwant %+v", o.DryRun, c, want[i])
			}
		}
	}
}

// TestListsAreBounded: counts are exact beyond the ends of the lists.
func TestListsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,email,github,hash,off,name\n")
	for range 1500 {
		b.WriteString(",same@example.com,,,f,x\n") // unchanged: it says what is here
		b.WriteString(",same@example.com,,,f,y\n")
	}
	r := run(t, newDB(t, nil), csvSource(t, b.String()), importer.Options{})
	if r.Collisions != 1500 || len(r.CollisionList) != importer.MaxCollisions || r.Unchanged != 1499 {
		t.Errorf("%d collisions, %d listed, %d unchanged", r.Collisions, len(r.CollisionList), r.Unchanged)
	}
	b.Reset()
	for i := range 300 {
		b.WriteString(`{"id":"u` + strings.Repeat("x", i%200+1) + `","field` + strings.Repeat("y", i) + `":1}` + "\n")
	}
	r = run(t, newDB(t, nil), importer.Source{From: "snib", Path: write(t, "x.jsonl", b.String())}, importer.Options{})
	if r.Refused != 300 || len(r.RefusedKinds) > importer.MaxKinds || len(r.RefusedKinds[0].Rows) > importer.MaxKindRows {
		t.Errorf("%d kinds of %d", len(r.RefusedKinds), r.Refused)
	}
}

// TestTheReportIsText: quoted where it is the source's, and JSON with all counts.
func TestTheReportIsText(t *testing.T) {
	s := csvSource(t, "id,email,github,hash,off,name\na,a@example.com,\x1b]0;evil\x07,,f,x\nb,b@example.com,,$\x1b[31m$,f,x\nc,A@example.com,,,f,x\n")
	r := run(t, newDB(t, nil), s, importer.Options{})
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\x07") {
		t.Errorf("the report commands the terminal: %q", text.String())
	}
	for _, want := range []string{"rows                 3", "refused, by kind", "line"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	text.Reset()
	evil := &importer.Report{
		Collisions: 1, CollisionList: []importer.Collision{{On: "email", Value: "\x1b[2J", HolderValue: "\x1b[3J"}},
		RefusedKinds: []importer.Kind{{Kind: "\x1b[4J", Count: 1}},
	}
	if err := evil.WriteText(&text); err != nil || strings.Contains(text.String(), "\x1b") {
		t.Errorf("the report commands the terminal: %q, %v", text.String(), err)
	}
	data, err := json.Marshal(r)
	var again importer.Report
	if err == nil {
		err = json.Unmarshal(data, &again)
	}
	if err != nil || again.Rows != 3 || again.Source != "csv" {
		t.Errorf("%v: %s", err, data)
	}
}
