package sharedkv_test

import (
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/internal/kv/sharedkv"
)

func TestAccounts(t *testing.T) {
	dbtest.Run(t, func(tb testing.TB) kv.Engine { return sharedkv.New(tb, sharedkv.Options{}) })
}

func TestAccountsWithReadsRunAgain(t *testing.T) {
	dbtest.Run(t, func(tb testing.TB) kv.Engine { return sharedkv.New(tb, sharedkv.Options{Again: 10}) })
}
