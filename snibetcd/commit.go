package snibetcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// comparedAlone is up to how many keys a range is guarded by the revision of each,
// rather than by fences, which other keys share.
const comparedAlone = 16

// comparedKeys bounds the keys guarded so in all ranges together: a transaction
// with many ranges still fits into a request.
const comparedKeys = 48

// Commit implements remote.Session.
func (t *session) Commit(ctx context.Context, changes []remote.Change, m remote.Mark) error {
	for _, c := range changes {
		if (*t.b.specs.Load())[c.Space].Shadow {
			return fmt.Errorf("shadows on etcd: %w", errors.ErrUnsupported)
		}
	}
	lease, err := t.b.markLease(ctx)
	if err != nil {
		return err
	}
	t.b.leases.Store(m.ID, lease)
	ifs := append(t.guards(), t.b.unmarked(m), clientv3.Compare(clientv3.CreateRevision(t.b.lockKey()), "=", t.since))
	ops := append(t.b.writes(changes), clientv3.OpPut(t.b.mark(m), "", clientv3.WithLease(lease)))
	if m.N > 1 {
		ops = append(ops, clientv3.OpDelete(t.b.marks(m.ID), clientv3.WithRange(t.b.mark(m))))
	}
	if t.since != 0 {
		ops = append(ops, clientv3.OpDelete(t.b.lockKey()))
	}
	done, err := t.b.txn(ctx, ifs, ops)
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		t.b.dropLease(lease)
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
	case errors.Is(err, kv.ErrTooLarge):
		return err
	case err != nil && refused(err):
		return failure(err)
	case err != nil:
		return &remote.LostError{Cause: err}
	case !done:
		return remote.ErrConflict
	}
	return nil
}

// writes returns the operations of a write set, and the fences of its deletes.
func (b *backend) writes(changes []remote.Change) []clientv3.Op {
	ops := make([]clientv3.Op, 0, len(changes)+3)
	fenced := map[string]bool{}
	for _, c := range changes {
		key := b.key(kv.Ref{Space: c.Space, Key: c.Key})
		if !c.Delete {
			ops = append(ops, clientv3.OpPut(key, string(c.Value)))
			continue
		}
		ops = append(ops, clientv3.OpDelete(key))
		if f := b.fence(c.Space, string(c.Key)); !fenced[f] {
			fenced[f] = true
			ops = append(ops, clientv3.OpPut(f, ""))
		}
	}
	return ops
}

// guards say that nothing which the session has read has changed since.
func (t *session) guards() (out []clientv3.Cmp) {
	for key, rev := range t.gets {
		if !t.inRange(key) {
			out = append(out, clientv3.Compare(clientv3.ModRevision(key), "=", rev))
		}
	}
	fenced, alone := map[string]bool{}, 0
	for _, s := range t.ranges {
		head := t.b.data(s.space)
		end := head + s.to
		if s.open {
			end = t.b.dataEnd(s.space)
		}
		if head+s.from >= end {
			continue
		}
		// Nothing in it is newer; and nothing has left it.
		out = append(out, clientv3.Compare(clientv3.ModRevision(head+s.from).WithRange(end), "<", t.rev+1))
		f := t.b.fenceOf(s.space, s.from, s.to, s.open)
		switch {
		case len(s.keys) == 0:
		case len(s.keys) <= comparedAlone && alone+len(s.keys) <= comparedKeys:
			alone += len(s.keys)
			for i, key := range s.keys {
				out = append(out, clientv3.Compare(clientv3.ModRevision(key), "=", s.revs[i]))
			}
		case f != "":
			if !fenced[f] {
				fenced[f] = true
				out = append(out, clientv3.Compare(clientv3.ModRevision(f), "<", t.rev+1))
			}
		default:
			if all := t.b.fencePrefix(s.space); !fenced[all] {
				fenced[all] = true
				out = append(out, clientv3.Compare(clientv3.ModRevision(all).WithPrefix(), "<", t.rev+1))
			}
		}
	}
	return out
}

// inRange reports whether a key is guarded with a range.
func (t *session) inRange(key string) bool {
	for _, s := range t.ranges {
		head := t.b.data(s.space)
		if key >= head+s.from && (s.open && key < t.b.dataEnd(s.space) || !s.open && key < head+s.to) {
			return true
		}
	}
	return false
}

// txn runs ops if all guards hold, in one request. The guards and the operations of
// a request, the longer of the two, and those of each request nested in it are
// together at most MaxTxnOps: writes are packed as the guards leave room.
func (b *backend) txn(ctx context.Context, ifs []clientv3.Cmp, ops []clientv3.Op) (done bool, err error) {
	if most := b.o.MaxTxnOps; max(len(ifs), len(ops)) > most {
		size := min(most/2, most-len(ifs)) // in each pack
		if size <= 0 || (len(ops)+size-1)/size > most-size {
			return false, fmt.Errorf("%w: %d guards, %d operations (--max-txn-ops, Options.MaxTxnOps)", kv.ErrTooLarge, len(ifs), len(ops))
		}
		var packed []clientv3.Op
		for len(ops) > 0 {
			some := ops[:min(size, len(ops))]
			ops = ops[len(some):]
			packed = append(packed, clientv3.OpTxn(nil, some, nil))
		}
		ops = packed
	}
	b.trips.Add(1)
	r, err := b.c.Txn(ctx).If(ifs...).Then(ops...).Commit()
	return err == nil && r.Succeeded, err
}
