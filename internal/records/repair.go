package records

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
)

// RepairReport is the outcome of a repair.
type RepairReport struct {
	Before Report

	Repairs  []Breach // how each was mended; the first 1,000
	Repaired int      // how many there are

	Quarantined, NotKept int

	State codec.State // of the file afterwards
}

// Defaults are the declarations that Repair writes where the file has lost its
// own.
type Defaults struct {
	Declarations codec.Declarations
	Guessed      bool // they are not the program's own
}

// Repair brings the file into line with docs/INVARIANTS.md, in the transaction
// w, and reports nothing where it already is. A key of owners that is made anew
// is in f, which is to be a [File.Fork] until w is committed.
func Repair(ctx context.Context, f *File, w kv.Tx, d Defaults, told func(done, total int64)) (report RepairReport, err error) {
	// A lost index comes back in the order of users, which is none for its keys:
	// put one by one, each would move half of the tree that is in memory.
	o := NewOrdered(w)
	tx := &Tx{File: f, R: o, W: o, Written: true} // Written: the clock is not due
	c := &checker{ctx: ctx, tx: tx, writes: o, told: told, repair: &report, defaults: d}
	defer func() { report.Repairs, report.Repaired, report.State = c.report.Breaches, c.report.Found, tx.State }()
	return report, c.mend()
}

// encode encodes attributes that a record had, without one.
func encode(attributes map[string]any) (string, error) {
	raw, err := codec.AppendAttributes(nil, attributes, codec.Bounds{Keys: codec.MaxAttributes, Bytes: codec.MaxAttributeBytes})
	return string(raw), err
}

// Bounds of the space quarantine, in bytes.
const (
	maxQuarantine      = 1 << 20  // keys and values together
	maxQuarantineValue = 64 << 10 // one value; more is cut off
)

// mend checks without mending, then mends, then checks again: only a sound file
// is committed.
func (c *checker) mend() error {
	before := checker{ctx: c.ctx, told: c.told, tx: &Tx{File: c.tx.File, R: c.tx.R}}
	err := before.run()
	c.repair.Before = before.report
	if err != nil || before.report.Found == 0 && before.folds {
		before.over()
		return err
	}
	c.steps, c.epoch, c.sealing = before.steps, before.epoch, before.sealing
	if err := c.measureQuarantine(); err != nil {
		return err
	}
	if err := c.passes(c.mendMeta, c.mendUsers); err != nil {
		return err
	}
	after := checker{ctx: c.ctx, told: c.told, steps: c.steps, tx: before.tx}
	if err := after.run(); err != nil {
		return err
	}
	after.over()
	if p := after.report.Breaches; len(p) > 0 {
		return fmt.Errorf("%d problems stay, the first: INV-%d, %s %s: %s: %w", after.report.Found, p[0].Invariant, p[0].Space, p[0].ID, p[0].Text, kv.ErrCorrupt)
	}
	return nil
}

// walk visits all records of a space; mend may write.
func (c *checker) walk(space kv.Space, mend func(key, value []byte) error) error {
	err := Walk(c.ctx, c.tx.R, space, c.writes.Changed, func(key, value []byte) error {
		if c.writes.Over() {
			if err := c.writes.Flush(); err != nil {
				return err
			}
		}
		return errors.Join(c.step(), mend(key, value))
	})
	if err != nil {
		return err
	}
	return c.writes.Flush() // the next walk must see them
}

// measureQuarantine notes how much there is in quarantine already.
func (c *checker) measureQuarantine() error {
	return c.tx.R.Scan(SpaceQuarantine, nil, nil, 0, func(key, value []byte) error {
		c.kept += len(key) + len(value)
		return nil
	})
}

// quarantine keeps the value found under a key, of an owner if one is known, as
// long as there is room.
func (c *checker) quarantine(space kv.Space, owner codec.Owner, key, value []byte) error {
	if c.repair == nil {
		return nil
	}
	name := codec.AppendQuarantineKey(nil, owner, c.tx.Name(space), key)
	name = name[:min(len(name), kv.MaxKey)]
	kept := codec.AppendQuarantineValue(nil, c.tx.Now, value[:min(len(value), maxQuarantineValue)])
	if c.kept+len(name)+len(kept) > maxQuarantine {
		c.repair.NotKept++
		return nil
	}
	c.kept += len(name) + len(kept)
	c.repair.Quarantined++
	return c.tx.W.Put(SpaceQuarantine, name, kept)
}

