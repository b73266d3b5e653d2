package snibetcd

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Keys under the prefix:
//
//	v               the layout
//	l               the lock of a session that is Alone
//	d/<space>/…     the keys of a space
//	f/<space>/xx    fences: one of those of a space is written when a key goes
//	m/<id>/<n>      marks of commits
//
// Names of spaces have no slash.

func (b *backend) layoutKey() string { return b.o.Prefix + "v" }
func (b *backend) lockKey() string   { return b.o.Prefix + "l" }

// data begins the keys of a space.
func (b *backend) data(space kv.Space) string { return b.o.Prefix + "d/" + b.name(space) + "/" }

// dataEnd is the first key behind them.
func (b *backend) dataEnd(space kv.Space) string { return b.o.Prefix + "d/" + b.name(space) + "0" }

func (b *backend) key(r kv.Ref) string { return b.data(r.Space) + string(r.Key) }

// name is that of a space. Shadows have one of their own, and are always empty.
func (b *backend) name(space kv.Space) string {
	spec := (*b.specs.Load())[space]
	if spec.Shadow {
		return "~" + spec.Name
	}
	return spec.Name
}

// extend takes all spaces: behind those of this program are those of a later one.
func (b *backend) extend(spaces []kv.SpaceSpec) {
	all := slices.Clone(spaces)
	b.specs.Store(&all)
}

// Fences. A key belongs to one of 64, by its first bytes, which are the owner where
// a space has owners: so the range of an owner has one fence.
const (
	fences     = 64
	fenceBytes = 10
)

func (b *backend) fencePrefix(space kv.Space) string { return b.o.Prefix + "f/" + b.name(space) + "/" }

func (b *backend) fence(space kv.Space, key string) string {
	h := fnv.New32a()
	h.Write([]byte(key[:min(len(key), fenceBytes)]))
	return fmt.Sprintf("%s%02x", b.fencePrefix(space), h.Sum32()%fences)
}

// fenceOf returns the fence of all keys in a range, "" if there are several.
func (b *backend) fenceOf(space kv.Space, from, to string, open bool) string {
	if open || len(from) < fenceBytes {
		return ""
	}
	// The last key before to has the first bytes of from, if to is at most the
	// next text of as many bytes.
	head := from[:fenceBytes]
	if strings.HasPrefix(to, head) || to == successor(head) {
		return b.fence(space, head)
	}
	return ""
}

// successor is the first text behind all that begin with head; "" if there is none.
func successor(head string) string {
	s := []byte(head)
	for i := len(s) - 1; i >= 0; i-- {
		if s[i]++; s[i] != 0 {
			return string(s[:i+1])
		}
	}
	return ""
}

func (b *backend) mark(m remote.Mark) string {
	return fmt.Sprintf("%sm/%s/%016x", b.o.Prefix, m.ID, m.N)
}

// marks begins those of an id, and marksEnd is behind them.
func (b *backend) marks(id string) string    { return b.o.Prefix + "m/" + id + "/" }
func (b *backend) marksEnd(id string) string { return b.o.Prefix + "m/" + id + "0" }
