package snibops

import "log/slog"

// Options are for Listen, Dial and Local. nil and the zero value are the
// defaults.
type Options struct {
	// Name tells the operator apart from others of the same account of the
	// system, in the log of the server: at most 64 bytes of printable ASCII.
	// Dial and Local only.
	Name string

	// Socket is the path of the socket, in the place of [SocketPath]; for a
	// folder whose path is too long for one. Listen and Dial only.
	Socket string

	// File is the path of the database, for Info; of Local, as Listen knows it.
	File string

	// Logger receives each act with its actor, the user's id and the outcome, and
	// peers that were refused. nil discards. Identifiers, attributes and secrets
	// are in no line. Listen and Local only.
	Logger *slog.Logger

	// Progress passes what the database reports on to clients. Give its Report
	// to snib.Options.Progress. nil: clients get none. Listen and Local only.
	Progress *ProgressFeed

	// ResetPurpose and ResetURL are the defaults of ResetLinkArgs.Purpose and
	// URL: the purpose of the one-time token that the program's page uses ("", the
	// default, if it calls FinishReset), and the address of that page up to the token,
	// "https://example.com/reset?token=" say. Listen and Local only.
	ResetPurpose, ResetURL string
}

// clean returns a copy of o, the defaults for nil.
func (o *Options) clean() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
