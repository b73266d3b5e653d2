// Package snibsqlite keeps accounts in a SQLite database: beside the tables of a
// program whose data is there already, in the same transactions, and in several
// processes of one machine.
//
//	import _ "github.com/ncruces/go-sqlite3/driver"
//
//	engine, err := snibsqlite.Open("accounts.db", nil)
//	db, err := snib.OpenStore(ctx, engine, nil)
//
// The driver is the program's: any one for database/sql, of which a program can
// have one. ncruces/go-sqlite3, modernc.org/sqlite and mattn/go-sqlite3 pass all
// tests; the first is the fastest without cgo, see docs/adr/0024-sqlite.md.
//
// [New] takes a handle that the program has opened, [Conn] gives the connection
// of a transaction, on which the program's statements and the accounts are
// committed together, or not at all.
//
// # Tables that leave with their user
//
// Options.Owned of snib names tables of the program's in the same database, such as
// "notes" or "notes(author)": a column declared as TEXT, user_id unless it is named,
// holds the id of the user. DeleteUser removes up to 10,000 of the rows in its
// commit, and the sweep the others. Foreign keys, where the program has switched
// them on, are checked at the commit. Give the column an index. Make the tables before
// OpenStore names them: with [New], or with [Open] in a database that was opened once
// without.
//
// # Durability
//
// The database is in WAL mode, and commits are synced (synchronous=FULL): a call
// that returned nil survives a crash and a power cut. Writers of a process take
// turns, and waiting ones share a commit. Those of other processes, and other
// connections of the program, are waited for until Options.BusyTimeout of snib.
//
// # The file
//
// One table a space, named snib_ and the space, of keys and values that only this
// library understands: docs/FORMAT.md. Write nothing to them, let no trigger and no
// foreign key lead to them. Copy the database with VACUUM INTO or the backup API,
// never the file alone: the last commits are in the file named -wal. Keep it
// on a local disk. SQLite's pages have no checksum; each record has one.
package snibsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// Options are for [Open] and [New]. nil and the zero value are the defaults.
type Options struct {
	// Readers is how many connections are kept for reading, 1 to 64, and how many
	// short reads of the library run at once. Zero is twice the processors, 4 at
	// least; with New, 2. One more connection writes; each View of the program
	// beyond those takes a connection of its own.
	Readers int

	// Driver is the name under which [Open] finds the driver for database/sql. ""
	// is sqlite3 or sqlite, whichever the program has imported.
	Driver string
}

// Engine is a SQLite database that keeps accounts. Each call of snib.OpenStore
// with it opens the database anew.
type Engine struct {
	db      *sql.DB // of New
	path    string  // of Open
	driver  string
	readers int
	twice   bool // for tests: closures run twice
}

var _ kv.Engine = (*Engine)(nil)

// Errors of this engine, beside those of snib.
var (
	// ErrHandle refuses a handle given to New: its database is in memory, or not
	// in WAL mode, a connection has synchronous=OFF, or it has too few connections.
	ErrHandle = errors.New("SQLite handle is not fit for accounts")

	// ErrDriver is of Open: the program has imported no driver.
	ErrDriver = errors.New("no driver for SQLite: import one, such as github.com/ncruces/go-sqlite3/driver")
)

// Open uses the SQLite database at path, which it creates, with mode 0600, unless
// it is there. A database of other content is refused with snib.ErrForeignFile, by
// snib.OpenStore; see [New]. The file is opened by OpenStore and closed by Close of
// the DB. An empty path and one in memory are an error.
func Open(path string, opts *Options) (*Engine, error) {
	e := &Engine{}
	if err := e.set(opts, max(4, 2*runtime.GOMAXPROCS(0))); err != nil {
		return nil, err
	}
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("snibsqlite: Open needs the path of a file")
	}
	names := []string{"sqlite3", "sqlite"}
	if opts != nil && opts.Driver != "" {
		names = []string{opts.Driver}
	}
	known := sql.Drivers()
	i := slices.IndexFunc(names, func(name string) bool { return slices.Contains(known, name) })
	if i < 0 {
		return nil, fmt.Errorf("snibsqlite: %w", ErrDriver)
	}
	e.driver = names[i]
	var err error
	if e.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("snibsqlite: %w", err)
	}
	return e, nil
}

// New uses a database that the program has opened, with any driver for
// database/sql, and goes on using. The accounts take Options.Readers and one
// connections of db as long as they are open: a bound of db (SetMaxOpenConns) must
// leave one more. Close of the DB gives them back and leaves db open. The file's
// mode is the program's affair, and so is durability of its own commits.
//
// The database must be in WAL mode, and no connection have synchronous=OFF:
// ErrHandle, by snib.OpenStore. The first OpenStore makes tables whose names begin
// with snib_, in one transaction.
func New(db *sql.DB, opts *Options) (*Engine, error) {
	if db == nil {
		return nil, errors.New("snibsqlite: New needs a handle")
	}
	e := &Engine{db: db}
	if err := e.set(opts, 2); err != nil {
		return nil, err
	}
	if most := db.Stats().MaxOpenConnections; most > 0 && most < e.readers+2 {
		return nil, fmt.Errorf("%w: it has %d connections at most, and %d are needed", ErrHandle, most, e.readers+2)
	}
	return e, nil
}

func (e *Engine) set(opts *Options, readers int) error {
	if e.readers = readers; opts != nil && opts.Readers != 0 {
		if opts.Readers < 1 || opts.Readers > 64 {
			return fmt.Errorf("snibsqlite: Options.Readers is %d, not from 1 to 64", opts.Readers)
		}
		e.readers = opts.Readers
	}
	return nil
}

