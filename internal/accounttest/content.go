package accounttest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/codec"
)

// Content returns the records of the library in a file: "space/" and the quoted key
// lead to the value.
func Content(tx *bolt.Tx) (map[string]string, error) {
	records := map[string]string{}
	root := tx.Bucket([]byte("snib"))
	err := root.ForEachBucket(func(space []byte) error {
		return root.Bucket(space).ForEach(func(k, v []byte) error {
			records[fmt.Sprintf("%s/%q", space, k)] = string(v)
			return nil
		})
	})
	return records, err
}

// Quiet fails the test if f writes anything or commits at all, by the content and
// the number of commits.
func Quiet(tb testing.TB, content func() (map[string]string, int), f func()) {
	tb.Helper()
	before, n := content()
	f()
	after, m := content()
	if !maps.Equal(before, after) {
		tb.Errorf("something was written")
	}
	if m != n {
		tb.Errorf("%d commits, want none", m-n)
	}
}

// Forms are those in which a text can lie in a content: as it is, and an id as
// the bytes that it stands for, in keys and in the records of others.
func Forms(tb testing.TB, records map[string]string, text string) (all [][]byte) {
	tb.Helper()
	all = [][]byte{[]byte(text)}
	var raw [16]byte
	switch {
	case len(text) == 30 && codec.DecodeBase32(raw[:], text[4:]):
		all = append(all, raw[:])
		fallthrough
	case len(text) < 30:
		key := Must(codec.DecodeOwnerKey([]byte(records[fmt.Sprintf("meta/%q", codec.KeyOwners)])))(tb)
		owner := codec.NewOwners(key.Key).Of(text)
		all = append(all, owner[:])
	case len(text) == 36:
		if key, ok := codec.ParseOwnedKeyDigits(text[4:]); ok {
			id := key.OwnID()
			all = append(all, id[:])
		}
	}
	return all
}

// Mentions returns the keys of a content, of which the key or the value contains
// text in one of its forms.
func Mentions(tb testing.TB, records map[string]string, text string) (keys []string) {
	tb.Helper()
	all := Forms(tb, records, text)
	for _, name := range slices.Sorted(maps.Keys(records)) {
		_, quoted, _ := strings.Cut(name, "/")
		key, value := []byte(Must(strconv.Unquote(quoted))(tb)), []byte(records[name])
		if slices.ContainsFunc(all, func(form []byte) bool { return bytes.Contains(key, form) || bytes.Contains(value, form) }) {
			keys = append(keys, name)
		}
	}
	return keys
}
