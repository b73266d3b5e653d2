package phc

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// weakVectors are digests of "correct horse 7", computed with Python's hashlib.
var weakVectors = []struct{ source, text, scheme string }{
	{"md5", "d8ed6d71d29c064f6688a0d0ffcabab3", "argon2id-md5"},
	{"wordpress", "d8ed6d71d29c064f6688a0d0ffcabab3", "argon2id-md5"},
	{"django", "D8ED6D71D29C064F6688A0D0FFCABAB3", "argon2id-md5"},
	{"joomla", "10d94ef52b719e54f1f3e1bb3f5523e3:abcdefgh", "argon2id-md5"},
	{"oscommerce", "6bdeadce7a67dbe5689cad39a15607a3:abcdefgh", "argon2id-salt-md5"},
	{"django", "md5$abcdefgh$6bdeadce7a67dbe5689cad39a15607a3", "argon2id-salt-md5"},
	{"vbulletin", "3681c22f5c5cd04347d7630ec562a18f:abcdefgh", "argon2id-hex-twice-md5"},
	{"", "{SHA}4DMkbUWC5+z+kdxI7HpWtce8VNQ=", "argon2id-sha1"},
	{"", "*FCC90224826F3EF9809371627874461E5C004611", "argon2id-twice-sha1"},
	{"django", "sha1$yeQjZmWEHlO9TQaz4gVk2F$7e40bf7a998713ac88dc77ed223b67739d60e032", "argon2id-salt-sha1"},
	{"werkzeug", "sha256$AbCd1234$bac28bae4c17cf32d1727a0150480fd991102b76288762573ceae15b9b2659c5", "argon2id-hmac-sha256"},
	{"sha1", "e033246d4582e7ecfe91dc48ec7a56b5c7bc54d4", "argon2id-sha1"},
	{"sha256", "3c24770db836f955e584c6a2784458762308ff8ad8b6723fd7829a3f203efe76", "argon2id-sha256"},
	{"sha512", "706b5d9bb83c75df6d15acf1607702378051322aa03b7b158b59cdf14d01f6dce693f070609c7c0e8488da8c8fb35f7eb48f8f58b76f33765e5f396706e59120", "argon2id-sha512"},
	{"django", "sha1$$e033246d4582e7ecfe91dc48ec7a56b5c7bc54d4", "argon2id-salt-sha1"},
	{"werkzeug", "md5$AbCd1234$c2f6c31d5ed6983017a5e28959e685b3", "argon2id-hmac-md5"},
	{"werkzeug", "sha1$AbCd1234$9155d1efed73a4cc56e43f446fdef703af2c3a79", "argon2id-hmac-sha1"},
	{"werkzeug", "sha512$AbCd1234$05d4ed564d6c0e0ba44cb000b030172592fbe688e4e8037ce2951ca0bed94ce6e836bf058b6fadd443adb53783e3e1b4630e905153c4f44368dd8c25142c1732", "argon2id-hmac-sha512"},
	{"", "{MD5}2O1tcdKcBk9miKDQ/8q6sw==", "argon2id-md5"},
	{"", "{SMD5}LGMX/uelNbU3KPbjSDolOgABc2FsdA==", "argon2id-md5"},
	{"", "{SHA256}PCR3Dbg2+VXlhMaieERYdiMI/4rYtnI/14KaPyA+/nY=", "argon2id-sha256"},
	{"", "{SSHA256}vM5IPNUf/oCxONIn3OqS5tT/JJiExt+/lBYyfs99cQlzYWx0c2FsdA==", "argon2id-sha256"},
	{"", "{SHA512}cGtdm7g8dd9tFazxYHcCN4BRMiqgO3sVi1nN8U0B9tzmk/BwYJx8DoSI2oyPs19+tI+PWLdvM3ZeXzlnBuWRIA==", "argon2id-sha512"},
	{"", "{SSHA512}qNs7OcqEsmUtG0lUhorURORpD11T8RTg+mYVYO32MDvSs9JYCRHuZr7IU8qiL2Z85WgNnDr796uh2j7BTNey+nNhbHRzYWx0", "argon2id-sha512"},
	{"", "{SSHA}nwmUxwjcBp6vrZQ52vWRlEgraedzYWx0", "argon2id-sha1"},
}

