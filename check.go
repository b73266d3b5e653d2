package snib

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// CheckReport is the result of Check: counts and problems.
type CheckReport struct {
	Users     int // records
	Passwords int // users with a password
	Disabled  int // disabled users

	// Records counts those of users by space of docs/FORMAT.md ("sessions", …), dead
	// ones too until they are swept. Each kind has its number, 0 included.
	Records map[string]int

	Outbox        int // events that wait for their consumers
	ForeignHashes int // users whose imported password hash is not replaced yet
	SealedHashes  int // users whose password hash is sealed
	Newer         int // records of kinds that a later program has added to the file
	Guests        int // users without identity and password, made by CreateGuest
	Invitations   int // those that wait, and dead ones until they are swept
	Leaving       int // deleted users of whose rows the sweep has some to remove
	Rows          int // in the buckets or tables of Options.Owned
	OrphanRows    int // those of them that are of no user

	// Orphans tells where the orphan rows are, the first 1,000 places. They are the
	// program's own data: no breach, and Repair leaves them.
	Orphans []Orphans

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
	Text      string   // the damage, or the repair made
	Severity  Severity // the cost of mending it
}

// Severity is the cost of mending a problem.
type Severity int

// The severities.
const (
	Mendable  = Severity(records.Mendable)  // nothing is lost
	EndsLogin = Severity(records.EndsLogin) // a session or token ends; its bearer logs in again
	LosesData = Severity(records.LosesData) // something of a user's is lost
)

// String names it.
func (s Severity) String() string {
	return [...]string{Mendable: "mendable", EndsLogin: "ends a log-in", LosesData: "loses data"}[s]
}

// String says it in one line.
func (p Problem) String() string {
	return fmt.Sprintf("INV-%d, %s: %s", p.Invariant, strings.TrimRight(p.Space+" "+p.ID, " "), p.Text)
}

// Check verifies on one snapshot that every record is whole, that every index
// leads where it should and nothing is missing in it, and all the rest of
// docs/INVARIANTS.md; and then, in a file, that no records are out of reach. It
// changes nothing, holds a few records, a bit for each page of the file and the
// report in memory, and looks at ctx between records; as one long read it lets the
// file grow while others write. [DB.Repair] mends the problems.
//
// With a breach it returns the CheckReport and an ErrCorrupt, otherwise nil or
// the error that stopped it.
func (db *DB) Check(ctx context.Context) (CheckReport, error) {
	var found records.Report
	err := db.store.View(ctx, func(r kv.Reader) (err error) {
		found, err = records.Check(ctx, db.file, r, db.o.told("check"))
		return err
	})
	if err == nil {
		err = found.Reach(db.inReach(ctx))
	}
	report := newCheckReport(found)
	if err == nil && report.Found > 0 {
		p := report.Problems[0]
		db.o.Logger.Error("snib: a check has found problems", "found", report.Found, "first", p.String())
		err = fmt.Errorf("%d problems, the first: %v: %w", report.Found, p, ErrCorrupt)
	}
	return report, during("check", err)
}

// inReach is ErrCorrupt if the file has records that nothing leads to.
func (db *DB) inReach(ctx context.Context) error {
	if s, ok := db.store.(fileStore); ok {
		return s.Strays(ctx)
	}
	return nil
}

func newCheckReport(r records.Report) CheckReport {
	out := CheckReport{
		Users: r.Users, Passwords: r.Passwords, Disabled: r.Disabled, Records: map[string]int{}, ForeignHashes: r.ForeignHashes, SealedHashes: r.SealedHashes,
		Newer: r.Newer, Outbox: r.Outbox, Newest: clock.Time(r.Newest), Leaving: r.Leaving, Invitations: r.Invites, Guests: r.Guests, Rows: r.Rows, OrphanRows: r.OrphanRows,
		Problems: problems(r.Breaches), Found: r.Found,
	}
	for _, k := range records.Kinds {
		out.Records[records.Spaces[k.Space].Name] = r.Records[k]
	}
	for _, o := range r.Orphans {
		out.Orphans = append(out.Orphans, Orphans{o.Bucket, UserID(o.UserID), o.Rows})
	}
	return out
}

func problems(breaches []records.Breach) (out []Problem) {
	for _, b := range breaches {
		out = append(out, Problem{b.Invariant, b.Space, b.ID, b.Text, Severity(b.Severity)})
	}
	return out
}
