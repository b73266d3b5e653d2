package codec

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Every length, against the standard library.
func TestBase32(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for n := range 50 {
		b := make([]byte, n)
		random.Read(b)
		text := string(AppendBase32([]byte("before"), b))
		if want := "before" + crockford.EncodeToString(b); text != want {
			t.Errorf("%x: %q, want %q", b, text, want)
		}
		got := make([]byte, n)
		if !DecodeBase32(got, text[6:]) || !bytes.Equal(got, b) {
			t.Errorf("%x: decoded %x", b, got)
		}
		for _, bad := range []string{text[6:] + "0", "0" + text[6:], strings.TrimSuffix(text[6:], text[len(text)-1:])} {
			if DecodeBase32(got, bad) && bad != text[6:] {
				t.Errorf("%q decoded to %d bytes", bad, n)
			}
		}
	}
}

// A key has one spelling: every change of a digit is another key or none.
func TestOwnedKeyDigits(t *testing.T) {
	key := sampleKey(7)
	text := string(key.AppendDigits(nil))
	if len(text) != OwnedKeyDigits || OwnedKeyDigits != 32 {
		t.Fatalf("%q has %d digits", text, len(text))
	}
	if got, ok := ParseOwnedKeyDigits(text); !ok || got != key {
		t.Errorf("parsed %x, %v", got, ok)
	}
	for i := range text {
		for c := range 256 {
			other := text[:i] + string([]byte{byte(c)}) + text[i+1:]
			got, ok := ParseOwnedKeyDigits(other)
			digit := strings.IndexByte("0123456789abcdefghjkmnpqrstvwxyz", byte(c)) >= 0
			if ok != digit || !ok && got != (OwnedKey{}) || ok && string(got.AppendDigits(nil)) != other {
				t.Fatalf("%q: %x, %v", other, got, ok)
			}
		}
	}
	for _, bad := range []string{"", text[1:], text + "0", " " + text[1:], strings.ToUpper(text), "ses_" + text} {
		if got, ok := ParseOwnedKeyDigits(bad); ok || got != (OwnedKey{}) {
			t.Errorf("%q: %x", bad, got)
		}
	}
}

func TestOwnedKeyParts(t *testing.T) {
	const ms = 0x0102_0304_0506
	id := NewOwnID(ms, [4]byte{7, 8, 9, 10})
	key := MakeOwnedKey(sampleOwner, id)
	if got, want := hex.EncodeToString(key[:]), "a0a1a2a3a4a5a6a7a8a90102030405060708090a"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	if key.Owner() != sampleOwner || key.OwnID() != id || key.Time() != ms || id.Time() != ms {
		t.Errorf("parts %x %x %d", key.Owner(), key.OwnID(), key.Time())
	}
	if other := key.With(OwnID{1}); other.Owner() != sampleOwner || other.OwnID() != (OwnID{1}) {
		t.Errorf("with another id %x", other)
	}
	if got, ok := ParseOwnedKey(key[:]); !ok || got != key {
		t.Errorf("parsed %x, %v", got, ok)
	}
	for n := range 40 {
		if got, ok := ParseOwnedKey(make([]byte, n)); ok != (n == OwnedKeyBytes) || got != (OwnedKey{}) {
			t.Errorf("%d bytes: %v", n, ok)
		}
	}
	if !(OwnID{}).IsZero() || id.IsZero() || NewOwnID(0, [4]byte{0, 0, 0, 1}).IsZero() {
		t.Error("zero is not zero")
	}
	if got := NewOwnID(-1, [4]byte{}).Time(); got != 1<<48-1 {
		t.Errorf("lower 48 bits of -1: %d", got)
	}
}

// Ids of one owner sort by time, as bytes and as digits.
func TestOwnedKeysSort(t *testing.T) {
	times := []int64{0, 1, 255, 256, 1 << 31, 1<<32 - 1, 1 << 32, sampleTime, sampleTime + 1, 1<<48 - 1}
	var keys, digits []string
	for i, ms := range times {
		key := MakeOwnedKey(sampleOwner, NewOwnID(ms, [4]byte{byte(255 - i)}))
		keys, digits = append(keys, string(key[:])), append(digits, string(key.AppendDigits(nil)))
	}
	if !slices.IsSorted(keys) || !slices.IsSorted(digits) {
		t.Error("not sorted")
	}
}

