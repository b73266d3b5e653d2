package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The size is a promise: 10 bytes more of a session are 10 MB of a million.
func TestSizesOfOwnedRecords(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want int
	}{
		{"a session of its own", sampleSessionAlone.Append(nil), 96},
		{"a session of a family", (&Session{Key: sampleKey(1), UserID: madeUser, Family: OwnID{1}}).Append(nil), 106},
		{"a session of an imported user", (&Session{Key: sampleKey(1), UserID: "42"}).Append(nil), 82},
		{"a new family", sampleFamilyFresh.Append(nil), 160},
	}
	for _, tt := range tests {
		if len(tt.got) != tt.want {
			t.Errorf("%s takes %d bytes, want %d", tt.name, len(tt.got), tt.want)
		}
	}
}

// Ids made by the library take 16 bytes, everything else is text.
func TestUsersOfOwnedRecords(t *testing.T) {
	tests := []struct {
		id   string
		made bool
	}{
		{madeUser, true},
		{"usr_" + strings.Repeat("0", 26), true},
		{"usr_" + strings.Repeat("z", 25) + "w", true},
		{"usr_" + strings.Repeat("z", 26), false},                   // spare bits
		{strings.ToUpper(madeUser), false},                          // another id
		{"usr_" + strings.ToUpper(madeUser[4:]), false},             //
		{"usr_0" + madeUser[4:], false},                             // one digit more
		{madeUser[:29], false},                                      // one less
		{strings.Replace(madeUser, "usr_", "ses_", 1), false},       //
		{strings.Replace(madeUser, "q", "u", 1), false},             // no digit
		{string(must(crockford.DecodeString(madeUser[4:]))), false}, // the 16 bytes as text
		{"", false}, {"u", false}, {"ada@example.com", false}, {strings.Repeat("x", 300), false},
	}
	for _, tt := range tests {
		s := Session{Key: sampleKey(1), UserID: tt.id, ActiveUntil: Never, IdleUntil: Never, AbsoluteUntil: Never, AuthTime: sampleTime, LastUsedAt: sampleTime}
		value := s.Append(nil)
		if made := value[75] == 0xc4; made != tt.made {
			t.Errorf("%q: made %v", tt.id, made)
		}
		v, err := ViewSession(s.Key[:], value)
		if err != nil {
			t.Fatalf("%q: %v", tt.id, err)
		}
		for _, other := range tests {
			if got := v.IsUser(other.id); got != (other.id == tt.id) {
				t.Errorf("%q is %q: %v", tt.id, other.id, got)
			}
		}
		if got := v.UserID(); got != tt.id {
			t.Errorf("%q: user %q", tt.id, got)
		}
		got, err := DecodeSession(s.Key[:], value)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "session", got, s)
	}
}

// Second ways to write a record, each under a right checksum.
func TestOtherFormsOfOwnedRecordsAreRefused(t *testing.T) {
	session := sessionSample("", sampleSessionAlone)
	session.value = session.encode(session.record, session.key)
	made := string(session.value[75:93])
	replace := func(old, with string) []byte {
		if bytes.Count(session.value, []byte(old)) != 1 {
			t.Fatalf("% x is not there once", old)
		}
		v := bytes.Replace(session.value, []byte(old), []byte(with), 1)
		return reseal(session.space, session.key, v)
	}
	tail := "\xc4\x00\x80" // no family, no attributes
	tests := map[string][]byte{
		"user made here as text":   replace(made, "\xd9\x1e"+madeUser),
		"user of 15 bytes":         replace(made, "\xc4\x0f"+made[3:]),
		"user of 17 bytes":         replace(made, "\xc4\x11"+made[2:]+"x"),
		"user as longer binary":    replace(made, "\xc5\x00\x10"+made[2:]),
		"user as fixstr":           replace(made, "\xa1u"),
		"user as extension":        replace(made, "\xd8\x01"+made[2:]),
		"family of zeros":          replace(tail, "\xc4\x0a"+strings.Repeat("\x00", 10)+"\x80"),
		"family of 9 bytes":        replace(tail, "\xc4\x09"+strings.Repeat("x", 9)+"\x80"),
		"family of 20 bytes":       replace(tail, "\xc4\x14"+strings.Repeat("x", 20)+"\x80"),
		"family as text":           replace(tail, "\xd9\x00\x80"),
		"family as null":           replace(tail, "\xc0\x80"),
		"fixed fields too short":   replace("\xc4\x40", "\xc4\x3f"),
		"fixed fields too long":    replace("\xc4\x40", "\xc4\x41"),
		"fixed fields as text":     replace("\xc4\x40", "\xd9\x40"),
		"log-in without a time":    reseal(session.space, session.key, append(append(bytes.Clone(session.value[:65]), "\xff\xff\xff\xff\xff"...), session.value[70:]...)),
		"fixed fields, one more":   replace("\xc4\x40", "\xc4\x41\x00"),
		"attributes as an array":   replace(tail, "\xc4\x00\x90"),
		"attributes, and one more": replace(tail, "\xc4\x00\x80\x80"),
	}
	for name, v := range tests {
		refused(t, session, []byte(session.key), v, name)
	}
	family := familySample("", sampleFamilyFresh)
	family.value = family.encode(family.record, family.key)
	copy(family.value[100:], "\xff\xff\xff\xff\xff")
	refused(t, family, []byte(family.key), reseal(family.space, family.key, family.value), "a family's log-in without a time")
	if v := replace(made, "\xd9\x02u1"); must(DecodeSession([]byte(session.key), v)).UserID != "u1" {
		t.Error("the right form is refused") // the tests above are of the form alone
	}
}

