package importer

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/snibdb/snib"
)

// Source names an export and its format.
type Source struct {
	From string // a name of Sources
	Path string // of a regular file
	File string // of a mapping, for From "csv", "json" and "jsonl"

	// Params are values that the export does not have, by the names in
	// Info.Params: the signer key of a Firebase project. ReadParams reads them
	// from a file, as secrets have no place in arguments.
	Params map[string]string

	// Providers renames providers of identities, "username" to "login", say. A
	// provider renamed to "" is not taken over.
	Providers map[string]string
}

// Info describes a source to a person.
type Info struct {
	Name   string  `json:"name"`   // for Source.From
	Help   string  `json:"help"`   // one line: the file that it reads
	Tried  string  `json:"tried"`  // "run": on output of the program; "documentation": on a file made after it
	Params []Param `json:"params"` // for Source.Params
	Mapped bool    `json:"mapped"` // by Source.File, which is required
}

// Param is a value that a source needs besides the file.
type Param struct {
	Name    string `json:"name"`
	Help    string `json:"help"`
	Default string `json:"default"` // "": the value is required once a row needs it
	Secret  bool   `json:"secret"`  // not for an argument of a command
}

const (
	triedRun  = "run"
	triedDocs = "documentation"
)

// An opener opens one kind of source.
type opener func(ctx context.Context, s *Source, at time.Time) (*Reader, error)

type kind struct {
	Info
	open opener
}

// kinds are all sources, in the order in which a command lists them, made at the
// first use.
var kinds = sync.OnceValues(allKinds)

func allKinds() ([]kind, error) {
	all := []kind{
		{Info{Name: "better-auth", Help: "SQLite database of Better Auth", Tried: triedRun}, openBetterAuth},
		{Info{Name: "pocketbase", Help: "data.db of PocketBase, one auth collection", Tried: triedRun, Params: []Param{
			{Name: "collection", Help: "auth collection to read", Default: "users"},
		}}, openPocketBase},
		{Info{Name: "lucia", Help: "rows of Lucia 0.1 to 3 as JSON Lines", Tried: triedRun, Params: []Param{
			{Name: "version", Help: "0.1, 1, 2 or 3, for rows without \"system\""},
		}}, openLucia},
		{Info{Name: "snib", Help: "rows in snib's own form, as JSON Lines", Tried: triedRun}, openOwn},
	}
	shipped, err := shippedMappings()
	if err != nil {
		return nil, err
	}
	for _, m := range shipped {
		all = append(all, kind{m.info(), m.open})
	}
	for _, format := range []string{formatCSV, formatJSON, formatJSONL} {
		all = append(all, kind{
			Info{Name: format, Help: "any " + strings.ToUpper(format) + ", by a mapping file", Tried: triedRun, Mapped: true},
			openMapped(format),
		})
	}
	return all, nil
}

// Sources lists the sources that Open knows.
func Sources() []Info {
	all, err := kinds()
	if err != nil {
		panic("importer: unreachable: a shipped mapping is malformed: " + err.Error()) // a test reads all
	}
	out := make([]Info, len(all))
	for i, k := range all {
		out[i] = k.Info
	}
	return out
}

// Row is one user of a source.
type Row struct {
	// User has the number of the row in User.Row: the line where it begins in
	// CSV and JSON Lines, else its place among the users.
	User snib.UserImport

	// Refused is the reason why the row is no user, nil for one that is. User has
	// nothing but Row then, and the ID where that could be read.
	Refused *RowError

	// Left are parts of the row that are not taken over, as short texts that are
	// the same for all rows of a kind.
	Left []string
}

// Reader reads the rows of a source once.
type Reader struct {
	Unit string // "line", "user" or "row": the meaning of Row.User.Row

	rows  iter.Seq2[Row, error]
	total int64        // bytes, or rows of a database
	bytes bool         // total is bytes
	done  func() int64 // of total
	close func() error
}

