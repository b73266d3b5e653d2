package records

import (
	"maps"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/seal"
)

// sealing holds the keys of a check, as far as it has seen their values.
type sealing struct {
	stored codec.SealKeys
	lost   bool // the file does not tell its keys
	seen   map[string]*seenKey
}

// A seenKey is a key by the values that name it.
type seenKey struct {
	uses  uint64
	opens bool // the given key of that id opens one of them
}

// keys checks the part of INV-1 about keys: they are of the version in the
// state, and the program has no other key of their id.
func (c *checker) keys(state codec.State, known bool) error {
	stored, err := c.tx.SealKeys(c.tx.R)
	switch {
	case unreadable(err):
		c.found(1, SpaceMeta, "", err.Error())
	case err != nil:
		return err
	case known && (state.Keys != stored.Version || state.Sealed != usesOf(stored)):
		c.found(1, SpaceMeta, "", "state and seal_keys disagree")
	}
	for _, k := range stored.Keys {
		if g := c.tx.given(k.ID); g != nil && !g.Made(k.Canary) {
			c.found(1, SpaceMeta, "", "canary of key "+k.ID+" is not that of the key given")
		}
	}
	c.sealing = sealing{stored: stored, lost: err != nil, seen: map[string]*seenKey{}}
	return nil
}

// sealed checks INV-16 for the sealed values of a record: each is well-formed,
// under a key that the file lists, and opens in its place if the program has
// the key. It returns the fault of the first that is not.
func (c *checker) sealed(space kv.Space, key, value []byte) (fault string) {
	for _, f := range SealedFields {
		if f.Space != space {
			continue
		}
		stored, user, err := f.Read(key, value)
		if err != nil { // reported where it is decoded
			continue
		}
		if text := c.sealedValue(f.SealedField, string(key), user, stored); fault == "" {
			fault = text
		}
	}
	return fault
}

func (c *checker) sealedValue(f *SealedField, key, user, stored string) (fault string) {
	switch {
	case stored == "", f.Plain && !seal.Sealed(stored):
		return ""
	case !seal.Sealed(stored):
		return "value is not sealed"
	}
	id, err := seal.ID(stored)
	if err != nil {
		return "sealed value is malformed"
	}
	seen := c.sealing.seen[id]
	if seen == nil {
		seen = &seenKey{}
		c.sealing.seen[id] = seen
	}
	i := keyIndex(c.sealing.stored.Keys, id)
	if i >= 0 && (seen.uses|c.sealing.stored.Keys[i].Uses)&f.Use == 0 {
		c.found(1, SpaceMeta, "", "seal_keys does not say what is sealed under "+id)
	}
	seen.uses |= f.Use
	given, opens := c.tx.given(id), false
	if given != nil {
		_, err := given.Open(f.place(key, user), stored)
		opens = err == nil
		seen.opens = seen.opens || opens
	}
	switch {
	case c.sealing.lost: // reported
	case i < 0:
		return "is sealed under a key that the file does not list"
	case given == nil || !given.Made(c.sealing.stored.Keys[i].Canary): // not to be judged by
	case !opens:
		return "sealed value does not open in its place"
	}
	return ""
}

// mendKeys writes the list of keys again. It refuses where that takes a key
// which the program does not have: without it, sound values cannot be told from
// others, and none may be dropped.
func (c *checker) mendKeys(state *codec.State) error {
	stored, err := c.tx.SealKeys(c.tx.R)
	lost := len(stored.Keys) == 0
	changed := err != nil || stored.Version != state.Keys || state.Sealed != usesOf(stored)
	for i, k := range stored.Keys {
		if seen := c.sealing.seen[k.ID]; seen != nil && seen.uses&^k.Uses != 0 {
			stored.Keys[i].Uses, changed = k.Uses|seen.uses, true
		}
		g := c.tx.given(k.ID)
		if g == nil || g.Made(k.Canary) {
			continue
		}
		if seen := c.sealing.seen[k.ID]; seen == nil || !seen.opens {
			return c.tx.wrongKey(k.ID)
		}
		stored.Keys[i].Canary, changed = g.Canary(), true
	}
	for _, id := range slices.Sorted(maps.Keys(c.sealing.seen)) {
		if keyIndex(stored.Keys, id) >= 0 {
			continue
		}
		seen, g := c.sealing.seen[id], c.tx.given(id)
		if g == nil || !seen.opens {
			return c.tx.Input("Options.Keys", fold.Fault{Code: fold.Required, Reason: "must have the key " + id + ": the file has values under it and does not list it"})
		}
		stored.Keys = append(stored.Keys, codec.SealKey{ID: id, Canary: g.Canary(), Uses: seen.uses})
		changed = true
	}
	if !changed {
		return nil
	}
	c.note(Mendable, 1, SpaceMeta, "", "list of keys was made anew")
	if c.tx.Ring != nil && (err != nil || lost) {
		makeCurrent(&stored, c.tx.Ring.first())
	}
	return c.putKeys(stored, state)
}

// putKeys writes the list under a new version.
func (c *checker) putKeys(stored codec.SealKeys, state *codec.State) error {
	c.sealing.stored, c.sealing.lost = stored, false
	if len(stored.Keys) == 0 {
		state.Keys, state.Sealed = 0, 0
		return c.tx.W.Delete(SpaceMeta, []byte(codec.KeySealKeys))
	}
	stored.Version = max(stored.Version, state.Keys) + 1
	if c.tx.Ring != nil { // the state may be lost too
		stored.Version = max(stored.Version, c.tx.Ring.version()+1)
	}
	state.Keys, state.Sealed = stored.Version, usesOf(stored)
	return c.tx.W.Put(SpaceMeta, []byte(codec.KeySealKeys), stored.Append(nil))
}

// mendSealed takes away a password that no key can open.
func (c *checker) mendSealed(u *codec.User, key, value []byte) error {
	fault := c.sealed(SpaceUsers, key, value)
	if fault == "" {
		return nil
	}
	c.note(LosesData, 16, SpaceUsers, u.ID, "password was removed: "+fault)
	u.PasswordHash, u.HashClass = "", HashNone
	u.CredentialVersion++
	return c.quarantine(SpaceUsers, c.tx.Owner(u.ID), key, value)
}
