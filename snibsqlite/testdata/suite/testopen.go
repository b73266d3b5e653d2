// Package testopen opens the databases of tests as files of SQLite.
package testopen

import (
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibsqlite"
)

const Engine = "SQLite"

var places = dbtest.Places{Engine: func(path string) (kv.Engine, error) { return snibsqlite.Open(path, nil) }}

func Open(path string, opts *snib.Options) (*snib.DB, error) { return places.Open(path, opts) }
