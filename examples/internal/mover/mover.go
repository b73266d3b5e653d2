package mover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/snibdb/snib"
)

// A mover moves one export in.
type mover struct {
	ctx       context.Context
	db        *snib.DB
	out, errs io.Writer
	bar       *progress

	pending  map[int]pending     // lines that are not moved in yet: one batch at most
	lines    map[snib.UserID]int // by which each user came
	accounts []account
	bySource map[string]int // users moved in
	already  int            // users moved in by an earlier run

	movingIn, loggingIn time.Duration
	foreign             [2]int // imported hashes before and after the log-ins

	mu       sync.Mutex // guards the fields below: log-ins are parallel
	broken   int        // lines reported
	accepted int        // log-ins
	refused  int        // users without a password: every guess was refused
}

// An account is the part of a user that the log-ins need.
type account struct {
	line                 int
	provider, identifier string
	hash                 bool    // has a password
	password             *string // as the export tells it; nil: it does not
}

// A pending line is parsed, and not moved in yet.
type pending struct {
	snib.UserImport
	password *string
}

// count returns how many users are moved in.
func (m *mover) count() int { return len(m.accounts) - m.already }

// report tells of a broken line.
func (m *mover) report(line int, why string) {
	m.mu.Lock()
	m.broken++
	m.mu.Unlock()
	m.bar.note(m.errs, fmt.Sprintf("movein: line %d: %s\n", line, why))
}

// moveIn is the first stage: every line one user, in batches. Of two lines which
// want the same the earlier one gets it.
func (m *mover) moveIn(export io.ReadSeeker) error {
	total, err := countLines(export)
	if err != nil {
		return err
	}
	m.bySource = map[string]int{}
	m.bar = newProgress(m.out, "moving in", total)
	defer m.bar.finish()
	began := time.Now()
	_, err = m.db.ImportUsers(m.ctx, m.users(bufio.NewReaderSize(export, maxLine)), snib.ImportOptions{Each: m.moved})
	m.movingIn = time.Since(began)
	return err
}

// users are those of the export. A line that is none is reported and passed over.
func (m *mover) users(r *bufio.Reader) iter.Seq2[snib.UserImport, error] {
	return func(yield func(snib.UserImport, error) bool) {
		for n := 1; ; n++ {
			line, err := nextLine(r)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && !errors.Is(err, errLineTooLong):
				yield(snib.UserImport{}, err)
				return
			case err == nil && len(line) == 0:
				m.bar.step()
				continue
			}
			in, password, err := parsed(line, err)
			if err != nil {
				m.report(n, err.Error())
				m.bar.step()
				continue
			}
			in.Row = n
			m.pending[n] = pending{in, password}
			if !yield(in, nil) {
				return
			}
		}
	}
}

// parsed parses a line, unless it could not be read.
func parsed(line []byte, err error) (snib.UserImport, *string, error) {
	if err != nil {
		return snib.UserImport{}, nil, err
	}
	r, err := parse(line)
	if err != nil {
		return snib.UserImport{}, nil, err
	}
	in, err := r.user()
	return in, r.Password, err
}

// moved is called for each line that was moved in or refused.
func (m *mover) moved(row snib.ImportedRow) {
	defer m.bar.step()
	p := m.pending[row.Row]
	delete(m.pending, row.Row)
	first, twice := m.lines[row.ID]
	switch {
	case row.Outcome == snib.RowRefused:
		m.report(row.Row, why(row))
		return
	case twice:
		m.report(row.Row, fmt.Sprint("id is taken by line ", first))
		return
	case row.Outcome == snib.RowImported:
		m.bySource[p.PasswordSource]++
	default:
		m.already++
	}
	m.lines[row.ID] = row.Row
	m.accounts = append(m.accounts, account{
		line: row.Row, provider: p.Provider, identifier: p.Identifier,
		hash: p.PasswordHash != "", password: p.password,
	})
}

// fields are the names that the fields of an import have in the export.
var fields = map[string]string{
	"ID": "id", "Provider": "provider_id", "Identifier": "provider_id", "PasswordHash": "hashed_password",
}

