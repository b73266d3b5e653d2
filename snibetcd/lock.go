package snibetcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/snibdb/snib/internal/kv/remote"
)

// lockLife is how long the lock outlives a program that has died, in seconds.
const lockLife = 10

// lock waits until no other session is Alone. While the lock is there, only its
// session commits: each commit guards it.
func (t *session) lock(ctx context.Context) error {
	b := t.b
	b.trips.Add(1)
	granted, err := b.c.Grant(ctx, lockLife)
	if err != nil {
		return t.unlocked(ctx, err)
	}
	alive, free := context.WithCancel(context.WithoutCancel(ctx))
	t.held, t.free = granted.ID, free
	answers, err := b.c.KeepAlive(alive, granted.ID)
	if err != nil {
		return t.unlocked(ctx, err)
	}
	go func() {
		for range answers {
		}
	}()
	for {
		b.trips.Add(1)
		r, err := b.c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(b.lockKey()), "=", 0)).
			Then(clientv3.OpPut(b.lockKey(), "", clientv3.WithLease(granted.ID))).Commit()
		if err != nil {
			return t.unlocked(ctx, err)
		}
		if r.Succeeded {
			t.since = r.Header.Revision
			return nil
		}
		if err := t.awaitLock(ctx, r.Header.Revision+1); err != nil {
			return t.unlocked(ctx, err)
		}
	}
}

// awaitLock waits until the lock is deleted, at or after a revision.
func (t *session) awaitLock(ctx context.Context, from int64) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	for r := range t.b.c.Watch(watching, t.b.lockKey(), clientv3.WithRev(from), clientv3.WithFilterPut()) {
		if err := r.Err(); err != nil {
			return err
		}
		if len(r.Events) > 0 {
			return nil
		}
	}
	return ctx.Err()
}

// unlocked gives up the attempt to lock.
func (t *session) unlocked(ctx context.Context, err error) error {
	if t.held != 0 {
		t.unlock()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
}

// unlock gives the lock back, if the commit has not, in the background.
func (t *session) unlock() {
	t.free()
	held := t.held
	t.held = 0
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), lockLife*time.Second)
		defer cancel()
		t.b.c.Revoke(ctx, held) // or it expires
	}()
}
