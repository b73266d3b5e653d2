package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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

	lines    map[snib.UserID]int // the line that each user of this run is in
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

// users returns how many are moved in.
func (m *mover) users() int { return len(m.accounts) - m.already }

// report tells of a broken line.
func (m *mover) report(line int, why string) {
	m.mu.Lock()
	m.broken++
	m.mu.Unlock()
	m.bar.note(m.errs, fmt.Sprintf("movein: line %d: %s\n", line, why))
}

// moveIn is the first stage: every line one user, one transaction. It is
// sequential, so that of two lines which want the same the earlier one gets it.
func (m *mover) moveIn(export io.ReadSeeker) error {
	total, err := countLines(export)
	if err != nil {
		return err
	}
	m.bySource = map[string]int{}
	m.bar = newProgress(m.out, "moving in", total)
	defer m.bar.finish()
	began := time.Now()
	r := bufio.NewReaderSize(export, maxLine)
	for n := 1; ; n++ {
		line, err := nextLine(r)
		switch {
		case errors.Is(err, io.EOF):
			m.movingIn = time.Since(began)
			return nil
		case errors.Is(err, errLineTooLong):
			m.report(n, err.Error())
		case err != nil:
			return err
		case len(line) > 0:
			if err := m.moveLine(n, line); err != nil {
				return err
			}
		}
		m.bar.step()
	}
}

// moveLine moves one line in or reports it. A fault of the line is reported,
// never returned.
func (m *mover) moveLine(n int, line []byte) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	r, err := parse(line)
	if err != nil {
		m.report(n, err.Error())
		return nil
	}
	in, err := r.user()
	if err != nil {
		m.report(n, err.Error())
		return nil
	}
	user, err := m.db.ImportUser(m.ctx, in)
	switch {
	case err == nil:
		m.bySource[in.PasswordSource]++
	case m.movedBefore(in, err):
		user.ID = in.ID
		m.already++
	default:
		why, err := m.why(err, in)
		if err == nil {
			m.report(n, why)
		}
		return err
	}
	m.lines[user.ID] = n
	m.accounts = append(m.accounts, account{
		line: n, provider: in.Provider, identifier: in.Identifier,
		hash: in.PasswordHash != "", password: r.Password,
	})
	return nil
}

// movedBefore reports whether a user was refused because an earlier run on
// this file has moved the same one in.
func (m *mover) movedBefore(in snib.UserImport, refusal error) bool {
	wrong, ok := errors.AsType[*snib.InputError](refusal)
	if !ok || wrong.Field != "ID" || m.lines[in.ID] != 0 {
		return false
	}
	owner, err := m.db.GetUserByProviderID(m.ctx, in.Provider, in.Identifier)
	return err == nil && owner.ID == in.ID
}

// fields are the names that the fields of an import have in the export.
var fields = map[string]string{
	"ID": "id", "Provider": "provider_id", "Identifier": "provider_id", "PasswordHash": "hashed_password",
}

// why names the fault of a line and, in a conflict, the line or user that holds
// the id, identity or value. It returns any other error.
func (m *mover) why(err error, in snib.UserImport) (string, error) {
	if errors.Is(err, snib.ErrIdentityTaken) {
		owner, err := m.db.GetUserByProviderID(m.ctx, in.Provider, in.Identifier)
		return "provider_id is taken by " + m.whose(owner.ID), err
	}
	if taken, ok := errors.AsType[*snib.AttributeTakenError](err); ok {
		owner, err := m.db.GetUserByAttribute(m.ctx, taken.Name, in.Attributes[taken.Name])
		return taken.Name + " is taken by " + m.whose(owner.ID), err
	}
	if wrong, ok := errors.AsType[*snib.InputError](err); ok {
		if wrong.Field == "ID" {
			if owner, err := m.db.GetUser(m.ctx, in.ID); err == nil {
				return "id is taken by " + m.whose(owner.ID), nil
			}
		}
		return fmt.Sprintf("%.100s: %s", printable(orElse(fields[wrong.Field], wrong.Field)), wrong.Reason), nil
	}
	if errors.Is(err, snib.ErrTooLarge) {
		return "the user is too large", nil
	}
	return "", err
}

// whose says by which line a user came.
func (m *mover) whose(id snib.UserID) string {
	if n := m.lines[id]; n != 0 {
		return fmt.Sprint("line ", n)
	}
	return "user " + string(id) + ", who was here before"
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
		_, err := m.db.AuthenticateUser(ctx, a.provider, a.identifier, guess)
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
	row("users moved in", m.users(), "%d lucia-0.1, %d lucia-1, %d lucia-3, in %s",
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
