package token

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
)

var kinds = []struct {
	name string
	kind Kind
}{{"session", Session}, {"refresh", Family}, {"one-time", OneTime}, {"api-key", APIKey}}

// refusal reports, if text is a token of some kind, of which.
func refusal(text string) string {
	for _, k := range kinds {
		if _, ok := k.kind.Parse(text, make([]byte, k.kind.Secret)); ok {
			return "accepted as a token of kind " + k.name
		}
	}
	return ""
}

// sample returns a good token of a kind, its key and its secret.
func sample(tb testing.TB, k Kind) (text string, key codec.OwnedKey, secret []byte) {
	tb.Helper()
	rand.Read(key[:])
	secret = make([]byte, k.Secret)
	rand.Read(secret)
	return k.Format(key, secret), key, secret
}

func TestGoodTokenIsLookedUpByItsOwnKindOnly(t *testing.T) {
	for i, k := range kinds {
		text, key, secret := sample(t, k.kind)
		for j, other := range kinds {
			got := make([]byte, other.kind.Secret)
			gotKey, ok := other.kind.Parse(text, got)
			if ok != (i == j) || ok && (gotKey != key || !bytes.Equal(got, secret)) {
				t.Errorf("%s token as %s: %x, %t", k.name, other.name, gotKey, ok)
			}
		}
		if refusal(text) == "" {
			t.Errorf("%s: a good token was refused unseen, so this test can see nothing", k.name)
		}
	}
}

