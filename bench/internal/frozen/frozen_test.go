package frozen

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"
)

const (
	userID    = "usr_u0000000000000000000000007"
	sessionID = "ses_01h455vb4pex5vsknk084sn02q"
	familyID  = "rft_01h455vb4pex5vsknk084sn02r"
)

// The bytes below were written by the library as of the first format.
const (
	goldenUser = "dc000ece8321d4ae01d30000000000000001d30000000000000002cf0000000000000003d30000000000000004d30000000000000005" +
		"cf0000000000000000cf0000000000000000d90b246172676f6e3269642478d900dc000194d905656d61696cd90e7537406578616d706c652e636f6d" +
		"d90e5537406578616d706c652e636f6dd30000000000000006dc0000" + goldenAttributes
	goldenAttributes = "85a66c6f63616c65a5656e2d4742a46e616d65ad55736572204e756d6265722037aa6e6577736c6574746572c2a4706c616ea8" +
		"7374616e64617264a573696e6365d6ff6553f107"
	goldenSession = "dc000dceee8e54d701c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fcf0000000000000001" +
		"d30000000000000002d30000000000000003d30000000000000004d30000000000000005d30000000000000006d30000000000000007d91e7573725f" +
		"7530303030303030303030303030303030303030303030303037d91e7266745f3031683435357662347065783576736b6e6b303834736e30327280"
	goldenFamily = "dc0011cef4915e5b01c4200000000000000000000000000000000000000000000000000000000000000000c4206465666768696a6b" +
		"6c6d6e6f707172737475767778797a7b7c7d7e7f80818283c420c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7c420" +
		"0000000000000000000000000000000000000000000000000000000000000000cf0000000000000001cf0000000000000002d30000000000000003" +
		"d30000000000000004d30000000000000005d30000000000000006d30000000000000007d30000000000000000d91e7573725f7530303030303030" +
		"303030303030303030303030303030303037d91e7365735f3031683435357662347065783576736b6e6b303834736e30327180"
)

func samples(t *testing.T) (User, Session, Family) {
	attributes, err := EncodeAttributes(map[string]any{
		"name": "User Number 7", "plan": "standard", "newsletter": false, "locale": "en-GB", "since": time.Unix(1_700_000_007, 0).UTC(),
	})
	if err != nil || hex.EncodeToString([]byte(attributes)) != goldenAttributes {
		t.Fatalf("attributes: %x, %v", attributes, err)
	}
	u := User{
		ID: userID, CreatedAt: 1, UpdatedAt: 2, CredentialVersion: 3, DisabledAt: 4, PasswordHash: "$argon2id$x", PasswordChangedAt: 5,
		Provider: "email", Key: "u7@example.com", Identifier: "U7@example.com", LinkedAt: 6, Attributes: attributes,
	}
	s := Session{
		ID: sessionID, UserID: userID, FamilyID: familyID, SecretHash: digest(0), Epoch: 1,
		ActiveUntil: 2, IdleUntil: 3, AbsoluteUntil: 4, CreatedAt: 5, AuthTime: 6, LastUsedAt: 7,
	}
	f := Family{
		ID: familyID, UserID: userID, SessionID: sessionID, Current: digest(100), Previous: digest(200), Epoch: 1, Generation: 2,
		IdleUntil: 3, AbsoluteUntil: 4, CreatedAt: 5, AuthTime: 6, RotatedAt: 7,
	}
	return u, s, f
}

func digest(from byte) (d [32]byte) {
	for i := range d {
		d[i] = from + byte(i)
	}
	return d
}

func TestRecordsAreThoseOfTheFirstFormat(t *testing.T) {
	u, s, f := samples(t)
	check(t, "user", u, u.Encode(), goldenUser, u.ID, DecodeUser)
	check(t, "session", s, s.Encode(), goldenSession, s.ID, DecodeSession)
	check(t, "family", f, f.Encode(), goldenFamily, f.ID, DecodeFamily)
}

// check compares a record with its golden bytes, and sees it refused with any
// byte changed, without its last one and under another key.
func check[R comparable](t *testing.T, name string, r R, b []byte, golden, id string, decode func(key, value []byte) (R, error)) {
	if got := hex.EncodeToString(b); got != golden {
		t.Errorf("%s: %s\nwant %s", name, got, golden)
	}
	if got, err := decode([]byte(id), b); err != nil || got != r {
		t.Errorf("%s: decoded %+v, %v", name, got, err)
	}
	refused := func(what string, key, value []byte) {
		if _, err := decode(key, value); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %s is accepted: %v", name, what, err)
		}
	}
	refused("another key", []byte("x"+id[1:]), b)
	for i := range b {
		refused("what is cut", []byte(id), b[:i])
		b[i] ^= 1
		refused("a changed byte", []byte(id), b)
		b[i] ^= 1
	}
}

func TestDecodeSessionAllocations(t *testing.T) {
	_, s, _ := samples(t)
	key, value := []byte(s.ID), s.Encode()
	if got := testing.AllocsPerRun(100, func() { _, _ = DecodeSession(key, value) }); got != 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}

func TestPairsOfOneAreInItsRange(t *testing.T) {
	from, to := PairRange("u1")
	for _, p := range []struct {
		key []byte
		in  bool
	}{{Pair("u1", ""), true}, {Pair("u1", "\xff"), true}, {Pair("u10", "s"), false}, {Pair("u", "s"), false}} {
		if in := string(from) <= string(p.key) && string(p.key) < string(to); in != p.in {
			t.Errorf("%q: in the range is %v", p.key, in)
		}
	}
	if got := Second(Pair("u1", "s1")); string(got) != "s1" {
		t.Errorf("second: %q", got)
	}
}

func BenchmarkDecodeSession(b *testing.B) {
	s := Session{ID: sessionID, UserID: userID, ActiveUntil: 1}
	key, value := []byte(s.ID), s.Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeSession(key, value); err != nil {
			b.Fatal(err)
		}
	}
}