// The key of an owned record has 20 bytes, whatever the checksum says.
func TestOwnedKeysHave20Bytes(t *testing.T) {
	for _, s := range samples() {
		if s.version != 2 || s.space == SpaceMeta {
			continue
		}
		for _, key := range []string{"", s.key[:19], s.key + "x", "ses_01j9zk3m4n5p6q7r8s9t0v1w2x"} {
			refused(t, s, []byte(key), reseal(s.space, key, bytes.Clone(s.value)), "a key of other length")
		}
	}
}

// What views return is what decoding returns.
func TestViews(t *testing.T) {
	for _, s := range samples() {
		key := []byte(s.key)
		switch r := s.record.(type) {
		case Session:
			v := must(ViewSession(key, s.value))
			same(t, s.name, []any{v.Key(), v.Epoch(), v.Flags(), v.SecretHash(), v.UserID(), v.IsUser(r.UserID), v.Family(), v.ActiveUntil(), v.IdleUntil(), v.AbsoluteUntil(),
				v.AuthTime(), v.LastUsedAt(), v.Methods(), string(v.Attributes()), string(v.AppendUserID([]byte("by ")))},
				[]any{r.Key, r.Epoch, r.Flags, r.SecretHash, r.UserID, true, r.Family, r.ActiveUntil, r.IdleUntil, r.AbsoluteUntil,
					r.AuthTime, r.LastUsedAt, r.Methods, r.Attributes, "by " + r.UserID})
		case Family:
			v := must(ViewFamily(key, s.value))
			same(t, s.name, []any{v.Key(), v.Epoch(), v.Flags(), v.FamilyHash(), v.UserID(), v.IsUser(r.UserID), v.Session(), v.IdleUntil(), v.AbsoluteUntil(), v.RevokedAt()},
				[]any{r.Key, r.Epoch, r.Flags, r.FamilyHash, r.UserID, true, r.Session, r.IdleUntil, r.AbsoluteUntil, r.RevokedAt})
		case OneTimeToken:
			v := must(ViewOneTimeToken(key, s.value))
			same(t, s.name, []any{v.Key(), v.Epoch(), v.Flags(), v.SecretHash(), v.UserID(), v.IsUser(r.UserID), v.ExpiresAt(), v.CredentialVersion(), v.IsPurpose(r.Purpose), v.IsPurpose("x" + r.Purpose)},
				[]any{r.Key, r.Epoch, r.Flags, r.SecretHash, r.UserID, true, r.ExpiresAt, r.CredentialVersion, true, false})
		case Device:
			v := must(ViewDevice(key, s.value))
			same(t, s.name, []any{v.Key(), v.Epoch(), v.Flags(), v.SecretHash(), v.UserID(), v.IsUser(r.UserID), v.LastUsedAt(), v.ExpiresAt(), v.TrustedUntil()},
				[]any{r.Key, r.Epoch, r.Flags, r.SecretHash, r.UserID, true, r.LastUsedAt, r.ExpiresAt, r.TrustedUntil})
		case APIKey:
			v := must(ViewAPIKey(key, s.value))
			same(t, s.name, []any{v.Key(), v.Epoch(), v.Flags(), v.SecretHash(), v.UserID(), v.IsUser(r.UserID), v.ExpiresAt(), v.LastUsedAt()},
				[]any{r.Key, r.Epoch, r.Flags, r.SecretHash, r.UserID, true, r.ExpiresAt, r.LastUsedAt})
		case Factor:
			v := must(ViewFactor(key, s.value))
			same(t, s.name, []any{v.Key(), v.Epoch(), v.Flags(), v.UserID(), v.IsUser(r.UserID), v.Type(), v.ExpiresAt(), v.UsedAt(), v.Codes()},
				[]any{r.Key, r.Epoch, r.Flags, r.UserID, true, r.Type, r.ExpiresAt, r.UsedAt, len(r.Codes) / 32})
		}
	}
}

