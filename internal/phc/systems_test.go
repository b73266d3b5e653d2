package phc

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// A systemVector is one of testdata/hash_vectors.json: a hash as a system keeps
// it, as a string or in parts, and the password it was made from.
type systemVector struct {
	System, Hash, Password, Source string
	Key                            *Key

	Weak    bool   // has to be wrapped
	Refused string // how the refusal ends
	Kept    bool   // right, and never replaced
	Never   bool   // accepted, and no password is right
}

func readSystems(t testing.TB) []systemVector {
	t.Helper()
	text, err := os.ReadFile("testdata/hash_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []systemVector
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 61 {
		t.Fatalf("%d vectors, want 61", len(list))
	}
	return list
}

// TestSystemsMoveIn imports a hash of each system and logs its user in.
func TestSystemsMoveIn(t *testing.T) {
	h, _ := newHasher(t, Config{ImportTime: -1, Queue: 1000})
	for _, v := range readSystems(t) {
		t.Run(v.System, func(t *testing.T) {
			t.Parallel()
			foreign := Foreign{Source: v.Source, Text: v.Hash, Key: v.Key}
			if _, err := h.Convert(foreign); v.Weak != errors.Is(err, ErrWeak) {
				t.Errorf("Convert: %v, weak %v", err, v.Weak)
			}
			hash, err := h.Import(t.Context(), foreign, "")
			if v.Refused != "" {
				if err == nil || !strings.HasSuffix(err.Error(), v.Refused) {
					t.Errorf("Import: %v, want %q", err, v.Refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if raceDetector && isHeavy(hash) {
				return // ten times slower, and one goroutine
			}
			ok, own, err := h.VerifyAndRehash(t.Context(), hash, v.Password)
			if ok == v.Never || err != nil {
				t.Errorf("the right password: %v, %v", ok, err)
			}
			if (own == "") != (v.Never || v.Kept) {
				t.Errorf("replaced by %q", own)
			}
			wrong := []string{"wrong password"}
			if !v.Kept {
				wrong = append(wrong, v.Password[:len(v.Password)-1])
			}
			for _, p := range wrong {
				if ok, err := h.Verify(t.Context(), hash, p); ok || err != nil {
					t.Errorf("%q: %v, %v", p, ok, err)
				}
			}
		})
	}
}

// isHeavy reports whether computing hash takes more than some ten milliseconds.
func isHeavy(hash Hash) bool {
	p, err := Parse(string(hash), Limits{})
	most := map[string]uint64{"m": 20_000, "ln": 1 << 16, "i": 20_000, "cost": 1 << 6, "rounds": 5_000}
	return err == nil && p.work() > most[p.scheme.params[0]]
}

// TestSourcesNarrowNothing reads strings that say themselves what they are
// under the name of every source, alike, but for Meteor, whose bcrypt and
// Argon2 are over something else than the password.
func TestSourcesNarrowNothing(t *testing.T) {
	for _, v := range readSystems(t) {
		want, err := Import("", v.Hash, Limits{})
		if v.Key != nil || v.Source != "" || err != nil {
			continue
		}
		for _, source := range Sources() {
			got, err := Import(source, v.Hash, Limits{})
			if source == "meteor" && (strings.HasPrefix(v.Hash, "$2") || strings.HasPrefix(v.Hash, "$argon2id$")) {
				if got == want || err != nil {
					t.Errorf("%s, %s: %q, %v", source, v.System, got, err)
				}
				continue
			}
			if got != want || err != nil {
				t.Errorf("%s, %s: %q, %v, want %q", source, v.System, got, err, want)
			}
		}
	}
}

// TestLongPasswordsAreNotCut: schemes that hash the password in each round look
// at a part of a long one, and take no other for it.
func TestLongPasswordsAreNotCut(t *testing.T) {
	long := strings.Repeat("a", maxShaCryptText)
	crypt := Parsed{scheme: sha512Crypt, n: [3]uint64{minRounds}, salt: []byte("salt")}
	crypt.key = shaCrypt(sha512.New, long, crypt.salt, minRounds)
	wide := strings.Repeat("a", maxRoundsIn)
	phpass := Parsed{scheme: phpassMD5, n: [3]uint64{minPhpass}, salt: []byte("saltsalt")}
	phpass.key = iterate(md5.New(), phpass.salt, wide, 1<<minPhpass)
	for _, tt := range []struct {
		p        Parsed
		password string
		want     bool
	}{
		{crypt, long, true}, {crypt, long + "a", false}, {crypt, long[1:], false},
		{phpass, wide, true}, {phpass, wide + "a", false}, {phpass, wide[1:], false},
	} {
		if ok, err := tt.p.scheme.match(&tt.p, tt.password); ok != tt.want || err != nil {
			t.Errorf("%s, %d bytes: %v, %v", tt.p.scheme.name, len(tt.password), ok, err)
		}
	}
}

// TestWordPressTrims: it trims passwords when they are set and when they are
// given, so the white space of one counts no more than it does there.
func TestWordPressTrims(t *testing.T) {
	h, _ := newHasher(t, Config{})
	hash := imported(t, "", "$wp$2y$10$EJuFmFiMWRdw5L7u1IIpj.i0AHa9mY8l2JrgqPW.FluG1s8YfktNy")
	for password, want := range map[string]bool{" correct horse 7\t\r\n": true, "correct  horse 7": false} {
		if ok, err := h.Verify(t.Context(), hash, password); ok != want || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
}
