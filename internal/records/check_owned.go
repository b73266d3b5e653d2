package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// end reports a record that must not be there. Repair ends it.
func (c *checker) end(m member, invariant int, text string) error {
	c.breach(m, invariant, text)
	if c.repair == nil {
		return nil
	}
	return c.tx.DeleteOwned(m.Kind, m.key)
}

// An ownerRun is the common part of the records of one owner and user, looked
// up once when the walk comes to them.
type ownerRun struct {
	begun     bool
	owner     codec.Owner
	userID    string
	misplaced bool // the owner is not the user's
	exists    bool
	disabled  bool
	holder    bool             // says so that there is a second factor
	records   int              // so far
	excess    []codec.OwnedKey // above the bound; only Repair knows it from the beginning
}

// owned checks, in one walk of each tree, INV-7, INV-8, INV-10 and INV-12: a
// record is under its user, within bounds, and keeps the other rules of its
// kind.
func (c *checker) owned() error {
	for _, k := range Kinds {
		var run ownerRun
		err := c.each(k.Space, func(key, value []byte) error {
			c.counted(k)
			l, err := k.Life(key, value)
			if err != nil {
				return c.cannotRead(k.Space, key, value, err)
			}
			m := member{Kind: k, key: codec.OwnedKey(key), raw: key}
			c.seen(l.Epoch, l.newest(m.key))
			if err := c.enter(&run, m, l); err != nil {
				return err
			}
			if run.records++; c.repair == nil && run.records == within(k)+1 {
				if err := c.excess(&run, m); err != nil {
					return err
				}
			}
			return c.member(&run, m, l, value)
		})
		if err != nil {
			return err
		}
	}
	if err := c.mendHolders(); err != nil {
		return err
	}
	return c.later()
}

// enter begins the run of the record, unless the walk is in it.
func (c *checker) enter(run *ownerRun, m member, l Life) error {
	if run.begun && run.owner == m.key.Owner() && l.Who.Is(run.userID) {
		return nil
	}
	*run = ownerRun{begun: true, owner: m.key.Owner(), userID: l.Who.String()}
	run.misplaced = !c.ownersLost && c.tx.Owner(run.userID) != run.owner
	u, err := c.tx.User(run.userID)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return nil
	case unreadable(err): // reported where the space is walked
		run.exists = c.repair == nil
		return nil
	case err != nil:
		return err
	}
	run.exists, run.disabled, run.holder = true, u.DisabledAt != 0, u.Flags&UserHasFactor != 0
	if c.repair == nil { // a reader finds it when there are so many
		return nil
	}
	return c.excess(run, m)
}

// within is a number of records of one user that no bound of the kind forbids.
func within(k *Kind) int {
	if own, ok := k.Rules.(Bounds); ok {
		return own.within()
	}
	if k.MostRevoked > 0 {
		return min(k.Most, k.MostRevoked)
	}
	return k.Most
}

// excess finds the records of a run that are above a bound.
func (c *checker) excess(run *ownerRun, m member) (err error) {
	if !run.exists || c.ownersLost || run.misplaced || c.few[run.owner] {
		return nil
	}
	invariant := 7
	if own, ok := m.Rules.(Bounds); ok {
		invariant = m.Invariant
		run.excess, err = own.surplus(c.tx, run.userID)
	} else {
		run.excess, err = c.tx.lowest(m.Kind, run.userID, m.Most, m.MostRevoked, codec.OwnedKey{})
	}
	if len(run.excess) > 0 {
		c.found(invariant, m.Space, run.userID, "more than a user may have")
	}
	return err
}

// member checks one record of a run.
func (c *checker) member(run *ownerRun, m member, l Life, value []byte) error {
	switch {
	case run.misplaced && m.Lasts && run.exists && l.Until == clock.Never: // one that waits closes nothing
		return c.moveLost(m, run.userID)
	case run.misplaced:
		return c.end(m, m.Invariant, "is not under its user")
	case !m.Lasts && c.future(l.Epoch):
		return c.end(m, m.Invariant, "is of a later epoch than the file")
	case !run.exists:
		return c.end(m, m.Invariant, "belongs to a user who is missing")
	case run.disabled && !l.Revoked && m.Ends&UserDisabled != 0:
		return c.end(m, 7, "is of a disabled user")
	case c.repair != nil && slices.Contains(run.excess, m.key):
		return c.tx.DeleteOwned(m.Kind, m.key)
	}
	if fault := c.sealed(m.Space, m.raw, value); fault != "" {
		return c.loseFactor(16, m, value, fault)
	}
	m.holder = run.holder
	return m.Rules.check(c.tx, c, m, value)
}

// later counts the records of Kinds that a later program has added.
func (c *checker) later() error {
	for _, space := range c.tx.Owned {
		if int(space) < len(Spaces) {
			continue
		}
		err := c.tx.R.Scan(space, nil, nil, 0, func(_, _ []byte) error {
			c.report.Newer++
			return c.step()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put is how Repair mends a record.
func (c *checker) put(m member, value []byte) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.PutOwned(m.Kind, m.key, value)
}

func (c *checker) breach(m member, invariant int, text string) {
	c.found(invariant, m.Space, m.Token.ID(m.key), text)
}

func (c *checker) mendable(m member, invariant int, text string) {
	c.note(Mendable, invariant, m.Space, m.Token.ID(m.key), text)
}

func (c *checker) repairs() bool { return c.repair != nil }

// QuarantineAge is how long quarantine keeps a record, in milliseconds.
const QuarantineAge = 30 * 24 * 3600 * 1000

// ownerOf returns the owner of the record under a key of a space, as far as the
// key tells.
func (c *checker) ownerOf(space kv.Space, key []byte) codec.Owner {
	k, ok := codec.ParseOwnedKey(key)
	switch {
	case KindOf(space) != nil && ok:
		return k.Owner()
	case c.tx.owners == nil:
	case space == SpaceUsers && token.ValidUserID(string(key)):
		return c.tx.Owner(string(key))
	}
	return codec.Owner{}
}
