package records

import (
	"context"
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/seal"
	"github.com/snibdb/snib/internal/token"
)

// Report is the outcome of a check: the counts of records, and breaches.
type Report struct {
	Users, Passwords, Disabled, ForeignHashes, SealedHashes int

	Records map[*Kind]int // those of users, dead ones too until they are swept
	Newer   int           // records of kinds that a later program has added
	Leaving int           // deleted users with rows that are still to go
	Rows    int           // of the application, in declared buckets

	OrphanRows int       // those of them that are of no user
	Orphans    []Orphans // by bucket and id; the first 1,000
	Guests     int       // users
	Invites    int       // invitations, dead ones too
	Outbox     int       // events that wait for consumers
	Newest     int64     // the latest time in a record

	Breaches []Breach // the first 1,000
	Found    int      // how many there are
}

// Breach is one breach of docs/INVARIANTS.md. It holds ids, which are public,
// and nothing that is secret or personal.
type Breach struct {
	Invariant int
	Space     string
	ID        string // of the user or record; "" if not known
	Text      string // the breach, or how Repair mended it
	Severity  Severity
}

// Severity is the cost of mending a breach.
type Severity int

// The severities.
const (
	Mendable  Severity = iota // nothing is lost
	EndsLogin                 // a session or token ends
	LosesData                 // something of a user's is lost
)

// Reach adds to the report that records are out of reach, if damage says so, before
// the others; another error is returned.
func (r *Report) Reach(damage error) error {
	if !errors.Is(damage, kv.ErrCorrupt) {
		return damage
	}
	r.Found++
	r.Breaches = slices.Insert(r.Breaches[:min(len(r.Breaches), maxBreaches-1)], 0, Breach{Invariant: 26, Text: damage.Error(), Severity: LosesData})
	return nil
}

// Check verifies on one snapshot everything that must hold. told, which may be
// nil, is called with the number of records visited so far and, at the end, of
// all. An error says why it could not read on.
func Check(ctx context.Context, f *File, r kv.Reader, told func(done, total int64)) (Report, error) {
	c := checker{ctx: ctx, told: told, tx: &Tx{File: f, R: r}}
	err := c.run()
	if err == nil {
		c.over()
	}
	return c.report, err
}

// severity is that of a breach seen in a space.
func severity(invariant int, space kv.Space) Severity {
	switch {
	case space == SpaceUsers && invariant != 5, space == SpaceEvents:
		return LosesData
	case invariant == 1, invariant == 7, KindOf(space) != nil, space == SpaceInvitations:
		return EndsLogin
	}
	return Mendable
}

const maxBreaches = 1000

// A checker walks the file. In Repair it mends each breach on the way.
type checker struct {
	ctx    context.Context
	tx     *Tx
	report Report
	told   func(done, total int64) // progress; nil disables it
	steps  int64
	epoch  uint32 // the latest in a record

	repair *RepairReport        // nil in Check
	writes *Ordered             // of Repair
	few    map[codec.Owner]bool // owners without a surplus, as far as it is known
	kept   int                  // bytes in quarantine

	unreadable []codec.OwnedKey // factors
	guessed    bool             // neither the file nor the options know the rules
	defaults   Defaults

	declared   *Declared // by the file, as far as it says that
	folds      bool      // whether the rules fold as those of the file's writers
	ownersLost bool      // the file does not tell owners
	sealing    sealing
}

func (c *checker) run() error { return c.passes(c.meta, c.users) }

// passes runs these two and then the rest, which Repair does alike.
func (c *checker) passes(meta, users func() error) error {
	for _, pass := range []func() error{
		meta, users, c.identities, c.attributes,
		c.roles, c.owned, c.passkeys, c.leases, c.throttle, c.leaving, c.rows, c.outbox, c.invitations,
	} {
		if err := pass(); err != nil {
			return err
		}
	}
	return nil
}

