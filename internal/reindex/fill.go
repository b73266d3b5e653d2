package reindex

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/sorter"
)

// seenUser is a user as the build has read it: a hash of the record, and the
// keys that the shadows hold for it.
type seenUser struct {
	hash uint64
	user codec.User // id, identities and entries only: no password hash gets into a temporary file
}

func (s *seenUser) append(dst []byte) []byte {
	return s.user.Append(binary.BigEndian.AppendUint64(dst, s.hash))
}

func decodeSeen(key, value []byte) (seenUser, error) {
	if len(value) < 8 {
		return seenUser{}, errScratch
	}
	u, err := codec.DecodeUser(key, value[8:])
	if err != nil {
		return seenUser{}, errScratch
	}
	return seenUser{binary.BigEndian.Uint64(value), u}, nil
}

// errScratch reports damage of a temporary file. The database is sound.
var errScratch = errors.New("a temporary file for sorting is damaged")

// fill writes the shadows, each in key order.
func (b *build) fill() error {
	for _, x := range []struct {
		*sorter.Sorter
		put putBatch
	}{{b.users, b.putUsers}, {b.identities, b.putEntries(records.ShadowIdentities)}, {b.attributes, b.putEntries(records.ShadowAttributes)}} {
		if err := b.batches(x.Sorter, x.put); err != nil {
			return err
		}
	}
	return nil
}

// putBatch writes the first n rows of a batch, one at least.
type putBatch func(w kv.Tx, batch []row) (n int, err error)

// batches commits all rows of a sorter.
func (b *build) batches(s *sorter.Sorter, put putBatch) error {
	var batch []row
	size := 0
	err := b.each(s, func(key, value []byte) error {
		batch = append(batch, row{bytes.Clone(key), bytes.Clone(value)})
		if size += len(key) + len(value); len(batch) < b.Batch.Records && size < b.Batch.Bytes {
			return nil
		}
		err := b.commit(batch, put)
		batch, size = batch[:0], 0
		return err
	})
	if err != nil {
		return err
	}
	return b.commit(batch, put)
}

// commit writes a batch in as many transactions as put makes of it.
func (b *build) commit(batch []row, put putBatch) error {
	for len(batch) > 0 {
		n := 0
		b.began = true
		err := b.exclusive(b.ctx, func(w kv.Tx) (err error) {
			n, err = put(w, batch)
			return err
		})
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// putEntries writes entries of a unique index, or of another.
func (b *build) putEntries(shadow kv.Space) putBatch {
	return func(w kv.Tx, batch []row) (int, error) {
		var value []byte
		for _, x := range batch {
			value = value[:0]
			if len(x.value) > 0 {
				ref := codec.UserRef{UserID: string(x.value)}
				value = ref.Append(value, b.File.Name(shadow), x.key)
			}
			if err := w.Put(shadow, x.key, value); err != nil {
				return 0, err
			}
		}
		return len(batch), nil
	}
}

// putUsers writes the records of users with their new identities and entries.
// The swap replaces those of users that have changed since they were read.
// Records may be long, so a batch may take several commits.
func (b *build) putUsers(w kv.Tx, batch []row) (n int, err error) {
	for size := 0; n < len(batch) && size < b.Batch.Bytes; n++ {
		key := batch[n].key
		seen, err := decodeSeen(key, batch[n].value)
		if err != nil {
			return 0, err
		}
		value, ok, err := w.Get(records.SpaceUsers, key)
		if err != nil {
			return 0, err
		}
		if !ok || maphash.Bytes(b.seed, value) != seen.hash {
			b.unlike[string(key)] = true
		}
		if !ok {
			continue
		}
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return 0, b.File.Damaged(records.SpaceUsers, err)
		}
		u.Identities, u.Entries = seen.user.Identities, seen.user.Entries
		record := u.Append(nil)
		if err := w.Put(records.ShadowUsers, key, record); err != nil {
			return 0, err
		}
		size += len(record)
	}
	return n, nil
}
