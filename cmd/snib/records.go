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
	"github.com/snibdb/snib/snibops"
)

// moved is the result of an export or import of records, as JSON.
type moved struct {
	Path string `json:"path"`
	snibops.RecordsResult
}

// exportRecords writes all records to a file, for another engine.
func (a *app) exportRecords(ctx context.Context, to string, replace bool) error {
	return a.with(ctx, reads, func(client *snibops.Client) error {
		if a.own(client, to) {
			return fmt.Errorf("%s is the database itself", quote(to))
		}
		m := a.meter("export", true)
		defer m.end()
		var r snibops.RecordsResult
		err := newFile(ctx, to, replace, func(w io.Writer) (err error) {
			sum := sha256.New()
			data := &telling{w: io.MultiWriter(w, sum), tell: func(done int64) { m.at(done, 0) }}
			r, err = snibops.VerbRecords.With(ctx, client, snibops.None{}, nil, snibops.Exchange{Data: data})
			if err == nil && r.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
				err = errors.New("the export differs from what was sent")
			}
			return err
		})
		m.end()
		if err != nil {
			return err
		}
		if client.Info().Live {
			fmt.Fprintln(a.err, "the program goes on: later changes are not in the export; stop it and export again before you move")
		}
		return a.say(moved{to, r}, "%s of %s in %s, %d left out; the export is as secret as the database",
			plural(r.Records, "record"), plural(r.Users, "user"), quote(to), r.LeftOut)
	})
}

// importRecords reads such a file into a database that has no accounts; it makes
// the file of one.
func (a *app) importRecords(c *cobra.Command, from string) error {
	if err := a.offline(c); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	total := int64(0)
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		total = info.Size()
	}
	o, err := a.options(writes)
	if err != nil {
		return err
	}
	m := a.meter("import", true)
	defer m.end()
	read := &counted{r: in}
	r, err := snib.ImportFile(c.Context(), a.file, &reporting{read, func() { m.at(read.n.Load(), total) }}, o)
	m.end()
	if err != nil {
		wrong, _ := errors.AsType[*snib.InputError](err)
		switch {
		case wrong != nil && wrong.Field == "store":
			return hint(err, "see --file: it must name a new file, or one that this import was interrupted on")
		case errors.Is(err, snib.ErrNoKey):
			return err
		}
		return hint(err, "the database stays closed until it is whole: run this again, from the same export")
	}
	out := moved{from, snibops.RecordsResult{DataResult: snibops.DataResult{Bytes: read.n.Load()}, Users: r.Users, Records: r.Records}}
	return a.say(out, "%s of %s from %s; remove the export now", plural(r.Records, "record"), plural(r.Users, "user"), quote(from))
}

// reporting is a reader that reports after each read.
type reporting struct {
	r    io.Reader
	tell func()
}

func (r *reporting) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.tell()
	return n, err
}
