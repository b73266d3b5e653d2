package snibetcd

import (
	"testing"

	"github.com/snibdb/snib/internal/kv/suite"
)

// subset are nouns of the accounts that meet every kind of guard: a cluster commits
// too slowly for all tests.
const subset = "^Test(APIKey|CreateSession|CreateUser|DeleteUser|DisableUser|LogIn|Refresh|Renew|Revoke|Role|Session|UpdateUser|Validate)"

// TestRoot runs the tests of the root, each database under a prefix of its own.
func TestRoot(t *testing.T) {
	at, err := alone()
	if err != nil {
		t.Fatal(err)
	}
	suite.Suite{
		Module: "snibetcd", Opener: "testdata/suite/testopen.go",
		Excluded: []string{"../internal/kv/suite/testdata/excluded.txt", "testdata/suite/excluded.txt"},
		Env:      []string{"SNIB_SUITE_ETCD=" + at},
		Package:  ".", Only: subset, Least: 60, Shards: 2,
	}.Run(t)
}