// A view of what is refused is empty.
func TestViewsRefuse(t *testing.T) {
	for _, s := range samples() {
		v := bytes.Clone(s.value)
		v[len(v)-1] ^= 1
		var err error
		var view any
		switch s.record.(type) {
		case Session:
			view, err = anyOf(ViewSession([]byte(s.key), v))
		case Family:
			view, err = anyOf(ViewFamily([]byte(s.key), v))
		case OneTimeToken:
			view, err = anyOf(ViewOneTimeToken([]byte(s.key), v))
		case Device:
			view, err = anyOf(ViewDevice([]byte(s.key), v))
		case APIKey:
			view, err = anyOf(ViewAPIKey([]byte(s.key), v))
		case Factor:
			view, err = anyOf(ViewFactor([]byte(s.key), v))
		default:
			continue
		}
		if !errors.Is(err, ErrCorrupt) || !isZero(view) {
			t.Errorf("%s: %#v, %v", s.name, view, err)
		}
	}
}

// Lists of spaces whose ranges must not be deleted, or that read two ways.
func TestOwnedSpacesRefuses(t *testing.T) {
	s := metaSample("", KeyOwnedSpaces, nil, nil, func(v []byte) (any, error) { return anyOf(DecodeOwnedSpaces(v)) })
	long := strings.Repeat("a", MaxSpaceName)
	for _, names := range [][]string{
		{SpaceMeta}, {SpaceUsers}, {SpaceIdentities}, {SpaceAttributes}, {SpaceQuarantine}, {SpacePasskeys}, {"shadow"}, {"a", SpaceUsers},
		{""}, {"a", "a"}, {"b", "a"}, {"", "a"}, {"A"}, {"a b"}, {"a\x00"}, {"é"}, {"a-b"}, {long + "a"},
	} {
		r := OwnedSpaces{Names: names}
		refused(t, s, nil, r.Append(nil), strings.Join(names, ","))
	}
	want := OwnedSpaces{Names: []string{"0_z", long, "zz"}}
	if got, err := DecodeOwnedSpaces(want.Append(nil)); err != nil {
		t.Error(err)
	} else {
		same(t, "names", got, want)
	}
}

func TestOwnerKeyMustBeDrawn(t *testing.T) {
	s := metaSample("", KeyOwners, nil, nil, func(v []byte) (any, error) { return anyOf(DecodeOwnerKey(v)) })
	refused(t, s, nil, new(OwnerKey).Append(nil), "a key of zeros")
}

func TestQuarantine(t *testing.T) {
	for _, space := range []string{SpaceUsers, SpaceSessions, "x"} {
		for _, key := range []string{"", "u1", "a\x00b", "\x00\x00", string(sampleOwner[:])} {
			for _, owner := range []Owner{{}, sampleOwner} {
				k := AppendQuarantineKey([]byte("dst"), owner, space, []byte(key))[3:]
				if want := string(owner[:]) + space + "\x00" + key; string(k) != want {
					t.Errorf("key %q, want %q", k, want)
				}
				o, s, original, ok := SplitQuarantineKey(k)
				if !ok || o != owner || string(s) != space || string(original) != key {
					t.Errorf("%q came apart as %x %q %q %v", k, o, s, original, ok)
				}
				if from, to := owner.AppendRange(nil); !within(k, from, to) {
					t.Errorf("%q is out of its owner's range", k)
				}
			}
		}
	}
	for _, bad := range []string{"", "123456789", "1234567890", "1234567890users", "1234567890\x00key"} {
		if o, s, k, ok := SplitQuarantineKey([]byte(bad)); ok || o != (Owner{}) || s != nil || k != nil {
			t.Errorf("%q came apart as %x %q %q", bad, o, s, k)
		}
	}
	for _, ms := range []int64{0, -1, sampleTime} {
		v := AppendQuarantineValue([]byte("dst"), ms, []byte("found"))[3:]
		if got, original, ok := SplitQuarantineValue(v); !ok || got != ms || string(original) != "found" || len(v) != 8+5 {
			t.Errorf("%d: % x came apart as %d %q %v", ms, v, got, original, ok)
		}
	}
	if ms, v, ok := SplitQuarantineValue(make([]byte, 7)); ok || ms != 0 || v != nil {
		t.Error("7 bytes have no time")
	}
	if _, v, ok := SplitQuarantineValue(make([]byte, 8)); !ok || len(v) != 0 {
		t.Error("nothing may have been found")
	}
}
