// Package testopen opens the databases of tests on PostgreSQL: a schema for each
// path.
package testopen

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibpg"
)

const Engine = "PostgreSQL"

var places = dbtest.Places{Engine: func(path string) (kv.Engine, error) {
	schema := fmt.Sprintf("%s%x", os.Getenv("SNIB_SUITE_SCHEMAS"), sha256.Sum256([]byte(path)))
	return snibpg.Open(context.Background(), os.Getenv("SNIB_POSTGRES"), &snibpg.Options{Schema: schema[:40]})
}}

func Open(path string, opts *snib.Options) (*snib.DB, error) { return places.Open(path, opts) }
