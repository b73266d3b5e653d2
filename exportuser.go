package snib

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
)

// ExportUser writes all that the file knows of a user to w, as one JSON object
// (RFC 8259) of the moment of the call: the user with identities and attributes,
// sessions, refresh tokens, one-time tokens, known devices and API keys, dead ones too
// until they are swept, second factors, events, roles, and rows in the buckets of
// Options.Owned. It answers a request by
// articles 15 and 20 of the GDPR, as far as the data lies in the file.
//
// No secret is in it and no hash of one; data of one-time tokens of the
// library itself is left out. Of a password it has the algorithm and the time of the
// change. Bytes, as of rows, one-time tokens' data and attributes,
// are in base64 (RFC 4648, section 4), with any secrets of the program's own in
// them. Of the key of a row the id and the zero byte are left out; a row of a table
// is an object of its columns. A record that
// damage has hit is "unreadable"; records of kinds that a later program has added
// and those in quarantine are counted in "not_exported".
//
// It writes as it reads, on one snapshot: as [DB.View] does, a slow w lets the
// file grow, and w must not call methods of db (ErrNested). Equal content gives
// equal bytes, but for "exported_at". After an error, the output so far is of no
// use. ErrUserNotFound, before anything is written; ErrInvalidInput (a nil w); ErrBusy
// if a server was lost in the middle; that of w as it is.
func (db *DB) ExportUser(ctx context.Context, id UserID, w io.Writer) error {
	if w == nil {
		return during("export user", missing("w"))
	}
	out := &begun{w: w}
	return during("export user", db.store.View(ctx, func(r kv.Reader) error {
		if out.written {
			return fmt.Errorf("the server was lost after a part was written: %w", ErrBusy)
		}
		tx, err := db.begin(r, nil)
		if err != nil {
			return err
		}
		defer tx.end()
		return records.Export(ctx, &tx.rec, string(id), out, tx.passwordFacts)
	}))
}

// begun notes that an output has begun: a reader of an engine that is far away may
// have to run again, and then could only write everything once more.
type begun struct {
	w       io.Writer
	written bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.written = b.written || len(p) > 0
	return b.w.Write(p)
}

// passwordFacts describes a user's password for an export.
func (tx *Tx) passwordFacts(u *codec.User) (any, error) {
	if u.PasswordHash == "" {
		return records.Object{{Name: "set", Value: false}}, nil
	}
	facts := records.Object{{Name: "set", Value: true}, {Name: "changed_at", Value: records.Instant(u.PasswordChangedAt)}}
	hash, err := tx.openHash(u)
	switch {
	case errors.Is(err, ErrNoKey): // the algorithm is sealed, too
		return facts, nil
	case err != nil:
		return nil, err
	}
	return append(facts, records.Field{Name: "algorithm", Value: phc.Hash(hash).Scheme()}), nil
}
