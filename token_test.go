package snib_test

import (
	"crypto/sha256"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
)

// issued is one live token of each kind, and how to present it.
type issued struct {
	kind    string
	id      string
	token   string
	refused error
	present func(token string) error
}

// issue gives the user a@example.com one token of each kind. Presenting a
// good one changes nothing: the one-time token is asked for another purpose.
func issue(tb testing.TB, db *snib.DB) []issued {
	tb.Helper()
	u := email(tb, db, "a@example.com")
	s := logIn(tb, db, "a@example.com")
	_, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(tb)
	key := must(db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "n", TTL: time.Hour}))(tb)
	return []issued{
		{"session", string(s.ID), s.Token.Reveal(), snib.ErrInvalidSession, func(token string) error {
			_, err := db.ValidateSession(ctx, token)
			return err
		}},
		{"refresh", string(family.ID), family.Token.Reveal(), snib.ErrInvalidRefreshToken, func(token string) error {
			_, _, err := db.Refresh(ctx, token)
			return err
		}},
		{"one-time", string(link.ID), link.Token.Reveal(), snib.ErrInvalidOneTimeToken, func(token string) error {
			_, err := db.Tokens().Use(ctx, "reset", token)
			return err
		}},
		{"api-key", string(key.ID), key.Token.Reveal(), snib.ErrInvalidAPIKey, func(token string) error {
			_, _, err := db.APIKeys().Validate(ctx, token)
			return err
		}},
	}
}

func TestTokensAreWrittenAsDocumented(t *testing.T) {
	for _, k := range issue(t, snibtest.NewDB(t, nil)) {
		m := accounttest.TokenForms[k.kind].FindStringSubmatch(k.token)
		if m == nil || m[1] != k.id {
			t.Fatalf("%s: the token has another form or id", k.kind)
		}
		secretOf(t, k.token)
		if err := k.present(k.token); err != nil {
			t.Errorf("%s: %v", k.kind, err)
		}
	}
}

