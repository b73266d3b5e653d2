package importer

import (
	"errors"
	"strings"

	"github.com/snibdb/snib"
)

// A clash is a collision of which the other side is not known yet.
type clash struct {
	At         int             `json:"at"` // in the report's list
	Identities []snib.Identity `json:"identities"`
}

// identitiesOf lists all of a row, the primary first.
func identitiesOf(u *snib.UserImport) []snib.Identity {
	return append([]snib.Identity{{Provider: u.Provider, Identifier: u.Identifier}}, u.Others...)
}

// clash notes a collision of a row.
func (r *run) clash(row *Row, out *snib.ImportedRow) {
	if len(r.report.CollisionList) >= MaxCollisions {
		return
	}
	c := Collision{Row: out.Row, ID: string(out.ID), Holder: string(out.Holder), HolderRow: out.HolderRow}
	if r.o.DryRun && c.HolderRow != 0 && c.ID == "" {
		c.Holder = "" // an id that only the dry run has
	}
	var identities []snib.Identity
	switch taken, ok := errors.AsType[*snib.AttributeTakenError](out.Err); {
	case ok:
		c.On = "attribute " + taken.Name
	case errors.Is(out.Err, snib.ErrIdentityTaken):
		identities = identitiesOf(&row.User)
		c.On, c.Value = identities[0].Provider, identities[0].Identifier
	default:
		c.On, c.Value, c.HolderValue = "id", string(out.ID), string(out.Holder)
	}
	r.report.CollisionList = append(r.report.CollisionList, c)
	if identities != nil {
		r.clashes = append(r.clashes, clash{len(r.report.CollisionList) - 1, identities})
	}
}

// explain finds the other side of each collision of identities: in a second pass
// over the source for users of an earlier row, else in the database. It runs once,
// at the end.
func (r *run) explain() error {
	wanted := make(map[int][]snib.Identity)
	last := 0
	for _, x := range r.clashes {
		if row := r.report.CollisionList[x.At].HolderRow; row != 0 {
			wanted[row] = nil
			last = max(last, row)
		}
	}
	if len(wanted) > 0 {
		if err := r.lookBack(wanted, last); err != nil {
			return err
		}
	}
	for _, x := range r.clashes {
		c := &r.report.CollisionList[x.At]
		theirs := wanted[c.HolderRow]
		if theirs == nil && c.Holder != "" {
			u, err := r.db.GetUser(r.ctx, snib.UserID(c.Holder))
			if err != nil && !errors.Is(err, snib.ErrUserNotFound) {
				return r.unexplained(err)
			}
			theirs = u.Identities
		}
		match(c, x.Identities, theirs)
	}
	r.clashes = nil
	return nil
}

// unexplained is nil for an error that has ended the run already.
func (r *run) unexplained(err error) error {
	if r.ctx.Err() != nil || !r.report.Finished {
		return nil
	}
	return err
}

// lookBack reads the rows that are wanted again.
func (r *run) lookBack(wanted map[int][]snib.Identity, last int) error {
	again, err := Open(r.ctx, r.source)
	if err != nil {
		return r.unexplained(err)
	}
	for row, rowErr := range again.Rows() {
		if rowErr != nil {
			err = r.unexplained(rowErr)
			break
		}
		n := row.User.Row
		if _, ok := wanted[n]; ok && row.Refused == nil {
			wanted[n] = identitiesOf(&row.User)
		}
		if n >= last {
			break
		}
	}
	return errors.Join(err, again.Close())
}

// match names the two identities that are one: equal, or equal but for case, or of
// the same provider.
func match(c *Collision, mine, theirs []snib.Identity) {
	tests := []func(a, b string) bool{
		func(a, b string) bool { return a == b },
		strings.EqualFold,
		func(string, string) bool { return true },
	}
	for i, same := range tests {
		for _, a := range mine {
			for _, b := range theirs {
				if a.Provider == b.Provider && same(a.Identifier, b.Identifier) {
					c.On, c.Value, c.HolderValue, c.ByCase = a.Provider, a.Identifier, b.Identifier, i == 1
					return
				}
			}
		}
	}
}
