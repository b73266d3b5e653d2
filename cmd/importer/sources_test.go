package importer_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
)

// A login is a user of a sample with the known password.
type login struct{ provider, identifier, password string }

// samples are all sources with what their samples must give.
var samples = []struct {
	from, file string
	params     map[string]string

	imported, refused, passwords, others, verified, disabled, created int
	logins                                                            []login
	kinds                                                             []string // of refusals, with their rows
	left                                                              []string
}{
	{
		from: "better-auth", file: "better-auth.sqlite",
		imported: 6, passwords: 5, others: 5, verified: 3, disabled: 1, created: 6,
		logins: []login{
			{"email", "u0@example.com", "correct horse 0"}, {"username", "User_2", "correct horse 2"},
			{"email", "u4@example.com", "correct horse 4"},
		},
	},
	{
		from: "pocketbase", file: "pocketbase.sqlite", params: map[string]string{"collection": "users"},
		imported: 5, refused: 1, passwords: 5, others: 1, verified: 3, created: 5,
		logins: []login{{"email", "p0@example.com", "correct horse 0"}, {"email", "p4@example.com", "correct horse 4"}},
		kinds:  []string{"collision"},
	},
	{
		from: "django", file: "django.csv",
		imported: 6, passwords: 6, others: 5, disabled: 1, created: 6,
		logins: []login{
			{"username", "dj0", "correct horse 0"}, {"username", "dj1", "correct horse 1"},
			{"email", "dj2@example.com", "correct horse 2"}, {"username", "dj3", "correct horse 3"},
		},
	},
	{
		from: "wordpress", file: "wordpress.csv",
		imported: 4, refused: 1, passwords: 4, others: 3, created: 4,
		logins: []login{
			{"email", "admin@example.com", "correct horse 1"}, {"username", "ada", "correct horse 2"},
			{"email", "old@example.com", "correct horse 4"}, {"email", "mail@example.com", "correct horse 5"},
		},
		kinds: []string{"Others[0].Identifier"},
	},
	{
		from: "auth0", file: "auth0.jsonl",
		imported: 3, refused: 1, passwords: 2, others: 1, verified: 2, disabled: 1, created: 1,
		logins: []login{{"email", "a0@example.com", "correct horse 0"}, {"email", "a1@example.com", "correct horse 1"}},
		kinds:  []string{"collision"}, left: []string{"second factors"},
	},
	{
		from: "clerk", file: "clerk.csv",
		imported: 3, refused: 1, passwords: 2, others: 3, verified: 3,
		logins: []login{
			{"email", "ada@example.com", "correct horse 0"}, {"username", "ada", "correct horse 0"},
			{"email", "dee@example.com", "correct horse 4"},
		},
		kinds: []string{"a password hash that no rule of the mapping fits: awscognito"}, left: []string{"TOTP secret"},
	},
	{
		from: "supabase", file: "supabase.csv",
		imported: 3, refused: 1, passwords: 2, others: 3, verified: 3, disabled: 1, created: 3,
		logins: []login{{"email", "ada@example.com", "correct horse 0"}, {"email", "moved@example.com", "mytestpassword"}},
		kinds:  []string{"no identity: the fields for it are empty"},
	},
	{
		from: "firebase", file: "firebase.json",
		params: map[string]string{
			"signer_key":     "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
			"salt_separator": "Bw==",
		},
		imported: 2, refused: 1, passwords: 1, others: 1, verified: 2, disabled: 1, created: 2,
		logins: []login{{"email", "ada@example.com", "user1password"}},
		kinds:  []string{"a password hash with a part missing"},
	},
	{
		from: "keycloak", file: "keycloak.json",
		imported: 4, refused: 1, passwords: 3, others: 2, verified: 1, disabled: 1, created: 4,
		logins: []login{
			{"username", "k0", "correct horse 7"}, {"username", "K1", "correct horse 7"},
			{"email", "k2@example.com", "correct horse 7"},
		},
		kinds: []string{"a password hash that no rule of the mapping fits: own-provider"}, left: []string{"realm roles"},
	},
	{
		from: "kratos", file: "kratos.json",
		imported: 2, passwords: 2, others: 1, verified: 1, disabled: 1, created: 2,
		logins: []login{{"email", "ada@example.com", "correct horse 0"}},
		left:   []string{"TOTP"},
	},
	{
		from: "snib", file: "snib.jsonl",
		imported: 2, refused: 1, passwords: 2, others: 1, verified: 1, created: 1,
		logins: []login{{"email", "s1@example.com", "correct horse 1"}, {"email", "s2@example.com", "correct horse 7"}},
		kinds:  []string{"a field that is unknown or malformed"},
	},
}

