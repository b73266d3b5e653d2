//go:build !race && !light

package peers

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/snibdb/snib/bench/internal/frozen"
	"github.com/snibdb/snib/bench/internal/peer"
)

// sqlitePeers are the ways to run one driver: synced, synced with group commit
// by the application, not synced at each commit, and synced with random ids.
// dsn names the file with the pragmas below in the driver's manner; sync is
// FULL or NORMAL.
func sqlitePeers(driver, name, module string, dsn func(path, sync string) string) []peer.Peer {
	base := peer.Peer{Modules: []string{module}, Durability: peer.Synced}
	full, group, normal, random := base, base, base, base
	full.Name, full.Note = name+"-full", "WAL, synchronous=FULL, prepared statements, one writer connection"
	group.Name, group.Note = name+"-group", "as FULL, and the application joins waiting writes into one transaction"
	normal.Name, normal.Note = name+"-normal", "WAL, synchronous=NORMAL: a power cut may lose the last commits"
	random.Name, random.Note = name+"-random", "as FULL, with sessions under random ids, as most programs make them, and not in the order of time"
	group.WritesOnly, normal.WritesOnly, normal.Durability = true, true, peer.Unsynced
	open := func(sync string, grouped bool, newID func(string, time.Time) string) func(string, peer.Options) (peer.Store, error) {
		return func(dir string, o peer.Options) (peer.Store, error) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, err
			}
			mode := sync
			if o.NoSync {
				mode = "OFF"
			}
			return openSQL(driver, dsn(filepath.Join(dir, "sqlite.db"), mode), o, grouped, newID)
		}
	}
	full.Open, group.Open, normal.Open = open("FULL", false, peer.NewID), open("FULL", true, peer.NewID), open("NORMAL", false, peer.NewID)
	random.Open = open("FULL", false, peer.RandomID)
	return []peer.Peer{full, group, normal, random}
}

// The pragmas of every connection, besides journal_mode=WAL, synchronous and
// foreign_keys: 64 MB of cache, the file mapped.
const (
	sqliteCache = -65536
	sqliteMap   = 1 << 30
	sqliteBusy  = 10_000 // milliseconds
)

const sqliteSchema = `
CREATE TABLE IF NOT EXISTS users (
	id TEXT PRIMARY KEY, identifier TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL,
	created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, attributes BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
	id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE, family_id TEXT NOT NULL, secret_hash BLOB NOT NULL,
	active_until INTEGER NOT NULL, idle_until INTEGER NOT NULL, absolute_until INTEGER NOT NULL,
	created_at INTEGER NOT NULL, auth_time INTEGER NOT NULL, last_used_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions(user_id);
CREATE TABLE IF NOT EXISTS families (
	id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE, session_id TEXT NOT NULL,
	current BLOB NOT NULL, previous BLOB NOT NULL, generation INTEGER NOT NULL,
	idle_until INTEGER NOT NULL, created_at INTEGER NOT NULL, rotated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS families_by_user ON families(user_id);`

// The statements, each prepared once a connection.
const (
	findSession = iota
	findSessionUser
	listSessions
	addUser
	addSession
	touchSession
	dropSessionRow
	dropUser
	addFamily
	findFamily
	rotateFamily
	statementCount
)

var statements = [statementCount]string{
	findSession:     `SELECT user_id, secret_hash, active_until FROM sessions WHERE id = ?`,
	findSessionUser: `SELECT u.identifier, u.attributes, s.secret_hash, s.active_until FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?`,
	listSessions: `SELECT id, family_id, secret_hash, active_until, idle_until, absolute_until, created_at, auth_time, last_used_at
		FROM sessions WHERE user_id = ?`,
	addUser:        `INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)`,
	addSession:     `INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	touchSession:   `UPDATE sessions SET active_until = ?, last_used_at = ? WHERE id = ?`,
	dropSessionRow: `DELETE FROM sessions WHERE id = ?`,
	dropUser:       `DELETE FROM users WHERE id = ?`,
	addFamily:      `INSERT INTO families VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	findFamily:     `SELECT user_id, session_id, current, generation, idle_until FROM families WHERE id = ?`,
	rotateFamily:   `UPDATE families SET session_id = ?, previous = current, current = ?, generation = ?, idle_until = ?, rotated_at = ? WHERE id = ?`,
}

type sqlStore struct {
	read, write *sql.DB // the writer is one connection, as SQLite has one writer
	reading     [statementCount]*sql.Stmt
	writing     [statementCount]*sql.Stmt
	now         func() time.Time
	newID       func(prefix string, now time.Time) string // of a session
	group       *group[func(sqlTx) error]                 // nil: a transaction each
}

