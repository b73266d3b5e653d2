package snib

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

var securitySeed = flag.Uint64("security.seed", 0, "seed of the random security tests; 0 draws one")

// SecurityRand returns a source for a random test and logs its seed.
func SecurityRand(tb testing.TB) *mathrand.Rand {
	tb.Helper()
	seed := *securitySeed
	for seed == 0 {
		seed = mathrand.Uint64()
	}
	tb.Logf("repeat with -security.seed=%d", seed)
	return mathrand.New(mathrand.NewPCG(seed, 0))
}

var tokenKinds = []struct {
	name string
	kind tokenKind
}{{"session", sessionToken}, {"refresh", familyToken}, {"one-time", oneTimeToken}}

// sample returns a good token of a kind, its id and its secret.
func sample(tb testing.TB, k tokenKind) (text, id string, secret []byte) {
	tb.Helper()
	id, err := newID(k.prefix, 1893456000000, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	secret = make([]byte, k.secret)
	rand.Read(secret)
	return k.format(id, secret), id, secret
}

// untouched is a snapshot of which nothing may be read.
type untouched struct{ lookups *int }

func (u untouched) Get(kv.Space, []byte) ([]byte, bool, error)            { *u.lookups++; return nil, false, nil }
func (u untouched) GetMany([]kv.Ref, func(int, []byte, bool) error) error { *u.lookups++; return nil }
func (u untouched) Scan(kv.Space, []byte, []byte, int, func(k, v []byte) error) error {
	*u.lookups++
	return nil
}

// refusal presents a token in every way there is and returns what is wrong
// with the answers: a look-up, or another error than that of a bad token.
func refusal(token string) string {
	lookups := 0
	tx := &Tx{r: untouched{&lookups}}
	if err := tx.presented(token, new(codec.Session)); err != ErrInvalidSession {
		return "presented as a session: not refused"
	}
	if _, _, err := tx.presentedFamily(token); err != ErrInvalidRefreshToken {
		return "presented as a refresh token: not refused"
	}
	if _, err := tx.presentedOneTime("reset", token); err != ErrInvalidToken {
		return "presented as a one-time token: not refused"
	}
	if lookups != 0 {
		return "was looked up"
	}
	return ""
}

func TestGoodTokenIsLookedUpByItsOwnKindOnly(t *testing.T) {
	for i, k := range tokenKinds {
		text, id, secret := sample(t, k.kind)
		for j, other := range tokenKinds {
			got := make([]byte, other.kind.secret)
			gotID, ok := other.kind.parse(text, got)
			if ok != (i == j) || ok && (gotID != id || !bytes.Equal(got, secret)) {
				t.Errorf("%s token as %s: %q, %t", k.name, other.name, gotID, ok)
			}
		}
		if refusal(text) == "" {
			t.Errorf("%s: a good token was refused unseen, so this test can see nothing", k.name)
		}
	}
}

func TestEveryChangedByteIsRefusedUnseen(t *testing.T) {
	for _, k := range tokenKinds {
		t.Run(k.name, func(t *testing.T) {
			text, _, _ := sample(t, k.kind)
			b := []byte(text)
			for i, was := range b {
				for v := range 256 {
					if b[i] = byte(v); b[i] == was {
						continue
					}
					if wrong := refusal(string(b)); wrong != "" {
						t.Fatalf("byte %d as %#02x: %s", i, v, wrong)
					}
				}
				b[i] = was
			}
		})
	}
}

func TestEveryOtherLengthIsRefusedUnseen(t *testing.T) {
	for _, k := range tokenKinds {
		text, _, _ := sample(t, k.kind)
		var all []string
		for i := range text {
			all = append(all, text[:i], text[i+1:], text[:i]+text[i+1:])
			for _, c := range []string{"0", "\x00", "\n", ".", text[i : i+1]} {
				all = append(all, text[:i]+c+text[i:])
			}
		}
		for v := range 256 {
			all = append(all, text+string([]byte{byte(v)}), string([]byte{byte(v)})+text)
		}
		all = append(all, text+text, text+"\r\n", " "+text, text+strings.Repeat("0", 1<<20), strings.Repeat(text, 1<<14))
		for i, s := range all {
			if wrong := refusal(s); wrong != "" {
				t.Fatalf("%s, form %d: %s", k.name, i, wrong)
			}
		}
	}
}

// withCRC gives text, all of a token but its checksum, the right checksum.
func withCRC(text string) string {
	crc := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
	return string(appendBase32([]byte(text), crc))
}

// Whoever computes the checksum anew still has only one spelling.
func TestOtherSpellingsWithARightChecksumAreRefusedUnseen(t *testing.T) {
	for _, k := range tokenKinds {
		text, id, secret := sample(t, k.kind)
		body := text[:len(text)-crcLength]
		last := digitValues[body[len(body)-1]]
		spare := uint(len(body)-len(tokenPrefix)-idLength-1)*5 - uint(len(secret))*8
		var all []string
		for v := byte(1); v < 1<<spare; v++ {
			all = append(all, withCRC(body[:len(body)-1]+string(digits[last|v])))
		}
		lastCRC := digitValues[text[len(text)-1]]
		for v := byte(1); v < 8; v++ {
			all = append(all, text[:len(text)-1]+string(digits[lastCRC|v]))
		}
		if len(all) < 7+1 {
			t.Fatalf("%s: no spare bits to set", k.name)
		}
		all = append(all, withCRC(strings.ToUpper(body)), strings.ToUpper(text))
		for _, alias := range []struct{ is, was string }{{"0", "o"}, {"1", "i"}, {"1", "l"}, {"0", "O"}, {"v", "u"}} {
			zeros := k.kind.format(prefixed(k.kind, "01vv"+id[8:]), append([]byte{0, 0, 0x08, 0x37}, secret[4:]...))
			body := zeros[:len(zeros)-crcLength]
			for i := len(tokenPrefix) + 4; i < len(body); i++ {
				if body[i:i+1] == alias.is {
					all = append(all, withCRC(body[:i]+alias.was+body[i+1:]))
				}
			}
		}
		for _, other := range []string{prefixUser, prefixSession, prefixFamily, prefixOneTime, "xxx_"} {
			if other != k.kind.prefix && other != prefixSession && other != prefixOneTime {
				all = append(all, withCRC(strings.Replace(body, k.kind.prefix, other, 1)))
			}
		}
		all = append(all, withCRC(strings.Replace(body, ".", "_", 1)), withCRC(strings.Replace(body, "sn", "SN", 1)))
		for i, s := range all {
			if wrong := refusal(s); wrong != "" {
				t.Errorf("%s, spelling %d: %s", k.name, i, wrong)
			}
		}
	}
}

func prefixed(k tokenKind, rest string) string {
	return k.prefix + rest + strings.Repeat("0", 26-len(rest))
}

// Session and one-time tokens have one length, so the prefix alone tells them
// apart.
func TestPrefixOfAnotherKindIsRefusedUnseen(t *testing.T) {
	text, _, _ := sample(t, sessionToken)
	swapped := withCRC(strings.Replace(text[:len(text)-crcLength], prefixSession, prefixOneTime, 1))
	lookups := 0
	tx := &Tx{r: untouched{&lookups}}
	if err := tx.presented(swapped, new(codec.Session)); err != ErrInvalidSession || lookups != 0 {
		t.Errorf("one-time token as a session: %v after %d look-ups", err, lookups)
	}
	text, _, _ = sample(t, oneTimeToken)
	swapped = withCRC(strings.Replace(text[:len(text)-crcLength], prefixOneTime, prefixSession, 1))
	if _, err := tx.presentedOneTime("reset", swapped); err != ErrInvalidToken || lookups != 0 {
		t.Errorf("session token as a one-time token: %v after %d look-ups", err, lookups)
	}
}

func TestRefusingATokenAllocatesNothing(t *testing.T) {
	for _, k := range tokenKinds {
		text, _, _ := sample(t, k.kind)
		for name, s := range map[string]string{
			"empty": "", "truncated": text[:len(text)-1], "one byte more": text + "0",
			"last digit": text[:len(text)-1] + "u", "megabytes": strings.Repeat(text, 1<<15),
		} {
			if n := testing.AllocsPerRun(50, func() { refusal(s) }); n > 1 {
				// 1 is the Tx of the test itself.
				t.Errorf("%s, %s: %v allocations", k.name, name, n)
			}
		}
	}
}

func TestBase32GivesBackEveryByte(t *testing.T) {
	r := SecurityRand(t)
	for range 2000 {
		src := make([]byte, r.IntN(70))
		for i := range src {
			src[i] = byte(r.Uint32())
		}
		text := string(appendBase32(nil, src))
		got := make([]byte, len(src))
		if len(text) != (len(src)*8+4)/5 || !decodeBase32(got, text) || !bytes.Equal(got, src) {
			t.Fatalf("%x is %q, which is %x", src, text, got)
		}
		other := slices.Clone(src)
		if len(src) > 0 {
			other[r.IntN(len(src))] ^= 1 << r.IntN(8)
			if a, b := bytes.Compare(src, other), strings.Compare(text, string(appendBase32(nil, other))); a != b {
				t.Fatalf("%x and %x: order %d, of their texts %d", src, other, a, b)
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

func TestIdsSortByTimeWhateverTheRandomBitsAre(t *testing.T) {
	times := []int64{0, 1, 255, 256, 65535, 1<<32 - 1, 1 << 32, wallMin.UnixMilli(), wallMin.UnixMilli() + 1,
		1893456000000, wallMax.UnixMilli() - 1, wallMax.UnixMilli(), 1<<47 - 1, 1 << 47, 1<<48 - 1}
	for i, at := range times[1:] {
		earlier, err1 := newID(prefixSession, times[i], constant(0xff))
		later, err2 := newID(prefixSession, at, constant(0))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if earlier >= later {
			t.Errorf("%d is %s, %d is %s", times[i], earlier, at, later)
		}
		for _, id := range []string{earlier, later} {
			if !validID(prefixSession, id) || !validUserID(UserID(id)) || len(id) != idLength {
				t.Errorf("%s is no id", id)
			}
		}
	}
	if wallMax.UnixMilli() >= 1<<48 {
		t.Error("the last believable time does not fit in 48 bits")
	}
}

func TestIdsOfOneMillisecondDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for range 50_000 {
		id, err := newID(prefixUser, 1893456000000, rand.Reader)
		if err != nil || seen[id] || !validID(prefixUser, id) {
			t.Fatalf("%s: %v, seen %t", id, err, seen[id])
		}
		seen[id] = true
	}
}

func TestIdIsNotMadeOfTooFewRandomBytes(t *testing.T) {
	for n := range 10 {
		id, err := newID(prefixUser, 1893456000000, io.LimitReader(constant(1), int64(n)))
		if err == nil || id != "" {
			t.Errorf("%d random bytes gave %q", n, id)
		}
	}
}

func TestStrangeIdsAreNotValid(t *testing.T) {
	good, err := newID(prefixSession, 1893456000000, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "ses_", good[1:], good[:29], good + "0", "rft_" + good[4:], strings.ToUpper(good),
		"ses_" + strings.Repeat("u", 26), "ses_" + strings.Repeat("\x00", 26), good[:29] + "l", " " + good[1:], strings.Repeat(good, 1000)} {
		if validID(prefixSession, id) {
			t.Errorf("%.40q is valid", id)
		}
	}
	for _, id := range []UserID{"", "a b", "a\x00", "ä", "a/b", "a@b", UserID(strings.Repeat("a", 65)), "\xff"} {
		if validUserID(id) {
			t.Errorf("%.40q is a valid user id", id)
		}
	}
	for _, id := range []UserID{"a", "A.b:c-d_9", UserID(strings.Repeat("a", 64)), "-", "."} {
		if !validUserID(id) {
			t.Errorf("%q is no valid user id", id)
		}
	}
}

func TestStoredHashIsSHA256OverLabelAndSecret(t *testing.T) {
	labels := map[string]bool{familyLabel: true}
	for _, k := range tokenKinds {
		n := min(k.kind.secret, 32) // of a refresh token, s alone
		_, _, secret := sample(t, k.kind)
		h := sha256.New()
		h.Write([]byte(k.kind.label))
		h.Write(secret[:n])
		if got := k.kind.hash(secret[:n]); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("%s: stored is %x, want %x", k.name, got, h.Sum(nil))
		}
		if labels[k.kind.label] || !strings.HasSuffix(k.kind.label, "\x00") {
			t.Errorf("%s: the label %q is another's too, or has no end", k.name, k.kind.label)
		}
		labels[k.kind.label] = true
		if k.kind.secret < 32 {
			t.Errorf("%s: only %d secret bytes", k.name, k.kind.secret)
		}
	}
	same := bytes.Repeat([]byte{7}, 32)
	hashes := map[[32]byte]bool{}
	for label := range labels {
		hashes[labelledHash(label, same)] = true
		if len(label)+32 > 64 {
			t.Errorf("label %q and 32 bytes do not fit one block", label)
		}
	}
	if len(hashes) != len(labels) {
		t.Error("one secret has one hash as two kinds")
	}
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
