package snibtest_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// recorder is a testing.TB that notes what it was told instead of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestCheckAndCloseFailsTheTestOnABreach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := snibtest.OpenDB(t, path, nil)
	if _, err := db.CreateUser(context.Background(), snib.NewUser{Provider: "github", Identifier: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(context.Background(), func(tx *snib.Tx) error {
		return tx.Bolt().Bucket([]byte("snib")).DeleteBucket([]byte("identities"))
	}); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	snibtest.CheckAndClose(r, db)
	if !r.failed {
		t.Error("a user without an identity went through")
	}
	snibtest.CheckAndClose(t, db) // closed already: nothing to say
}

func TestFastKeepsWhatIsSet(t *testing.T) {
	given := &snib.Options{Passwords: snib.PasswordPolicy{Time: 3, Parallelism: 2}}
	got := snibtest.Fast(given)
	if p := got.Passwords; p.Time != 3 || p.Parallelism != 2 || p.MemoryKiB != 16 || !got.InsecureNoSync {
		t.Errorf("%+v", p)
	}
	if given.InsecureNoSync || given.Passwords.MemoryKiB != 0 {
		t.Error("the options of the caller were changed")
	}
	snibtest.NewDB(t, given)
}

func TestClockMovesWhenItIsTold(t *testing.T) {
	c := snibtest.NewClock()
	start := c.Now()
	if got := c.Advance(time.Hour); !got.Equal(start.Add(time.Hour)) || !c.Now().Equal(got) {
		t.Errorf("%v", got)
	}
	if c.Set(start); !c.Now().Equal(start) {
		t.Errorf("%v", c.Now())
	}
}
