// Package pulse lets machines on a store without a clock agree on the time.
package pulse

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/passes"
	"github.com/snibdb/snib/internal/records"
)

// A store without a clock has the time on which its machines agree. Each of them
// sees to it that the floor in the store is not much older than a pulse as long
// as it has the store open. So a floor that moves shows that another machine is
// there, and its time; one that stands shows that this machine is alone.

const pulse = records.Pulse * time.Millisecond

// A Machine is one DB on such a store. All fields are required.
type Machine struct {
	File   *records.File
	Store  kv.Store
	Clock  *clock.Clock
	Update func(context.Context, func(*records.Tx) error) error
	Log    *slog.Logger
}

// Join refuses a store whose machines have another time. Where no other machine
// has it open, the wall is believed if it is ahead. If it is behind, time goes on
// from the floor, and writes fail until the wall has come there: dead records
// must not revive.
func (m *Machine) Join(ctx context.Context) error {
	first, err := m.floor(ctx)
	if err != nil || m.Clock.Near(first) {
		return err
	}
	m.Log.Info("snib: the store has another time than this machine: looking whether others have it open")
	for range 5 {
		if err := passes.Pause(ctx, pulse/2); err != nil {
			return err
		}
		floor, err := m.floor(ctx)
		if err != nil {
			return err
		}
		if floor != first {
			if m.Clock.Near(floor) {
				return nil
			}
			return fmt.Errorf("%w: by more than %v", records.ErrClock, clock.Apart)
		}
	}
	return nil
}

// floor returns that of the store.
func (m *Machine) floor(ctx context.Context) (floor int64, err error) {
	err = m.Store.View(ctx, func(r kv.Reader) error {
		state, err := records.Meta(m.File, r, codec.KeyState, codec.DecodeState)
		floor = state.Floor
		return err
	})
	return floor, err
}

// Keep stores the floor at each pulse, unless another machine has done so. A
// machine that was asleep alone believes its wall again after two pulses without
// another's.
func (m *Machine) Keep(ctx context.Context) {
	var last int64
	for alone := 0; passes.Pause(ctx, pulse) == nil; {
		floor, err := m.floor(ctx)
		switch {
		case err != nil:
			continue
		case !m.Clock.Ahead() || floor != last:
			alone = 0
		default:
			alone++
		}
		if last = floor; alone == 2 {
			m.Log.Warn("snib: the time of this machine has moved, and no other has the store open: it is believed")
			m.Clock.Trust()
		}
		err = m.Update(ctx, (*records.Tx).Pulse)
		if err != nil && ctx.Err() == nil {
			m.Log.Warn("snib: the time was not stored", "error", err)
		}
	}
}
