package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// A member is a record of a user's.
type member struct {
	*Kind
	key codec.OwnedKey
	raw []byte // the same, as long as the value: decoding it moves no copy to the heap
}

// end reports a record that must not be there. Repair ends it.
func (c *checker) end(m member, invariant int, text string) error {
	c.found(invariant, m.Space, m.Token.ID(m.key), text)
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
			c.seen(l.Epoch, l.Newest)
			m := member{k, codec.OwnedKey(key), key}
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

// within is how many records of a kind are above no bound, whatever they are.
func within(k *Kind) int {
	switch {
	case k == Events:
		return slices.Min(MostEvents[1:])
	case k == Factors:
		return 1 // a list of codes, or one that waits
	case k.MostRevoked > 0:
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
	switch m.Kind {
	case Events:
		invariant = 17
		run.excess, err = c.tx.excessEvents(run.owner)
	case Factors:
		invariant = 19
		run.excess, err = c.tx.surplusFactors(run.userID)
	default:
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
	switch m.Kind {
	case Factors:
		return c.factor(run, m, value)
	case Sessions:
		return c.session(m, value)
	case Families:
		return c.family(m, value)
	case Devices:
		return c.device(m, value)
	case APIKeys:
		return c.apiKey(m, value)
	}
	return nil
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
func (c *checker) put(k *Kind, key codec.OwnedKey, value []byte) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.PutOwned(k, key, value)
}

// session checks INV-14 (a session and its family know each other) and the
// order of the deadlines.
func (c *checker) session(m member, value []byte) error {
	v, err := codec.ViewSession(m.raw, value)
	if err != nil {
		return c.tx.Damaged(SpaceSessions, err)
	}
	if id := v.Family(); !id.IsZero() {
		f, err := c.tx.Family(m.key.With(id))
		switch {
		case errors.Is(err, ErrInvalidRefreshToken), unreadable(err): // evicted or swept; or reported there
		case err != nil:
			return err
		case f.Session != m.key.OwnID(), !v.IsUser(f.UserID):
			return c.end(m, 14, "is not the session of its family")
		}
	}
	idle := min(v.AbsoluteUntil(), v.IdleUntil())
	if idle == v.IdleUntil() && v.ActiveUntil() <= idle {
		return nil
	}
	c.note(Mendable, 8, SpaceSessions, token.Session.ID(m.key), "deadlines are out of order")
	var s codec.Session
	v.Decode(&s)
	s.IdleUntil, s.ActiveUntil = idle, min(s.ActiveUntil, idle)
	return c.put(Sessions, m.key, s.Append(nil))
}

// family checks INV-14 from the other side. Repair has ended by then the
// sessions that are not those of their families.
func (c *checker) family(m member, value []byte) error {
	f, err := codec.DecodeFamily(m.raw, value)
	if err != nil {
		return c.tx.Damaged(SpaceFamilies, err)
	}
	before := f
	session := m.key.With(f.Session)
	s, err := c.tx.Session(session)
	switch {
	case f.Session.IsZero(), errors.Is(err, ErrInvalidSession), unreadable(err): // evicted or swept; or reported there
	case err != nil:
		return err
	case s.Family() != m.key.OwnID():
		return c.end(m, 14, "has a session that is not its own")
	case Revoked(&f) && c.repair != nil:
		if err := c.end(member{Kind: Sessions, key: session}, 14, "is of a family that is revoked"); err != nil {
			return err
		}
	}
	if Revoked(&f) && !f.Session.IsZero() {
		c.found(14, SpaceFamilies, token.Family.ID(m.key), "is revoked and has a session")
		f.Session = codec.OwnID{}
	}
	if f.IdleUntil = min(f.AbsoluteUntil, f.IdleUntil); f.IdleUntil != before.IdleUntil {
		c.note(Mendable, 10, SpaceFamilies, token.Family.ID(m.key), "deadlines are out of order")
	}
	if f == before {
		return nil
	}
	return c.put(Families, m.key, f.Append(nil))
}

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

// device checks that a device is trusted for no longer than it is known.
func (c *checker) device(m member, value []byte) error {
	d, err := codec.DecodeDevice(m.raw, value)
	if err != nil {
		return c.tx.Damaged(SpaceDevices, err)
	}
	if d.TrustedUntil <= d.ExpiresAt {
		return nil
	}
	c.note(Mendable, Devices.Invariant, SpaceDevices, token.Device.ID(m.key), "is trusted for longer than it is known")
	d.TrustedUntil = d.ExpiresAt
	return c.put(Devices, m.key, d.Append(nil))
}

// apiKey checks INV-20 for the content of a key. A record with other scopes
// than a program can grant is nothing to rely on, so Repair ends it.
func (c *checker) apiKey(m member, value []byte) error {
	k, err := codec.DecodeAPIKey(m.raw, value)
	if err != nil {
		return c.tx.Damaged(SpaceAPIKeys, err)
	}
	if field, _ := APIKeyFault(k.Name, k.Scopes); field != "" {
		return c.end(m, 20, "has a name or scopes that no key can have")
	}
	return nil
}