// TestSourcesMoveIn imports each sample and logs its users in with the passwords
// that the other system knew.
func TestSourcesMoveIn(t *testing.T) {
	for _, c := range samples {
		t.Run(c.from, func(t *testing.T) {
			t.Parallel()
			db := newDB(t, nil)
			s := importer.Source{From: c.from, Path: sample(t, c.file), Params: c.params}
			dry := run(t, db, s, importer.Options{DryRun: true})
			for u, err := range db.ListUsers(t.Context(), snib.ListOptions{}) {
				t.Fatalf("a dry run has left %v, %v", u.ID, err)
			}
			r := run(t, db, s, importer.Options{})
			got := []int{r.Imported, r.Refused, r.WithPassword, r.Identities, r.Verified, r.Disabled, r.Created}
			want := []int{c.imported, c.refused, c.passwords, c.others, c.verified, c.disabled, c.created}
			if !slices.Equal(got, want) {
				t.Errorf("imported, refused, passwords, others, verified, disabled, created:\ngot  %v\nwant %v\n%+v", got, want, r)
			}
			sameReport(t, dry, r)
			for _, list := range []struct {
				got  []importer.Kind
				want []string
			}{{r.RefusedKinds, c.kinds}, {r.Left, c.left}} {
				if len(list.got) != len(list.want) {
					t.Errorf("kinds %+v, want %q", list.got, list.want)
				}
				for i, k := range list.got {
					if i < len(list.want) && !strings.HasPrefix(k.Kind, list.want[i]) {
						t.Errorf("kind %q, want %q", k.Kind, list.want[i])
					}
				}
			}
			for _, x := range c.logins {
				logsIn(t, db, x.provider, x.identifier, x.password)
			}
		})
	}
}