func TestEveryChangedByteIsRefusedUnseen(t *testing.T) {
	for _, k := range kinds {
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
	for _, k := range kinds {
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
	return string(codec.AppendBase32([]byte(text), crc))
}

// A checksum that was computed anew does not make another spelling good.
func TestOtherSpellingsWithARightChecksumAreRefusedUnseen(t *testing.T) {
	for _, k := range kinds {
		text, _, secret := sample(t, k.kind)
		body := text[:len(text)-crcDigits]
		last := valueOf(body[len(body)-1])
		spare := uint(len(body)-len(tokenPrefix)-idLength-1)*5 - uint(len(secret))*8
		var all []string
		for v := byte(1); v < 1<<spare; v++ {
			all = append(all, withCRC(body[:len(body)-1]+digit(last|v)))
		}
		lastCRC := valueOf(text[len(text)-1])
		for v := byte(1); v < 8; v++ {
			all = append(all, text[:len(text)-1]+digit(lastCRC|v))
		}
		if len(all) < 7+1 {
			t.Fatalf("%s: no spare bits to set", k.name)
		}
		all = append(all, withCRC(strings.ToUpper(body)), strings.ToUpper(text))
		for _, alias := range []struct{ is, was string }{{"0", "o"}, {"1", "i"}, {"1", "l"}, {"0", "O"}, {"v", "u"}} {
			var key codec.OwnedKey
			codec.DecodeBase32(key[:], "01vv"+strings.Repeat("01vv", 7))
			zeros := k.kind.Format(key, append([]byte{0, 0, 0x08, 0x37}, secret[4:]...))
			body := zeros[:len(zeros)-crcDigits]
			for i := len(tokenPrefix) + 4; i < len(body); i++ {
				if body[i:i+1] == alias.is {
					all = append(all, withCRC(body[:i]+alias.was+body[i+1:]))
				}
			}
		}
		for _, other := range []string{"usr_", "rft_", "xxx_"} {
			if other != k.kind.Prefix {
				all = append(all, withCRC(strings.Replace(body, k.kind.Prefix, other, 1)))
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

// valueOf and digit are a second writing of the digits.
func valueOf(c byte) byte { return byte(strings.IndexByte(alphabet, c)) }

func digit(v byte) string { return alphabet[v : v+1] }

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Session and one-time tokens have one length, so the prefix alone tells them
// apart.
func TestPrefixOfAnotherKindIsRefusedUnseen(t *testing.T) {
	text, _, _ := sample(t, Session)
	swapped := withCRC(strings.Replace(text[:len(text)-crcDigits], "ses_", "ott_", 1))
	if _, ok := Session.Parse(swapped, make([]byte, 32)); ok {
		t.Error("one-time token as a session")
	}
	text, _, _ = sample(t, OneTime)
	swapped = withCRC(strings.Replace(text[:len(text)-crcDigits], "ott_", "ses_", 1))
	if _, ok := OneTime.Parse(swapped, make([]byte, 32)); ok {
		t.Error("session token as a one-time token")
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
	times := []int64{0, 1, 255, 256, 65535, 1<<32 - 1, 1 << 32, clock.Min.UnixMilli(), clock.Min.UnixMilli() + 1,
		1893456000000, clock.Max.UnixMilli() - 1, clock.Max.UnixMilli(), 1<<47 - 1, 1 << 47, 1<<48 - 1}
	var owner codec.Owner
	of := func(at int64, random byte) string {
		return Session.ID(codec.MakeOwnedKey(owner, codec.NewOwnID(at, [4]byte{random, random, random, random})))
	}
	for i, at := range times[1:] {
		user1, err1 := NewUserID(times[i], constant(0xff))
		user2, err2 := NewUserID(at, constant(0))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if user1 >= user2 || of(times[i], 0xff) >= of(at, 0) {
			t.Errorf("%d is %s, %d is %s", times[i], user1, at, user2)
		}
		for _, id := range []string{user1, user2} {
			if !ValidUserID(id) || len(id) != 30 {
				t.Errorf("%s is no id", id)
			}
		}
	}
	if clock.Max.UnixMilli() >= 1<<48 {
		t.Error("the last believable time does not fit in 48 bits")
	}
}

func TestIdsOfOneMillisecondDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for range 50_000 {
		id, err := NewUserID(1893456000000, rand.Reader)
		if err != nil || seen[id] || !ValidUserID(id) {
			t.Fatalf("%s: %v, seen %t", id, err, seen[id])
		}
		seen[id] = true
	}
}

func TestIdIsNotMadeOfTooFewRandomBytes(t *testing.T) {
	for n := range 10 {
		id, err := NewUserID(1893456000000, io.LimitReader(constant(1), int64(n)))
		if err == nil || id != "" {
			t.Errorf("%d random bytes gave %q", n, id)
		}
	}
}

func TestStrangeIdsAreNotValid(t *testing.T) {
	_, key, _ := sample(t, Session)
	good := Session.ID(key)
	for _, id := range []string{"", "ses_", good[1:], good[:35], good + "0", "rft_" + good[4:], strings.ToUpper(good),
		"ses_" + strings.Repeat("u", 32), "ses_" + strings.Repeat("\x00", 32), good[:35] + "l", " " + good[1:], strings.Repeat(good, 1000)} {
		if _, ok := Session.ParseID(id); ok {
			t.Errorf("%.40q is an id", id)
		}
	}
	if got, ok := Session.ParseID(good); !ok || got != key {
		t.Errorf("%s is %x, %t", good, got, ok)
	}
	for _, id := range []string{"", "a b", " ", "a\x00", "a\n", "\x7f", "ä", strings.Repeat("a", 129), "\xff", "snses_x", "snrft_", "snott_a.b"} {
		if ValidUserID(id) {
			t.Errorf("%.40q is a valid user id", id)
		}
	}
	for _, id := range []string{"a", "A.b:c-d_9", strings.Repeat("a", 128), "-", ".", "!", "~", "auth0|5f7c", "cn=ada,dc=x", "a/b+c==", "ada@example.com"} {
		if !ValidUserID(id) {
			t.Errorf("%q is no valid user id", id)
		}
	}
}

func TestStoredHashIsSHA256OverLabelAndSecret(t *testing.T) {
	labels := map[string]bool{FamilyLabel: true}
	for _, k := range kinds {
		n := min(k.kind.Secret, 32) // of a refresh token, s alone
		_, _, secret := sample(t, k.kind)
		h := sha256.New()
		h.Write([]byte(k.kind.Label))
		h.Write(secret[:n])
		if got := k.kind.Hash(secret[:n]); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("%s: stored is %x, want %x", k.name, got, h.Sum(nil))
		}
		if labels[k.kind.Label] || !strings.HasSuffix(k.kind.Label, "\x00") {
			t.Errorf("%s: the label %q is another's too, or has no end", k.name, k.kind.Label)
		}
		labels[k.kind.Label] = true
		if k.kind.Secret < 32 {
			t.Errorf("%s: only %d secret bytes", k.name, k.kind.Secret)
		}
	}
	same := bytes.Repeat([]byte{7}, 32)
	hashes := map[[32]byte]bool{}
	for label := range labels {
		hashes[Hash(label, same)] = true
		if len(label)+32 > 64 {
			t.Errorf("label %q and 32 bytes do not fit one block", label)
		}
	}
	if len(hashes) != len(labels) {
		t.Error("one secret has one hash as two kinds")
	}
}

// A text that is accepted as a token is the only spelling of its id and
// secret, and no token of another kind.
func FuzzParseToken(f *testing.F) {
	for _, k := range kinds {
		var key codec.OwnedKey
		copy(key[:], "twenty bytes of key.")
		id := k.kind.ID(key)
		good := k.kind.Format(key, bytes.Repeat([]byte{0xa5}, k.kind.Secret))
		for _, s := range []string{good, good[1:], good + "0", strings.ToUpper(good), good[:len(good)-1] + "1", good[:len(good)-7] + "0000000", "sn" + id + ".", id} {
			f.Add(s)
		}
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		accepted := 0
		for _, k := range kinds {
			secret := make([]byte, k.kind.Secret)
			key, ok := k.kind.Parse(text, secret)
			if !ok {
				continue
			}
			accepted++
			if k.kind.Format(key, secret) != text {
				t.Errorf("%s: %q is accepted and is another spelling", k.name, text)
			}
		}
		if accepted > 1 {
			t.Errorf("%q is a token of %d kinds", text, accepted)
		}
	})
}
