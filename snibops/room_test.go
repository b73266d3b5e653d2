package snibops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib"
)

// TestThePathOfTheSocketHasRoomUntilItIsThere: a folder that passes is served.
func TestThePathOfTheSocketHasRoomUntilItIsThere(t *testing.T) {
	top := folder(t)
	db := open(t, filepath.Join(top, "a.db"), snib.Options{})
	for n := maxPath - 20; n <= maxPath-10; n++ {
		dir := filepath.Join(top, strings.Repeat("d", n-len(top)-1))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			s, err := Listen(db, "", &Options{Socket: filepath.Join(dir, "s")})
			if err != nil {
				if !strings.Contains(err.Error(), "at most") {
					t.Fatalf("%d bytes: %v", n, err)
				}
				break
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
