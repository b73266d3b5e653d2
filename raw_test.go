package snib_test

import (
	"bytes"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
)

// Access to what lies in the file, behind the library's back.

// handle returns the bbolt handle under db, which works however broken the
// accounts in it are.
func handle(tb testing.TB, db *snib.DB) (b *bolt.DB) {
	tb.Helper()
	if err := db.View(ctx, func(tx *snib.Tx) error { b = tx.Bolt().DB(); return nil }); err != nil {
		tb.Fatal(err)
	}
	return b
}

// rawBucket runs fn on the bucket of a space.
func rawBucket(tb testing.TB, b *bolt.DB, space string, fn func(*bolt.Bucket) error) {
	tb.Helper()
	err := b.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.Bucket([]byte("snib")).CreateBucketIfNotExists([]byte(space))
		if err != nil {
			return err
		}
		return fn(bucket)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// rawKey is the key under which a space holds the record of an id.
func rawKey(id string) []byte {
	if len(id) == 36 {
		if key, ok := codec.ParseOwnedKeyDigits(id[4:]); ok {
			return key[:]
		}
	}
	return []byte(id)
}

func rawGet(tb testing.TB, b *bolt.DB, space, key string) (value []byte) {
	tb.Helper()
	rawBucket(tb, b, space, func(b *bolt.Bucket) error {
		value = bytes.Clone(b.Get(rawKey(key)))
		return nil
	})
	if value == nil {
		tb.Fatalf("nothing in %s under %q", space, key)
	}
	return value
}

func rawPut(tb testing.TB, b *bolt.DB, space, key string, value []byte) {
	tb.Helper()
	rawBucket(tb, b, space, func(b *bolt.Bucket) error { return b.Put(rawKey(key), value) })
}

func rawDelete(tb testing.TB, b *bolt.DB, space, key string) {
	tb.Helper()
	rawBucket(tb, b, space, func(b *bolt.Bucket) error { return b.Delete(rawKey(key)) })
}

func contains(s, part string) bool { return strings.Contains(s, part) }
