package snibetcd

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// backend is a remote.Backend on a client.
type backend struct {
	c     *clientv3.Client
	o     Options
	log   *slog.Logger
	specs atomic.Pointer[[]kv.SpaceSpec]
	trips atomic.Int64

	mu    sync.Mutex
	lease clientv3.LeaseID // of marks; 0 before the first
	alive context.CancelFunc

	leases sync.Map // clientv3.LeaseID of the last commit under each id of a mark
}

var _ remote.Backend = (*backend)(nil)

// Trips implements remote.Backend.
func (b *backend) Trips() int64 { return b.trips.Load() }

// Begin implements remote.Backend.
func (b *backend) Begin(ctx context.Context, mode remote.Mode) (remote.Session, error) {
	t := &session{b: b, mode: mode, gets: map[string]int64{}}
	if mode == remote.Alone {
		if err := t.lock(ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// markLife is how long marks outlive their program, in seconds. That is far more
// than any commit is on its way.
const markLife = 3600

// markLease returns the lease of the marks of this program.
func (b *backend) markLease(ctx context.Context) (clientv3.LeaseID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lease != 0 {
		return b.lease, nil
	}
	b.trips.Add(1)
	granted, err := b.c.Grant(ctx, markLife)
	if err != nil {
		return 0, failure(err)
	}
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	answers, err := b.c.KeepAlive(alive, granted.ID)
	if err != nil {
		end()
		return 0, failure(err)
	}
	go func() {
		for range answers { // it ends with alive, or when the lease is lost
		}
		b.dropLease(granted.ID)
	}()
	b.lease, b.alive = granted.ID, end
	return b.lease, nil
}

// dropLease forgets a lease that the cluster does not have any more.
func (b *backend) dropLease(id clientv3.LeaseID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lease == id {
		b.alive()
		b.lease, b.alive = 0, nil
	}
}

// Resolve implements remote.Backend: the mark of a commit and its fence are one
// key, and the first to write it has decided. They have one lease: where it is
// lost, the mark is too, and the fence is refused.
func (b *backend) Resolve(ctx context.Context, m remote.Mark) (bool, error) {
	var lease clientv3.LeaseID // none: nothing was sent
	if used, ok := b.leases.Load(m.ID); ok {
		lease = used.(clientv3.LeaseID)
	}
	b.trips.Add(1)
	r, err := b.c.Txn(ctx).If(b.unmarked(m)).Then(clientv3.OpPut(b.mark(m), "fence", clientv3.WithLease(lease))).Else(clientv3.OpGet(b.mark(m))).Commit()
	if err != nil {
		return false, failure(err)
	}
	if r.Succeeded {
		return false, nil
	}
	found := r.Responses[0].GetResponseRange()
	if len(found.Kvs) == 0 {
		return false, fmt.Errorf("a later mark is there")
	}
	return string(found.Kvs[0].Value) != "fence", nil
}

// unmarked says that neither this commit nor a later one under its mark is there.
func (b *backend) unmarked(m remote.Mark) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(b.mark(m)).WithRange(b.marksEnd(m.ID)), "<", 1)
}

// Close implements remote.Backend. The client is the caller's. The marks go with
// their lease.
func (b *backend) Close([]remote.Mark) error {
	b.mu.Lock()
	lease, alive := b.lease, b.alive
	b.mu.Unlock()
	if lease == 0 {
		return nil
	}
	alive()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := b.c.Revoke(ctx, lease); err != nil {
		b.log.Debug("snib: marks were left to expire", "error", err)
	}
	return nil
}
