// Package testopen opens the databases of tests: bbolt files. The module of an
// engine builds the tests with another file in the place of this one (go build
// -overlay), so that they open stores of that engine: see internal/kv/suite.
package testopen

import "github.com/snibdb/snib"

// Engine is the name of the engine, "" for files of bbolt.
const Engine = ""

// Open opens the database at path.
func Open(path string, opts *snib.Options) (*snib.DB, error) { return snib.Open(path, opts) }
