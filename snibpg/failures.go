package snibpg

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// SQLSTATEs with a meaning here.
const (
	serializationFailure = "40001"
	deadlock             = "40P01"
	unknownCompletion    = "40003"
	uniqueViolation      = "23505"
	exclusionViolation   = "23P01"
	lockTimeout          = "55P03"
	divisionByZero       = "22012" // of a mark: see names.mark
	undefinedTable       = "42P01"
	undefinedColumn      = "42703"
	readOnly             = "25006" // of a server that is no primary any more
	idleTooLong          = "25P03"
	diskFull             = "53100"
)

// code returns the SQLSTATE of an error of the server, "" for others.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// failure turns an error into the words of package kv, if certainly nothing was
// written.
func (t *session) failure(err error) error {
	if err == nil || errors.Is(err, kv.ErrAgain) || errors.Is(err, errEnded) || errors.Is(err, errEndedInside) {
		return err
	}
	if errors.Is(err, pgx.ErrTxClosed) { // of the program's transaction
		return errEndedInside
	}
	c := code(err)
	if len(c) != 5 { // the connection
		t.dead = true
		t.b.suspect(err)
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
	}
	switch c {
	case uniqueViolation:
		if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.SchemaName != t.b.schema && pg.SchemaName != "" && pg.SchemaName != "pg_catalog" {
			return fmt.Errorf("PostgreSQL: %w", err) // of a table of the program's, at the commit
		}
		fallthrough
	case serializationFailure, deadlock, lockTimeout:
		return fmt.Errorf("%w: %v", remote.ErrConflict, err)
	case undefinedTable: // replaced since this transaction began
		t.b.stale.Store(true)
		return fmt.Errorf("%w: %v", kv.ErrAgain, err)
	case divisionByZero, readOnly, idleTooLong:
		t.dead = true
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
	case diskFull:
		return fmt.Errorf("%w: %v", kv.ErrFull, err)
	}
	switch c[:2] {
	case "08", "26", "53", "57", "58": // connection, lost statement, resources, operator, system
		t.dead = true
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
	case "XX":
		return fmt.Errorf("%w: %v", kv.ErrCorrupt, err)
	}
	return fmt.Errorf("PostgreSQL: %w", err)
}

// expect begins to watch for warnings.
func (l *link) expect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.warned = false
}

// doubtful reports if the server has warned since. It does when a commit that
// waits for its standby is interrupted: the commit is visible then, and may be
// lost in a fail-over.
func (l *link) doubtful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.warned
}

// lastFailure returns the SQLSTATE of the last error, "" of a connection of the
// program's.
func (l *link) lastFailure() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}