// over tells that no more records come.
func (c *checker) over() {
	if c.told != nil {
		c.told(c.steps, c.steps)
	}
}

// counted counts a record of a kind.
func (c *checker) counted(k *Kind) {
	if c.report.Records == nil {
		c.report.Records = make(map[*Kind]int)
	}
	c.report.Records[k]++
}

// step is taken for each record.
func (c *checker) step() error {
	if c.steps++; c.steps%256 != 0 {
		return nil
	}
	if c.told != nil {
		c.told(c.steps, 0)
	}
	return c.ctx.Err()
}

// seen notes how far the times and the epoch of a record go.
func (c *checker) seen(epoch uint32, times ...int64) {
	c.epoch = max(c.epoch, epoch)
	if t := slices.Max(times); t > c.report.Newest {
		c.report.Newest = t
	}
}

// found adds a breach to the report.
func (c *checker) found(invariant int, space kv.Space, id, text string) {
	c.note(severity(invariant, space), invariant, space, id, text)
}

func (c *checker) note(s Severity, invariant int, space kv.Space, id, text string) {
	c.report.Found++
	if len(c.report.Breaches) < maxBreaches {
		p := Breach{Invariant: invariant, Space: c.tx.Name(space), ID: id, Text: text, Severity: s}
		c.report.Breaches = append(c.report.Breaches, p)
	}
}

// cannotRead adds a record that does not decode. Repair drops it.
func (c *checker) cannotRead(space kv.Space, key, value []byte, err error) error {
	text := "record cannot be read"
	if errors.Is(err, codec.ErrNewer) {
		if c.repair != nil {
			return c.tx.Damaged(space, err)
		}
		text = "record is of a newer version"
	}
	c.found(2, space, printable(space, key), text)
	if err := c.quarantine(space, c.ownerOf(space, key), key, value); err != nil {
		return err
	}
	if k, ok := codec.ParseOwnedKey(key); ok && space == SpaceFactors {
		c.unreadable = append(c.unreadable, k)
	}
	return c.remove(space, key)
}

// remove is how Repair mends a surplus record.
func (c *checker) remove(space kv.Space, key []byte) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.Delete(space, string(key))
}

// each visits all records of a space, which may take long.
func (c *checker) each(space kv.Space, visit func(key, value []byte) error) error {
	if c.repair != nil {
		return c.walk(space, visit)
	}
	if far, ok := kv.As[kv.Wanter](c.tx.R); ok {
		return c.far(far, space, visit)
	}
	return c.tx.R.Scan(space, nil, nil, 0, func(key, value []byte) error {
		if err := c.step(); err != nil {
			return err
		}
		return visit(key, value)
	})
}

