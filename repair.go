package snib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
)

// RepairReport is what Repair has found and done.
type RepairReport struct {
	Before CheckReport // what Check found

	Repairs  []Problem // what was done, each with what it cost; the first 1,000
	Repaired int       // how many there are

	Quarantined int // values kept in the space quarantine
	NotKept     int // and those for which it had no room
}

// Bounds of the space quarantine, in bytes.
const (
	maxQuarantine      = 1 << 20  // keys and values together
	maxQuarantineValue = 64 << 10 // one value; more is cut off
)

// Repair makes the file what docs/INVARIANTS.md demands, in one transaction,
// and says what it did. Records of users, sessions and tokens are the truth:
// indexes are made to follow from them. The rule, wherever there is a choice,
// is that nobody gets in who could not before:
//
//   - A record that cannot be read is dropped, and with a user all that is the
//     user's. Its bytes are kept in the space quarantine, 1 MiB of them in all,
//     and so is the record of a user who loses something in what follows.
//     They go with their user, or after 30 days.
//   - Of two users with one identity or unique value, it stays with the one to
//     whom the index leads, else with the first. The other loses it, and may
//     be left without an identity until UpdateUserProviderID gives one.
//   - Sessions and tokens that contradict the rest are ended. If the file's
//     state cannot be read, all are (see EndEverything).
//   - Identifiers and indexed values are folded anew if other Unicode tables
//     have been used.
//
// Damage that does not even let a page be read is ErrCorrupt, and so is a file
// that Check would still object to; a record of a newer version is
// ErrNewerFormat. Nothing is changed then: restore a backup. Without damage it
// is no more than a Check. It looks at ctx between records. Others wait for
// their turn to write meanwhile; reads go on. Memory grows with what is
// repaired, not with the file.
func (db *DB) Repair(ctx context.Context) (RepairReport, error) {
	var report RepairReport
	var state codec.State
	err := db.store.Exclusive(ctx, func(w kv.Tx) error {
		report = RepairReport{}
		tx := &Tx{db: db, r: w, w: w, written: true} // written: the floor is not due
		c := &checker{ctx: ctx, tx: tx, told: db.o.told("repair"), repair: &report}
		defer func() { report.Repairs, report.Repaired, state = c.report.Problems, c.report.Found, tx.state }()
		return c.mend()
	})
	if err == nil && report.Repaired > 0 {
		db.clock.Now(state.Epoch, state.Floor)
		db.o.Logger.Warn("snib: the file was repaired", "repairs", report.Repaired, "quarantined", report.Quarantined, "not kept", report.NotKept)
	}
	return report, during("repair", err)
}

// RepairFile is [DB.Repair] for a file that Open refuses, because what it says
// of itself is damaged. Where it does not say any more which Indexes and
// Providers it declares, those of opts are taken; without Providers there it
// is ErrInvalidInput (Options.Providers) if the keys in the file show that the
// defaults were not declared. It returns errors of Open as well, and
// fs.ErrNotExist instead of creating a file.
func RepairFile(ctx context.Context, path string, opts *Options) (RepairReport, error) {
	db, err := prepare(opts)
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		err = ErrForeignFile
	}
	if err == nil {
		db.store, err = boltkv.Open(path, db.o.engine(db.initialise))
	}
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	report, err := db.Repair(ctx)
	return report, errors.Join(err, db.store.Close())
}

// mend checks without mending, then mends, then checks again: what is committed
// is sound.
func (c *checker) mend() error {
	before := checker{ctx: c.ctx, told: c.told, tx: &Tx{db: c.tx.db, r: c.tx.r}}
	err := before.run()
	c.repair.Before = before.report
	if err != nil || before.report.Found == 0 && before.folds {
		before.over()
		return err
	}
	c.steps, c.epoch = before.steps, before.epoch
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
	if p := after.report.Problems; len(p) > 0 {
		return fmt.Errorf("%d problems stay, the first: %v: %w", after.report.Found, p[0], ErrCorrupt)
	}
	return nil
}

// walk visits all records of a space, each in a scan of its own: mend may
// write, and what it writes decides about the next.
func (c *checker) walk(space kv.Space, mend func(key, value []byte) error) error {
	var from []byte
	for {
		var key, value []byte
		err := c.tx.r.Scan(space, from, nil, 1, func(k, v []byte) error {
			key, value = bytes.Clone(k), append([]byte{}, v...)
			return nil
		})
		if err != nil || key == nil {
			return err
		}
		from = append(bytes.Clone(key), 0)
		if err := errors.Join(c.step(), mend(key, value)); err != nil {
			return err
		}
	}
}