func TestFileHoldsHashesUnderLabelsOfTheirKind(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	kinds := issue(t, db)
	hash := func(label string, secret []byte) [32]byte {
		return sha256.Sum256(append([]byte("snib/v1/"+label+"\x00"), secret...))
	}
	err := db.View(ctx, func(tx *snib.Tx) error {
		root := inFile(t, tx).Bucket([]byte("snib"))
		get := func(space, id string) []byte { return root.Bucket([]byte(space)).Get(rawKey(id)) }
		s, err1 := codec.DecodeSession(rawKey(kinds[0].id), get("sessions", kinds[0].id))
		f, err2 := codec.DecodeFamily(rawKey(kinds[1].id), get("refresh_families", kinds[1].id))
		o, err3 := codec.DecodeOneTimeToken(rawKey(kinds[2].id), get("one_time_tokens", kinds[2].id))
		k, err4 := codec.DecodeAPIKey(rawKey(kinds[3].id), get("api_keys", kinds[3].id))
		x := secretOf(t, kinds[1].token)
		for name, c := range map[string]struct{ got, want [32]byte }{
			"session":  {s.SecretHash, hash("session", secretOf(t, kinds[0].token))},
			"family":   {f.FamilyHash, hash("family", x[:16])},
			"current":  {f.Current, hash("refresh", x[16:])},
			"one-time": {o.SecretHash, hash("one-time", secretOf(t, kinds[2].token))},
			"api-key":  {k.SecretHash, hash("api-key", secretOf(t, kinds[3].token))},
			"previous": {f.Previous, [32]byte{}},
		} {
			if c.got != c.want {
				t.Errorf("%s: stored %x, want %x", name, c.got, c.want)
			}
		}
		return errors.Join(err1, err2, err3, err4)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAlteredTokensAreRefused(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, k := range issue(t, db) {
		other := map[string]string{"session": "ott_", "refresh": "ses_", "one-time": "ses_", "api-key": "ses_"}[k.kind]
		secret := secretOf(t, k.token)
		all := []string{
			"", k.id, k.token[2:], k.token + "\x00", "\x00" + k.token, k.token + "\n", k.token + " ", strings.ToUpper(k.token),
			strings.Replace(k.token, "_", "\x00", 1), strings.Repeat(k.token, 1<<16), strings.Repeat("x", len(k.token)),
			"Bearer " + k.token, "sn" + k.id + ".", makeToken(other+k.id[4:], secret), makeToken(k.id, secret[1:]),
			makeToken(k.id, append([]byte{0}, secret...)), makeToken("usr_"+k.id[4:], secret), makeToken("a\x00"+k.id[2:], secret),
		}
		for i := range k.token {
			changed := []byte(k.token)
			if changed[i] ^= 1; changed[i] != k.token[i] {
				all = append(all, string(changed))
			}
			all = append(all, k.token[:i], k.token[i+1:])
		}
		// Well-formed: a secret that is wrong in one bit, an id nobody has.
		for bit := range len(secret) * 8 {
			wrong := append([]byte(nil), secret...)
			wrong[bit/8] ^= 1 << (bit % 8)
			if k.kind == "refresh" && bit >= 128 {
				break // a right F with a wrong s is reuse: see the strangers
			}
			all = append(all, makeToken(k.id, wrong))
		}
		all = append(all, makeToken(k.id[:29]+"0", secret), makeToken(k.id[:29]+"z", secret), makeToken(k.id, make([]byte, len(secret))))
		for i, s := range all {
			if s == k.token {
				continue // an id may end in what was put there
			}
			if err := k.present(s); !errors.Is(err, k.refused) {
				t.Fatalf("%s, form %d: got %v, want %v", k.kind, i, err, k.refused)
			}
		}
		if err := k.present(k.token); err != nil {
			t.Errorf("%s: the token itself: %v", k.kind, err)
		}
	}
}

// One secret for all kinds: only the labels keep them apart.
func TestOneSecretIsNoTokenOfAnotherKind(t *testing.T) {
	// Random bytes that are all the same need a time that goes on, or ids
	// would be the same too.
	var ms atomic.Int64
	db := snibtest.NewDB(t, &snib.Options{
		Rand: strings.NewReader(strings.Repeat("s", 1<<16)),
		Now:  func() time.Time { return time.UnixMilli(1893456000000 + ms.Add(1)) },
	})
	kinds := issue(t, db)
	if string(secretOf(t, kinds[0].token)) != string(secretOf(t, kinds[2].token)) {
		t.Fatal("the kinds have different secrets, so this test can see nothing")
	}
	for i, k := range kinds {
		for j, other := range kinds {
			if i == j {
				continue
			}
			secret := secretOf(t, k.token)
			for _, s := range []string{k.token, makeToken(other.id, secret), makeToken(other.id, secret[:min(32, len(secret))])} {
				if err := other.present(s); s != other.token && !errors.Is(err, other.refused) {
					t.Errorf("%s as %s: got %v, want %v", k.kind, other.kind, err, other.refused)
				}
			}
		}
	}
}

func TestLongTokenIsRefusedInConstantMemory(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, k := range issue(t, db) {
		// TotalAlloc is that of the process: the least of several rounds is
		// what the call itself needs, whatever else has run meanwhile.
		work := func(token string) uint64 {
			const runs = 20
			least := uint64(math.MaxUint64)
			for range 5 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range runs {
					if err := k.present(token); !errors.Is(err, k.refused) {
						t.Fatalf("%s: %v", k.kind, err)
					}
				}
				runtime.ReadMemStats(&after)
				least = min(least, (after.TotalAlloc-before.TotalAlloc)/runs)
			}
			return least
		}
		short, long := k.token[1:], strings.Repeat(k.token, 1<<18)
		work(short)
		if a, b := work(short), work(long); b > 2*a+4096 {
			t.Errorf("%s: %d bytes allocated for a short token, %d for one of %d MiB", k.kind, a, b, len(long)>>20)
		}
		a := leastAllocs(20, 0, func() { k.present(short) })
		if b := leastAllocs(20, a+2, func() { k.present(long) }); b > a+2 {
			t.Errorf("%s: %v allocations for a short token, %v for a long one", k.kind, a, b)
		}
	}
}
