package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
)

// outbox checks INV-17 for the outbox and its consumers. Repair removes entries
// that cannot be read or are out of bounds, of which consumers are told as of a
// gap, and makes a lost head anew from the rest.
func (c *checker) outbox() error {
	head, err := c.tx.head()
	lost := errors.Is(err, kv.ErrCorrupt)
	switch {
	case lost:
		c.found(17, SpaceOutbox, "", "head cannot be read")
	case err != nil:
		return err
	case head.Next == 0:
		if lost, err = c.tx.outboxUsed(); err != nil {
			return err
		}
		if lost {
			c.found(17, SpaceOutbox, "", "head is missing")
		}
	}
	want := head
	if err := c.entriesOf(head, lost, &want); err != nil {
		return err
	}
	if err := c.cursors(&want, lost); err != nil {
		return err
	}
	if lost {
		want.Next++ // a hole, by which consumers are told that events were not put here
	}
	if !lost && want.Consumers != head.Consumers {
		c.found(17, SpaceOutbox, "", "head does not count the consumers")
	}
	if c.repair == nil || want == head {
		return nil
	}
	if want.First == 0 || want.First > want.Next {
		want.First = want.Next
	}
	return c.tx.putHead(want)
}

// entriesOf checks the entries. Of a head that is lost, want gets the bounds.
func (c *checker) entriesOf(head codec.OutboxHead, lost bool, want *codec.OutboxHead) error {
	headKey := codec.PositionKey(codec.OutboxHeadKey)
	return c.each(SpaceOutbox, func(key, value []byte) error {
		if string(key) == string(headKey[:]) {
			return nil
		}
		entry, err := codec.DecodeOutboxEntry(key, value)
		switch {
		case errors.Is(err, codec.ErrNewer) && c.repair != nil:
			return c.tx.Damaged(SpaceOutbox, err)
		case err != nil:
			c.found(2, SpaceOutbox, "", "record cannot be read")
			return c.remove(SpaceOutbox, key)
		case lost:
			if want.First == 0 {
				want.First = entry.Position
			}
			want.Next = entry.Position + 1
		case entry.Position < head.First || entry.Position >= head.Next:
			c.found(17, SpaceOutbox, "", "position is not one that was given")
			return c.remove(SpaceOutbox, key)
		}
		c.report.Outbox++
		return nil
	})
}

// cursors checks the consumers and counts them in want. Repair puts one whose
// cursor cannot be read before the first event: it sees some twice, and misses none.
func (c *checker) cursors(want *codec.OutboxHead, lost bool) error {
	want.Consumers = 0
	return c.each(SpaceCursors, func(key, value []byte) error {
		cursor, err := codec.DecodeCursor(key, value)
		switch {
		case errors.Is(err, codec.ErrNewer) && c.repair != nil:
			return c.tx.Damaged(SpaceCursors, err)
		case err != nil:
			c.found(2, SpaceCursors, "", "record cannot be read")
			if !fold.Name(string(key)) {
				return c.remove(SpaceCursors, key)
			}
			cursor.Position = max(want.First, 1) - 1
			if err := c.moveCursor(string(key), cursor.Position); err != nil {
				return err
			}
		}
		want.Consumers++
		if lost {
			want.Next = max(want.Next, cursor.Position+1) // the highest that was given
		}
		if cursor.Position < want.Next {
			return nil
		}
		c.found(17, SpaceCursors, "", "is ahead of the events")
		return c.moveCursor(string(key), want.Next-1)
	})
}

// moveCursor is how Repair mends a cursor.
func (c *checker) moveCursor(consumer string, position uint64) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.putCursor(consumer, position)
}
