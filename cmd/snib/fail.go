package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// A usageError is an error of the arguments.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// errFound ends a run that has printed the problems it found.
var errFound = errors.New("problems were found")

// A hinted error carries the next step of the operator.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// fail prints err, of a command, in one line and returns the exit code.
func (a *app) fail(ctx context.Context, command string, err error) int {
	if errors.Is(err, errFound) {
		return exitFailed
	}
	if _, usage := errors.AsType[*usageError](err); usage {
		fmt.Fprintf(a.err, "snib: %s\n", oneLine(err.Error()))
		return exitUsage
	}
	if !a.started { // cobra's, of flags and arguments
		fmt.Fprintf(a.err, "snib: %s; see: %s --help\n", oneLine(err.Error()), command)
		return exitUsage
	}
	text := strings.TrimPrefix(err.Error(), "snibops: ")
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	if next := a.next(ctx, err); next != "" {
		text += "; " + next
	}
	fmt.Fprintf(a.err, "snib: %s\n", oneLine(strings.ReplaceAll(text, "snib: ", "")))
	return exitFailed
}

// next is the next step after an error, "" if its text has it.
func (a *app) next(ctx context.Context, err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if ctx.Err() != nil {
		return ""
	}
	for _, x := range []struct {
		err  error
		hint string
	}{
		{snib.ErrLocked, "stop the program that has it open, or let it serve a control socket (snibops.Listen)"},
		{snibops.ErrFileOnly, "stop the program, then run this again"},
		{snib.ErrUserNotFound, `look for the user with "snib users TEXT"`},
		{snib.ErrForeignFile, "see --file: this is no database of snib"},
		{snib.ErrNewerFormat, "use the snib of the program that wrote it"},
		{snib.ErrCorrupt, `see "snib check"; then "snib repair", or "snib restore" of a backup`},
		{snib.ErrNoKey, "give the key with --key-file"},
		{snib.ErrReadOnly, "the file must be upgraded or made writable: run its program once, or see its mode"},
		{snibops.ErrStalled, "rows of whole batches are in: run this again to go on"},
		{snib.ErrIncomplete, `an import into it has not ended: run it again, "snib import --records"`},
		{snib.ErrFull, "make room on the disk, then run this again"},
		{snib.ErrBusy, "run this again"},
		{snib.ErrLastHolder, "give the role to another user first"},
		{snib.ErrIdentityTaken, `see its user with "snib user show"`},
		{snib.ErrOneTimeTokenLimit, "wait a minute, or until the links of before expire"},
		{fs.ErrNotExist, "see the path"},
		{fs.ErrExist, "choose another path, or give --replace"},
		{fs.ErrPermission, "run this as the user to whom the file belongs"},
	} {
		if errors.Is(err, x.err) {
			return x.hint
		}
	}
	return ""
}

// oneLine keeps text that strangers may have a part in to one line, without
// anything that a terminal obeys.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
