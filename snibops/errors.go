package snibops

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/answers"
)

// Errors of this package.
var (
	// ErrFileOnly: the verb is for a file that no program has open, such as
	// repair. Stop the program and run it again.
	ErrFileOnly = errors.New("only on the file: stop the program that serves it")

	// ErrRefused: the peer runs as another user, or the socket or its folder can
	// be written by others. Nothing was sent. Returned by Dial and Listen; of a
	// server that refuses a client, the connection ends without a word.
	ErrRefused = errors.New("not trusted")

	// ErrNotServed: there is no socket at the path, or no program behind it.
	// Returned by Dial; open the file then.
	ErrNotServed = errors.New("no program serves the file")

	// ErrServed: another program serves a socket at the path. Returned by Listen.
	ErrServed = errors.New("served already")

	// ErrTooManyClients: the server has as many connections as it takes. Try
	// later. Returned by Dial.
	ErrTooManyClients = errors.New("too many connections")

	// ErrVersion: the server speaks another version of the protocol; the text
	// names both. Returned by Dial.
	ErrVersion = errors.New("another version of the protocol")

	// ErrUnknownVerb: the server does not know the verb: it is older.
	ErrUnknownVerb = errors.New("unknown verb")

	// ErrServerFailed: the server panicked in the verb, or cannot say what went
	// wrong; its log can. A change may have been made.
	ErrServerFailed = errors.New("the server failed")

	// ErrStalled: no row of an import came for so long that the server has ended
	// it. Rows of whole batches are in; run it again to go on. Returned by
	// VerbImport.
	ErrStalled = errors.New("the input stopped")

	// ErrCut: the connection ended before the answer. A change may have been
	// made: look.
	ErrCut = errors.New("connection ended before the answer")
)

// A code is the name of an error in the protocol. Codes stay as they are.
type code struct {
	name string
	err  error
}

// codes are the errors that cross. An error that is several crosses as all, and the
// log has the first: an error of this library, which tells more than its cause.
var codes = slices.Concat([]code{
	{"file_only", ErrFileOnly}, {"too_many_clients", ErrTooManyClients}, {"version", ErrVersion},
	{"unknown_verb", ErrUnknownVerb}, {"server_failed", ErrServerFailed}, {"stalled", ErrStalled},
}, ofAccounts(), []code{
	{"canceled", context.Canceled}, {"deadline", context.DeadlineExceeded}, {"unsupported", errors.ErrUnsupported},
	{"exist", fs.ErrExist}, {"not_exist", fs.ErrNotExist}, {"permission", fs.ErrPermission},
})

// ofAccounts are those of package snib.
func ofAccounts() (list []code) {
	for _, a := range answers.All {
		list = append(list, code{a.Code, a.Err})
	}
	return list
}

// A fault is an error on the wire. Fields beside the text carry the typed
// errors that a client can act on.
type fault struct {
	Codes []string `json:"codes"`
	Text  string   `json:"text"`

	Input     *snib.InputError `json:"input,omitempty"`
	Attribute string           `json:"attribute,omitempty"` // of an AttributeTakenError
	Role      string           `json:"role,omitempty"`      // of a LastHolderError
	Purpose   string           `json:"purpose,omitempty"`   // of a OneTimeTokenLimitError
	RetryAt   time.Time        `json:"retry_at,omitzero"`   // likewise
}

// faultOf is the wire form of an error.
func faultOf(err error) fault {
	f := fault{Text: err.Error()}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			f.Codes = append(f.Codes, c.name)
		}
	}
	if e, ok := errors.AsType[*snib.InputError](err); ok {
		f.Input = e
	}
	if e, ok := errors.AsType[*snib.AttributeTakenError](err); ok {
		f.Attribute = e.Name
	}
	if e, ok := errors.AsType[*snib.LastHolderError](err); ok {
		f.Role = e.Role
	}
	if e, ok := errors.AsType[*snib.OneTimeTokenLimitError](err); ok {
		f.Purpose, f.RetryAt = e.Purpose, e.RetryAt
	}
	return f
}

// A remote is an error of the server, at the client: the server's text, and by
// errors.Is and errors.As every error of the table that it was.
type remote struct {
	text string
	are  []error
}

func (r *remote) Error() string   { return r.text }
func (r *remote) Unwrap() []error { return r.are }

// err is the error that a fault tells of.
func (f fault) err() error {
	r := &remote{text: f.Text}
	if f.Input != nil {
		r.are = append(r.are, f.Input)
	}
	if f.Attribute != "" {
		r.are = append(r.are, &snib.AttributeTakenError{Name: f.Attribute})
	}
	if f.Role != "" {
		r.are = append(r.are, &snib.LastHolderError{Role: f.Role})
	}
	if f.Purpose != "" {
		r.are = append(r.are, &snib.OneTimeTokenLimitError{Purpose: f.Purpose, RetryAt: f.RetryAt})
	}
	for _, c := range codes {
		for _, name := range f.Codes {
			if c.name == name {
				r.are = append(r.are, c.err)
			}
		}
	}
	if len(r.are) == 0 && f.Text == "" {
		return ErrServerFailed
	}
	return r
}
