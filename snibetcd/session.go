package snibetcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// session is a remote.Session. It holds nothing at the cluster, but the lock if it
// is Alone.
type session struct {
	b      *backend
	mode   remote.Mode
	rev    int64            // of the first read; 0 before it
	quorum bool             // members lag behind rev: ask the quorum
	gets   map[string]int64 // revision of each key read; 0 is absent
	ranges []span

	held  clientv3.LeaseID // of the lock
	since int64            // revision of the lock
	free  context.CancelFunc

	init  bool // fills a new prefix
	stash []remote.Change
}

// span is a range that was read as far as the last key in it.
type span struct {
	space    kv.Space
	from, to string // without the prefix; to is exclusive
	open     bool   // goes on to the end of the space
	keys     []string
	revs     []int64
}

// read runs one request at the revision of the session.
func (t *session) read(ctx context.Context, build func() []clientv3.Op) ([]*clientv3.GetResponse, error) {
	out, err := t.ask(ctx, build())
	if errors.Is(err, rpctypes.ErrFutureRev) && !t.quorum {
		t.quorum = true
		out, err = t.ask(ctx, build())
	}
	if err != nil {
		return nil, failure(err)
	}
	return out, nil
}

func (t *session) ask(ctx context.Context, ops []clientv3.Op) ([]*clientv3.GetResponse, error) {
	t.b.trips.Add(1)
	r, err := t.b.c.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, err
	}
	if t.rev == 0 {
		t.rev = r.Header.Revision
	}
	out := make([]*clientv3.GetResponse, len(ops))
	for i, x := range r.Responses {
		out[i] = (*clientv3.GetResponse)(x.GetResponseRange())
	}
	return out, nil
}

// at asks for the revision of the session, which a member may have already.
func (t *session) at(o ...clientv3.OpOption) []clientv3.OpOption {
	if t.rev == 0 {
		return o
	}
	o = append(o[:len(o):len(o)], clientv3.WithRev(t.rev)) // it is asked again
	if !t.quorum {
		o = append(o, clientv3.WithSerializable())
	}
	return o
}

// question is one operation of a request that reads, and the reader of its answer.
type question struct {
	key    string
	opts   []clientv3.OpOption
	answer func(*clientv3.GetResponse)
}

// askAll asks questions. Each MaxTxnOps of them take one trip.
func (t *session) askAll(ctx context.Context, list []question) error {
	for len(list) > 0 {
		some := list[:min(len(list), t.b.o.MaxTxnOps)]
		list = list[len(some):]
		answers, err := t.read(ctx, func() []clientv3.Op {
			ops := make([]clientv3.Op, len(some))
			for i, q := range some {
				ops[i] = clientv3.OpGet(q.key, t.at(q.opts...)...)
			}
			return ops
		})
		if err != nil {
			return err
		}
		for i, r := range answers {
			some[i].answer(r)
		}
	}
	return nil
}

// Batch implements remote.Batcher.
func (t *session) Batch(ctx context.Context, refs []kv.Ref, ranges []remote.Range) ([]remote.Value, [][]remote.Pair, error) {
	values, pairs := make([]remote.Value, len(refs)), make([][]remote.Pair, len(ranges))
	list := make([]question, 0, len(refs)+len(ranges))
	for i, r := range refs {
		list = append(list, t.ofKey(r, &values[i]))
	}
	for i, r := range ranges {
		list = append(list, t.ofRange(r, &pairs[i]))
	}
	if err := t.askAll(ctx, list); err != nil {
		return nil, nil, err
	}
	return values, pairs, nil
}

// ofKey asks for a key.
func (t *session) ofKey(ref kv.Ref, out *remote.Value) question {
	key := t.b.key(ref)
	return question{key: key, answer: func(r *clientv3.GetResponse) {
		var rev int64
		if len(r.Kvs) > 0 {
			rev, *out = r.Kvs[0].ModRevision, remote.Value{Bytes: r.Kvs[0].Value, OK: true}
			if out.Bytes == nil {
				out.Bytes = []byte{}
			}
		}
		if t.mode != remote.Read {
			t.gets[key] = rev
		}
	}}
}

// ofRange asks for a range.
func (t *session) ofRange(r remote.Range, out *[]remote.Pair) question {
	head := t.b.data(r.Space)
	s := span{space: r.Space, from: string(r.From), to: string(r.To), open: r.To == nil}
	end := head + s.to
	if s.open {
		end = t.b.dataEnd(r.Space)
	}
	o := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(int64(r.Limit)), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend)}
	if r.KeysOnly {
		o = append(o, clientv3.WithKeysOnly())
	}
	return question{head + s.from, o, func(found *clientv3.GetResponse) {
		for _, x := range found.Kvs {
			p := remote.Pair{Key: x.Key[len(head):]}
			if !r.KeysOnly {
				p.Value = append([]byte{}, x.Value...)
			}
			*out = append(*out, p)
			s.keys, s.revs = append(s.keys, string(x.Key)), append(s.revs, x.ModRevision)
		}
		if len(found.Kvs) == r.Limit { // the rest was not seen
			s.to, s.open = string((*out)[r.Limit-1].Key)+"\x00", false
		}
		if t.mode != remote.Read {
			t.ranges = append(t.ranges, s)
		}
	}}
}

// Get implements remote.Session.
func (t *session) Get(ctx context.Context, refs []kv.Ref) ([]remote.Value, error) {
	values, _, err := t.Batch(ctx, refs, nil)
	return values, err
}

// Scan implements remote.Session.
func (t *session) Scan(ctx context.Context, r remote.Range) ([]remote.Pair, error) {
	_, pairs, err := t.Batch(ctx, nil, []remote.Range{r})
	if err != nil {
		return nil, err
	}
	return pairs[0], nil
}

// Flush implements remote.Session: a transaction is one request.
func (t *session) Flush(_ context.Context, changes []remote.Change) error {
	if !t.init {
		return kv.ErrTooLarge
	}
	t.stash = append(t.stash, changes...)
	return nil
}

// Rollback implements remote.Session.
func (t *session) Rollback() {
	if t.held != 0 {
		t.unlock()
	}
}
