package codec

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Every target has seeds in testdata/fuzz besides those it adds itself, found
// by fuzzing or written for a border. A folder without a target, or a target
// without a folder, would be seeds that nobody runs.
func TestFuzzSeedsAreUsed(t *testing.T) {
	targets := make(map[string]bool)
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			targets[m[1]] = true
		}
	}
	if len(targets) == 0 {
		t.Fatal("no targets found")
	}
	dirs, err := os.ReadDir("testdata/fuzz")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		seeds, err := filepath.Glob(filepath.Join("testdata/fuzz", dir.Name(), "*"))
		if err != nil || len(seeds) == 0 {
			t.Errorf("%s holds no seeds (%v)", dir.Name(), err)
		}
		if !targets[dir.Name()] {
			t.Errorf("%s belongs to no target", dir.Name())
		}
		delete(targets, dir.Name())
	}
	for name := range targets {
		t.Errorf("%s has no seeds", name)
	}
}

// fuzzDecode decodes input as it is, and again with a right checksum, because
// hardly any input gets past the checksum otherwise.
func fuzzDecode(f *testing.F, space string, decode func(key, value []byte) (any, error), encode func(record any, key []byte) []byte) {
	for _, s := range samples() {
		if s.space == space {
			f.Add([]byte(s.key), s.value)
			f.Add([]byte(s.key), s.counted(s.with(0xc0), s.count()+1))
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		checkDecode(t, key, value, decode, encode)
		if len(value) >= offFields {
			checkDecode(t, key, reseal(space, string(key), bytes.Clone(value)), decode, encode)
		}
	})
}

// checkDecode holds what is true of every decoder and every input: an error
// comes with the zero value, and what decodes encodes to the same bytes, up to
// the elements that a newer program appended.
func checkDecode(t *testing.T, key, value []byte, decode func(key, value []byte) (any, error), encode func(record any, key []byte) []byte) {
	t.Helper()
	k, v := bytes.Clone(key), bytes.Clone(value)
	got, err := decode(k, v)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Fatalf("unknown error %v", err)
		}
		if !isZero(got) {
			t.Fatalf("returned %#v beside %v", got, err)
		}
		return
	}
	if !bytes.Equal(k, key) || !bytes.Equal(v, value) {
		t.Fatal("input was changed")
	}
	for _, b := range [][]byte{k, v} {
		for i := range b {
			b[i] ^= 0xff // what was decoded must not change with it
		}
	}
	again := encode(got, key)
	if !bytes.HasPrefix(value[offVersion:], again[offVersion:]) {
		t.Fatalf("decoded % x\nand wrote % x", value, again)
	}
	if bytes.Equal(value[:offCRCMark], again[:offCRCMark]) && !bytes.Equal(value, again) {
		t.Fatalf("decoded % x\nand wrote % x", value, again)
	}
	second, err := decode(key, again)
	if err != nil || !reflect.DeepEqual(second, got) {
		t.Fatalf("decoded %#v\nthen %#v, %v", got, second, err)
	}
	attributesOpen(t, got)
}

// attributesOpen fails unless the attributes of a decoded record decode.
func attributesOpen(t *testing.T, record any) {
	t.Helper()
	field := reflect.ValueOf(record).FieldByName("Attributes")
	if !field.IsValid() {
		return
	}
	if _, err := DecodeAttributes(field.String()); err != nil {
		t.Fatalf("attributes of a decoded record: %v", err)
	}
}

