package snib

import (
	"bytes"
	"errors"
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
		for _, rule := range []IdentifierRule{Exact, Email, Username} {
			key, err := rule.fold(identifier)
			if err != nil {
				if e, ok := errors.AsType[*InputError](err); !ok || e.Field != "Identifier" || key != "" {
					t.Errorf("%s: key %q and %v", rule, key, err)
				}
				continue
			}
			if key == "" || len(key) > 256 || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
				t.Errorf("%s: %q has the key %q", rule, identifier, key)
			}
			if again, err := rule.fold(key); err != nil || again != key {
				t.Errorf("%s: %q has the key %q, which has %q, %v", rule, identifier, key, again, err)
			}
			switch rule {
			case Exact:
				if key != identifier {
					t.Errorf("exact: %q has the key %q", identifier, key)
				}
			case Email:
				if !strings.EqualFold(key, identifier) || strings.Count(key, "@") != 1 || key != strings.ToLower(key) {
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

// What a folded index is asked for finds what was stored under it: the entry
// is the same for the text as given and as folded, and is a key of an index.
func FuzzFoldAttribute(f *testing.F) {
	for _, s := range []string{
		"", " ", "The  Countess", "THE COUNTESS", "ａ", "e\u0301", "\u00a0", "\u3000x", "\u202e", "\x00", "a\x00b", "\xff", "Ⅳ", "ﷺ", "İ", "ß", "\u200d", "\u0345",
		strings.Repeat("x", 512), strings.Repeat("ﷺ", 40), strings.Repeat(" ", 600),
	} {
		f.Add(s)
	}
	index := Index{Name: "nick", Unique: true, Fold: true}
	f.Fuzz(func(t *testing.T, text string) {
		encoded, ok, err := index.value(text)
		if err != nil {
			if e, is := errors.AsType[*InputError](err); !is || !strings.HasPrefix(e.Field, "Attributes") || ok {
				t.Errorf("%q: %t, %v", text, ok, err)
			}
			return
		}
		if !ok {
			if encoded != "" || strings.TrimSpace(text) != "" {
				t.Errorf("%q is not indexed, and encoded as %q", text, encoded)
			}
			return
		}
		if again, _, _ := index.value(text); again != encoded {
			t.Errorf("%q is encoded as %q and as %q", text, encoded, again)
		}
		key := codec.AppendUniqueKey(nil, index.Name, encoded)
		if name, value, _, ok := codec.SplitEntryKey(key, true); !ok || string(name) != index.Name || string(value) != encoded {
			t.Errorf("%q has a key that is taken apart as %q, %q, %t", text, name, value, ok)
		}
		from, to := codec.EntryRange(index.Name, encoded)
		other, ok, err := index.value(text + "0")
		if err != nil || !ok || other == encoded {
			return
		}
		if key := codec.AppendEntryKey(nil, index.Name, other, "u1"); bytes.Compare(key, from) >= 0 && bytes.Compare(key, to) < 0 {
			t.Errorf("an entry of %q is in the range of %q", text+"0", text)
		}
	})
}
