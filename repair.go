package snib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
)

// RepairReport is what Repair has found and done.
type RepairReport struct {
	Before Report // what Check found

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
//     and so is the record of a user who loses something in what follows. The
//     next Repair empties the quarantine.
//   - Of two users with one identity or unique value, it stays with the one to
//     whom the index leads, else with the first. The other loses it. A user
//     without an identity gets "repaired" and the user's id as one, so that it
//     can be given another.
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
	var p *repairer
	err := db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx := &Tx{db: db, r: w, w: w, written: true} // written: the floor is not due
		p = &repairer{checker: checker{ctx: ctx, tx: tx, told: db.o.told("repair")}}
		return p.run()
	})
	if p == nil {
		return RepairReport{}, during("repair", err)
	}
	if err == nil {
		p.over()
	}
	if err == nil && p.report.Repaired > 0 {
		db.clock.now(p.tx.state.Epoch, p.tx.state.Floor)
		db.o.Logger.Warn("snib: the file was repaired", "repairs", p.report.Repaired, "quarantined", p.report.Quarantined, "not kept", p.report.NotKept)
	}
	return p.report, during("repair", err)
}

// RepairFile is [DB.Repair] for a file that Open refuses, because what it says
// of itself is damaged. Where it does not say any more which Indexes and
// Providers it declares, those of opts are taken. It returns errors of Open
// as well, and fs.ErrNotExist instead of creating a file.
func RepairFile(ctx context.Context, path string, opts *Options) (RepairReport, error) {
	db, err := prepare(opts)
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		err = &fs.PathError{Op: "repair", Path: path, Err: ErrForeignFile}
	}
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	s, err := boltkv.Open(path, db.o.engine(db.initialise))
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	db.store = s
	report, err := db.Repair(ctx)
	return report, errors.Join(err, s.Close())
}

// A repairer checks, and then mends what was found. Its own report is that of
// the repairs.
type repairer struct {
	checker
	report  RepairReport
	kept    int // bytes in quarantine
	foreign uint64
}

func (p *repairer) run() error {
	if _, err := p.tx.w.DeleteRange(spaceQuarantine, nil, nil); err != nil {
		return err
	}
	err := p.checker.run()
	p.report.Before = p.checker.report
	if err != nil || p.report.Before.Found == 0 && p.folds {
		return err
	}
	for _, pass := range []func() error{
		p.mendMeta,
		func() error { return p.walk(spaceUsers, p.mendUser) },
		func() error { return p.walk(spaceIdentities, p.mendIdentity) },
		func() error { return p.walk(spaceAttributes, p.mendAttribute) },
		p.mendOwned,
		p.mendCount,
		p.prove,
	} {
		if err := pass(); err != nil {
			return err
		}
	}
	return nil
}

// prove checks again: what is committed is sound.
func (p *repairer) prove() error {
	c := checker{ctx: p.ctx, tx: &Tx{db: p.tx.db, r: p.tx.r}}
	err := c.run()
	if err == nil && c.report.Found > 0 {
		err = fmt.Errorf("%d problems stay, the first: %v: %w", c.report.Found, c.report.Problems[0], ErrCorrupt)
	}
	return err
}

// walk visits all records of a space, each in a scan of its own: mend may
// write, and what it writes decides about the next.
func (p *repairer) walk(space kv.Space, mend func(key, value []byte) error) error {
	var from []byte
	for {
		var key, value []byte
		err := p.tx.r.Scan(space, from, nil, 1, func(k, v []byte) error {
			key, value = bytes.Clone(k), append([]byte{}, v...)
			return nil
		})
		if err != nil || key == nil {
			return err
		}
		from = append(bytes.Clone(key), 0)
		if err := errors.Join(p.step(), mend(key, value)); err != nil {
			return err
		}
	}
}

// did adds a repair to the report.
func (p *repairer) did(s Severity, invariant int, space kv.Space, id, text string) {
	p.report.Repaired++
	if len(p.report.Repairs) < maxProblems {
		r := Problem{Invariant: invariant, Space: spaces[space].Name, ID: id, Text: text, Severity: s}
		p.report.Repairs = append(p.report.Repairs, r)
	}
}

// drop quarantines and removes a record for which the codec has this error.
func (p *repairer) drop(space kv.Space, key, value []byte, err error) error {
	if errors.Is(err, codec.ErrNewer) {
		return damaged(space, err)
	}
	p.did(severity(2, space), 2, space, printable(key), "record that cannot be read was dropped")
	return errors.Join(p.quarantine(space, key, value), p.tx.delete(space, string(key)))
}

