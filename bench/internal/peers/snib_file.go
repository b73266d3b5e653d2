package peers

import (
	"errors"
	"io"

	"github.com/snibdb/snib"
)

// snibFile is snib on its file, which can more than other engines.
type snibFile struct{ *snibStore }

// Update implements peer.Closures.
func (s snibFile) Update(fn func(write func() error) error) error {
	return s.db.Update(ctx, func(tx *snib.Tx) error { return fn(func() error { return putOwn(tx.Bolt()) }) })
}

// View implements peer.Closures.
func (s snibFile) View(fn func() error) error {
	return s.db.View(ctx, func(*snib.Tx) error { return fn() })
}

// ViewUser implements peer.Closures.
func (s snibFile) ViewUser(userID string) error {
	return s.db.View(ctx, func(tx *snib.Tx) error {
		_, err := tx.GetUser(snib.UserID(userID))
		return err
	})
}

// Backup implements peer.Closures.
func (s snibFile) Backup(w io.Writer) error { return s.db.File().Backup(ctx, w) }

// Check implements peer.Checker.
func (s snibFile) Check() error {
	report, err := s.db.Check(ctx)
	if err == nil && report.Found > 0 {
		err = errors.New("the file has problems")
	}
	return err
}

// Sweep implements peer.Sweeper.
func (s snibFile) Sweep() (int, error) { return s.db.Sweep(ctx) }
