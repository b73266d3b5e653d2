package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/snibdb/snib/internal/kv"
)

// ErrJoined is the success of [Store.Inside]: all writes were sent in a transaction
// that has not ended. It is an error so that nobody takes it for a commit.
var ErrJoined = errors.New("in a transaction that has not ended")

// Inside runs fn in a transaction that the program began and will commit. The session
// of begin works in it, and keeps everything in [Joined.Keep] or undoes it in Rollback.
// The writes have been sent when Inside returns ErrJoined; after any other error
// nothing of fn is in the transaction. fn runs once: kv.ErrAgain is the program's to
// follow.
func (s *Store) Inside(ctx context.Context, begin func(context.Context) (Joined, Mode, error), fn func(kv.Tx) error) error {
	if !s.nest.MayJoin() {
		return kv.ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := s.gate.Enter(); err != nil {
		return err
	}
	defer s.gate.Leave()
	in, mode, err := begin(ctx)
	if err != nil {
		return err
	}
	defer s.nest.Leave(s.nest.Enter())
	t := s.tx(ctx, in, mode)
	t.bounded = true
	defer t.end()
	if err := t.verdict(fn(t)); err != nil {
		return err
	}
	if err := t.ask(func(ctx context.Context) error { return in.Keep(ctx, t.changes()) }); err != nil {
		return err
	}
	return ErrJoined
}

// Joined is a Session in a transaction of the program. It is not committed.
type Joined interface {
	Session

	// Keep sends the rest of the changes, and leaves all to the program's transaction.
	Keep(ctx context.Context, changes []Change) error
}

// Hold notes that the calling goroutine is in a transaction of the program until
// leave is called: it may call Inside, and nothing else of the store.
func (s *Store) Hold() (leave func(), err error) {
	if s.nest.Inside() {
		return nil, kv.ErrNested
	}
	id := s.nest.Hold()
	return func() { s.nest.Release(id) }, nil
}