func TestWeakDigestsAreWrapped(t *testing.T) {
	h, passes := newHasher(t, Config{Peppers: map[string]string{"old": "-seven"}})
	for _, v := range weakVectors {
		foreign := Foreign{Source: v.source, Text: v.text}
		hash, err := h.Import(t.Context(), foreign, "")
		if err != nil {
			t.Errorf("%s %s: %v", v.source, v.text, err)
			continue
		}
		p, err := Parse(string(hash), Limits{})
		if err != nil || p.scheme.name != v.scheme || p.n != h.current.n || len(p.key) != ownKey || len(p.salt) < ownSalt {
			t.Errorf("%s %s became %s, %v", v.source, v.text, p.Class(), err)
		}
		if again, _ := h.Import(t.Context(), foreign, ""); again == hash {
			t.Errorf("%s: two imports have one salt", v.source)
		}
		if got := passes(); len(got) != 2 {
			t.Errorf("%s: imported twice with %d hashes", v.source, len(got))
		}
		for password, want := range map[string]bool{
			"correct horse 7": true, "correct horse 8": false, "Correct horse 7": false, "correct horse": false, v.text: false,
		} {
			ok, own, err := h.VerifyAndRehash(t.Context(), hash, password)
			if ok != want || (own != "") != want || err != nil {
				t.Errorf("%s %s with %q: %v, %q, %v", v.source, v.text, password, ok, own, err)
			}
		}
		passes()
	}
}

// TestWrappingNeedsATurn: an import that hashes waits like everybody else.
func TestWrappingNeedsATurn(t *testing.T) {
	h, _ := newHasher(t, Config{})
	h.gate, h.slot = newGate(1, 0), 1
	leave, err := h.gate.enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	foreign := Foreign{Source: "md5", Text: weakVectors[0].text}
	if hash, err := h.Import(t.Context(), foreign, ""); hash != "" || !errors.Is(err, ErrBusy) {
		t.Errorf("Import = %q, %v, want %v", hash, err, ErrBusy)
	}
	leave()
	if _, err := h.Import(t.Context(), foreign, ""); err != nil {
		t.Error(err)
	}
}

func TestPeppers(t *testing.T) {
	const pepper = "a long pepper of the old system, longer than bcrypt can read to its end"
	h, _ := newHasher(t, Config{Peppers: map[string]string{"old": pepper, "none": "x"}})
	text, err := bcrypt.GenerateFromPassword([]byte(("correct horse 7" + pepper)[:bcryptReads]), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := h.Convert(Foreign{Text: string(text), Pepper: "old"})
	if err != nil || !strings.Contains(string(hash), ",pepper=old$") || strings.Contains(string(hash), pepper) {
		t.Fatalf("Convert = %q, %v", hash, err)
	}
	for password, want := range map[string]bool{"correct horse 7": true, "correct horse": false, "correct horse 7" + pepper[:3]: false} {
		ok, own, err := h.VerifyAndRehash(t.Context(), hash, password)
		if ok != want || (own != "") != want || err != nil {
			t.Errorf("%q: %v, %q, %v", password, ok, own, err)
		}
	}
	for _, name := range []string{"unknown", "Old", strings.Repeat("x", 33)} {
		if _, err := h.Convert(Foreign{Text: string(text), Pepper: name}); err == nil {
			t.Errorf("the pepper %q passes", name)
		}
	}
	without, passes := newHasher(t, Config{})
	ok, err := without.Verify(t.Context(), hash, "correct horse 7")
	if ok || !errors.Is(err, ErrMissing) || len(passes()) != 1 {
		t.Errorf("without the pepper: %v, %v, want the work of a decoy", ok, err)
	}
}
