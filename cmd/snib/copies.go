package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/snibops"
)

// copied is the result of backup, as JSON.
type copied struct {
	Path string `json:"path"`
	snibops.DataResult
}

func (a *app) backup() *cobra.Command {
	var replace bool
	c := a.on(reads, "backup TO", "Copy the file as of one moment, while it is in use", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			if a.own(client, words[0]) {
				return fmt.Errorf("%s is the database itself", quote(words[0]))
			}
			figures, err := snibops.VerbStats.Do(c.Context(), client, snibops.None{}, nil)
			if err != nil {
				return err
			}
			m := a.meter("backup", true)
			defer m.end()
			var r snibops.DataResult
			err = newFile(c.Context(), words[0], replace, func(w io.Writer) error {
				sum := sha256.New()
				data := &telling{w: io.MultiWriter(w, sum), tell: func(done int64) { m.at(done, figures.FileBytes) }}
				r, err = snibops.VerbBackup.With(c.Context(), client, snibops.None{}, nil, snibops.Exchange{Data: data})
				if err == nil && r.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
					err = errors.New("the copy differs from what was sent")
				}
				return err
			})
			m.end()
			if err != nil {
				return err
			}
			return a.say(copied{words[0], r}, "%s in %s", size(r.Bytes), quote(words[0]))
		})
	c.Long = `Copy the file as of one moment, while it is in use. The copy appears at TO in one
step, mode 0600, when it is whole and synced. Keys of sealed values are not in it.`
	c.Flags().BoolVar(&replace, "replace", false, "let the copy take the place of a file at TO")
	return c
}

func (a *app) restore() *cobra.Command {
	var o snib.RestoreOptions
	c := &cobra.Command{
		Use:   "restore FROM",
		Short: "Put a backup in the place of the file",
		Long: `Put a backup at --file. It is checked first and appears in one step. Everything is
again as it was when the backup was made: users who were deleted or disabled since
are back, passwords are the old ones. All sessions and tokens are ended.`,
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.BoolVar(&o.Replace, "replace", false, "let the backup take the place of a file that is there")
	f.BoolVar(&o.KeepSessions, "keep-sessions", false, "let sessions, refresh tokens and API keys go on, those that were ended since too")
	f.BoolVar(&o.KeepQuarantine, "keep-quarantine", false, "keep what a repair could not read")
	c.RunE = func(c *cobra.Command, words []string) (err error) {
		if err := a.offline(c); err != nil {
			return err
		}
		if o.Replace {
			if err := a.confirm(c.Context(), fmt.Sprintf("replace %s by the backup %s?", quote(a.file), quote(words[0]))); err != nil {
				return err
			}
		}
		m := a.meter("restore", true)
		defer m.end()
		if o.Options, err = a.options(writes); err != nil {
			return err
		}
		o.Options.Progress = func(p snib.Progress) { m.at(p.Done, p.Total) }
		r, err := snib.Restore(c.Context(), words[0], a.file, &o)
		m.end()
		if err != nil {
			return err
		}
		result := struct {
			Check snibops.CheckCount `json:"check"`
			Ended int                `json:"ended"`
		}{snibops.CountOf(r.CheckReport), r.Ended}
		return a.print(result, func(w io.Writer) error {
			if err := counts(w, result.Check); err != nil {
				return err
			}
			_, err := fmt.Fprintf(w, "%s ended; do again what was deleted, disabled or changed since %s\n", plural(r.Ended, "log-in"), at(r.Newest))
			return err
		})
	}
	return c
}

// offline is an error if a program serves the file.
func (a *app) offline(c *cobra.Command) error {
	if err := a.needFile(); err != nil {
		return err
	}
	client, err := a.live(c.Context())
	if client != nil {
		err = fmt.Errorf("%s: %w", c.CommandPath(), snibops.ErrFileOnly)
		client.Close()
	}
	return err
}

func (a *app) repair() *cobra.Command {
	c := &cobra.Command{
		Use:   "repair",
		Short: "Restore the invariants of a damaged file",
		Long: `Restore the invariants of a damaged file from what its records tell. What has to be
dropped is kept in quarantine, for 30 days. Copy the file first.`,
		Args: cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := a.offline(c); err != nil {
			return err
		}
		if err := a.confirm(c.Context(), fmt.Sprintf("repair %s? copy it first", quote(a.file))); err != nil {
			return err
		}
		m := a.meter("repair", false)
		defer m.end()
		o, err := a.options(writes)
		if err != nil {
			return err
		}
		o.Progress = func(p snib.Progress) { m.at(p.Done, p.Total) }
		r, err := snib.RepairFile(c.Context(), a.file, o)
		m.end()
		if err != nil {
			return err
		}
		return a.repaired(r)
	}
	return c
}

func (a *app) repaired(r snib.RepairReport) error {
	for _, p := range r.Repairs {
		i := snibops.CheckItem{Repair: &snibops.Problem{Invariant: p.Invariant, Space: p.Space, ID: p.ID, Text: p.Text, Severity: p.Severity.String()}}
		if err := a.print(i, func(w io.Writer) error { return problem(w, i) }); err != nil {
			return err
		}
	}
	n := snibops.RepairCount{Before: snibops.CountOf(r.Before), Repaired: r.Repaired, Quarantined: r.Quarantined, NotKept: r.NotKept}
	return a.say(checked{Repair: &n}, "%s made, %s kept in quarantine; see now: snib check", plural(r.Repaired, "repair"), plural(r.Quarantined, "value"))
}

// own reports whether path leads to the database, that of --file or that of the
// program behind --socket.
func (a *app) own(client *snibops.Client, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, file := range []string{a.file, client.Info().File} {
		if database, err := os.Stat(file); err == nil && os.SameFile(there, database) {
			return true
		}
	}
	return false
}

// newFile makes a file of mode 0600 that appears at path in one step, whole and
// synced; after an error, or once ctx has ended, there is nothing new.
func newFile(ctx context.Context, path string, replace bool, write func(io.Writer) error) error {
	f, err := durable.Create(path, replace)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := errors.Join(write(f), ctx.Err()); err != nil {
		return err
	}
	return f.Commit(replace)
}

// telling is a writer that tells how many bytes were written.
type telling struct {
	w    io.Writer
	done int64
	tell func(int64)
}

func (t *telling) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.done += int64(n)
	t.tell(t.done)
	return n, err
}
