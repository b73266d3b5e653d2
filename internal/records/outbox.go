package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Bounds of the outbox.
const (
	MaxOutbox    = 1_000_000
	OutboxAge    = 30 * 24 * 3600 * 1000 // milliseconds
	MaxConsumers = 8
)

// The outbox is a queue of events for consumers that the file names. Positions
// are given by the transaction that writes the event, one after the other, so
// that they rise in the order of commits.

// head returns the head of the outbox, zero if it was never used.
func (tx *Tx) head() (codec.OutboxHead, error) {
	key := codec.PositionKey(codec.OutboxHeadKey)
	value, ok, err := tx.R.Get(SpaceOutbox, key[:])
	if err != nil || !ok {
		return codec.OutboxHead{}, err
	}
	h, err := codec.DecodeOutboxHead(value)
	if err != nil {
		err = tx.Damaged(SpaceOutbox, err)
	}
	return h, err
}

// consumersHead is head where there is a consumer, so that a head is missing only
// by damage.
func (tx *Tx) consumersHead() (codec.OutboxHead, error) {
	h, err := tx.head()
	if err == nil && h.Next == 0 {
		err = tx.Damaged(SpaceOutbox, codec.ErrCorrupt)
	}
	return h, err
}

// outboxUsed reports whether there is a consumer or an entry, which there is not
// without a head.
func (tx *Tx) outboxUsed() (used bool, err error) {
	for _, space := range []kv.Space{SpaceCursors, SpaceOutbox} {
		if err == nil {
			err = tx.R.Scan(space, nil, nil, 1, func(_, _ []byte) error { used = true; return nil })
		}
	}
	return used, err
}

func (tx *Tx) putHead(h codec.OutboxHead) error {
	key := codec.PositionKey(codec.OutboxHeadKey)
	return tx.Put(SpaceOutbox, string(key[:]), h.Append(nil))
}

func (tx *Tx) deletePosition(position uint64) error {
	key := codec.PositionKey(position)
	return tx.Delete(SpaceOutbox, string(key[:]))
}

// publish puts an event into the outbox, if the file names a consumer. With a
// damaged head it does not, so that damage blocks no revocation: Read returns the
// damage, and Check and Repair find it.
func (tx *Tx) publish(entry codec.OutboxEntry) error {
	h, err := tx.head()
	switch {
	case errors.Is(err, kv.ErrCorrupt), err == nil && h.Consumers == 0:
		return nil
	case err != nil:
		return tx.doom(err)
	}
	entry.Position = h.Next
	key := codec.PositionKey(entry.Position)
	if err := tx.Put(SpaceOutbox, string(key[:]), entry.Append(nil)); err != nil {
		return err
	}
	h.Next++
	for ; h.Next-h.First > tx.MaxOutbox; h.First++ {
		if err := tx.deletePosition(h.First); err != nil {
			return err
		}
	}
	tx.Published = true
	return tx.putHead(h)
}

// Announce puts an event of class 0 into the outbox, which no record goes with.
// userID is that of a deleted user, or "".
func (tx *Tx) Announce(userID string, kind EventKind) error {
	var owner codec.Owner
	if userID != "" {
		owner = tx.Owner(userID)
	}
	h, _ := tx.head() // whose damage publish deals with
	key, err := tx.eventKey(owner, uint8(h.Next), 0)
	if err != nil {
		return tx.doom(err)
	}
	return tx.publish(codec.OutboxEntry{Kind: uint16(kind), Actor: uint8(tx.By.Actor), Event: key, UserID: userID})
}

// Consumers returns the consumers that the file names, and how far each is.
func (tx *Tx) Consumers() (map[string]uint64, error) {
	out := make(map[string]uint64)
	err := tx.R.Scan(SpaceCursors, nil, nil, 0, func(key, value []byte) error {
		c, err := codec.DecodeCursor(key, value)
		if err != nil {
			return tx.Damaged(SpaceCursors, err)
		}
		out[string(key)] = c.Position
		return nil
	})
	return out, err
}

