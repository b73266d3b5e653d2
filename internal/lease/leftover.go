package lease

import (
	"context"
	"errors"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// A Builder is a store in a file, in which indexes are built.
type Builder interface {
	kv.Store
	kv.Shadower
	Shadowed(context.Context) (bool, error) // whether there are shadows
	TryBuild() (done func(), busy <-chan struct{})
}

// DropLeftover removes the shadows of a build that a crash has ended, unless
// another DB on the handle is building just now.
func DropLeftover(ctx context.Context, s Builder, log *slog.Logger) error {
	done, _ := s.TryBuild()
	if done == nil {
		return nil
	}
	defer done()
	left, err := s.Shadowed(ctx)
	if err != nil || !left {
		return err
	}
	err = s.Exclusive(ctx, s.DropShadows)
	switch {
	case errors.Is(err, kv.ErrReadOnly):
		return nil
	case err == nil:
		log.Info("snib: removed what a crash had left of building indexes")
	}
	return err
}

// SweepLeftover is DropLeftover for a store of several programs: no Open knows
// whether another one builds, but its lease tells. Copies of deleted users must
// not stay.
func (l *Leases) SweepLeftover(ctx context.Context, store kv.Store, holder [16]byte) error {
	shadows, ok := store.(kv.Shadower)
	if !ok {
		return nil
	}
	left := false
	err := store.View(ctx, func(r kv.Reader) (err error) {
		left = false
		for _, space := range []kv.Space{records.ShadowUsers, records.ShadowIdentities, records.ShadowAttributes} {
			err = errors.Join(err, r.Scan(space, nil, nil, 1, func(_, _ []byte) error { left = true; return nil }))
		}
		return err
	})
	if err != nil || !left {
		return err
	}
	turn, err := l.Take(ctx, codec.KeyBuildLease, holder, Build)
	if err != nil || !turn {
		return err
	}
	err = store.Exclusive(ctx, func(w kv.Tx) error {
		if held, err := l.Holds(w, codec.KeyBuildLease, holder); err != nil || !held {
			return err
		}
		return shadows.DropShadows(w)
	})
	return errors.Join(err, l.End(ctx, codec.KeyBuildLease, holder))
}
