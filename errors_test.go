package snib_test

import (
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestInputErrorsReadWell(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	_, err := db.HashPassword(ctx, "short")
	_, err2 := db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: "1", PasswordHash: "nonsense"})
	_, err3 := snib.Open("unused.db", &snib.Options{Passwords: snib.PasswordPolicy{MaxHashMemory: 1 << 20}})
	for _, c := range []struct {
		err  error
		want string
	}{
		{err, "snib: hash password: invalid input: Password is shorter than 8 characters"},
		{err2, "snib: import user: invalid input: PasswordHash malformed password hash"},
		{err3, "snib: open: invalid input: Options.Passwords.MemoryKiB is 19456, above MaxHashMemory"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), c.want) {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
}