// Open implements the interface by which snib opens a store.
func (e *Engine) Open(ctx context.Context, setup kv.Setup) (_ kv.Store, err error) {
	at := source{db: e.db}
	if e.db == nil {
		if at, err = openFile(e.driver, e.path); err != nil {
			return nil, err
		}
	}
	s, err := e.start(ctx, at, setup)
	if err != nil {
		return nil, errors.Join(err, at.close())
	}
	return s, nil
}

// A source is the handle of one store.
type source struct {
	db  *sql.DB
	own bool // and not the program's
}

func (a source) close() error {
	if !a.own {
		return nil
	}
	return a.db.Close()
}

// openFile creates the file with the mode of a secret, unless it is there, and
// makes the handle. The log gets the mode of the file.
func openFile(driver, path string) (source, error) {
	if err := create(path); err != nil {
		return source{}, fmt.Errorf("open: %w", err)
	}
	query := "modeof=" + strings.ReplaceAll(url.QueryEscape(path), "+", "%20")
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query}).String()
	db, err := sql.Open(driver, name)
	if err != nil {
		return source{}, fmt.Errorf("open: %w", err)
	}
	db.SetMaxIdleConns(-1) // the store keeps its own
	return source{db, true}, nil
}

// create makes an empty file. It is closed before it has its name, and a file that
// is there is not opened: closing any descriptor of a database ends the locks that
// another connection of this process has on it, with drivers that take POSIX locks.
func create(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".snib-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the name of a new file durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (e *Engine) start(ctx context.Context, at source, setup kv.Setup) (_ *Store, err error) {
	tables := make([]*table, len(setup.Spaces))
	for i, spec := range setup.Spaces {
		tables[i] = tableOf(spec)
	}
	s := &Store{at: at, opt: options{setup.Logger}, busyTimeout: setup.BusyTimeout, made: len(tables), twice: e.twice}
	s.tables.Store(&tables)
	s.gate.Init()
	s.nest.Init()
	s.readers.keep, s.readers.pins = e.readers, make(chan struct{}, e.readers)
	s.w.logged = logStep
	if s.w.link, err = at.link(ctx, true); err != nil {
		return nil, err
	}
	if err = s.inWAL(ctx); err == nil {
		err = s.populate(ctx, s.w.link, setup)
	}
	if err == nil && at.own {
		err = secret(e.path)
	}
	if err != nil {
		return nil, errors.Join(err, s.w.link.close())
	}
	s.log, _ = os.Stat(s.path + "-wal")
	return s, nil
}

// secret gives the files beside the database the mode of a secret. The log has no
// content of this store yet.
func secret(path string) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Chmod(path+suffix, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("open: %w", err)
		}
	}
	return nil
}

// inWAL sees that the database is in WAL mode, and makes it so if it is ours.
func (s *Store) inWAL(ctx context.Context) error {
	deadline := s.deadline()
	for {
		query := "PRAGMA journal_mode"
		if s.at.own {
			// Of another program's database, the mode is not touched.
			found, empty, err := examine(s.w.link)
			if err != nil && !errors.Is(err, kv.ErrBusy) {
				return err
			}
			if err == nil && !found && !empty {
				return errStranger
			}
			query = "PRAGMA journal_mode = WAL"
		}
		mode, err := s.w.link.pragma(query)
		switch {
		case err == nil && strings.EqualFold(mode, "wal"):
			s.path, err = s.w.link.file()
			if err == nil && s.path == "" {
				err = fmt.Errorf("%w: it is in memory", ErrHandle)
			}
			if err == nil {
				s.info, err = os.Stat(s.path)
			}
			return err
		case err == nil:
			return fmt.Errorf("%w: journal_mode is %s, and must be WAL", ErrHandle, mode)
		case codeOf(err) == codeNotADB:
			return fmt.Errorf("%w: %w", kv.ErrForeign, err)
		case !waits(err) || !deadline.IsZero() && time.Now().After(deadline):
			return translate("open", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("open: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// file returns the path of the database.
func (l *link) file() (path string, err error) {
	rows, err := l.c.QueryContext(context.Background(), "PRAGMA database_list")
	if err != nil {
		return "", translate("open", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		var name, file string
		if err := rows.Scan(&n, &name, &file); err != nil {
			return "", translate("open", err)
		}
		if name == "main" {
			path = file
		}
	}
	return path, translate("open", rows.Err())
}

// link returns a connection that is set for its use, and set back when it is
// closed.
func (a source) link(ctx context.Context, writes bool) (*link, error) {
	l, err := newLink(ctx, a.db)
	if err != nil {
		return nil, translate("connect", err)
	}
	fail := func(err error) (*link, error) {
		if codeOf(err) == codeNotADB {
			err = fmt.Errorf("%w: %w", kv.ErrForeign, err)
		}
		return nil, errors.Join(translate("connect", err), l.close())
	}
	if _, err := l.number("SELECT count(*) FROM sqlite_schema"); err != nil && !waits(err) {
		return fail(err)
	}
	set := map[string]string{"busy_timeout": "0", "query_only": "1"}
	if writes {
		set = map[string]string{"busy_timeout": "0", "synchronous": "2", "journal_size_limit": strconv.Itoa(logStep)}
	}
	for name, value := range set {
		before, err := l.pragma("PRAGMA " + name)
		if err == nil && name == "synchronous" {
			switch {
			case before == "0" && !a.own:
				err = fmt.Errorf("%w: synchronous is OFF", ErrHandle)
			case before == "3":
				value = before // syncs more
			}
		}
		if err == nil {
			// Set also if it is so already: a setting that was not made is a default, and
			// may change once the connection finds the database in WAL mode.
			_, err = l.pragma("PRAGMA " + name + " = " + value)
			l.undo = append(l.undo, "PRAGMA "+name+" = "+before)
		}
		if err != nil {
			return fail(err)
		}
	}
	return l, nil
}