// sqlTx runs the statements inside of one transaction.
type sqlTx struct {
	s  *sqlStore
	tx *sql.Tx
}

func (t sqlTx) exec(statement int, args ...any) error {
	_, err := t.tx.Stmt(t.s.writing[statement]).Exec(args...)
	return err
}

func (t sqlTx) row(statement int, args ...any) *sql.Row {
	return t.tx.Stmt(t.s.writing[statement]).QueryRow(args...)
}

func openSQL(driver, dsn string, o peer.Options, grouped bool, newID func(string, time.Time) string) (s *sqlStore, err error) {
	s = &sqlStore{now: o.Now, newID: newID}
	if s.now == nil {
		s.now = time.Now
	}
	if grouped && !o.NoSync {
		s.group = &group[func(sqlTx) error]{run: s.together, most: 1024}
	}
	if s.write, err = sql.Open(driver, dsn); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if _, err := s.write.Exec(sqliteSchema); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open(driver, dsn); err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(2 * runtime.GOMAXPROCS(0))
	s.read.SetMaxIdleConns(2 * runtime.GOMAXPROCS(0))
	for i, text := range statements {
		var err, err2 error
		s.reading[i], err = s.read.Prepare(text)
		s.writing[i], err2 = s.write.Prepare(text)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// update runs fn in a transaction, of its own or with others.
func (s *sqlStore) update(fn func(sqlTx) error) error {
	if s.group != nil {
		return s.group.do(fn)
	}
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	if err := fn(sqlTx{s, tx}); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// together runs all of a group in one transaction. Every operation decides
// before it writes, so one that is refused has written nothing; any other
// error fails all.
func (s *sqlStore) together(calls []*call[func(sqlTx) error]) {
	tx, err := s.write.Begin()
	for _, c := range calls {
		if err == nil {
			if c.err = c.arg(sqlTx{s, tx}); c.err != nil && !errors.Is(c.err, peer.ErrRefused) {
				err = c.err
			}
		}
	}
	if err == nil {
		err = tx.Commit()
	} else if tx != nil {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		for _, c := range calls {
			c.err = err
		}
	}
}

// AddUsers implements peer.Store.
func (s *sqlStore) AddUsers(list []peer.User) error { return addUsers(list, s.update, s.addUser) }

func (s *sqlStore) addUser(tx sqlTx, u peer.User) error {
	attributes, err := frozen.EncodeAttributes(u.Attributes)
	if err != nil {
		return err
	}
	now := s.now().UnixMilli()
	return tx.exec(addUser, u.ID, u.Identifier, u.PasswordHash, now, now, []byte(attributes))
}

// AddSessions implements peer.Store.
func (s *sqlStore) AddSessions(userIDs []string, each func(string)) error {
	return addSessions(userIDs, each, s.update, func(tx sqlTx, id string) (string, error) {
		_, token, err := s.newSession(tx, id, "")
		return token, err
	})
}

func (s *sqlStore) newSession(tx sqlTx, userID, familyID string) (id, token string, err error) {
	now := s.now()
	id = s.newID("ses_", now)
	token, hash := peer.NewToken(id)
	made, deadline := now.UnixMilli(), now.Add(peer.Life).UnixMilli()
	return id, token, tx.exec(addSession, id, userID, familyID, hash[:], deadline, deadline, deadline, made, made, made)
}

// CreateSession implements peer.Store. The foreign key checks that the user
// exists.
func (s *sqlStore) CreateSession(userID string) (token string, err error) {
	err = s.update(func(tx sqlTx) (err error) {
		_, token, err = s.newSession(tx, userID, "")
		return err
	})
	return token, err
}

// check compares the row of a token with the hash of its secret and the clock.
func (s *sqlStore) check(err error, stored []byte, hash [32]byte, deadline int64) error {
	if errors.Is(err, sql.ErrNoRows) {
		return peer.ErrRefused
	}
	if err == nil && (!peer.SameHash(stored, hash[:]) || deadline <= s.now().UnixMilli()) {
		return peer.ErrRefused
	}
	return err
}

// Validate implements peer.Store.
func (s *sqlStore) Validate(token string) (userID string, err error) {
	return s.validate(s.reading[findSession], token)
}

func (s *sqlStore) validate(find *sql.Stmt, token string) (userID string, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", peer.ErrRefused
	}
	var stored sql.RawBytes
	var deadline int64
	rows, err := find.QueryContext(context.Background(), id)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	if !rows.Next() {
		return "", errors.Join(rows.Err(), errIf(rows.Err() == nil))
	}
	if err := rows.Scan(&userID, &stored, &deadline); err != nil {
		return "", err
	}
	return userID, s.check(nil, stored, hash, deadline)
}