// The owner is the beginning of HMAC-SHA256, as RFC 4231 computes it.
func TestOwners(t *testing.T) {
	var key [32]byte
	copy(key[:], "Jefe") // keys shorter than a block are padded with zeros
	owner := NewOwners(key).Of("what do ya want for nothing?")
	if got, want := hex.EncodeToString(owner[:]), "5bdcc146bf60754e6a04"; got != want {
		t.Errorf("test case 2: %s, want %s", got, want)
	}
	owners := NewOwners(sampleOwnerKey.Key)
	for _, id := range []string{"", "u", madeUser, strings.Repeat("x", 300)} {
		mac := hmac.New(sha256.New, sampleOwnerKey.Key[:])
		mac.Write([]byte(id))
		if got, want := owners.Of(id), Owner(mac.Sum(nil)); got != want {
			t.Errorf("%q: %x, want %x", id, got, want)
		}
	}
	if owners.Of("u1") == owners.Of("u2") || owners.Of("u") == NewOwners(digest(3)).Of("u") {
		t.Error("equal owners")
	}
}

func TestOwnersAtOnce(t *testing.T) {
	owners := NewOwners(sampleOwnerKey.Key)
	want := [2]Owner{owners.Of("u1"), owners.Of("u2")}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 1000 {
				if owners.Of([]string{"u1", "u2"}[i%2]) != want[i%2] {
					t.Error("another owner")
					return
				}
			}
		})
	}
	group.Wait()
}

func TestOwnerRange(t *testing.T) {
	full := Owner(bytes.Repeat([]byte{0xff}, OwnerBytes))
	owners := []Owner{{}, {9: 1}, {9: 0xff}, {8: 1}, sampleOwner, {0xff}, {0xff, 9: 0xfe}, full}
	for _, o := range owners {
		for _, dst := range [][]byte{nil, make([]byte, 3, 64)} {
			from, to := o.AppendRange(dst)
			if o == full && to != nil {
				t.Errorf("% x ends at % x", o, to)
			}
			for _, other := range owners {
				for _, id := range []OwnID{{}, {9: 1}, OwnID(full)} {
					key := MakeOwnedKey(other, id)
					if in := within(key[:], from, to); in != (other == o) {
						t.Errorf("% x in [% x, % x): %v", key, from, to, in)
					}
				}
			}
			if grown := append(from, 0xee); to != nil && (grown[0] != o[0] || to[0] == 0xee) {
				t.Error("from grows into to")
			}
		}
	}
}

// Times in one direction each; what cannot be told is told in the direction
// that ends sooner.
func TestTimesOfOwnedRecords(t *testing.T) {
	const made = 1_760_000_000_000
	tests := []struct {
		name       string
		t          int64
		after      string
		wantAfter  int64
		before     string
		wantBefore int64
	}{
		{"at the id", made, "0000000000", made, "0000000000", made},
		{"later", made + 0x0102030405, "0102030405", made + 0x0102030405, "0000000000", made},
		{"earlier", made - 0x0102030405, "0000000000", made, "0102030405", made - 0x0102030405},
		{"as far as can be", made + MaxOffset, "fffffffffe", made + MaxOffset, "0000000000", made},
		{"as early as can be", made - MaxOffset, "0000000000", made, "fffffffffe", made - MaxOffset},
		{"too far", made + MaxOffset + 1, "fffffffffe", made + MaxOffset, "0000000000", made},
		{"nearly never", math.MaxInt64 - 1, "fffffffffe", made + MaxOffset, "0000000000", made},
		{"never", Never, "ffffffffff", Never, "0000000000", made},
		{"too early", made - MaxOffset - 1, "0000000000", made, "fffffffffe", made - MaxOffset},
		{"the earliest", math.MinInt64, "0000000000", made, "fffffffffe", made - MaxOffset},
	}
	for _, tt := range tests {
		after, before := appendAfter(nil, made, tt.t), appendBefore(nil, made, tt.t)
		if hex.EncodeToString(after) != tt.after || timeAfter(after, made) != tt.wantAfter {
			t.Errorf("%s: after %x, %d", tt.name, after, timeAfter(after, made))
		}
		if hex.EncodeToString(before) != tt.before || timeBefore(before, made) != tt.wantBefore || !validBefore(before) {
			t.Errorf("%s: before %x, %d", tt.name, before, timeBefore(before, made))
		}
	}
	if MaxOffset != 1<<40-2 {
		t.Errorf("MaxOffset is %d", int64(MaxOffset))
	}
}
