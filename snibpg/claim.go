package snibpg

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// A read of an absent key takes a predicate lock on the page of the index where it
// would be. Two writers that look for different keys of one page, find them free
// and put them are in each other's way; a young table is one page. A claim puts
// the key in the place of the read, with an empty value, and so takes no predicate
// lock: a check of uniqueness takes none.
//
// The transactions stay serialisable. Another that puts the same key waits for the
// end of this one, and is refused if it commits. One that has removed the key since
// the snapshot was taken has read the page under a predicate lock to do so, and
// this one's insert is a conflict with it: as if this one had read too early.

// claim is a key that this session has named.
type claim struct {
	ref   kv.Ref
	taken bool // the row is there, and this transaction's
}

// Claim implements remote.Claimer. In a transaction of the program nothing is
// claimed, as the program may commit before the claim is withdrawn.
func (t *session) Claim(refs []kv.Ref) {
	for _, r := range refs {
		if t.mode == remote.Write && t.program == nil && t.n.of(r.Space) != "" && t.claimOf(r) == nil {
			t.claims = append(t.claims, &claim{ref: r})
		}
	}
	// All take several in one order, and so wait for each other in no circle.
	slices.SortFunc(t.claims, func(a, b *claim) int {
		return cmp.Or(cmp.Compare(a.ref.Space, b.ref.Space), bytes.Compare(a.ref.Key, b.ref.Key))
	})
}

func (t *session) claimOf(r kv.Ref) *claim {
	for _, c := range t.claims {
		if c.ref.Space == r.Space && bytes.Equal(c.ref.Key, r.Key) {
			return c
		}
	}
	return nil
}

// claim is a statement that puts a key, or reads it if it is there: a row of
// whether it was put, and its value. Without a reason to look it up it does not.
func (n *names) claim(s kv.Space) string {
	return "with c as (insert into " + n.of(s) + " (k, v) values ($1, '') on conflict (k) do nothing returning k)" +
		" select true, null::bytea from c union all select false, v from " + n.of(s) + " where k = $1 and not exists (select from c)"
}

// nowhere is a space without a table.
const nowhere kv.Space = -1

// take puts or reads the claims among refs. It returns refs without them.
func (t *session) take(refs []kv.Ref, out []remote.Value) (steps []step, rest []kv.Ref) {
	if len(t.claims) == 0 {
		return nil, refs
	}
	rest = slices.Clone(refs)
	where := map[*claim]int{}
	for i, r := range refs {
		if c := t.claimOf(r); c != nil {
			where[c], rest[i] = i, kv.Ref{Space: nowhere}
		}
	}
	for _, c := range t.claims {
		i, asked := where[c]
		if !asked {
			continue
		}
		steps = append(steps, step{t.n.claim(c.ref.Space), []any{c.ref.Key}, func(rows pgx.Rows) error {
			for rows.Next() {
				var v []byte
				if err := rows.Scan(&c.taken, &v); err != nil {
					return err
				}
				if !c.taken {
					out[i] = remote.Value{Bytes: v, OK: true}
				}
			}
			return rows.Err()
		}})
	}
	if t.begun && len(steps) > 0 {
		steps = append([]step{t.guard()}, steps...)
	}
	return steps, rest
}

// uncover withdraws all claims if a range may show them.
func (t *session) uncover(ranges []remote.Range) []step {
	for _, r := range ranges {
		if slices.ContainsFunc(t.claims, func(c *claim) bool { return c.ref.Space == r.Space }) {
			return t.withdraw(nil)
		}
	}
	return nil
}

// withdraw removes the rows of claims, but for the keys of changes, which are put.
// It reads the keys, to take the locks of a read that came to nothing.
func (t *session) withdraw(changes []remote.Change) (steps []step) {
	for _, c := range t.claims {
		put := slices.ContainsFunc(changes, func(x remote.Change) bool {
			return !x.Delete && x.Space == c.ref.Space && bytes.Equal(x.Key, c.ref.Key)
		})
		if c.taken && !put {
			steps = append(steps,
				step{sql: t.n.remove(c.ref.Space), args: []any{[][]byte{c.ref.Key}}},
				step{sql: t.n.many(c.ref.Space), args: []any{[][]byte{c.ref.Key}}})
		}
	}
	t.claims = nil
	return steps
}