// meta checks INV-1: the file describes itself. Its records are not judged by a
// declaration that is lost.
func (c *checker) meta() error {
	format, formatErr := Meta(c.tx.File, c.tx.R, codec.KeyFormat, codec.DecodeFormat)
	switch {
	case formatErr == nil:
		formatErr = CheckFormat(format)
	case errors.Is(formatErr, ErrForeignFile): // it was ours when it was opened
		formatErr = c.tx.Corrupt(codec.SpaceMeta, "format is missing")
	}
	state, stateErr := Meta(c.tx.File, c.tx.R, codec.KeyState, codec.DecodeState)
	declared, declaredErr := Meta(c.tx.File, c.tx.R, codec.KeyDeclarations, codec.DecodeDeclarations)
	owners, ownersErr := Meta(c.tx.File, c.tx.R, codec.KeyOwners, codec.DecodeOwnerKey)
	_, spacesErr := Meta(c.tx.File, c.tx.R, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
	for _, err := range []error{formatErr, stateErr, declaredErr, ownersErr, spacesErr} {
		switch {
		case errors.Is(err, kv.ErrCorrupt):
			c.found(1, SpaceMeta, "", err.Error())
		case err != nil:
			return err
		}
	}
	if stateErr == nil && declaredErr == nil && state.Declarations != declared.Version {
		c.found(1, SpaceMeta, "", "state and declarations are of different versions")
	}
	if err := c.keys(state, stateErr == nil); err != nil {
		return err
	}
	c.ownersLost = ownersErr != nil
	if !c.ownersLost {
		if err := c.tx.UseOwners(owners); err != nil { // another than was read before
			c.ownersLost = true
			c.found(1, SpaceMeta, "", err.Error())
		}
	}
	c.tx.State, c.declared = state, NewDeclared(declared)
	// Other tables may fold otherwise, which is not damage.
	c.folds = declaredErr == nil && format.Unicode == fold.UnicodeVersion
	return c.tx.fixTime()
}

// leases checks INV-1 for the leases of a store of several programs. Repair
// removes one that cannot be read.
func (c *checker) leases() error {
	for _, key := range []string{codec.KeySweepLease, codec.KeyBuildLease} {
		value, ok, err := c.tx.R.Get(SpaceMeta, []byte(key))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		switch _, err := codec.DecodeLease(key, value); {
		case err == nil:
			continue
		case errors.Is(err, codec.ErrNewer) && c.repair != nil:
			return c.tx.Damaged(SpaceMeta, err)
		}
		c.found(1, SpaceMeta, "", "a lease cannot be read")
		if err := c.remove(SpaceMeta, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// future reports whether an epoch is later than the file's, if that is known.
func (c *checker) future(epoch uint32) bool {
	return c.tx.State.Epoch != 0 && epoch > c.tx.State.Epoch
}

// users checks INV-2, INV-3, INV-5, INV-22 and INV-24.
func (c *checker) users() error {
	return c.each(SpaceUsers, func(key, value []byte) error {
		c.report.Users++
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return c.cannotRead(SpaceUsers, key, value, err)
		}
		c.count(&u)
		if (u.PasswordHash == "") != (u.HashClass == HashNone) {
			c.found(2, SpaceUsers, u.ID, "password hash and its class disagree")
		}
		if fault := c.sealed(SpaceUsers, key, value); fault != "" {
			c.found(16, SpaceUsers, u.ID, fault)
		}
		if len(u.Identities) > MaxIdentities {
			c.found(3, SpaceUsers, u.ID, "has too many identities")
		}
		for _, x := range u.Identities {
			if key, fault := c.declared.Fold(x.Provider, x.Identifier); c.folds && (fault.Found() || key != x.Key) {
				c.found(3, SpaceUsers, u.ID, "an identity is not under the key of its identifier")
			}
			if err := c.leads(3, SpaceIdentities, PairKey(x.Provider, x.Key), u.ID); err != nil {
				return err
			}
		}
		c.guest(&u)
		if err := errors.Join(c.userRoles(&u), c.holder(&u)); err != nil {
			return err
		}
		return c.entries(&u)
	})
}

// count counts a user, as Check or Repair leaves it.
func (c *checker) count(u *codec.User) {
	c.seen(0, u.CreatedAt, u.UpdatedAt)
	if u.PasswordHash != "" {
		c.report.Passwords++
	}
	if u.GuestSeenAt != 0 {
		c.report.Guests++
	}
	if u.DisabledAt != 0 {
		c.report.Disabled++
	}
	if u.HashClass == HashForeign {
		c.report.ForeignHashes++
	}
	if seal.Sealed(u.PasswordHash) {
		c.report.SealedHashes++
	}
}

// leads checks that a unique entry is there and leads to user id.
func (c *checker) leads(invariant int, space kv.Space, key, id string) error {
	owner, ok, err := c.tx.Reference(space, key)
	switch {
	case unreadable(err): // reported where the space is walked
		return nil
	case err != nil:
		return err
	case !ok:
		c.found(invariant, space, id, "entry of the user is missing")
	case owner != id:
		c.found(invariant, space, id, "entry of the user leads to another")
	}
	return nil
}

// entries checks INV-5: the user's index entries match the declarations.
func (c *checker) entries(u *codec.User) error {
	want, err := c.tx.Entries(c.declared.Indexes, attributesOf(u))
	if c.folds && (err != nil || !slices.Equal(want, u.Entries)) {
		c.found(5, SpaceUsers, u.ID, "index entries are not those of the attributes and declared indexes")
	}
	for _, e := range u.Entries {
		if e.Unique {
			err = c.leads(5, SpaceAttributes, EntryKey(e, u.ID), u.ID)
		} else {
			var ok bool
			if ok, err = c.tx.Has(SpaceAttributes, EntryKey(e, u.ID)); err == nil && !ok {
				c.found(5, SpaceAttributes, u.ID, "entry of the user is missing")
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// identities checks INV-4: every entry is of a user with that identity.
func (c *checker) identities() error {
	return c.each(SpaceIdentities, func(key, value []byte) error {
		provider, identifier, ok := codec.SplitPair(key)
		ref, err := codec.DecodeUserRef(codec.SpaceIdentities, key, value)
		if !ok || err != nil {
			c.found(2, SpaceIdentities, "", "record cannot be read")
			return c.remove(SpaceIdentities, key)
		}
		x := codec.Identity{Provider: string(provider), Key: string(identifier)}
		return c.owner(4, SpaceIdentities, key, ref.UserID, func(u *codec.User) bool { return FindIdentity(u, x) >= 0 })
	})
}

// attributes checks INV-6: every index entry is owned by the user it leads to.
func (c *checker) attributes() error {
	return c.each(SpaceAttributes, func(key, value []byte) error {
		e, id, ok := splitEntry(key, value)
		if !ok {
			c.found(2, SpaceAttributes, "", "record cannot be read")
			return c.remove(SpaceAttributes, key)
		}
		return c.owner(6, SpaceAttributes, key, id, func(u *codec.User) bool { return slices.Contains(u.Entries, e) })
	})
}

// throttle checks INV-2 for the counts of failed guesses. Repair removes a block
// that cannot be read: some names have five guesses more.
func (c *checker) throttle() error {
	return c.each(SpaceThrottle, func(key, value []byte) error {
		switch _, err := codec.DecodeThrottle(key, value); {
		case err == nil:
			return nil
		case errors.Is(err, codec.ErrNewer): // of a later program, which may go on with it
			if c.repair != nil {
				return c.tx.Damaged(SpaceThrottle, err)
			}
		}
		c.found(2, SpaceThrottle, "", "record cannot be read")
		return c.remove(SpaceThrottle, key)
	})
}

// owner reports an entry whose user is missing or does not own it. Repair
// removes it: by then, users have claimed their entries.
func (c *checker) owner(invariant int, space kv.Space, key []byte, id string, owns func(*codec.User) bool) error {
	u, err := c.tx.User(id)
	switch {
	case errors.Is(err, ErrUserNotFound):
		c.found(invariant, space, id, "leads to a user who is missing")
	case unreadable(err): // reported where the space is walked
		return nil
	case err != nil:
		return err
	case owns(&u):
		return nil
	default:
		c.found(invariant, space, id, "leads to a user who does not own it")
	}
	return c.remove(space, key)
}

// printable returns the part of a key that may be shown: an id, or nothing.
func printable(space kv.Space, key []byte) string {
	id := string(key)
	if k, ok := codec.ParseOwnedKey(key); ok && KindOf(space) != nil {
		return KindOf(space).Token.ID(k)
	}
	if k, ok := codec.ParseOwnedKey(key); ok && space == SpaceInvitations {
		return token.Invitation.ID(k)
	}
	if (space == SpaceUsers || space == SpaceLeaving) && token.ValidUserID(string(id)) {
		return id
	}
	return ""
}
