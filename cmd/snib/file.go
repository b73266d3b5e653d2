package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib/snibops"
)

// checked is the last line of check and repair, as JSON.
type checked struct {
	Check  *snibops.CheckCount  `json:"check,omitempty"`
	Repair *snibops.RepairCount `json:"repair,omitempty"`
}

func (a *app) check() *cobra.Command {
	return a.on(reads, "check", "Look at every record; changes nothing", cobra.NoArgs,
		func(c *cobra.Command, client *snibops.Client, _ []string) error {
			m := a.meter("check", false)
			defer m.end()
			r, err := snibops.VerbCheck.With(c.Context(), client, snibops.None{}, func(i snibops.CheckItem) error {
				m.end()
				return a.print(i, func(w io.Writer) error { return problem(w, i) })
			}, snibops.Exchange{Progress: m.report})
			m.end()
			if err != nil {
				return err
			}
			if err := a.print(checked{Check: &r}, func(w io.Writer) error { return counts(w, r) }); err != nil {
				return err
			}
			if r.Found > 0 {
				fmt.Fprintf(a.err, "%s found; stop the program, copy the file with cp, then: snib repair\n", plural(r.Found, "problem"))
				return errFound
			}
			return nil
		})
}

// problem prints a breach, a repair or rows without a user.
func problem(w io.Writer, i snibops.CheckItem) (err error) {
	line := func(kind string, p *snibops.Problem) {
		place := strings.TrimSpace(oneLine(p.Space) + " " + oneLine(p.ID))
		_, err = fmt.Fprintf(w, "%s: INV-%d, %s: %s (%s)\n", kind, p.Invariant, place, oneLine(p.Text), oneLine(p.Severity))
	}
	switch {
	case i.Problem != nil:
		line("problem", i.Problem)
	case i.Repair != nil:
		line("repaired", i.Repair)
	case i.Orphans != nil:
		_, err = fmt.Fprintf(w, "rows without a user: %s in %s, key of %s\n", plural(i.Orphans.Rows, "row"), quote(i.Orphans.Bucket), quote(i.Orphans.UserID))
	}
	return err
}

// counts prints the counts of a check that are not 0, and the users.
func counts(w io.Writer, r snibops.CheckCount) error {
	f := new(facts)
	add := func(name string, n int) {
		if n > 0 {
			f.add(name, fmt.Sprint(n))
		}
	}
	f.add("Users", fmt.Sprint(r.Users))
	add("with a password", r.Passwords)
	add("disabled", r.Disabled)
	add("guests", r.Guests)
	add("Invitations", r.Invitations)
	for _, space := range slices.Sorted(maps.Keys(r.Records)) {
		add("Records in "+oneLine(space), r.Records[space])
	}
	add("Outbox", r.Outbox)
	add("Foreign hashes", r.ForeignHashes)
	add("Sealed hashes", r.SealedHashes)
	add("Newer records", r.Newer)
	add("Users leaving", r.Leaving)
	add("Own rows", r.Rows)
	add("without a user", r.OrphanRows)
	f.add("Newest", at(r.Newest))
	f.add("Problems", fmt.Sprint(r.Found))
	return f.print(w)
}

func (a *app) compact() *cobra.Command {
	return a.on(writes, "compact", "Give the space of deleted records back, in place", cobra.NoArgs,
		func(c *cobra.Command, client *snibops.Client, _ []string) error {
			m := a.meter("compact", true)
			defer m.end()
			r, err := snibops.VerbCompact.With(c.Context(), client, snibops.None{}, nil, snibops.Exchange{Progress: m.report})
			m.end()
			if err != nil {
				return err
			}
			return a.say(r, "%s before, %s now", size(r.Before), size(r.After))
		})
}

