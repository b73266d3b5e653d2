package snib

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/credentials"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

var tokenKinds = []struct {
	name string
	kind token.Kind
}{{"session", token.Session}, {"refresh", token.Family}, {"one-time", token.OneTime}, {"api-key", token.APIKey}}

// sample returns a good token of a kind.
func sample(tb testing.TB, k token.Kind) string {
	tb.Helper()
	var key codec.OwnedKey
	if _, err := rand.Read(key[:]); err != nil {
		tb.Fatal(err)
	}
	return k.Format(key, bytes.Repeat([]byte{0xa5}, k.Secret))
}

// untouched is a snapshot of which nothing may be read.
type untouched struct{ lookups *int }

func (u untouched) Get(kv.Space, []byte) ([]byte, bool, error)            { *u.lookups++; return nil, false, nil }
func (u untouched) GetMany([]kv.Ref, func(int, []byte, bool) error) error { *u.lookups++; return nil }
func (u untouched) Scan(kv.Space, []byte, []byte, int, func(k, v []byte) error) error {
	*u.lookups++
	return nil
}

var noFile = &records.File{}

// refusal presents a token in every way there is and returns what is wrong
// with the answers: a look-up, or another error than that of a bad token.
func refusal(text string) string {
	lookups := 0
	tx := Tx{rec: records.Tx{File: noFile, R: untouched{&lookups}}}
	if _, err := tx.presented(text); err != ErrInvalidSession {
		return "presented as a session: not refused"
	}
	if _, _, err := credentials.Presented(&tx.rec, text); err != ErrInvalidRefreshToken {
		return "presented as a refresh token: not refused"
	}
	if _, err := tx.presentedOneTime("reset", text); err != ErrInvalidOneTimeToken {
		return "presented as a one-time token: not refused"
	}
	if _, err := tx.presentedAPIKey(text); err != ErrInvalidAPIKey {
		return "presented as an API key: not refused"
	}
	if lookups != 0 {
		return "was looked up"
	}
	return ""
}

// TestBadTokenIsRefusedUnseen: which texts are bad is for internal/token to
// show; here, that none of them is looked up.
func TestBadTokenIsRefusedUnseen(t *testing.T) {
	for _, k := range tokenKinds {
		text := sample(t, k.kind)
		if refusal(text) == "" {
			t.Fatalf("%s: a good token was refused unseen, so this test can see nothing", k.name)
		}
		for _, bad := range []string{"", text[1:], text + "0", strings.ToUpper(text), text[:9] + "u" + text[10:], strings.Repeat(text, 1<<14)} {
			if wrong := refusal(bad); wrong != "" {
				t.Errorf("%s, %.60q: %s", k.name, bad, wrong)
			}
		}
	}
}

func TestRefusingATokenAllocatesNothing(t *testing.T) {
	for _, k := range tokenKinds {
		text := sample(t, k.kind)
		for name, s := range map[string]string{
			"empty": "", "truncated": text[:len(text)-1], "one byte more": text + "0",
			"last digit": text[:len(text)-1] + "u", "megabytes": strings.Repeat(text, 1<<15),
		} {
			if n := testing.AllocsPerRun(50, func() { refusal(s) }); n > 2 {
				// 2 are the Tx and the counter of the test itself.
				t.Errorf("%s, %s: %v allocations", k.name, name, n)
			}
		}
	}
}

// constant is a source of one byte.
type constant byte

func (c constant) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

// Ids, secrets and salts come from the system unless a test gives its own
// source, which is then read by one goroutine at a time.
func TestSecretsComeFromCryptoRand(t *testing.T) {
	for name, o := range map[string]*Options{"nil": nil, "zero": {}} {
		s, err := o.settings()
		if err != nil || s.Rand != rand.Reader {
			t.Errorf("%s options: the source is %T, %v", name, s.Rand, err)
		}
	}
	s, err := (&Options{Rand: constant(1)}).settings()
	if locked, ok := s.Rand.(*lockedReader); err != nil || !ok || locked.r != constant(1) {
		t.Errorf("a given source: %T, %v", s.Rand, err)
	}
}