// measureQuarantine notes how much there is in quarantine already.
func (c *checker) measureQuarantine() error {
	return c.tx.r.Scan(spaceQuarantine, nil, nil, 0, func(key, value []byte) error {
		c.kept += len(key) + len(value)
		return nil
	})
}

// quarantine keeps what was found under a key, of an owner if one is known, as
// long as there is room.
func (c *checker) quarantine(space kv.Space, owner codec.Owner, key, value []byte) error {
	if c.repair == nil {
		return nil
	}
	name := codec.AppendQuarantineKey(nil, owner, spaces[space].Name, key)
	name = name[:min(len(name), kv.MaxKey)]
	kept := codec.AppendQuarantineValue(nil, c.tx.now, value[:min(len(value), maxQuarantineValue)])
	if c.kept+len(name)+len(kept) > maxQuarantine {
		c.repair.NotKept++
		return nil
	}
	c.kept += len(name) + len(kept)
	c.repair.Quarantined++
	return c.tx.w.Put(spaceQuarantine, name, kept)
}

// mendMeta makes the file say again what it is.
func (c *checker) mendMeta() error {
	format, formatErr := meta(c.tx.r, codec.KeyFormat, codec.DecodeFormat)
	state, stateErr := meta(c.tx.r, codec.KeyState, codec.DecodeState)
	declared, declaredErr := meta(c.tx.r, codec.KeyDeclarations, codec.DecodeDeclarations)
	owners, ownersErr := meta(c.tx.r, codec.KeyOwners, codec.DecodeOwnerKey)
	listed, spacesErr := meta(c.tx.r, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
	if formatErr != nil && stateErr != nil && declaredErr != nil {
		return formatErr // there is no sign that it is ours
	}
	newest := max(c.tx.db.clock.Latest(), c.repair.Before.Newest.UnixMilli())
	if formatErr != nil {
		format = codec.Format{Application: application, Version: codec.FormatVersion, MinReader: codec.FormatVersion, CreatedAt: newest}
		c.note(Mendable, 1, spaceMeta, "", "format was made anew")
	} else if format.Unicode != precis.UnicodeVersion {
		c.note(Mendable, 1, spaceMeta, "", "keys were folded with other Unicode tables")
	}
	if stateErr != nil {
		// What was ended cannot be told from what was not.
		state = codec.State{Epoch: c.epoch + 1, Floor: newest}
		c.note(EndsLogin, 1, spaceMeta, "", "state was made anew: all sessions and tokens have ended")
	}
	if declaredErr != nil {
		declared = c.tx.db.declarations(defaultDeclarations)
		declared.Version = state.Declarations + 1
		c.guessed = c.tx.db.o.Providers == nil
		c.note(Mendable, 1, spaceMeta, "", "declarations were made anew, from the options")
	}
	state.Declarations = declared.Version
	if ownersErr != nil {
		var err error
		if owners, err = c.mendOwners(&state); err != nil {
			return err
		}
	}
	if spacesErr != nil {
		c.note(Mendable, 1, spaceMeta, "", "list of owned spaces was made anew")
	}
	listed.Names = ownedNames(listed.Names)
	c.ownersLost = false
	format.Unicode = precis.UnicodeVersion
	c.tx.state, c.declared = state, newDeclared(declared)
	c.tx.now = c.tx.db.clock.Now(state.Epoch, state.Floor)
	return errors.Join(
		c.tx.w.Put(spaceMeta, []byte(codec.KeyFormat), format.Append(nil)),
		c.tx.w.Put(spaceMeta, []byte(codec.KeyState), state.Append(nil)),
		c.tx.w.Put(spaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil)),
		c.tx.w.Put(spaceMeta, []byte(codec.KeyOwners), owners.Append(nil)),
		c.tx.w.Put(spaceMeta, []byte(codec.KeyOwnedSpaces), listed.Append(nil)))
}

// mendOwners makes the key of owners anew: the one that this DB has read
// before, or another one, with which no record of a user is found any more.
func (c *checker) mendOwners(state *codec.State) (codec.OwnerKey, error) {
	db := c.tx.db
	if db.owners != nil {
		c.note(Mendable, 1, spaceMeta, "", "key of owners was written again")
		return db.ownerKey, nil
	}
	owners, err := db.newOwnerKey()
	if err != nil {
		return owners, err
	}
	state.Epoch = max(state.Epoch, c.epoch+1) + 1
	c.note(EndsLogin, 1, spaceMeta, "", "key of owners was made anew: all sessions and tokens have ended")
	return owners, db.useOwners(owners)
}

// mendUsers keeps INV-2, INV-3 and INV-5.
func (c *checker) mendUsers() error { return c.each(spaceUsers, c.mendUser) }

