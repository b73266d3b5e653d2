package snib

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

const (
	outboxPage = 100             // events that Consume reads at once
	outboxPoll = 5 * time.Second // how often it looks for those of other processes
)

// GapError says that a consumer has missed events: it was away for 30 days, a
// million events were waiting, the file was restored, or a part of the outbox
// was lost by damage. It is an [ErrGap]. Look at the users themselves to catch
// up.
type GapError struct {
	From, To uint64 // the positions that are gone; of a restored file, not all of them were given
}

// Error tells that there is a gap.
func (e *GapError) Error() string { return "events are gone from the outbox" }

// Unwrap makes it an ErrGap.
func (e *GapError) Unwrap() error { return ErrGap }

// Read returns the next events for a consumer, in the order of their commits, at
// most n, 1–1,000: those that it has not acknowledged, from the first on. An empty
// list is the end. It changes nothing: an event that is not acknowledged is read
// again, so a consumer sees each at least once. Failed log-ins are not among
// them.
//
// Of an event whose user was deleted since there are only ID, Kind, Actor, At
// and Position; and likewise of one that has been pushed out of the user's list
// by newer ones before it was read.
//
// [GapError] if events are gone before the next one: acknowledge its To, and
// read on. ErrInvalidInput (Consumer, N).
func (e Events) Read(ctx context.Context, consumer string, n int) ([]Event, error) {
	return result(ctx, "read events", e.at.view, func(tx *Tx) ([]Event, error) {
		if n < 1 || n > 1000 {
			return nil, &InputError{Field: "N", Code: CodeOutOfRange, Reason: "must be from 1 to 1000", Min: 1, Max: 1000}
		}
		found, from, to, known, err := tx.rec.Read(consumer, n)
		switch {
		case err != nil:
			return nil, err
		case !known:
			return nil, unknownConsumer()
		case to != 0:
			return nil, &GapError{From: from, To: to}
		}
		var out []Event
		for i := range found {
			out = append(out, delivered(&found[i]))
		}
		return out, nil
	})
}

func unknownConsumer() error {
	return &InputError{Field: "Consumer", Code: CodeUndeclared, Reason: "must be one of Options.Outbox"}
}

func delivered(d *records.Delivery) Event {
	if d.Record.Count != 0 {
		x := newEvent(&d.Record)
		x.Position = d.Position
		return x
	}
	at := clock.Time(d.Event.Time())
	return Event{
		ID: EventID(token.Event.ID(d.Event)), Kind: EventKind(records.EventKind(d.Kind).Row().Name), UserID: UserID(d.UserID),
		At: at, Count: 1, Last: at, Actor: actorOf(d.Actor), Position: d.Position,
	}
}

// Ack moves a consumer forward to a position, durably: Read goes on behind it.
// A position before that is no error and changes nothing. In an Update, with
// rows of the program's own, it happens with them or not at all.
// ErrInvalidInput (Consumer; Position, for one that was not given yet).
func (e Events) Ack(ctx context.Context, consumer string, position uint64) error {
	return during("acknowledge events", e.at.update(ctx, func(tx *Tx) error {
		ok, known, err := tx.rec.Acknowledge(consumer, position)
		switch {
		case err != nil:
			return err
		case !known:
			return unknownConsumer()
		case !ok:
			return &InputError{Field: "Position", Code: CodeOutOfRange, Reason: "must be that of an event"}
		}
		return nil
	}))
}

// Consume calls fn with each event for a consumer, in the order of their
// commits, acknowledges it when fn has returned nil, and waits for more until
// ctx ends. It wakes at each commit of this DB, and looks every 5 s for those of
// another. After a crash it begins with the event that was not acknowledged, so
// fn sees an event at least once, seldom twice: the ID tells. One Consume for a
// name at a time.
//
// It returns the error of fn as it is, the event staying where it is; that of
// ctx; ErrClosed; a [GapError], once: then call it again, and it goes on behind
// the gap. ErrInvalidInput (Consumer, Fn). In a transaction it is ErrNested.
func (e Events) Consume(ctx context.Context, consumer string, fn func(context.Context, Event) error) error {
	if e.at.tx != nil {
		return during("consume events", cmp.Or(e.at.tx.reading(), ErrNested))
	}
	for {
		woken := e.at.db.bell.Heard()
		events, err := e.Read(ctx, consumer, outboxPage)
		if gap, ok := errors.AsType[*GapError](err); ok {
			err = errors.Join(err, e.Ack(ctx, consumer, gap.To))
		}
		if err == nil && fn == nil {
			err = during("consume events", missing("Fn"))
		}
		if err != nil {
			return err
		}
		for _, x := range events {
			if err := fn(ctx, x); err != nil {
				return err
			}
			if err := e.Ack(ctx, consumer, x.Position); err != nil {
				return err
			}
		}
		if len(events) > 0 {
			continue
		}
		if err := wait(ctx, woken); err != nil {
			return err
		}
	}
}

// wait waits for a commit, at most as long as one poll lasts.
func wait(ctx context.Context, woken <-chan struct{}) error {
	poll := time.NewTimer(outboxPoll)
	defer poll.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-woken:
	case <-poll.C:
	}
	return nil
}

// adoptOutbox makes the consumers of the file those of Options.Outbox, unless
// that is nil.
func (db *DB) adoptOutbox(ctx context.Context) error {
	if db.o.Outbox == nil {
		return nil
	}
	err := db.updateIfNeeded(ctx, func(tx *Tx) error { return tx.rec.DeclareConsumers(db.o.Outbox) })
	if errors.Is(err, ErrReadOnly) {
		return nil
	}
	return err
}

// restartOutbox is for a restored file.
func (db *DB) restartOutbox(ctx context.Context) error {
	return db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		return tx.rec.RestartOutbox()
	})
}
