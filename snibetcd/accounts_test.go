package snibetcd

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
)

var accounts atomic.Int64 // engines of TestAccounts

// TestAccounts runs the promises of the accounts.
func TestAccounts(t *testing.T) {
	c := connect(t)
	dbtest.Run(t, func(tb testing.TB) kv.Engine {
		e, err := Open(c, &Options{Prefix: fmt.Sprintf("/a%d/", accounts.Add(1))})
		if err != nil {
			tb.Fatal(err)
		}
		return e
	})
}