// Rows iterates over the rows, in order and in memory that does not grow. An error
// ends it: a *SyntaxError for a file that cannot be read further, else one of the
// file system or of ctx.
func (r *Reader) Rows() iter.Seq2[Row, error] { return r.rows }

// Close closes the file and removes temporary copies.
func (r *Reader) Close() error { return r.close() }

// Open opens a source. ctx bounds queries to a database, also those of Rows. The
// error names an unknown source, a missing parameter or the fault of a file or
// mapping. Close must be called.
func Open(ctx context.Context, s Source) (*Reader, error) {
	all, err := kinds()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(k kind) bool { return k.Name == s.From })
	if at < 0 {
		return nil, fmt.Errorf("importer: no source %.40q", s.From)
	}
	k := all[at]
	if s.File != "" && !k.Mapped {
		return nil, fmt.Errorf("importer: source %s takes no mapping file", s.From)
	}
	stat, err := os.Stat(s.Path)
	if err != nil {
		return nil, fmt.Errorf("importer: %w", err)
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("importer: %s is not a regular file", filepath.Base(s.Path))
	}
	if !k.Mapped {
		if err := checkParams(k.Params, &s); err != nil {
			return nil, err
		}
	}
	r, err := k.open(ctx, &s, stat.ModTime())
	if err != nil {
		return nil, fmt.Errorf("importer: %s: %w", filepath.Base(s.Path), err)
	}
	if len(s.Providers) > 0 {
		r.rows = renamed(r.rows, s.Providers)
	}
	return r, nil
}

// checkParams refuses unknown parameters and fills in defaults.
func checkParams(known []Param, s *Source) error {
	given := maps.Clone(s.Params)
	if given == nil {
		given = make(map[string]string)
	}
	for name := range given {
		if !slices.ContainsFunc(known, func(p Param) bool { return p.Name == name }) {
			return fmt.Errorf("importer: source %s has no parameter %.40q", s.From, name)
		}
	}
	for _, p := range known {
		if given[p.Name] == "" {
			given[p.Name] = p.Default
		}
	}
	s.Params = given
	return nil
}

// renamed gives identities the providers that the user has chosen.
func renamed(rows iter.Seq2[Row, error], names map[string]string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for row, err := range rows {
			if err == nil && row.Refused == nil {
				row = rename(row, names)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func rename(row Row, names map[string]string) Row {
	u := &row.User
	all := append([]snib.Identity{{Provider: u.Provider, Identifier: u.Identifier, LinkedAt: u.LinkedAt, VerifiedAt: u.VerifiedAt}}, u.Others...)
	kept := all[:0]
	for _, x := range all {
		to, ok := names[x.Provider]
		if ok {
			x.Provider = to
		}
		if x.Provider != "" {
			kept = append(kept, x)
		}
	}
	if len(kept) == 0 {
		return refusedRow(*u, &RowError{Kind: "no identity is left"})
	}
	setIdentities(u, kept)
	return row
}

// setIdentities makes the first identity the primary.
func setIdentities(u *snib.UserImport, all []snib.Identity) {
	x := all[0]
	u.Provider, u.Identifier, u.LinkedAt, u.VerifiedAt = x.Provider, x.Identifier, x.LinkedAt, x.VerifiedAt
	u.Others = all[1:]
}

// ReadParams reads parameters from a file: a JSON object of texts, at most 64 KiB.
func ReadParams(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("importer: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10+1))
	if err != nil {
		return nil, fmt.Errorf("importer: %w", err)
	}
	v, fault := parseObject(data, place{Line: 1, Column: 1})
	if fault != nil {
		return nil, fmt.Errorf("importer: %s: %w", filepath.Base(path), fault)
	}
	out := make(map[string]string)
	for name, value := range v {
		text, ok := scalar(value)
		if !ok {
			return nil, fmt.Errorf("importer: %s: %.40q must be text", filepath.Base(path), name)
		}
		out[name] = text
	}
	return out, nil
}