func (a *app) reseal() *cobra.Command {
	var args snibops.ResealArgs
	var passwords bool
	c := &cobra.Command{
		Use:   "reseal",
		Short: "Seal everything under the current key",
		Long: `Seal everything under the current key, the first --key-file or that of the program.
Keys that are retired can be destroyed once no backup needs them. --lost names a
key that is lost for good: passwords under it are removed, and the second factors
count as lost.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringArrayVar(&args.Lost, "lost", nil, "id of a key that is lost for good; may be repeated")
	c.Flags().BoolVar(&passwords, "passwords", false, "seal password hashes that are not sealed, too; on a file (a program seals as its options say)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		need := writes
		if passwords {
			need = seals
		}
		if err := a.needFile(); err != nil {
			return err
		}
		if len(args.Lost) > 0 {
			if err := a.confirm(c.Context(), fmt.Sprintf("remove every password and second factor under %s?", quote(strings.Join(args.Lost, ", ")))); err != nil {
				return err
			}
		}
		return a.with(c.Context(), need, func(client *snibops.Client) error { return a.sealAnew(c, client, args) })
	}
	return c
}

func (a *app) sealAnew(c *cobra.Command, client *snibops.Client, args snibops.ResealArgs) error {
	m := a.meter("reseal", false)
	defer m.end()
	r, err := snibops.VerbReseal.With(c.Context(), client, args, nil, snibops.Exchange{Progress: m.report})
	m.end()
	if err != nil {
		return err
	}
	return a.print(r, func(w io.Writer) error {
		f := new(facts)
		f.add("Sealed", fmt.Sprint(r.Sealed))
		f.add("Removed", fmt.Sprint(r.Removed))
		f.add("Retired", oneLine(strings.Join(r.Retired, ", ")))
		for _, id := range slices.Sorted(maps.Keys(r.Left)) {
			f.add("Left under "+oneLine(id), fmt.Sprint(r.Left[id]))
		}
		return f.print(w)
	})
}

func (a *app) stats() *cobra.Command {
	return a.on(reads, "stats", "Show the figures of the file, and of the program that has it open", cobra.NoArgs,
		func(c *cobra.Command, client *snibops.Client, _ []string) error {
			s, err := snibops.VerbStats.Do(c.Context(), client, snibops.None{}, nil)
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) error {
				f := new(facts)
				f.add("File", size(s.FileBytes)+", free in it "+size(s.FreeBytes))
				f.add("Users", fmt.Sprintf("%d, sessions %d, refresh tokens %d", s.Users, s.Sessions, s.RefreshTokens))
				f.add("Passwords", fmt.Sprintf("%d right, %d wrong; codes %d right, %d wrong", s.PasswordsRight, s.PasswordsWrong, s.CodesRight, s.CodesWrong))
				f.add("Throttled", fmt.Sprintf("%s; refresh tokens used twice %d", plural(s.Throttled, "attempt"), s.Reuses))
				f.add("Commits", fmt.Sprintf("%d of %s, the largest %d", s.Commits, plural(s.Operations, "write"), s.Largest))
				f.add("Waiting writes", fmt.Sprintf("%d now, %d gave up, %d replays", s.WaitingWrites, s.Busy, s.Replays))
				f.add("Readers", fmt.Sprint(s.OpenReaders))
				f.add("Sweeps", fmt.Sprintf("%d, %s removed", s.Sweeps, plural(s.Swept, "record")))
				f.add("Hashes", fmt.Sprintf("%d running, %d waiting, %d refused", s.HashesRunning, s.HashesWaiting, s.HashesRefused))
				f.add("Time of writes", latency(s.WriteTime))
				f.add("of hashes", latency(s.HashTime))
				f.add("of their turn", latency(s.HashWait))
				if behind := time.Duration(s.ClockBehind); behind > 0 {
					f.add("Clock", behind.String()+" behind")
				}
				return f.print(w)
			})
		})
}

// latency is a histogram in one line, "" of no operations.
func latency(l snibops.Latencies) string {
	if l.Count == 0 {
		return ""
	}
	within := func(part float64) string {
		d, more := l.Within(part)
		if more {
			return "more than " + d.String()
		}
		return "within " + d.String()
	}
	mean := time.Duration(int64(l.Sum) / l.Count).Round(10 * time.Microsecond)
	return fmt.Sprintf("%s on average of %d, half %s, 99 %% %s", mean, l.Count, within(0.5), within(0.99))
}