// DeclareConsumers makes the consumers of the file those of names. A new one
// begins behind the last event. It writes nothing where they are that already.
func (tx *Tx) DeclareConsumers(names []string) error {
	have, err := tx.Consumers()
	if err != nil {
		return err
	}
	h, err := tx.head()
	if err != nil {
		return err
	}
	if h.Next == 0 {
		if len(have) > 0 {
			return tx.Damaged(SpaceOutbox, codec.ErrCorrupt) // it is lost
		}
		h.First, h.Next = 1, 1
	}
	changed := false
	for _, name := range names {
		if _, known := have[name]; known {
			delete(have, name)
			continue
		}
		changed = true
		if err := tx.putCursor(name, h.Next-1); err != nil {
			return err
		}
	}
	for name := range have {
		changed = true
		if err := tx.Delete(SpaceCursors, name); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	h.Consumers = uint32(len(names))
	return tx.putHead(h)
}

func (tx *Tx) putCursor(name string, position uint64) error {
	c := codec.Cursor{Position: position}
	return tx.Put(SpaceCursors, name, c.Append(nil, name))
}

// A Delivery is an event as a consumer gets it. Of an event that is gone, with
// its user or by its age, there is no record.
type Delivery struct {
	codec.OutboxEntry
	Record codec.Event // zero if it is gone
}

// Read returns the events behind the cursor of a consumer, at most n, and the
// positions from and to that it has missed: all between its cursor and the first
// event, or 0 and 0. known is false for a consumer that the file does not name.
func (tx *Tx) Read(consumer string, n int) (out []Delivery, from, to uint64, known bool, err error) {
	c, known, err := tx.cursor(consumer)
	if err != nil || !known {
		return nil, 0, 0, known, err
	}
	h, err := tx.consumersHead()
	if err != nil {
		return nil, 0, 0, true, err
	}
	next := c.Position + 1
	key, end := codec.PositionKey(next), codec.PositionKey(codec.OutboxHeadKey)
	err = tx.R.Scan(SpaceOutbox, key[:], end[:], n, func(key, value []byte) error {
		entry, err := codec.DecodeOutboxEntry(key, value)
		switch {
		case err != nil:
			return tx.Damaged(SpaceOutbox, err)
		case entry.Position != next+uint64(len(out)):
			to = entry.Position - 1
			return errEnough
		}
		out = append(out, Delivery{OutboxEntry: entry})
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, 0, 0, true, err
	case len(out) > 0: // a gap behind them is for the next Read
		return out, 0, 0, true, tx.fillDeliveries(out)
	case to == 0 && next < h.Next:
		to = h.Next - 1
	}
	if to != 0 {
		from = next
	}
	return nil, from, to, true, nil
}

func (tx *Tx) cursor(consumer string) (c codec.Cursor, known bool, err error) {
	if consumer == "" {
		return c, false, nil
	}
	value, ok, err := tx.R.Get(SpaceCursors, []byte(consumer))
	if err != nil || !ok {
		return c, false, err
	}
	if c, err = codec.DecodeCursor([]byte(consumer), value); err != nil {
		err = tx.Damaged(SpaceCursors, err)
	}
	return c, true, err
}

// fillDeliveries adds the records that are still there. One that cannot be read
// is as one that is gone: Check tells of it.
func (tx *Tx) fillDeliveries(out []Delivery) error {
	for i := range out {
		value, ok, err := tx.R.Get(SpaceEvents, out[i].Event[:])
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if e, err := codec.DecodeEvent(out[i].Event[:], value); err == nil {
			out[i].Record = e
		}
	}
	return nil
}

// trimAtOnce is how many entries one transaction removes at most.
const trimAtOnce = 500

// Acknowledge moves the cursor of a consumer forward to a position, and removes
// entries that all consumers are done with. It never goes back. ok is false if
// the position is not given yet, known if the file does not name the consumer.
func (tx *Tx) Acknowledge(consumer string, position uint64) (ok, known bool, err error) {
	c, known, err := tx.cursor(consumer)
	if err != nil || !known {
		return false, known, err
	}
	h, err := tx.consumersHead()
	switch {
	case err != nil || position >= h.Next:
		return false, true, err
	case position <= c.Position:
		return true, true, nil
	}
	if err := tx.putCursor(consumer, position); err != nil {
		return true, true, err
	}
	_, err = tx.Trim()
	return true, true, tx.DoomIf(true, err)
}

// Trim removes entries from the beginning of the outbox, some hundreds at most:
// acknowledged by all consumers, or 30 days old. more reports others.
func (tx *Tx) Trim() (more bool, err error) {
	h, err := tx.head()
	if err != nil || h.Next == 0 {
		return false, err
	}
	consumers, err := tx.Consumers()
	if err != nil {
		return false, err
	}
	slowest := h.Next - 1
	for _, position := range consumers {
		slowest = min(slowest, position)
	}
	first := h.First
	for ; h.First < h.Next && h.First-first < trimAtOnce; h.First++ {
		over := h.First <= slowest
		if !over {
			over, err = tx.tooOld(h.First)
		}
		if err != nil {
			return false, err
		}
		if !over {
			break
		}
		if err := tx.deletePosition(h.First); err != nil {
			return false, err
		}
	}
	if h.First == first {
		return false, nil
	}
	return h.First-first == trimAtOnce, tx.putHead(h)
}

// tooOld reports whether the entry at a position is, or cannot be read.
func (tx *Tx) tooOld(position uint64) (bool, error) {
	key := codec.PositionKey(position)
	value, ok, err := tx.R.Get(SpaceOutbox, key[:])
	if err != nil || !ok {
		return !ok, err
	}
	entry, err := codec.DecodeOutboxEntry(key[:], value)
	return err != nil || tx.Now-entry.Event.Time() >= OutboxAge, nil
}

// RestartOutbox empties the outbox of a restored file. The lost file has given
// positions, and perhaps to a consumer that remembers them: those of this file
// go on from a number that grows with the time, faster than there are events.
func (tx *Tx) RestartOutbox() error {
	h, err := tx.head()
	if err != nil || h.Next == 0 {
		return err
	}
	from, to := codec.PositionKey(0), codec.PositionKey(codec.OutboxHeadKey)
	if _, err := tx.W.DeleteRange(SpaceOutbox, from[:], to[:]); err != nil {
		return tx.doom(err)
	}
	h.Next = max(h.Next, restartAt(tx.Now))
	h.First = h.Next
	return tx.putHead(h)
}

// restartAt is where positions go on after those before a time are lost: below
// 2^53, which JSON can hold, until the year 2242.
func restartAt(now int64) uint64 { return uint64(max(now, 0)/1000) << 20 }
