package importer_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
)

// ends reads a source to its end and returns the rows and the error.
func ends(t testing.TB, s importer.Source) (rows []importer.Row, err error) {
	t.Helper()
	r, err := importer.Open(t.Context(), s)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for row, err := range r.Rows() {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// mapped is a source of a format with the mapping of these tests.
func mapped(t testing.TB, format, text string) importer.Source {
	file := strings.Replace(mapping, `"csv"`, `"`+format+`"`, 1)
	if format == "json" {
		file = strings.Replace(file, `"id"`, `"records": ["", "users"], "id"`, 1)
	}
	return importer.Source{From: format, Path: write(t, "users."+format, text), File: write(t, "mapping.json", file)}
}

// TestFaultsOfAFileHaveALineAndAColumn: faults behind which nothing can be read.
func TestFaultsOfAFileHaveALineAndAColumn(t *testing.T) {
	const good = `{"id":"a","email":"a@example.com"}`
	for _, c := range []struct {
		format, text string
		rows         int
		line, column int // 0: any column
		reason       string
	}{
		{"csv", "", 0, 1, 0, "no line of column names"},
		{"csv", "id;email;hash\n", 0, 1, 0, "no column \"hash\", which the mapping needs"},
		{"csv", "id,id\n", 0, 1, 0, "column 2 has no name"},
		{"csv", "id,email,hash\na,a@example.com,\nb,b\"@x,\n", 1, 3, 4, "a quotation mark out of place"},
		{"csv", "id,email,hash\na,\"a@example.com", 0, 2, 0, "a quotation mark out of place"},
		{"csv", "id,email,hash\na," + strings.Repeat("x", 3<<20), 0, 2, 0, "a row longer than"},
		{"csv", "id,email,hash\na,b,\nb,\"" + strings.Repeat("x\n", 2<<20), 1, 3, 0, "a row longer than"},
		{"json", "[" + good + ",\n{\"id\":\"b\",]", 1, 2, 11, "not JSON"},
		{"json", "[" + good + ",\n  {\"id\": \"b\", \"email\": x}]", 1, 2, 24, "not JSON: unexpected character"},
		{"json", "[" + good, 1, 1, 0, "unexpected end"},
		{"json", "[" + good + ",", 1, 1, 0, "unexpected end"},
		{"json", `{"users": [` + good + "]", 1, 1, 0, "unexpected end"},
		{"json", `{"users": [` + good + "]}\n]", 1, 2, 0, "more behind the document"},
		{"json", `{"people": [` + good + "]}", 0, 1, 0, "has none of the lists"},
		{"json", `{"users": [` + good + `], "users": []}`, 1, 1, 0, "a second list"},
		{"json", `{"x": "` + strings.Repeat("[", 1000), 0, 1, 0, "unexpected end"},
		{"json", "[{\"id\":\"" + strings.Repeat("x", 2<<20) + "\"}]", 0, 1, 2, "a value longer than"},
		{"json", "", 0, 1, 1, "unexpected end"},
		{"json", "12", 0, 1, 1, "one of"},
	} {
		rows, err := ends(t, mapped(t, c.format, c.text))
		wrong, ok := errors.AsType[*importer.SyntaxError](err)
		if !ok || wrong.Line != c.line || c.column != 0 && wrong.Column != c.column || !strings.HasPrefix(wrong.Reason, c.reason) && !strings.Contains(wrong.Reason, c.reason) {
			t.Errorf("%s %.40q: %v", c.format, c.text, err)
		}
		if len(rows) != c.rows {
			t.Errorf("%s %.40q: %d rows, want %d", c.format, c.text, len(rows), c.rows)
		}
		// The rows before the fault are imported, and counted.
		r, err := importer.Run(t.Context(), newDB(t, nil), mapped(t, c.format, c.text), importer.Options{State: "-"})
		if err == nil || r.Finished || r.Rows != c.rows {
			t.Errorf("%s %.40q: run: %d rows, %v", c.format, c.text, r.Rows, err)
		}
	}
}

// TestFaultsOfARowRefuseIt: the rows after it are read, and no value is shown.
func TestFaultsOfARowRefuseIt(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, c := range []struct{ format, bad, kind, place string }{
		{"jsonl", `{"id":"S3CRET`, "not JSON: unexpected end", "line 2, column 14"},
		{"jsonl", `{"id":S3CRET}`, "not JSON: unexpected character", "line 2, column 7"},
		{"jsonl", `["S3CRET"]`, "not a JSON object", "line 2, column 1"},
		{"jsonl", `{"id":"a"} S3CRET`, "more behind the JSON value", "line 2, column 11"},
		{"jsonl", `{"x":` + deep + `}`, "JSON nests deeper than 32", "line 2, column 37"},
		{"jsonl", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, "longer than 1048576 bytes", "line 2"},
		{"jsonl", "{\"x\":\"S3CRET\xff\"}", "not valid UTF-8", "line 2, column 13"},
		{"jsonl", `{"email":["S3CRET"]}`, "a list or an object in the place of text", "email"},
		{"jsonl", `{"email":"a@b.c","off":"S3CRET"}`, "neither true nor false", "off"},
		{"jsonl", `{"email":"a@b.c","x":99999999999999999999}`, "a number of more than 64 bits", "attribute x"},
		{"jsonl", `{"id":"x"}`, "no identity: the fields for it are empty", ""},
		{"jsonl", `{"email":"S3CRET"}`, "Identifier", ""},
		{"jsonl", `{"email":"a@b.c","hash":"$S3CR$S3CRET"}`, "PasswordHash", ""},
		{"jsonl", `{"email":"a@b.c","hash":"S3CRETS3CRET"}`, "PasswordHash", ""},
		{"jsonl", `{"email":"a@b.c","x":"` + strings.Repeat("x", 70_000) + `"}`, "Attributes", ""},
		{"jsonl", `{"id":"a b","email":"a@b.c"}`, "ID must be", ""},
		{"csv", "a,b", "another number of fields than the line of names", "line 2"},
		{"csv", "a,\xff,,,,", "not valid UTF-8", "email"},
		{"json", `{"x":` + deep + `},`, "JSON nests deeper than 32", "line 2, column 37"},
		{"json", `"S3CRET",`, "not a JSON object", "line 2, column 1"},
	} {
		const last = `{"id":"z","email":"z@example.com"}`
		text := map[string]string{
			"jsonl": `{"id":"y","email":"y@example.com"}` + "\n" + c.bad + "\n" + last,
			"csv":   "id,email,github,hash,off,name\n" + c.bad + "\nz,z@example.com,,,,\n",
			"json":  "[\n" + c.bad + "\n" + last + "]",
		}[c.format]
		db := newDB(t, nil)
		r := run(t, db, mapped(t, c.format, text), importer.Options{})
		user(t, db, "email", "z@example.com")
		if r.Refused != 1 || len(r.RefusedKinds) != 1 || !strings.HasPrefix(r.RefusedKinds[0].Kind, c.kind) {
			t.Errorf("%.60q: %+v, want %s", c.bad, r.RefusedKinds, c.kind)
			continue
		}
		if at := r.RefusedKinds[0].Rows[0]; at.Place != c.place || at.Row != 2 && c.format != "json" {
			t.Errorf("%.60q: at %+v, want %s", c.bad, at, c.place)
		}
		if said := fmt.Sprintf("%+v", r); strings.Contains(said, "S3CRETS3CRET") || c.kind != "neither true nor false" && strings.Contains(said, "S3CRET\"") {
			t.Errorf("%.60q: the report shows the value: %s", c.bad, said)
		}
	}
}

// TestAHashIsNeverDropped: a row whose hash cannot be read makes no user.
func TestAHashIsNeverDropped(t *testing.T) {
	for _, c := range samples {
		db := newDB(t, nil)
		run(t, db, importer.Source{From: c.from, Path: sample(t, c.file), Params: c.params}, importer.Options{State: "-"})
		withHash := 0
		for u, err := range db.ListUsers(t.Context(), snib.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if u.HasPassword {
				withHash++
			}
		}
		// One of Django's is "!", which is no password.
		if want := map[string]int{"django": c.passwords - 1}; withHash != c.passwords && withHash != want[c.from] {
			t.Errorf("%s: %d users with a password, %d rows", c.from, withHash, c.passwords)
		}
	}
}

// TestParametersAreNeeded: without the key of the project no Firebase hash can be
// read, and the run ends at the first; unknown ones are refused.
func TestParametersAreNeeded(t *testing.T) {
	s := importer.Source{From: "firebase", Path: sample(t, "firebase.json")}
	r, err := importer.Run(t.Context(), newDB(t, nil), s, importer.Options{DryRun: true})
	if err == nil || !strings.Contains(err.Error(), "parameter signer_key") && !strings.Contains(err.Error(), "parameter salt_separator") || r.Imported != 0 {
		t.Errorf("without: %v, %+v", err, r)
	}
	if s.Params, err = importer.ReadParams("testdata/firebase-params.json"); err != nil {
		t.Fatal(err)
	}
	db := newDB(t, nil)
	run(t, db, s, importer.Options{})
	logsIn(t, db, "email", "ada@example.com", "user1password")
	s.Params["signer"] = "x"
	if _, err := importer.Open(t.Context(), s); err == nil || strings.Contains(err.Error(), "jxspr8") {
		t.Errorf("an unknown parameter: %v", err)
	}
}

// TestDatabasesAreOnlyRead: the file stays as it was, with nothing beside it, a log
// of a killed program counts, and what is no database or hostile is an error.
func TestDatabasesAreOnlyRead(t *testing.T) {
	path := sample(t, "better-auth.sqlite")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := ends(t, importer.Source{From: "better-auth", Path: path}); err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	after, _ := os.ReadFile(path)
	if list, _ := filepath.Glob(filepath.Dir(path) + "/*"); string(before) != string(after) || len(list) != 1 {
		t.Errorf("the file has changed, or there are more: %q", list)
	}
	// Truncated, and no database at all.
	for name, text := range map[string]string{"cut": string(before[:len(before)/2]), "text": "no database", "empty": ""} {
		_, err := ends(t, importer.Source{From: "better-auth", Path: write(t, name, text)})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, statements := range map[string]string{
		"view":  `CREATE VIEW user AS WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM r) SELECT id, id AS email, 0 AS emailVerified, 0 AS createdAt FROM r; CREATE TABLE account (accountId, providerId, userId, password, createdAt)`,
		"none":  `CREATE TABLE users (id)`,
		"other": `CREATE TABLE user (id, name); CREATE TABLE account (id)`,
	} {
		path := filepath.Join(t.TempDir(), name+".sqlite")
		execute(t, path, statements)
		if _, err := ends(t, importer.Source{From: "better-auth", Path: path}); err == nil || !strings.Contains(err.Error(), "table") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func execute(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

// TestALogBesideTheDatabaseCounts: users who are only in the write-ahead log of a
// program that was killed are imported, and the log stays.
func TestALogBesideTheDatabaseCounts(t *testing.T) {
	path, temp := sample(t, "better-auth.sqlite"), t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp) // Windows
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range []string{
		"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0",
		"INSERT INTO user (id, name, email, emailVerified, createdAt, updatedAt) VALUES ('zz', 'Z', 'wal@example.com', 1, '2025-01-01T00:00:00.000Z', '2025-01-01T00:00:00.000Z')",
	} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := ends(t, importer.Source{From: "better-auth", Path: path})
	if err != nil || len(rows) != 7 || rows[6].User.Identifier != "wal@example.com" {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestOpenNamesTheFault: unknown sources, missing files and mappings.
func TestOpenNamesTheFault(t *testing.T) {
	good := write(t, "x", "id\n")
	for want, s := range map[string]importer.Source{
		"no source":              {From: "okta", Path: good},
		"no such file":           {From: "django", Path: good + "x"},
		"not a regular file":     {From: "django", Path: t.TempDir()},
		"a mapping file must be": {From: "csv", Path: good},
		"takes no mapping file":  {From: "django", Path: good, File: good},
		"the mapping is for csv": {From: "jsonl", Path: good, File: write(t, "m.json", mapping)},
		"no auth collection":     {From: "pocketbase", Path: sample(t, "pocketbase.sqlite"), Params: map[string]string{"collection": "staff"}},
	} {
		if _, err := importer.Open(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestProvidersAreRenamed: names that the default rule refuses come in under a
// provider of their own, and others are left out.
func TestProvidersAreRenamed(t *testing.T) {
	db := newDB(t, nil)
	s := importer.Source{From: "wordpress", Path: sample(t, "wordpress.csv"), Providers: map[string]string{"username": "login"}}
	if r := run(t, db, s, importer.Options{}); r.Imported != 5 || r.Refused != 0 {
		t.Errorf("%+v", r)
	}
	logsIn(t, db, "login", "ada lovelace", "correct horse 2")
	db = newDB(t, nil)
	s.Providers = map[string]string{"username": ""}
	if r := run(t, db, s, importer.Options{}); r.Imported != 5 || r.Identities != 0 {
		t.Errorf("%+v", r)
	}
}