func (c *checker) mendUser(key, value []byte) error {
	c.report.Users++
	u, err := codec.DecodeUser(key, value)
	if err != nil {
		return c.cannotRead(spaceUsers, key, value, err)
	}
	before := u
	if (u.PasswordHash == "") != (u.HashClass == hashNone) {
		c.note(Mendable, 2, spaceUsers, u.ID, "class of the password hash was set")
		u.HashClass = hashForeign // it is replaced at the next log-in
		if u.PasswordHash == "" {
			u.HashClass = hashNone
		}
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
	if lostIdentity || lostValue {
		u.CredentialVersion++ // as when an identity is unlinked
		if err := c.quarantine(spaceUsers, c.tx.owner(u.ID), key, value); err != nil {
			return err
		}
	}
	if u.HashClass == before.HashClass && u.Attributes == before.Attributes &&
		slices.Equal(u.Identities, before.Identities) && slices.Equal(u.Entries, before.Entries) {
		return nil
	}
	return c.tx.put(spaceUsers, u.ID, u.Append(nil))
}

// mendIdentities folds the identities of u and claims their entries. It
// reports whether u has lost one.
func (c *checker) mendIdentities(u *codec.User) (lost bool, err error) {
	old := u.Identities
	u.Identities = nil
	for _, x := range old {
		key, err := c.declared.rules[x.Provider].fold(x.Identifier)
		if c.guessed && (x.Key != key || err != nil) {
			// By wrong rules, users would lose sound identities.
			return false, &InputError{Field: "Options.Providers", Reason: "must be given: the file does not say any more which it declares"}
		}
		if x.Key != key && err == nil {
			c.note(Mendable, 3, spaceUsers, u.ID, "identity was put under the key of its identifier")
			x.Key = key
		}
		if findIdentity(u, x) >= 0 {
			continue // two spellings of one user's have become one
		}
		ok := err == nil && len(u.Identities) < MaxIdentities
		if ok {
			ok, err = c.claim(3, spaceIdentities, pairKey(x.Provider, x.Key), u.ID, func(v *codec.User) bool {
				return slices.ContainsFunc(v.Identities, func(y codec.Identity) bool {
					key, err := c.declared.rules[y.Provider].fold(y.Identifier)
					return err == nil && y.Provider == x.Provider && key == x.Key
				})
			})
			if err != nil {
				return false, err
			}
		}
		if ok {
			u.Identities = append(u.Identities, x)
			continue
		}
		lost = true
		c.note(LosesData, 3, spaceUsers, u.ID, "identity was dropped: another user's, one too many, or not one of its provider")
	}
	return lost, nil
}

// mendEntries makes the index entries of u those of its attributes. It reports
// whether u has lost an attribute for it.
func (c *checker) mendEntries(u *codec.User) (lost bool, err error) {
	attributes := decodeAttributes(u.Attributes)
	var entries []codec.IndexEntry
	for _, x := range c.declared.indexes {
		one, err := indexEntries([]Index{x}, attributes)
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
		c.note(LosesData, 5, spaceUsers, u.ID, "attribute was dropped: its unique value is another user's, or it cannot be indexed")
	}
	if !slices.Equal(entries, u.Entries) {
		c.note(Mendable, 5, spaceUsers, u.ID, "index entries were made those of the attributes")
		u.Entries = entries
	}
	if lost {
		u.Attributes, err = encodeAttributes(attributes, userBounds)
	}
	return lost, err
}

func (c *checker) claimEntry(e codec.IndexEntry, id string) (bool, error) {
	key := entryKey(e, id)
	if e.Unique {
		return c.claim(5, spaceAttributes, key, id, func(v *codec.User) bool {
			entries, err := indexEntries(c.declared.indexes, decodeAttributes(v.Attributes))
			return err == nil && slices.Contains(entries, e)
		})
	}
	if ok, err := c.tx.has(spaceAttributes, key); ok || err != nil {
		return ok, err
	}
	c.note(Mendable, 5, spaceAttributes, id, "entry was made")
	return true, c.tx.put(spaceAttributes, key, nil)
}

// claim makes a unique entry lead to user id, unless it leads to another who
// owns it.
func (c *checker) claim(invariant int, space kv.Space, key, id string, owns func(*codec.User) bool) (bool, error) {
	owner, ok, err := c.tx.reference(space, key)
	switch {
	case err == nil && ok && owner == id:
		return true, nil
	case err == nil && ok:
		v, err := c.tx.user(UserID(owner))
		switch {
		case err == nil && owns(&v):
			return false, nil
		case err != nil && !errors.Is(err, ErrUserNotFound) && !errors.Is(err, ErrCorrupt):
			return false, err
		}
	case err != nil && !errors.Is(err, ErrCorrupt):
		return false, err
	}
	c.note(Mendable, invariant, space, id, "entry was made")
	return true, c.tx.putReference(space, key, id)
}