// mendMeta restores the file's description of itself.
func (c *checker) mendMeta() error {
	format, formatErr := Meta(c.tx.File, c.tx.R, codec.KeyFormat, codec.DecodeFormat)
	state, stateErr := Meta(c.tx.File, c.tx.R, codec.KeyState, codec.DecodeState)
	declared, declaredErr := Meta(c.tx.File, c.tx.R, codec.KeyDeclarations, codec.DecodeDeclarations)
	owners, ownersErr := Meta(c.tx.File, c.tx.R, codec.KeyOwners, codec.DecodeOwnerKey)
	if ownersErr == nil {
		ownersErr = c.tx.UseOwners(owners)
	}
	listed, spacesErr := Meta(c.tx.File, c.tx.R, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
	if formatErr != nil && stateErr != nil && declaredErr != nil {
		return formatErr // there is no sign that it is ours
	}
	newest := max(c.tx.Clock.Latest(), c.repair.Before.Newest)
	if formatErr != nil {
		format = codec.Format{Application: Application, Version: codec.FormatVersion, MinReader: codec.FormatVersion, CreatedAt: newest}
		c.note(Mendable, 1, SpaceMeta, "", "format was made anew")
	} else if format.Unicode != fold.UnicodeVersion {
		c.note(Mendable, 1, SpaceMeta, "", "keys were folded with other Unicode tables")
	}
	if stateErr != nil {
		// Ended records cannot be told from live ones.
		state = codec.State{Epoch: c.epoch + 1, Floor: newest}
		c.note(EndsLogin, 1, SpaceMeta, "", "state was made anew: all sessions and tokens have ended")
	}
	if declaredErr != nil {
		declared = c.defaults.Declarations
		declared.Version = state.Declarations + 1
		if known := c.tx.File.Declared.Load(); known != nil { // the state may be lost too
			declared.Version = max(declared.Version, known.Version+1)
			declared.Owned = MergeNames(declared.Owned, known.Owned)
		}
		c.guessed = c.defaults.Guessed
		c.note(Mendable, 1, SpaceMeta, "", "declarations were made anew, from the options")
	}
	state.Declarations = declared.Version
	if ownersErr != nil {
		var err error
		if owners, err = c.mendOwners(&state); err != nil {
			return err
		}
	}
	if spacesErr != nil {
		c.note(Mendable, 1, SpaceMeta, "", "list of owned spaces was made anew")
		listed.Names = c.tx.LaterNames()
	}
	listed.Names = OwnedNames(listed.Names)
	if err := c.mendKeys(&state); err != nil {
		return err
	}
	c.ownersLost = false
	format.Unicode = fold.UnicodeVersion
	c.tx.State, c.declared = state, NewDeclared(declared)
	if err := c.tx.fixTime(); err != nil {
		return err
	}
	return putMeta(c.tx.W, format, state, declared, owners, listed)
}

// mendOwners makes the key of owners anew: the one that this DB has read
// before, or another one, with which no record of a user is found any more.
func (c *checker) mendOwners(state *codec.State) (codec.OwnerKey, error) {
	if c.tx.owners != nil {
		c.note(Mendable, 1, SpaceMeta, "", "key of owners was written again")
		return c.tx.OwnerKey, nil
	}
	owners, err := c.tx.NewOwnerKey()
	if err != nil {
		return owners, err
	}
	state.Epoch = max(state.Epoch, c.epoch+1) + 1
	c.note(EndsLogin, 1, SpaceMeta, "", "key of owners was made anew: all sessions and tokens have ended")
	return owners, c.tx.UseOwners(owners)
}

// mendUsers keeps INV-2, INV-3, INV-5, INV-22 and INV-24.
func (c *checker) mendUsers() error { return c.each(SpaceUsers, c.mendUser) }

func (c *checker) mendUser(key, value []byte) error {
	c.report.Users++
	u, err := codec.DecodeUser(key, value)
	if err != nil {
		return c.cannotRead(SpaceUsers, key, value, err)
	}
	before := u
	if (u.PasswordHash == "") != (u.HashClass == HashNone) {
		c.note(Mendable, 2, SpaceUsers, u.ID, "class of the password hash was set")
		u.HashClass = HashForeign // it is replaced at the next log-in
		if u.PasswordHash == "" {
			u.HashClass = HashNone
		}
	}
	if err := c.mendSealed(&u, key, value); err != nil {
		return err
	}
	c.count(&u)
	lostIdentity, err := c.mendIdentities(&u)
	if err != nil {
		return err
	}
	lostValue, err := c.mendEntries(&u)
	if err != nil {
		return err
	}
	c.guest(&u)
	lostRole, err := c.mendRoles(&u)
	if err != nil {
		return err
	}
	if lostIdentity || lostValue || lostRole {
		u.CredentialVersion++ // as when an identity is unlinked
		if err := c.quarantine(SpaceUsers, c.tx.Owner(u.ID), key, value); err != nil {
			return err
		}
	}
	if u.HashClass == before.HashClass && u.PasswordHash == before.PasswordHash && u.Attributes == before.Attributes &&
		slices.Equal(u.Identities, before.Identities) && slices.Equal(u.Entries, before.Entries) && slices.Equal(u.Roles, before.Roles) && u.GuestSeenAt == before.GuestSeenAt {
		return nil
	}
	return c.tx.Put(SpaceUsers, u.ID, u.Append(nil))
}

// mendIdentities folds the identities of u and claims their entries. It
// reports whether u has lost one.
func (c *checker) mendIdentities(u *codec.User) (lost bool, err error) {
	old := u.Identities
	u.Identities = nil
	for _, x := range old {
		key, fault := c.declared.Fold(x.Provider, x.Identifier)
		if c.guessed && (x.Key != key || fault.Found()) {
			// By wrong rules, users would lose sound identities.
			return false, c.tx.Input("Options.Providers", fold.Fault{Code: fold.Required, Reason: "must be given: the file does not say any more which it declares"})
		}
		if x.Key != key && !fault.Found() {
			c.note(Mendable, 3, SpaceUsers, u.ID, "identity was put under the key of its identifier")
			x.Key = key
		}
		if FindIdentity(u, x) >= 0 {
			continue // two spellings of one user's have become one
		}
		ok := !fault.Found() && len(u.Identities) < MaxIdentities
		if ok {
			if ok, err = c.claimIdentity(x, u.ID); err != nil {
				return false, err
			}
		}
		if ok {
			u.Identities = append(u.Identities, x)
			continue
		}
		lost = true
		c.note(LosesData, 3, SpaceUsers, u.ID, "identity was dropped: another user's, one too many, or not one of its provider")
	}
	return lost, nil
}

// claimIdentity claims an identity for a user, unless another has it.
func (c *checker) claimIdentity(x codec.Identity, id string) (bool, error) {
	return c.claim(3, SpaceIdentities, PairKey(x.Provider, x.Key), id, func(v *codec.User) bool {
		return slices.ContainsFunc(v.Identities, func(y codec.Identity) bool {
			key, fault := c.declared.Fold(y.Provider, y.Identifier)
			return !fault.Found() && y.Provider == x.Provider && key == x.Key
		})
	})
}

// mendEntries makes the index entries of u those of its attributes. It reports
// whether u has lost an attribute for it.
func (c *checker) mendEntries(u *codec.User) (lost bool, err error) {
	attributes := attributesOf(u)
	var entries []codec.IndexEntry
	for _, x := range c.declared.Indexes {
		one, err := c.tx.Entries([]codec.Index{x}, attributes)
		ok := err == nil
		for _, e := range one { // one at most
			if ok, err = c.claimEntry(e, u.ID); err != nil {
				return false, err
			}
		}
		if ok {
			entries = append(entries, one...)
			continue
		}
		lost = true
		delete(attributes, x.Name)
		c.note(LosesData, 5, SpaceUsers, u.ID, "attribute was dropped: its unique value is another user's, or it cannot be indexed")
	}
	if !slices.Equal(entries, u.Entries) {
		c.note(Mendable, 5, SpaceUsers, u.ID, "index entries were made those of the attributes")
		u.Entries = entries
	}
	if lost {
		u.Attributes, err = encode(attributes)
	}
	return lost, err
}

func (c *checker) claimEntry(e codec.IndexEntry, id string) (bool, error) {
	key := EntryKey(e, id)
	if e.Unique {
		return c.claim(5, SpaceAttributes, key, id, func(v *codec.User) bool {
			entries, err := c.tx.Entries(c.declared.Indexes, attributesOf(v))
			return err == nil && slices.Contains(entries, e)
		})
	}
	if ok, err := c.tx.Has(SpaceAttributes, key); ok || err != nil {
		return ok, err
	}
	c.note(Mendable, 5, SpaceAttributes, id, "entry was made")
	return true, c.tx.Put(SpaceAttributes, key, nil)
}

// claim makes a unique entry lead to user id, unless it leads to another user
// that owns it.
func (c *checker) claim(invariant int, space kv.Space, key, id string, owns func(*codec.User) bool) (bool, error) {
	owner, ok, err := c.tx.Reference(space, key)
	switch {
	case err == nil && ok && owner == id:
		return true, nil
	case err == nil && ok:
		v, err := c.tx.User(owner)
		switch {
		case err == nil && owns(&v):
			return false, nil
		case err != nil && !errors.Is(err, ErrUserNotFound) && !errors.Is(err, kv.ErrCorrupt):
			return false, err
		}
	case err != nil && !errors.Is(err, kv.ErrCorrupt):
		return false, err
	}
	c.note(Mendable, invariant, space, id, "entry was made")
	return true, c.tx.putReference(space, key, id)
}
