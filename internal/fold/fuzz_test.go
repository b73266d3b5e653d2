package fold

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/snibdb/snib/codec"
)

// A key can be in an index, folds to itself, and does not leave the bounds
// that identifiers have.
func FuzzFoldIdentifier(f *testing.F) {
	for _, s := range []string{
		"", "ada@example.com", "ADA@Example.COM", `"a@b"@c`, "a b@c", "Ada", "ＡＤＡ", "\u212aelvin", "İstanbul", "ı", "straße", "ΣΊΣΥΦΟΣ", "e\u0301", "a＠b", "Ⅳ",
		"\u0645\u0661", "\xff", "a\x00b", "\u200b", strings.Repeat("é", 128), "ᾳ", "ŉ", "ǰ", "ẞ", "ﷺ", "\u0345",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, identifier string) {
		for _, rule := range []string{Exact, Email, Username} {
			key, fault := Identifier(rule, identifier)
			if fault.Found() {
				if key != "" || fault.Reason == "" {
					t.Errorf("%s: key %q and %v", rule, key, fault)
				}
				continue
			}
			if key == "" || len(key) > 256 || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
				t.Errorf("%s: %q has the key %q", rule, identifier, key)
			}
			if again, fault := Identifier(rule, key); fault.Found() || again != key {
				t.Errorf("%s: %q has the key %q, which has %q, %v", rule, identifier, key, again, fault)
			}
			switch rule {
			case Exact:
				if key != identifier {
					t.Errorf("exact: %q has the key %q", identifier, key)
				}
			case Email:
				same := strings.EqualFold(key, identifier) || strings.HasSuffix(key, "]")
				if !same || strings.Count(key, "@") != 1 || key != strings.ToLower(key) {
					t.Errorf("email: %q has the key %q", identifier, key)
				}
			case Username:
				if strings.ContainsAny(key, "@/\\: ") {
					t.Errorf("username: %q has the key %q", identifier, key)
				}
			}
		}
	})
}

// A lookup in a folded index finds the value that was stored: the entry is the
// same for the text as given and as folded, and is a key of an index.
func FuzzFoldAttribute(f *testing.F) {
	for _, s := range []string{
		"", " ", "The  Countess", "THE COUNTESS", "ａ", "e\u0301", "\u00a0", "\u3000x", "\u202e", "\x00", "a\x00b", "\xff", "Ⅳ", "ﷺ", "İ", "ß", "\u200d", "\u0345",
		strings.Repeat("x", 512), strings.Repeat("ﷺ", 40), strings.Repeat(" ", 600),
	} {
		f.Add(s)
	}
	const name = "nick"
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := codec.Canonical(text); err != nil {
			return // is refused before
		}
		index := codec.Index{Name: name, Unique: true, Fold: true}
		encoded, ok, fault := Value(text, index)
		if fault.Found() {
			if ok || encoded != "" {
				t.Errorf("%q: %t, %v", text, ok, fault)
			}
			return
		}
		if !ok {
			if encoded != "" || strings.TrimSpace(text) != "" {
				t.Errorf("%q is not indexed, and encoded as %q", text, encoded)
			}
			return
		}
		if again, _, _ := Value(text, index); again != encoded {
			t.Errorf("%q is encoded as %q and as %q", text, encoded, again)
		}
		key := codec.AppendUniqueKey(nil, name, encoded)
		if got, value, _, ok := codec.SplitEntryKey(key, true); !ok || string(got) != name || string(value) != encoded {
			t.Errorf("%q has a key that is taken apart as %q, %q, %t", text, got, value, ok)
		}
		from, to := codec.EntryRange(name, encoded)
		other, ok, fault := Value(text+"0", index)
		if fault.Found() || !ok || other == encoded {
			return
		}
		if key := codec.AppendEntryKey(nil, name, other, "u1"); bytes.Compare(key, from) >= 0 && bytes.Compare(key, to) < 0 {
			t.Errorf("an entry of %q is in the range of %q", text+"0", text)
		}
	})
}
