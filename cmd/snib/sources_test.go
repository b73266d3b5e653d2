package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
)

// A sample is an export of another system, and a user of it with the password.
type sample struct {
	from, file, params             string
	provider, identifier, password string
	rows, imported                 int
}

// samples are those of the package importer, which says what is in them.
var samples = []sample{
	{"better-auth", "better-auth.sqlite", "", "email", "u0@example.com", "correct horse 0", 6, 6},
	{"pocketbase", "pocketbase.sqlite", "", "email", "p0@example.com", "correct horse 0", 6, 5},
	{"django", "django.csv", "", "username", "dj0", "correct horse 0", 6, 6},
	{"wordpress", "wordpress.csv", "", "username", "ada", "correct horse 2", 5, 4},
	{"auth0", "auth0.jsonl", "", "email", "a0@example.com", "correct horse 0", 4, 3},
	{"clerk", "clerk.csv", "", "email", "ada@example.com", "correct horse 0", 4, 3},
	{"supabase", "supabase.csv", "", "email", "moved@example.com", "mytestpassword", 4, 3},
	{"firebase", "firebase.json", "firebase-params.json", "email", "ada@example.com", "user1password", 3, 2},
	{"keycloak", "keycloak.json", "", "username", "k0", "correct horse 7", 5, 4},
	{"kratos", "kratos.json", "", "email", "ada@example.com", "correct horse 0", 2, 2},
	{"snib", "snib.jsonl", "", "email", "s2@example.com", "correct horse 7", 3, 2},
}

const samplesFolder = "../importer/testdata"

// copied returns a copy of a sample in a folder of its own, beside which a state can lie.
func (s sample) copied(tb testing.TB) string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(samplesFolder, s.file))
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), s.file)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func (s sample) words(path string, more ...string) []string {
	words := []string{"import", "--from", s.from, path}
	if s.params != "" {
		words = append(words, "--params", filepath.Join(samplesFolder, s.params))
	}
	return append(words, more...)
}

// report reads the report that the command printed.
func report(tb testing.TB, got answer) importer.Report {
	tb.Helper()
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	var r importer.Report
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil || got.code != exitDone {
		tb.Fatalf("%v: %+v", err, got)
	}
	r.Seconds = 0
	return r
}

// freshDB is a file without accounts.
func freshDB(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "a.db")
	o := new(snib.Options)
	tuned(o)
	db, err := snib.Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// logsIn reports that the user's password is good there and another is not.
func logsIn(tb testing.TB, db *snib.DB, s sample) {
	tb.Helper()
	operator := snib.AsOperator(ctx)
	if _, err := db.AuthenticateUser(operator, s.provider, s.identifier, s.password); err != nil {
		tb.Errorf("%s %s: %v", s.provider, s.identifier, err)
	}
	if _, err := db.AuthenticateUser(operator, s.provider, s.identifier, s.password+"x"); err == nil {
		tb.Errorf("%s %s: any password", s.provider, s.identifier)
	}
}

// TestEverySampleMovesIn on a file and through a program: a dry run writes nothing,
// the reports are the same, a known user logs in afterwards, and a second run changes
// nothing.
func TestEverySampleMovesIn(t *testing.T) {
	for _, s := range samples {
		t.Run(s.from, func(t *testing.T) {
			t.Parallel()
			var reports [2][3]importer.Report
			for live := range 2 {
				path, input := freshDB(t), s.copied(t)
				stop := func() {}
				if live == 1 {
					_, stop = serve(t, path)
				}
				reports[live][0] = report(t, try(on(path, s.words(input, "--dry-run")...)...))
				if got := try(on(path, "users")...); got.out != "" || got.code != exitDone {
					t.Errorf("a dry run has left %+v", got)
				}
				reports[live][1] = report(t, try(on(path, s.words(input)...)...))
				reports[live][2] = report(t, try(on(path, s.words(input)...)...))
				stop()
				if left, _ := filepath.Glob(input + "?*"); len(left) > 0 {
					t.Errorf("left beside the source: %v", left)
				}
				o := new(snib.Options)
				tuned(o)
				db, err := snib.Open(path, o)
				if err != nil {
					t.Fatal(err)
				}
				logsIn(t, db, s)
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				sound(t, path)
			}
			for i, name := range []string{"dry", "first", "again"} {
				file, program := reports[0][i], reports[1][i]
				for _, r := range []*importer.Report{&file, &program} {
					for at := range r.CollisionList {
						r.CollisionList[at].Holder = "" // an id of its database
					}
				}
				got, _ := json.Marshal(program)
				if want, _ := json.Marshal(file); string(got) != string(want) {
					t.Errorf("%s, through the program:\n%s\non the file:\n%s", name, got, want)
				}
			}
			first, again := reports[0][1], reports[0][2]
			if first.Rows != s.rows || first.Imported != s.imported || !first.Finished || reports[0][0].Imported != s.imported {
				t.Errorf("%+v", first)
			}
			if again.Imported+again.Updated != 0 || again.Rows != s.rows {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// TestEverySampleIsTried: a sample of the importer that no test gives to the command
// fails here.
func TestEverySampleIsTried(t *testing.T) {
	files, err := os.ReadDir(samplesFolder)
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if !slices.ContainsFunc(samples, func(s sample) bool { return s.file == f.Name() || s.params == f.Name() }) {
			t.Errorf("%s is in no test", f.Name())
		}
	}
}

// TestSecretsAreNoArguments, and a refused one is not printed.
func TestSecretsAreNoArguments(t *testing.T) {
	path, secret := freshDB(t), "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH"
	mapping := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(mapping, []byte(`{"format":"csv","params":[{"name":"key","secret":true},{"name":"site"}],
		"identities":[{"provider":"email","identifier":"{email}"}],"attributes":{"n":"n"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "u.csv")
	if err := os.WriteFile(users, []byte("email,n\nada@example.com,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	firebase := samples[slices.IndexFunc(samples, func(s sample) bool { return s.from == "firebase" })].copied(t)
	for _, words := range [][]string{
		{"import", "--from", "firebase", firebase, "--param", "signer_key=" + secret},
		{"import", "--from", "firebase", firebase, "--param", "signer_keys=" + secret},
		{"import", "--from", "csv", "--mapping", mapping, users, "--param", "key=" + secret},
	} {
		if got := try(on(path, words...)...); got.code != exitUsage || strings.Contains(got.out+got.err, secret) {
			t.Errorf("%v: %+v", words, got)
		}
	}
	if r := report(t, try(on(path, "import", "--from", "csv", "--mapping", mapping, users, "--param", "site=x")...)); r.Imported != 1 {
		t.Errorf("a parameter that is no secret: %+v", r)
	}
}

// TestParametersAndProvidersReachTheSource.
func TestParametersAndProvidersReachTheSource(t *testing.T) {
	for _, live := range []bool{false, true} {
		path := freshDB(t)
		if live {
			serve(t, path)
		}
		django := sample{from: "django", file: "django.csv"}
		if r := report(t, try(on(path, django.words(django.copied(t), "--provider", "username=login", "--provider", "email=")...)...)); r.Imported != 6 || r.Identities != 0 {
			t.Errorf("%+v", r)
		}
		if got := try(on(path, "user", "show", "login=dj0")...); got.code != exitDone {
			t.Errorf("%+v", got)
		}
		pocketbase := sample{from: "pocketbase", file: "pocketbase.sqlite"}
		if got := try(on(path, pocketbase.words(pocketbase.copied(t), "--param", "collection=nothing")...)...); got.code != exitFailed || !strings.Contains(got.err, "nothing") {
			t.Errorf("another collection: %+v", got)
		}
	}
}