func FuzzDecodeSession(f *testing.F) {
	fuzzDecode(f, SpaceSessions,
		func(k, v []byte) (any, error) { return anyOf(DecodeSession(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Session); return x.Append(nil) })
}

func FuzzDecodeFamily(f *testing.F) {
	fuzzDecode(f, SpaceFamilies,
		func(k, v []byte) (any, error) { return anyOf(DecodeFamily(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Family); return x.Append(nil) })
}

func FuzzDecodeOneTimeToken(f *testing.F) {
	fuzzDecode(f, SpaceOneTime,
		func(k, v []byte) (any, error) { return anyOf(DecodeOneTimeToken(k, v)) },
		func(r any, _ []byte) []byte { x := r.(OneTimeToken); return x.Append(nil) })
}

func FuzzDecodePasskey(f *testing.F) {
	f.Add(samplePasskey.Passkey)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePasskey(b)
		if again := p.Append(nil); err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func FuzzDecodeFactor(f *testing.F) {
	fuzzDecode(f, SpaceFactors,
		func(k, v []byte) (any, error) { return anyOf(DecodeFactor(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Factor); return x.Append(nil) })
}

func FuzzDecodeEvent(f *testing.F) {
	fuzzDecode(f, SpaceEvents,
		func(k, v []byte) (any, error) { return anyOf(DecodeEvent(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Event); return x.Append(nil) })
}

func FuzzDecodeOutboxEntry(f *testing.F) {
	fuzzDecode(f, SpaceOutbox,
		func(k, v []byte) (any, error) { return anyOf(DecodeOutboxEntry(k, v)) },
		func(r any, _ []byte) []byte { x := r.(OutboxEntry); return x.Append(nil) })
}

func FuzzDecodeDevice(f *testing.F) {
	fuzzDecode(f, SpaceDevices,
		func(k, v []byte) (any, error) { return anyOf(DecodeDevice(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Device); return x.Append(nil) })
}

func FuzzDecodeAPIKey(f *testing.F) {
	fuzzDecode(f, SpaceAPIKeys,
		func(k, v []byte) (any, error) { return anyOf(DecodeAPIKey(k, v)) },
		func(r any, _ []byte) []byte { x := r.(APIKey); return x.Append(nil) })
}

func FuzzDecodeUser(f *testing.F) {
	fuzzDecode(f, SpaceUsers,
		func(k, v []byte) (any, error) { return anyOf(DecodeUser(k, v)) },
		func(r any, _ []byte) []byte { x := r.(User); return x.Append(nil) })
}

func FuzzDecodeLeaving(f *testing.F) {
	fuzzDecode(f, SpaceLeaving,
		func(k, v []byte) (any, error) { return anyOf(DecodeLeaving(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Leaving); return x.Append(nil) })
}

func FuzzDecodeInvitation(f *testing.F) {
	fuzzDecode(f, SpaceInvitations,
		func(k, v []byte) (any, error) { return anyOf(DecodeInvitation(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Invitation); return x.Append(nil) })
}

// FuzzViews holds views against decoders: one accepts what the other does, and
// both say the same.
func FuzzViews(f *testing.F) {
	for _, s := range samples() {
		if len(s.key) == OwnedKeyBytes {
			f.Add([]byte(s.key), s.value, madeUser)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte, user string) {
		for _, space := range []string{SpaceSessions, SpaceFamilies, SpaceOneTime, SpaceDevices, SpaceAPIKeys} {
			if len(value) >= offFields {
				value = reseal(space, string(key), bytes.Clone(value))
			}
			s, err := DecodeSession(key, value)
			if v, errView := ViewSession(key, value); errView != err || err == nil && (v.Key() != s.Key ||
				v.IsUser(user) != (s.UserID == user) || !v.IsUser(s.UserID) || v.IdleUntil() != s.IdleUntil || v.Family() != s.Family) {
				t.Fatalf("session % x: %#v, %v; %#v, %v", value, v, errView, s, err)
			}
			fam, err := DecodeFamily(key, value)
			if v, errView := ViewFamily(key, value); errView != err || err == nil && (v.Key() != fam.Key ||
				v.IsUser(user) != (fam.UserID == user) || !v.IsUser(fam.UserID) || v.RevokedAt() != fam.RevokedAt || v.Session() != fam.Session) {
				t.Fatalf("family % x: %#v, %v; %#v, %v", value, v, errView, fam, err)
			}
			o, err := DecodeOneTimeToken(key, value)
			if v, errView := ViewOneTimeToken(key, value); errView != err || err == nil && (v.Key() != o.Key ||
				v.IsUser(user) != (o.UserID == user) || !v.IsUser(o.UserID) || !v.IsPurpose(o.Purpose) || v.ExpiresAt() != o.ExpiresAt) {
				t.Fatalf("token % x: %#v, %v; %#v, %v", value, v, errView, o, err)
			}
			d, err := DecodeDevice(key, value)
			if v, errView := ViewDevice(key, value); errView != err || err == nil && (v.Key() != d.Key ||
				v.IsUser(user) != (d.UserID == user) || !v.IsUser(d.UserID) || v.ExpiresAt() != d.ExpiresAt || v.TrustedUntil() != d.TrustedUntil) {
				t.Fatalf("device % x: %#v, %v; %#v, %v", value, v, errView, d, err)
			}
			k, err := DecodeAPIKey(key, value)
			if v, errView := ViewAPIKey(key, value); errView != err || err == nil && (v.Key() != k.Key ||
				v.IsUser(user) != (k.UserID == user) || !v.IsUser(k.UserID) || v.ExpiresAt() != k.ExpiresAt || v.LastUsedAt() != k.LastUsedAt) {
				t.Fatalf("API key % x: %#v, %v; %#v, %v", value, v, errView, k, err)
			}
		}
	})
}

// FuzzDecodeMeta decodes one value as each of the records that stand in meta,
// as a reference, and as those of the outbox that are no entries.
func FuzzDecodeMeta(f *testing.F) {
	for _, s := range samples() {
		if s.space == SpaceMeta || s.space == SpaceIdentities || s.space == SpaceCursors || s.name == "outbox_head" {
			f.Add(s.value)
		}
	}
	metas := []struct {
		space, key string
		decode     func(k, v []byte) (any, error)
		encode     func(r any, k []byte) []byte
	}{
		{SpaceMeta, KeyFormat, func(_, v []byte) (any, error) { return anyOf(DecodeFormat(v)) },
			func(r any, _ []byte) []byte { x := r.(Format); return x.Append(nil) }},
		{SpaceMeta, KeyState, func(_, v []byte) (any, error) { return anyOf(DecodeState(v)) },
			func(r any, _ []byte) []byte { x := r.(State); return x.Append(nil) }},
		{SpaceMeta, KeyDeclarations, func(_, v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) },
			func(r any, _ []byte) []byte { x := r.(Declarations); return x.Append(nil) }},
		{SpaceMeta, KeyOwners, func(_, v []byte) (any, error) { return anyOf(DecodeOwnerKey(v)) },
			func(r any, _ []byte) []byte { x := r.(OwnerKey); return x.Append(nil) }},
		{SpaceMeta, KeyOwnedSpaces, func(_, v []byte) (any, error) { return anyOf(DecodeOwnedSpaces(v)) },
			func(r any, _ []byte) []byte { x := r.(OwnedSpaces); return x.Append(nil) }},
		{SpaceMeta, KeySweepLease, func(_, v []byte) (any, error) { return anyOf(DecodeLease(KeySweepLease, v)) },
			func(r any, _ []byte) []byte { x := r.(Lease); return x.Append(nil, KeySweepLease) }},
		{SpaceMeta, KeyMoving, func(_, v []byte) (any, error) { return anyOf(DecodeMoving(v)) },
			func(r any, _ []byte) []byte { x := r.(Moving); return x.Append(nil) }},
		{SpaceMeta, KeySealKeys, func(_, v []byte) (any, error) { return anyOf(DecodeSealKeys(v)) },
			func(r any, _ []byte) []byte { x := r.(SealKeys); return x.Append(nil) }},
		{SpaceCursors, "mail", func(k, v []byte) (any, error) { return anyOf(DecodeCursor(k, v)) },
			func(r any, k []byte) []byte { x := r.(Cursor); return x.Append(nil, string(k)) }},
		{SpaceOutbox, "\xff\xff\xff\xff\xff\xff\xff\xff", func(_, v []byte) (any, error) { return anyOf(DecodeOutboxHead(v)) },
			func(r any, _ []byte) []byte { x := r.(OutboxHead); return x.Append(nil) }},
		{SpaceIdentities, "a\x00b", func(k, v []byte) (any, error) { return anyOf(DecodeUserRef(SpaceIdentities, k, v)) },
			func(r any, k []byte) []byte { x := r.(UserRef); return x.Append(nil, SpaceIdentities, k) }},
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, m := range metas {
			checkDecode(t, []byte(m.key), value, m.decode, m.encode)
			if len(value) >= offFields {
				checkDecode(t, []byte(m.key), reseal(m.space, m.key, bytes.Clone(value)), m.decode, m.encode)
			}
		}
	})
}

// FuzzCheck holds Check against the decoder that it protects: what Check
// accepts, msgpack decodes, with memory bounded by the input, to a value whose
// one encoding the input was.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(mustAttributes(goldenAttributes)))
	f.Add([]byte(sampleAttributes))
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxAttributeBytes || Check(b, MaxAttributeDepth, MaxAttributeBytes) != nil {
			return
		}
		in := bytes.NewReader(b)
		before := allocated()
		v, err := msgpack.NewDecoder(in).DecodeInterface()
		used := allocated() - before
		if err != nil || in.Len() != 0 {
			t.Fatalf("% x: %v, %d bytes left", b, err, in.Len())
		}
		// The process of the fuzzer allocates a little by itself.
		if limit := uint64(1<<20 + 512*len(b)); used > limit {
			t.Fatalf("% x: %d bytes for %d", b, used, len(b))
		}
		if got := encoded(t, v); !bytes.Equal(got, b) {
			t.Fatalf("% x\nencodes again as % x", b, got)
		}
	})
}

// encoded returns the encoding of any one value.
func encoded(t *testing.T, v any) []byte {
	t.Helper()
	c, err := Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	b := appendValue(nil, c)
	if want := byMsgpack(t, c); !bytes.Equal(b, want) {
		t.Fatalf("%v is % x, msgpack writes % x", c, b, want)
	}
	if back, rest := decodeValue(b); len(rest) != 0 || !bytes.Equal(appendValue(nil, back), b) {
		t.Fatalf("% x is read as %v, with %d bytes left", b, back, len(rest))
	}
	return b
}

// allocated returns the bytes that the process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzAttributesRoundTrip decodes what may be attributes and encodes them to
// the same bytes, and builds attributes from the input, which must survive.
func FuzzAttributesRoundTrip(f *testing.F) {
	f.Add(mustAttributes(goldenAttributes), "name", "text", int64(5), 1.5, []byte{1})
	f.Add("", "é", "", int64(math.MinInt64), math.Inf(1), []byte(nil))
	f.Fuzz(func(t *testing.T, raw, name, text string, n int64, x float64, blob []byte) {
		if m, err := DecodeAttributes(raw); err == nil && raw != "" {
			if again, err := AppendAttributes(nil, m, Bounds{}); err != nil || string(again) != raw {
				t.Fatalf("decoded % x\nand wrote % x, %v", raw, again, err)
			}
		}
		m := map[string]any{name: text, "n": n, "m": map[string]any{text: []any{x, blob, nil, n > 0}}, "t": time.Unix(n, int64(len(text)))}
		b, err := AppendAttributes(nil, m, Bounds{})
		var refusal *ValueError
		if errors.As(err, &refusal) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if Check(b, MaxAttributeDepth+1, MaxAttributeBytes) != nil {
			t.Fatalf("wrote % x, which Check refuses", b)
		}
		got, err := DecodeAttributes(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := Canonical(m); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v\nwant %#v", got, want)
		}
	})
}
