package snib

import (
	"context"
	"errors"
	"fmt"
	"github.com/snibdb/snib/internal/clock"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// CheckReport is what Check has counted and found.
type CheckReport struct {
	Users         int // records
	Passwords     int // users who have one
	Disabled      int // users who are
	Sessions      int // records, dead ones too until they are swept
	RefreshTokens int // families, likewise
	OneTimeTokens int // likewise
	ForeignHashes int // users whose imported password hash is not replaced yet
	Newer         int // records of kinds that a later program has added to the file

	// Newest is the latest time in the records: when there was something
	// written last that is still there.
	Newest time.Time

	Problems []Problem // breaches of docs/INVARIANTS.md; the first 1,000
	Found    int       // how many there are
}

// Problem is one breach. It holds ids, which are public, and nothing that is
// secret or personal.
type Problem struct {
	Invariant int      // the number in docs/INVARIANTS.md
	Space     string   // as in docs/FORMAT.md
	ID        string   // of the user, session, family or token; "" if not known
	Text      string   // what is wrong, or what Repair did about it
	Severity  Severity // what it costs to mend it
}

// Severity is how bad a problem is: what it costs to mend it.
type Severity int

// The severities.
const (
	Mendable  Severity = iota // nothing is lost
	EndsLogin                 // a session or token ends; its bearer logs in again
	LosesData                 // something of a user's is lost
)

// String names it.
func (s Severity) String() string {
	return [...]string{Mendable: "mendable", EndsLogin: "ends a log-in", LosesData: "loses data"}[s]
}

// severity is that of a breach seen in a space.
func severity(invariant int, space kv.Space) Severity {
	switch {
	case space == spaceUsers && invariant != 5:
		return LosesData
	case invariant == 1, invariant == 7, kindOf(space) != nil:
		return EndsLogin
	}
	return Mendable
}

// String says it in one line.
func (p Problem) String() string {
	return fmt.Sprintf("INV-%d, %s: %s", p.Invariant, strings.TrimRight(p.Space+" "+p.ID, " "), p.Text)
}

const maxProblems = 1000

// Check verifies on one snapshot that every record is whole, that every index
// leads where it should and nothing is missing in it, and all the rest of
// docs/INVARIANTS.md. It changes nothing, holds no more than a few records and
// the report in memory, and looks at ctx between records; as one long read it
// lets the file grow while others write. See [DB.Repair] for what it finds.
//
// With a breach it returns the CheckReport and an ErrCorrupt, otherwise nil or why
// it could not read on.
func (db *DB) Check(ctx context.Context) (CheckReport, error) {
	c := checker{ctx: ctx, told: db.o.told("check")}
	err := db.store.View(ctx, func(r kv.Reader) error {
		c.report = CheckReport{}
		c.tx = &Tx{db: db, r: r}
		return c.run()
	})
	if err == nil {
		c.over()
	}
	if err == nil && c.report.Found > 0 {
		p := c.report.Problems[0]
		db.o.Logger.Error("snib: a check has found problems", "found", c.report.Found, "first", p.String())
		err = fmt.Errorf("%d problems, the first: %v: %w", c.report.Found, p, ErrCorrupt)
	}
	return c.report, during("check", err)
}

// A checker walks the file. In Repair it mends on the way what it finds.
type checker struct {
	ctx    context.Context
	tx     *Tx
	report CheckReport
	told   func(done, total int64)
	steps  int64
	epoch  uint32 // the latest in a record

	repair  *RepairReport // nil in Check
	kept    int           // bytes in quarantine
	guessed bool          // the file and the options do not say what rules there were

	declared   *declared // by the file, as far as it says that
	folds      bool      // whether the rules fold as those who wrote the file did
	ownersLost bool      // the file does not tell owners
}

func (c *checker) run() error { return c.passes(c.meta, c.users) }

// passes runs these two and then the rest, which Repair does alike.
func (c *checker) passes(meta, users func() error) error {
	for _, pass := range []func() error{
		meta, users, c.identities, c.attributes,
		c.owned,
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
	if t := clock.Time(slices.Max(times)); t.After(c.report.Newest) {
		c.report.Newest = t
	}
}

// found adds a breach to the report.
func (c *checker) found(invariant int, space kv.Space, id, text string) {
	c.note(severity(invariant, space), invariant, space, id, text)
}

func (c *checker) note(s Severity, invariant int, space kv.Space, id, text string) {
	c.report.Found++
	if len(c.report.Problems) < maxProblems {
		p := Problem{Invariant: invariant, Space: spaces[space].Name, ID: id, Text: text, Severity: s}
		c.report.Problems = append(c.report.Problems, p)
	}
}

// cannotRead adds a record that does not decode. Repair drops it.
func (c *checker) cannotRead(space kv.Space, key, value []byte, err error) error {
	text := "record cannot be read"
	if errors.Is(err, codec.ErrNewer) {
		if c.repair != nil {
			return damaged(space, err)
		}
		text = "record is of a newer version"
	}
	c.found(2, space, printable(space, key), text)
	if err := c.quarantine(space, c.ownerOf(space, key), key, value); err != nil {
		return err
	}
	return c.remove(space, key)
}

// remove is how Repair mends what must not be there.
func (c *checker) remove(space kv.Space, key []byte) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.delete(space, string(key))
}

// each visits all records of a space, which may take long.
func (c *checker) each(space kv.Space, visit func(key, value []byte) error) error {
	if c.repair != nil {
		return c.walk(space, visit)
	}
	return c.tx.r.Scan(space, nil, nil, 0, func(key, value []byte) error {
		if err := c.step(); err != nil {
			return err
		}
		return visit(key, value)
	})
}

// meta checks INV-1: the file says what it is. What it does not say any more is
// not held against its records.
func (c *checker) meta() error {
	format, formatErr := meta(c.tx.r, codec.KeyFormat, codec.DecodeFormat)
	switch {
	case formatErr == nil:
		formatErr = checkFormat(format)
	case errors.Is(formatErr, ErrForeignFile): // it was ours when it was opened
		formatErr = &CorruptError{Space: codec.SpaceMeta, Reason: "format is missing"}
	}
	state, stateErr := meta(c.tx.r, codec.KeyState, codec.DecodeState)
	declared, declaredErr := meta(c.tx.r, codec.KeyDeclarations, codec.DecodeDeclarations)
	owners, ownersErr := meta(c.tx.r, codec.KeyOwners, codec.DecodeOwnerKey)
	_, spacesErr := meta(c.tx.r, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
	for _, err := range []error{formatErr, stateErr, declaredErr, ownersErr, spacesErr} {
		switch {
		case errors.Is(err, ErrCorrupt):
			c.found(1, spaceMeta, "", err.Error())
		case err != nil:
			return err
		}
	}
	if stateErr == nil && declaredErr == nil && state.Declarations != declared.Version {
		c.found(1, spaceMeta, "", "state and declarations are of different versions")
	}
	c.ownersLost = ownersErr != nil || c.tx.db.useOwners(owners) != nil
	c.tx.state, c.declared = state, newDeclared(declared)
	// Other tables may fold otherwise, which is not damage.
	c.folds = declaredErr == nil && format.Unicode == precis.UnicodeVersion
	c.tx.now = c.tx.db.clock.Now(c.tx.state.Epoch, c.tx.state.Floor)
	return nil
}

// unreadable reports whether err is about a record that cannot be read, which
// is found where its space is walked.
func unreadable(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewerFormat)
}

// future reports whether an epoch is later than the file's, if that is known.
func (c *checker) future(epoch uint32) bool {
	return c.tx.state.Epoch != 0 && epoch > c.tx.state.Epoch
}

// users checks INV-2, INV-3 and INV-5.
func (c *checker) users() error {
	return c.each(spaceUsers, func(key, value []byte) error {
		c.report.Users++
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return c.cannotRead(spaceUsers, key, value, err)
		}
		c.count(&u)
		if (u.PasswordHash == "") != (u.HashClass == hashNone) {
			c.found(2, spaceUsers, u.ID, "password hash and its class disagree")
		}
		if len(u.Identities) > MaxIdentities {
			c.found(3, spaceUsers, u.ID, "has too many identities")
		}
		for _, x := range u.Identities {
			if key, err := c.declared.rules[x.Provider].fold(x.Identifier); c.folds && (err != nil || key != x.Key) {
				c.found(3, spaceUsers, u.ID, "an identity is not under the key of its identifier")
			}
			if err := c.leads(3, spaceIdentities, pairKey(x.Provider, x.Key), u.ID); err != nil {
				return err
			}
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
	if u.DisabledAt != 0 {
		c.report.Disabled++
	}
	if u.HashClass == hashForeign {
		c.report.ForeignHashes++
	}
}

// leads checks that a unique entry is there and leads to user id.
func (c *checker) leads(invariant int, space kv.Space, key, id string) error {
	owner, ok, err := c.tx.reference(space, key)
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

// entries checks INV-5: the user's index entries are what is declared.
func (c *checker) entries(u *codec.User) error {
	want, err := indexEntries(c.declared.indexes, decodeAttributes(u.Attributes))
	if c.folds && (err != nil || !slices.Equal(want, u.Entries)) {
		c.found(5, spaceUsers, u.ID, "index entries are not those of the attributes and declared indexes")
	}
	for _, e := range u.Entries {
		if e.Unique {
			err = c.leads(5, spaceAttributes, entryKey(e, u.ID), u.ID)
		} else {
			var ok bool
			if ok, err = c.tx.has(spaceAttributes, entryKey(e, u.ID)); err == nil && !ok {
				c.found(5, spaceAttributes, u.ID, "entry of the user is missing")
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// identities checks INV-4: every entry is of a user who has that identity.
func (c *checker) identities() error {
	return c.each(spaceIdentities, func(key, value []byte) error {
		provider, identifier, ok := codec.SplitPair(key)
		ref, err := codec.DecodeUserRef(codec.SpaceIdentities, key, value)
		if !ok || err != nil {
			c.found(2, spaceIdentities, "", "record cannot be read")
			return c.remove(spaceIdentities, key)
		}
		x := codec.Identity{Provider: string(provider), Key: string(identifier)}
		return c.owner(4, spaceIdentities, key, ref.UserID, func(u *codec.User) bool { return findIdentity(u, x) >= 0 })
	})
}

// attributes checks INV-6: every index entry is owned by the user it leads to.
func (c *checker) attributes() error {
	return c.each(spaceAttributes, func(key, value []byte) error {
		e, id, ok := splitEntry(key, value)
		if !ok {
			c.found(2, spaceAttributes, "", "record cannot be read")
			return c.remove(spaceAttributes, key)
		}
		return c.owner(6, spaceAttributes, key, id, func(u *codec.User) bool { return slices.Contains(u.Entries, e) })
	})
}

// owner reports an entry whose user is missing or does not own it. Repair
// removes it: by then, users have claimed what is theirs.
func (c *checker) owner(invariant int, space kv.Space, key []byte, id string, owns func(*codec.User) bool) error {
	u, err := c.tx.user(UserID(id))
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

// printable is what may be shown of a key: an id, or nothing.
func printable(space kv.Space, key []byte) string {
	id := string(key)
	if k, ok := codec.ParseOwnedKey(key); ok && kindOf(space) != nil {
		return kindOf(space).token.ID(k)
	}
	if space == spaceUsers && validUserID(UserID(id)) {
		return id
	}
	return ""
}