// why names the fault of a line and, in a conflict, the line or user that holds
// the id, identity or value.
func why(row snib.ImportedRow) string {
	whose := "user " + string(row.Holder) + ", who was here before"
	if row.HolderRow != 0 {
		whose = fmt.Sprint("line ", row.HolderRow)
	}
	if errors.Is(row.Err, snib.ErrIdentityTaken) {
		return "provider_id is taken by " + whose
	}
	if taken, ok := errors.AsType[*snib.AttributeTakenError](row.Err); ok {
		return taken.Name + " is taken by " + whose
	}
	wrong, ok := errors.AsType[*snib.InputError](row.Err)
	switch {
	case ok && row.Holder != "":
		return "id is taken by " + whose
	case ok:
		return fmt.Sprintf("%.100s: %s", printable(orElse(fields[wrong.Field], wrong.Field)), wrong.Reason)
	}
	return row.Err.Error()
}

// guesses are tried on users without a password.
var guesses = []string{"password", "null", "undefined", "00000000"}

// logIn is the second stage: as many at once as snib hashes at once.
func (m *mover) logIn() error {
	before, err := m.db.Check(m.ctx)
	if err != nil {
		return err
	}
	m.bar = newProgress(m.out, "logging in", len(m.accounts))
	defer m.bar.finish()
	began := time.Now()
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	jobs := make(chan account)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for a := range jobs {
				if err := m.try(ctx, a); err != nil {
					cancel(err)
				}
				m.bar.step()
			}
		})
	}
	for _, a := range m.accounts {
		if ctx.Err() != nil {
			break
		}
		jobs <- a
	}
	close(jobs)
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.loggingIn = time.Since(began)
	after, err := m.db.Check(m.ctx)
	m.foreign = [2]int{before.ForeignHashes, after.ForeignHashes}
	return err
}

// try logs a user in, or shows that nothing does.
func (m *mover) try(ctx context.Context, a account) error {
	if !a.hash {
		return m.tryGuesses(ctx, a)
	}
	if a.password == nil {
		return nil
	}
	session, _, err := m.db.LogIn(ctx, a.provider, a.identifier, *a.password, snib.SessionOptions{})
	if errors.Is(err, snib.ErrInvalidCredentials) {
		m.report(a.line, "the password in the export is refused")
		return nil
	}
	if err != nil {
		return err
	}
	token := session.Token.Reveal()
	if _, err := m.db.ValidateSession(ctx, token); err != nil {
		return err
	}
	if err := m.db.RevokeToken(ctx, token); err != nil { // signs out
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepted++
	return nil
}

func (m *mover) tryGuesses(ctx context.Context, a account) error {
	for _, guess := range guesses {
		// As the operator: a stranger's guesses are throttled.
		_, err := m.db.AuthenticateUser(snib.AsOperator(ctx), a.provider, a.identifier, guess)
		if err == nil {
			m.report(a.line, "has no password, and yet one was accepted")
			return nil
		}
		if !errors.Is(err, snib.ErrInvalidCredentials) {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused++
	return nil
}

// summary prints the counts of the run.
func (m *mover) summary(target string) error {
	report, err := m.db.Check(m.ctx)
	if err != nil {
		return err
	}
	withHash, told := 0, 0
	for _, a := range m.accounts {
		if a.hash {
			withHash++
			if a.password != nil {
				told++
			}
		}
	}
	row := func(name string, n int, format string, args ...any) {
		fmt.Fprintf(m.out, "%-20s %6d   %s\n", name, n, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(m.out)
	row("users moved in", m.count(), "%d lucia-0.1, %d lucia-1, %d lucia-3, in %s",
		m.bySource["lucia-0.1"], m.bySource["lucia-1"], m.bySource["lucia-3"], seconds(m.movingIn))
	if m.already > 0 {
		row("moved in before", m.already, "by an earlier run on this file")
	}
	if m.broken > 0 {
		row("lines reported", m.broken, "on the standard error")
	} else {
		row("lines reported", 0, "all were good")
	}
	row("with a password", withHash, "%d logged in with it, of %d whose password the export tells, in %s",
		m.accepted, told, seconds(m.loggingIn))
	row("without a password", len(m.accounts)-withHash, "%d refused each of %d guesses", m.refused, len(guesses))
	row("imported hashes", m.foreign[1], "left, of %d before the log-ins; the others are argon2id now", m.foreign[0])
	row("users in the file", report.Users, "checked with every record and index: %d problems", report.Found)
	fmt.Fprintf(m.out, `
Hashes that were replaced stay readable in free pages of the database (%s)
until those are overwritten, and in the old export and every copy of it:
remove the export when everybody is in.
`, target)
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
