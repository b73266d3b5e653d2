package phc

import (
	"errors"
	"strings"
	"testing"
)

func TestPasswordRules(t *testing.T) {
	tests := []struct {
		name     string
		password string
		input    error // of CheckInput
		set      error // of CheckNew
	}{
		{"empty", "", PasswordEmpty, PasswordEmpty},
		{"one", "a", nil, PasswordTooShort},
		{"seven", "abcdefg", nil, PasswordTooShort},
		{"eight", "abcdefgh", nil, nil},
		{"spaces", "        ", nil, nil},
		{"seven code points in 28 bytes", strings.Repeat("🔑", 7), nil, PasswordTooShort},
		{"eight code points", strings.Repeat("密", 8), nil, nil},
		// One ligature that is 18 letters in NFKC counts as one.
		{"grows under NFKC", "\ufdfa", nil, PasswordTooShort},
		// Sixteen code points that NFKC composes into eight, and fourteen
		// into seven.
		{"shrinks to eight", strings.Repeat("a\u0308", 8), nil, nil},
		{"shrinks to seven", strings.Repeat("a\u0308", 7), nil, PasswordTooShort},
		{"1024 bytes", strings.Repeat("x", 1024), nil, nil},
		{"1025 bytes", strings.Repeat("x", 1025), PasswordTooLong, PasswordTooLong},
		// The input is measured, not the 12 KB that it becomes.
		{"1023 bytes that grow", strings.Repeat("\ufdfa", 341), nil, nil},
		{"not UTF-8", "password\xff", PasswordNotUTF8, PasswordNotUTF8},
		{"surrogate", "password\xed\xa0\x80", PasswordNotUTF8, PasswordNotUTF8},
		{"NUL", "pass\x00word", PasswordHasNUL, PasswordHasNUL},
		{"other controls", "pass\tword\x01", nil, nil},
	}
	for _, tt := range tests {
		if got := CheckInput(tt.password); got != tt.input {
			t.Errorf("%s: CheckInput = %v, want %v", tt.name, got, tt.input)
		}
		if got := CheckNew(tt.password, MinPassword); got != tt.set {
			t.Errorf("%s: CheckNew = %v, want %v", tt.name, got, tt.set)
		}
	}
}

func TestPasswordErrors(t *testing.T) {
	err := CheckNew("abc", MinPassword)
	var rule PasswordError
	if !errors.Is(err, PasswordTooShort) || !errors.As(err, &rule) {
		t.Errorf("CheckNew = %#v, want a PasswordError", err)
	}
	if strings.Contains(err.Error(), "abc") || !strings.Contains(err.Error(), "8 characters") {
		t.Errorf("CheckNew says %q", err)
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"plain":      "plain",
		"ﬁle Ⅷ":      "file VIII",
		"a\u0308":    "\u00e4",
		"ｆｕｌｌ":       "full",
		"\u212b":     "\u00c5",
		"  spaces  ": "  spaces  ",
	} {
		if got := Normalize(in); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", in, got, want)
		}
	}
}