// quarantine keeps what was found under a key, as long as there is room.
func (p *repairer) quarantine(space kv.Space, key, value []byte) error {
	name := append([]byte(spaces[space].Name), 0)
	name = append(name, key...)
	name, value = name[:min(len(name), kv.MaxKey)], value[:min(len(value), maxQuarantineValue)]
	if p.kept += len(name) + len(value); p.kept > maxQuarantine {
		p.report.NotKept++
		return nil
	}
	p.report.Quarantined++
	return p.tx.w.Put(spaceQuarantine, name, value)
}

// mendMeta makes the file say again what it is.
func (p *repairer) mendMeta() error {
	format, formatErr := meta(p.tx.r, codec.KeyFormat, codec.DecodeFormat)
	state, stateErr := meta(p.tx.r, codec.KeyState, codec.DecodeState)
	declared, declaredErr := meta(p.tx.r, codec.KeyDeclarations, codec.DecodeDeclarations)
	if formatErr != nil && stateErr != nil && declaredErr != nil {
		return formatErr // there is no sign that it is ours
	}
	newest := max(p.tx.db.clock.latest(), p.report.Before.Newest.UnixMilli())
	if formatErr != nil {
		format = codec.Format{Application: application, Version: formatVersion, MinReader: formatVersion, CreatedAt: newest}
		p.did(Mendable, 1, spaceMeta, "", "format was made anew")
	} else if format.Unicode != precis.UnicodeVersion {
		p.did(Mendable, 1, spaceMeta, "", "keys were folded with other Unicode tables")
	}
	if stateErr != nil {
		// What was ended cannot be told from what was not.
		state = codec.State{Epoch: p.epoch + 1, Floor: newest}
		p.did(EndsLogin, 1, spaceMeta, "", "state was made anew: all sessions and tokens have ended")
	}
	if declaredErr != nil {
		declared = p.tx.db.declared(defaultDeclarations)
		p.did(Mendable, 1, spaceMeta, "", "declarations were made anew, from the options")
	}
	format.Unicode = precis.UnicodeVersion
	p.tx.state = state
	p.indexes, p.rules = declarations(declared)
	p.tx.now = p.tx.db.clock.now(state.Epoch, state.Floor)
	return errors.Join(
		p.tx.w.Put(spaceMeta, []byte(codec.KeyFormat), format.Append(nil)),
		p.tx.w.Put(spaceMeta, []byte(codec.KeyState), state.Append(nil)),
		p.tx.w.Put(spaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil)))
}

// mendCount keeps INV-15.
func (p *repairer) mendCount() error {
	if p.tx.state.ForeignHashes == p.foreign {
		return nil
	}
	p.did(Mendable, 15, spaceMeta, "", "imported password hashes were counted")
	return p.tx.changeState(func(s *codec.State) { s.ForeignHashes = p.foreign })
}

// mendUser keeps INV-2, INV-3 and INV-5.
func (p *repairer) mendUser(key, value []byte) error {
	u, err := codec.DecodeUser(key, value)
	if err != nil {
		return p.drop(spaceUsers, key, value, err)
	}
	before := u
	if (u.PasswordHash == "") != (u.HashClass == hashNone) {
		p.did(Mendable, 2, spaceUsers, u.ID, "class of the password hash was set")
		u.HashClass = hashForeign // it is replaced at the next log-in
		if u.PasswordHash == "" {
			u.HashClass = hashNone
		}
	}
	if u.HashClass == hashForeign {
		p.foreign++
	}
	lostIdentity, err := p.mendIdentities(&u)
	if err != nil {
		return err
	}
	lostValue, err := p.mendEntries(&u)
	if err != nil {
		return err
	}
	if lostIdentity || lostValue {
		u.CredentialVersion++ // as when an identity is unlinked
		if err := p.quarantine(spaceUsers, key, value); err != nil {
			return err
		}
	}
	if u.HashClass == before.HashClass && u.Attributes == before.Attributes &&
		slices.Equal(u.Identities, before.Identities) && slices.Equal(u.Entries, before.Entries) {
		return nil
	}
	return p.tx.put(spaceUsers, u.ID, u.Append(nil))
}