// sameReport compares a dry run and the run.
func sameReport(t *testing.T, dry, r *importer.Report) {
	t.Helper()
	a, b := *dry, *r
	a.DryRun, a.Seconds, b.Seconds = false, 0, 0
	for _, list := range [][]importer.Collision{a.CollisionList, b.CollisionList} {
		for i := range list {
			list[i].Holder = ""
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the dry run reports otherwise:\n%+v\n%+v", a, b)
	}
}

// TestEverySourceHasASample: a source without a test is not listed.
func TestEverySourceHasASample(t *testing.T) {
	tested := map[string]bool{"lucia": true, "csv": true, "json": true, "jsonl": true}
	for _, c := range samples {
		tested[c.from] = true
	}
	list := importer.Sources()
	for _, info := range list {
		if !tested[info.Name] {
			t.Errorf("source %s has no sample", info.Name)
		}
		if info.Help == "" || info.Tried != "run" && info.Tried != "documentation" {
			t.Errorf("source %s is not described: %+v", info.Name, info)
		}
	}
	if len(list) != len(tested) {
		t.Errorf("%d sources, %d tested", len(list), len(tested))
	}
}

// TestTheDocumentedMappingIsOne: the example of docs/MOVING.md, applied.
func TestTheDocumentedMappingIsOne(t *testing.T) {
	doc, err := os.ReadFile("../../docs/MOVING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	path := write(t, "users.csv", "uuid,number,email,confirmed,nick,logins,digest,scheme,rounds,salt,created_at,locked,locked_until,note,profile,totp\n"+
		`,7,a@example.com,true,a,"[{""kind"":""github"",""subject"":""77""},{""kind"":""local""}]",`+
		"1454f135cc502ae47112c45a43589758a2d6c9d74eb5a7de0441eb90ba47b7ba,pbkdf2,1000,73616c74,2024-01-01 00:00:00,,4102444800,late,"+
		`"{""name"":""Ada""}",JBSW`+"\n")
	db := newDB(t, nil)
	r := run(t, db, importer.Source{From: "csv", Path: path, File: write(t, "m.json", text)}, importer.Options{})
	u := user(t, db, "github", "77")
	if u.ID != "old|7" || len(u.Identities) != 3 || u.DisabledReason != "late" || u.Attributes()["name"] != "Ada" || !u.HasPassword || len(r.Left) != 1 {
		t.Errorf("%+v, %+v", u, r)
	}
}

// TestPeppersAreNamed: the mapping names the pepper, the options have it.
func TestPeppersAreNamed(t *testing.T) {
	file := strings.Replace(mapping, `{"hash": "{hash}"}`, `{"hash": "{hash}", "pepper": "devise"}`, 1)
	s := csvSource(t, "id,email,github,hash,off\na,a@example.com,,$2a$05$Y1uSvznbgfD100O07oKvSetNWY1tMzV6QC9HXagqHnmRgzIQKafbG,f\n")
	s.File = write(t, "m.json", file)
	if r := run(t, newDB(t, nil), s, importer.Options{State: "-"}); r.Refused != 1 {
		t.Errorf("without the pepper: %+v", r)
	}
	o := &snib.Options{}
	o.Passwords.ForeignPeppers = map[string]string{"devise": "sea salt"}
	db := newDB(t, o)
	run(t, db, s, importer.Options{})
	logsIn(t, db, "email", "a@example.com", "correct horse 7")
}

// TestLuciaRowsMoveIn: the 180 rows that three versions of Lucia have stored, with
// their passwords.
func TestLuciaRowsMoveIn(t *testing.T) {
	path := "../../examples/internal/mover/lucia_users.jsonl"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db := newDB(t, nil)
	r := run(t, db, importer.Source{From: "lucia", Path: write(t, "lucia.jsonl", string(data))}, importer.Options{})
	tried := 0
	for line := range strings.Lines(string(data)) {
		var row struct {
			User     struct{ ID, Provider_ID, Username string }
			Password *string
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		provider, identifier, _ := strings.Cut(row.User.Provider_ID, ":")
		u := user(t, db, provider, identifier)
		if name, _ := snib.Attr[string](u.Attributes(), "username"); string(u.ID) != row.User.ID || name != row.User.Username {
			t.Errorf("%s has become %s with the name %q", row.User.ID, u.ID, name)
		}
		if tried++; row.Password != nil && tried%9 == 0 { // each costs a real scrypt
			logsIn(t, db, provider, identifier, *row.Password)
		}
	}
	if r.Imported != 180 || tried != 180 {
		t.Errorf("imported %d of %d", r.Imported, tried)
	}
}

// TestLuciaKeysAreIdentities: versions 1 and 2 have a table of keys.
func TestLuciaKeysAreIdentities(t *testing.T) {
	db := newDB(t, nil)
	path := write(t, "lucia.jsonl", `{"id":"u1","keys":[{"id":"github:77","hashed_password":null},{"id":"email:a@example.com","hashed_password":"$2a$10$1sqaT05Thay1CTNAsdXlLOrCuuAslL8dWalI4vd1s7fN5iwhwMkt6"},{"id":"username:a","hashed_password":"other"}],"role":"x"}
{"id":"u2","keys":[{"id":"nocolon"}]}
`)
	r := run(t, db, importer.Source{From: "lucia", Path: path, Params: map[string]string{"version": "2"}}, importer.Options{})
	if u := user(t, db, "github", "77"); len(u.Identities) != 3 || u.Attributes()["role"] != "x" {
		t.Errorf("%+v", u)
	}
	logsIn(t, db, "email", "a@example.com", "correct horse 7")
	if n, _ := kind(r.RefusedKinds, "not of the form provider:identifier"); n != 1 || len(r.Left) != 1 {
		t.Errorf("refused %+v, left %+v", r.RefusedKinds, r.Left)
	}
	r = run(t, newDB(t, nil), importer.Source{From: "lucia", Path: path}, importer.Options{})
	if r.Refused != 2 {
		t.Errorf("without a version %d rows are refused", r.Refused)
	}
}

// TestFieldsAreKept looks at one user of each kind of source, field by field.
func TestFieldsAreKept(t *testing.T) {
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	db := newDB(t, nil)
	run(t, db, importer.Source{From: "supabase", Path: sample(t, "supabase.csv")}, importer.Options{})
	u := user(t, db, "github", "5001")
	if u.ID != "5b1f8a52-2f0e-4a7e-9c43-2a1b0c9d8e7f" || !u.CreatedAt.Equal(time.Date(2023, 12, 31, 23, 59, 59, 123e6, time.UTC)) ||
		!u.Identities[0].VerifiedAt.Equal(day(2024, 1, 1)) || !u.Identities[1].LinkedAt.Equal(day(2024, 2, 1)) ||
		!reflect.DeepEqual(u.Attributes()["user_metadata"], map[string]any{"name": "Ada"}) {
		t.Errorf("supabase: %+v", u)
	}
	db = newDB(t, nil)
	run(t, db, importer.Source{From: "auth0", Path: sample(t, "auth0.jsonl")}, importer.Options{})
	u = user(t, db, "google-oauth2", "108")
	if u.ID != "google-oauth2|108" || u.DisabledAt.IsZero() || u.Identities[0].Identifier != "a2@example.com" ||
		!reflect.DeepEqual(u.Attributes()["user_metadata"], map[string]any{"plan": "free", "seats": int64(3)}) {
		t.Errorf("auth0: %+v", u)
	}
	if u = user(t, db, "email", "a0@example.com"); u.ID != "auth0|60425dc43519d90068f82970" || !u.Identities[0].VerifiedAt.IsZero() ||
		!u.PasswordChangedAt.Equal(time.Date(2021, 3, 5, 16, 35, 16, 775e6, time.UTC)) {
		t.Errorf("auth0: %+v", u)
	}
	db = newDB(t, nil)
	run(t, db, importer.Source{From: "better-auth", Path: sample(t, "better-auth.sqlite")}, importer.Options{})
	u = user(t, db, "email", "u3@example.com")
	if u.DisabledAt.IsZero() || u.DisabledReason != "spam" || u.Attributes()["name"] != "User 3" || u.Attributes()["emailVerified"] != nil {
		t.Errorf("better-auth: %+v", u)
	}
	if u = user(t, db, "github", "1002"); u.Identities[0].VerifiedAt.IsZero() || u.HasPassword {
		t.Errorf("better-auth: %+v", u)
	}
	db = newDB(t, nil)
	run(t, db, importer.Source{From: "kratos", Path: sample(t, "kratos.json")}, importer.Options{})
	u = user(t, db, "email", "ada@example.com")
	if u.Identities[0].Identifier != "Ada@example.com" || !u.Identities[0].VerifiedAt.Equal(day(2024, 1, 2)) || len(u.Identities) != 2 {
		t.Errorf("kratos: %+v", u)
	}
}
