package phc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// A vector is a hash made by another system. The first of sources is the
// one that made it; the others must read it alike.
type vector struct {
	Name     string
	Hash     string
	Password string
	sources  []string
}

// readVectors returns testdata/password_vectors.json, each with its sources.
func readVectors(t testing.TB) []vector {
	t.Helper()
	sources := map[string][]string{
		"passlib-pbkdf2-sha256":    {"passlib", ""},
		"passlib-bcrypt":           {"passlib", "bcrypt", ""},
		"passlib-bcrypt-sha256-v2": {"passlib", ""},
		"passlib-argon2id":         {"passlib", "argon2", ""},
		"django-pbkdf2_sha256":     {"django", ""},
		"django-pbkdf2_sha1":       {"django", ""},
		"django-bcrypt_sha256":     {"django", ""},
		"werkzeug-scrypt":          {"werkzeug", ""},
		"better-auth":              {"better-auth", "lucia-3"},
		"lucia-v3":                 {"lucia-3", "better-auth"},
		"lucia-v2-s2":              {"lucia-2", "lucia-1", "lucia-3", ""},
		"lucia-v1-r8":              {"lucia-1", "lucia-2"},
	}
	text, err := os.ReadFile("testdata/password_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(sources) {
		t.Fatalf("%d vectors, want %d", len(list), len(sources))
	}
	for i := range list {
		if list[i].sources = sources[list[i].Name]; list[i].sources == nil {
			t.Fatalf("no source is known for the vector %q", list[i].Name)
		}
	}
	return list
}

// A luciaUser is one line of testdata/lucia_users.jsonl.
type luciaUser struct {
	System string
	User   struct {
		ID             string  `json:"id"`
		HashedPassword *string `json:"hashed_password"`
	}
	Password *string
}

// luciaSources names the source of each system in the file.
var luciaSources = map[string]string{
	"lucia-auth@0.1.1": "lucia-0.1",
	"lucia-auth@1.8.0": "lucia-1",
	"lucia@3.2.2":      "lucia-3",
}

func readLuciaUsers(t testing.TB) []luciaUser {
	t.Helper()
	text, err := os.ReadFile("testdata/lucia_users.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var users []luciaUser
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var u luciaUser
		if err := json.Unmarshal(lines.Bytes(), &u); err != nil {
			t.Fatal(err)
		}
		if luciaSources[u.System] == "" {
			t.Fatalf("no source is known for %q", u.System)
		}
		users = append(users, u)
	}
	if len(users) != 180 {
		t.Fatalf("%d users, want 180", len(users))
	}
	return users
}

// cheap are parameters for tests that hash much.
var cheap = Params{MemoryKiB: 64, Time: 1, Parallelism: 1}

// newHasher returns a Hasher for c and a function that returns the classes of
// the passes it has computed since the last call.
func newHasher(t testing.TB, c Config) (*Hasher, func() []string) {
	t.Helper()
	if c.Params == (Params{}) {
		c.Params = cheap
	}
	if c.Wait == 0 {
		c.Wait = -1 // tests of hashes wait for their turn as long as it takes
	}
	var mu sync.Mutex
	var passes []string
	c.Observe = func(class string) {
		mu.Lock()
		defer mu.Unlock()
		passes = append(passes, class)
	}
	h, err := NewHasher(c)
	if err != nil {
		t.Fatal(err)
	}
	return h, func() []string {
		mu.Lock()
		defer mu.Unlock()
		list := passes
		passes = nil
		return list
	}
}

// imported returns foreign in the stored syntax.
func imported(t testing.TB, source, foreign string) Hash {
	t.Helper()
	hash, err := Import(source, foreign, Limits{})
	if err != nil {
		t.Fatalf("Import(%q, %q): %v", source, foreign, err)
	}
	return hash
}

func TestVectorsVerify(t *testing.T) {
	h, _ := newHasher(t, Config{})
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			verified := make(map[Hash]bool)
			for _, source := range v.sources {
				hash := imported(t, source, v.Hash)
				if verified[hash] {
					continue
				}
				verified[hash] = true
				if ok, err := h.Verify(t.Context(), hash, v.Password); !ok || err != nil {
					t.Errorf("source %q: Verify = %v, %v", source, ok, err)
				}
			}
			hash := imported(t, v.sources[0], v.Hash)
			if ok, err := h.Verify(t.Context(), hash, v.Password+"x"); ok || err != nil {
				t.Errorf("wrong password: Verify = %v, %v", ok, err)
			}
		})
	}
}

// TestLuciaUsersVerify logs in everyone who was registered with a real Lucia.
// Under the race detector, which makes scrypt several times slower, only every
// tenth of those whose password is the same in NFKC.
func TestLuciaUsersVerify(t *testing.T) {
	h, _ := newHasher(t, Config{Queue: 1000})
	var with, without int
	for i, u := range readLuciaUsers(t) {
		var hash Hash
		password := "no password at all"
		if u.Password != nil {
			with++
			hash, password = imported(t, luciaSources[u.System], *u.User.HashedPassword), *u.Password
		} else if without++; u.User.HashedPassword != nil {
			t.Fatalf("%s has a hash and no password", u.User.ID)
		}
		if raceDetector && i%10 != 0 && Normalize(password) == password {
			continue
		}
		t.Run(u.User.ID, func(t *testing.T) {
			t.Parallel()
			ok, err := h.Verify(t.Context(), hash, password)
			if want := u.Password != nil; ok != want || err != nil {
				t.Errorf("%s %q: Verify = %v, %v", u.System, password, ok, err)
			}
		})
	}
	if with != 160 || without != 20 {
		t.Errorf("%d users with and %d without a password, want 160 and 20", with, without)
	}
}

// bcryptOf returns a bcrypt hash of password at the least cost, as an
// import stores it.
func bcryptOf(t testing.TB, password string) Hash {
	t.Helper()
	text, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return imported(t, "bcrypt", string(text))
}
