// Package testrecords opens records without the root package, for the tests of the
// packages below it.
package testrecords

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/records"
)

// Now is the time of all transactions.
var Now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// An InputError is the error of a Config for a fault.
type InputError struct {
	Field string
	fold.Fault
}

// Error names the field.
func (e *InputError) Error() string { return e.Field + " " + e.Reason }

// Unwrap makes it an ErrInvalidInput.
func (e *InputError) Unwrap() error { return records.ErrInvalidInput }

// Config has failures with the name of the field, and protects the role "admin".
func Config() records.Config {
	return records.Config{
		Failures: records.Failures{
			Corrupt:    func(space, reason string) error { return fmt.Errorf("%s: %s: %w", space, reason, kv.ErrCorrupt) },
			Input:      func(field string, f fold.Fault) error { return &InputError{field, f} },
			Taken:      func(attribute string) error { return errors.New("taken: " + attribute) },
			LastHolder: func(role string) error { return fmt.Errorf("%s: %w", role, records.ErrLastHolder) },
		},
		Clock: clock.New(func() time.Time { return Now }), Rand: rand.Reader, Protected: []string{"admin"},
		MaxSessions: 10, MaxFamilies: 10, MaxOutbox: records.MaxOutbox,
	}
}

// Open returns a function that runs transactions on new records, in which e-mail
// addresses are folded and the attribute "nick" is unique.
func Open(tb testing.TB) func(fn func(tx *records.Tx) error) error {
	tb.Helper()
	file := &records.File{Config: Config()}
	declared := codec.Declarations{
		Version: 1, Providers: []codec.Provider{{Name: "email", Rule: fold.Email}}, Indexes: []codec.Index{{Name: "nick", Unique: true}},
	}
	s, err := boltkv.Open(filepath.Join(tb.TempDir(), "accounts.db"), boltkv.Options{
		Bucket: records.Bucket, Spaces: records.Spaces, InsecureNoSync: true, BusyTimeout: time.Minute,
		Init: func(w kv.Tx) error {
			now := Now.UnixMilli()
			return file.WriteMeta(w, codec.Format{CreatedAt: now, Unicode: fold.UnicodeVersion}, codec.State{Epoch: 1, Floor: now, Declarations: 1}, declared)
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	ctx := context.Background()
	if err := s.View(ctx, func(r kv.Reader) error {
		owners, err := records.Meta(file, r, codec.KeyOwners, codec.DecodeOwnerKey)
		return errors.Join(err, file.UseOwners(owners))
	}); err != nil {
		tb.Fatal(err)
	}
	return func(fn func(tx *records.Tx) error) error {
		return s.Update(ctx, func(w kv.Tx) error {
			var tx records.Tx
			if err := tx.Begin(file, w, w); err != nil {
				return err
			}
			return errors.Join(fn(&tx), tx.Doomed)
		})
	}
}