// mendIdentities folds the identities of u and claims their entries. It
// reports whether u has lost one.
func (p *repairer) mendIdentities(u *codec.User) (lost bool, err error) {
	old := u.Identities
	u.Identities = nil
	for _, x := range old {
		key, err := p.rules[x.Provider].fold(x.Identifier)
		if x.Key != key && err == nil {
			p.did(Mendable, 3, spaceUsers, u.ID, "identity was put under the key of its identifier")
			x.Key = key
		}
		if findIdentity(u, x) >= 0 {
			continue // two spellings of one user's have become one
		}
		ok := err == nil && len(u.Identities) < MaxIdentities
		if ok {
			ok, err = p.claim(3, spaceIdentities, pairKey(x.Provider, x.Key), u.ID, func(v *codec.User) bool {
				return slices.ContainsFunc(v.Identities, func(y codec.Identity) bool {
					key, err := p.rules[y.Provider].fold(y.Identifier)
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
		p.did(LosesData, 3, spaceUsers, u.ID, "identity was dropped: another user's, one too many, or not one of its provider")
	}
	if len(u.Identities) > 0 {
		return lost, nil
	}
	p.did(LosesData, 3, spaceUsers, u.ID, `user without an identity was given one of the provider "repaired"`)
	x := codec.Identity{Provider: "repaired", Key: u.ID, Identifier: u.ID, LinkedAt: p.tx.now}
	u.Identities = []codec.Identity{x}
	return true, p.tx.putReference(spaceIdentities, pairKey(x.Provider, x.Key), u.ID)
}

// mendEntries makes the index entries of u those of its attributes. It reports
// whether u has lost an attribute for it.
func (p *repairer) mendEntries(u *codec.User) (lost bool, err error) {
	attributes := decodeAttributes(u.Attributes)
	var entries []codec.IndexEntry
	for _, x := range p.indexes {
		one, err := indexEntries([]Index{x}, attributes)
		ok := err == nil
		for _, e := range one { // one at most
			if ok, err = p.claimEntry(e, u.ID); err != nil {
				return false, err
			}
		}
		if ok {
			entries = append(entries, one...)
			continue
		}
		lost = true
		delete(attributes, x.Name)
		p.did(LosesData, 5, spaceUsers, u.ID, "attribute was dropped: its unique value is another user's, or it cannot be indexed")
	}
	if !slices.Equal(entries, u.Entries) {
		p.did(Mendable, 5, spaceUsers, u.ID, "index entries were made those of the attributes")
		u.Entries = entries
	}
	if lost {
		u.Attributes, err = encodeAttributes(attributes, userBounds)
	}
	return lost, err
}

func (p *repairer) claimEntry(e codec.IndexEntry, id string) (bool, error) {
	key := entryKey(e, id)
	if e.Unique {
		return p.claim(5, spaceAttributes, key, id, func(v *codec.User) bool {
			entries, err := indexEntries(p.indexes, decodeAttributes(v.Attributes))
			return err == nil && slices.Contains(entries, e)
		})
	}
	if ok, err := p.tx.has(spaceAttributes, key); ok || err != nil {
		return ok, err
	}
	p.did(Mendable, 5, spaceAttributes, id, "entry was made")
	return true, p.tx.put(spaceAttributes, key, nil)
}

// claim makes a unique entry lead to user id, unless it leads to another who
// owns it.
func (p *repairer) claim(invariant int, space kv.Space, key, id string, owns func(*codec.User) bool) (bool, error) {
	owner, ok, err := p.tx.reference(space, key)
	switch {
	case err == nil && ok && owner == id:
		return true, nil
	case err == nil && ok:
		v, err := p.tx.user(UserID(owner))
		switch {
		case err == nil && owns(&v):
			return false, nil
		case err != nil && !errors.Is(err, ErrUserNotFound) && !errors.Is(err, ErrCorrupt):
			return false, err
		}
	case err != nil && !errors.Is(err, ErrCorrupt):
		return false, err
	}
	p.did(Mendable, invariant, space, id, "entry was made")
	return true, p.tx.putReference(space, key, id)
}

// mendIdentity and mendAttribute keep INV-4 and INV-6: users have claimed what
// is theirs, and the rest goes.
func (p *repairer) mendIdentity(key, value []byte) error {
	provider, identifier, ok := codec.SplitPair(key)
	ref, err := codec.DecodeUserRef(codec.SpaceIdentities, key, value)
	x := codec.Identity{Provider: string(provider), Key: string(identifier)}
	return p.stray(4, spaceIdentities, key, ref.UserID, ok && err == nil, func(u *codec.User) bool { return findIdentity(u, x) >= 0 })
}

func (p *repairer) mendAttribute(key, value []byte) error {
	e, id, ok := splitEntry(key, value)
	return p.stray(6, spaceAttributes, key, id, ok, func(u *codec.User) bool { return slices.Contains(u.Entries, e) })
}

// stray removes an entry that cannot be read or whose user does not own it.
func (p *repairer) stray(invariant int, space kv.Space, key []byte, id string, readable bool, owns func(*codec.User) bool) error {
	if readable {
		switch u, err := p.tx.user(UserID(id)); {
		case err == nil && owns(&u):
			return nil
		case err != nil && !errors.Is(err, ErrUserNotFound):
			return err
		}
	}
	p.did(Mendable, invariant, space, id, "entry was removed")
	return p.tx.delete(space, string(key))
}
