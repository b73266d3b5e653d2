package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	bolt "go.etcd.io/bbolt"
)

// A census counts the records of one user in the bytes of a file: of each kind in
// the library's table of kinds, by title, and the entries that lead to the user.
// Records of an earlier epoch and revoked refresh tokens do not count.
type census map[string]int

// leastOf is how many records of each kind a full user has. A kind of the table
// that is not here fails every cascade.
var leastOf = census{
	"session": 6, "refresh token": 2, "one-time token": 2, "event": 10, "known device": 2, "API key": 2, "second factor": 4,
}

// A leading key is one of a shared space that goes with a user.
type leading struct {
	title string
	least int // of a full user
	of    func(e *entrySearch, k, v []byte) bool
}

// entrySearch is the user whose entries are counted.
type entrySearch struct {
	space string
	id    string
	owner codec.Owner
}

// refers reports whether an entry of an index leads to the user, by its value or
// by the end of its key.
func (e *entrySearch) refers(k, v []byte) bool {
	ref, err := codec.DecodeUserRef(e.space, k, v)
	return err == nil && ref.UserID == e.id || len(v) == 0 && bytes.HasSuffix(k, []byte(e.id))
}

// entriesOf are the shared spaces with keys of users, by name.
var entriesOf = map[string]leading{
	codec.SpaceUsers:      {"user", 1, func(e *entrySearch, k, _ []byte) bool { return string(k) == e.id }},
	codec.SpaceIdentities: {"identity", 3, (*entrySearch).refers},
	codec.SpaceAttributes: {"attribute", 2, (*entrySearch).refers},
	codec.SpaceRoles:      {"role", 2, (*entrySearch).refers},
	codec.SpacePasskeys:   {"passkey", 1, (*entrySearch).refers},
	codec.SpaceQuarantine: {"quarantined record", 1, func(e *entrySearch, k, _ []byte) bool { return bytes.HasPrefix(k, e.owner[:]) }},
}

// ofNoUser are the shared spaces without keys of users.
var ofNoUser = map[string]string{
	codec.SpaceMeta: "the file", codec.SpaceThrottle: "counters", codec.SpaceOutbox: "positions", codec.SpaceCursors: "consumers",
	codec.SpaceLeaving: "a deleted user with more than 10,000 rows", codec.SpaceInvitations: "identities without a user",
}

// Rows in the application's buckets: of one that the file declares for users
// (Options.Owned), and of one that it does not.
const (
	ownedRows    = "notes"
	ownedRow     = "owned row"
	strangeRow   = "row"
	leastOwned   = 2
	leastStrange = 1
)

// aFullUser returns the census that each victim must reach. A guest has no identity.
func aFullUser(guest bool) census {
	c := maps.Clone(leastOf)
	for _, e := range entriesOf {
		c[e.title] = e.least
	}
	c[ownedRow], c[strangeRow] = leastOwned, leastStrange
	if guest {
		c["identity"], c["role"] = 0, 3 // with the entry of guests
	}
	return c
}

// String lists the counts by title.
func (c census) String() string {
	var b strings.Builder
	for _, title := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s %d, ", title, c[title])
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// counted takes the census of the victim.
func (w *work) counted() (c census, err error) {
	err = w.db.View(ctx, func(tx *snib.Tx) error {
		c = census{}
		return c.take(tx.Bolt(), string(w.full.id))
	})
	return c, err
}

func (c census) take(tx *bolt.Tx, id string) error {
	b := tx.Bucket([]byte(records.Bucket))
	space := func(name string) *bolt.Bucket { return b.Bucket([]byte(name)) }
	state, err1 := codec.DecodeState(space(codec.SpaceMeta).Get([]byte(codec.KeyState)))
	key, err2 := codec.DecodeOwnerKey(space(codec.SpaceMeta).Get([]byte(codec.KeyOwners)))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	owner := codec.NewOwners(key.Key).Of(id)
	for _, k := range records.Kinds {
		if _, known := leastOf[k.Title]; !known {
			return fmt.Errorf("UNKNOWN: no full user has a record of the kind %q: see leastOf", k.Title)
		}
		name := records.Spaces[k.Space].Name
		n, err := living(space(name), k, owner, id, state.Epoch)
		if err != nil {
			return fmt.Errorf("counting %s: %w", name, err)
		}
		c[k.Title] = n
	}
	for name, e := range entriesOf {
		s := &entrySearch{name, id, owner}
		c[e.title] = count(space(name), func(k, v []byte) bool { return e.of(s, k, v) })
	}
	c[ownedRow] = count(tx.Bucket([]byte(ownedRows)), func(k, _ []byte) bool { return bytes.HasPrefix(k, snib.OwnedKey(snib.UserID(id), "")) })
	c[strangeRow] = count(tx.Bucket(appRows), func(k, _ []byte) bool { return string(k) == id })
	return nil
}

// living counts the records of a kind that are a user's and of this epoch.
func living(b *bolt.Bucket, k *records.Kind, owner codec.Owner, id string, epoch uint32) (n int, err error) {
	if b == nil {
		return 0, nil
	}
	cursor := b.Cursor()
	for key, value := cursor.Seek(owner[:]); bytes.HasPrefix(key, owner[:]); key, value = cursor.Next() {
		l, err := k.Life(key, value)
		if err != nil {
			return n, err
		}
		if l.Who.Is(id) && !l.Revoked && (l.Epoch == epoch || l.Lasts || l.History) {
			n++
		}
	}
	return n, nil
}

// count returns how many keys of a bucket, which may be missing, match.
func count(b *bolt.Bucket, matches func(k, v []byte) bool) (n int) {
	if b == nil {
		return 0
	}
	b.ForEach(func(k, v []byte) error {
		if matches(k, v) {
			n++
		}
		return nil
	})
	return n
}

// lacks returns the titles of which c has less than a full user.
func (c census) lacks(full census) (titles []string) {
	for title, least := range full {
		if c[title] < least {
			titles = append(titles, title)
		}
	}
	slices.Sort(titles)
	return titles
}
