package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
	"github.com/snibdb/snib/snibops"
)

// An order is an import as the flags describe it.
type order struct {
	args                            snibops.ImportArgs
	from, state, paramFile, mapping string
	params, providers               []string
	list                            bool
	records                         string
}

func (a *app) importing() *cobra.Command {
	var o order
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Import users of another system, with their password hashes",
		Long: `Import users of another system, with their password hashes. --from names the
system; --list lists all, and whether each was tried on the real program.
docs/MOVING.md says what each keeps, and how to make the file.

A row is imported whole or refused; the report lists collisions with both sides, and
refused rows by kind. An interrupted import goes on when it is run again: its state
is in FILE.snib-state, or where --state says ("-" for none). Through a running program
that holds too: the state is saved here, behind rows that the program has committed.

Secrets, such as the signer key of Firebase, come from a JSON file by --params, never
from an argument, which every process of the machine can read.

Without FILE, rows in snib's own form come from standard input, one JSON object a
line. There is no state then: give the same input again to go on.

--records reads an export of "snib export --records" into a file without accounts,
with every session, token and password alive.`,
		Example: `  snib import --from better-auth auth.sqlite --dry-run
  snib import --from firebase --params firebase-params.json firebase.json
  snib import --from csv --mapping mapping.json users.csv --update
  snib import --from wordpress --provider username=login wp_users.csv`,
		Args: cobra.MaximumNArgs(1),
	}
	o.flags(c)
	c.RunE = func(c *cobra.Command, words []string) error {
		switch {
		case o.list:
			return a.listSources()
		case o.records != "" && len(words) > 0:
			return usagef("%s: give --records alone", quote(words[0]))
		case o.records != "":
			return a.importRecords(c, o.records)
		}
		s, err := o.source(words)
		if err != nil {
			return err
		}
		need := seals
		if o.args.DryRun {
			need = writes // for its temporary file, which lies beside the database
		}
		if s.Path == "" {
			return a.with(c.Context(), need, func(client *snibops.Client) error { return a.importRows(c, client, o.args) })
		}
		return a.onAccounts(c.Context(), need, func(db importer.Accounts) error { return a.importFile(c.Context(), db, s, &o) })
	}
	return c
}

// flags are those of import.
func (o *order) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.from, "from", "snib", "the system that the users come from, see --list")
	f.BoolVar(&o.list, "list", false, "list the systems, and do nothing else")
	f.BoolVar(&o.args.DryRun, "dry-run", false, "say what would be done, and write nothing")
	f.BoolVar(&o.args.Update, "update", false, "change users who came by an import and were not changed here")
	f.BoolVar(&o.args.All, "all", false, "report every row, too")
	f.StringVar(&o.state, "state", "", `file for the state of the import, "-" for none (default FILE.snib-state)`)
	f.StringArrayVar(&o.params, "param", nil, "NAME=VALUE that the file does not have, no secret; may be repeated")
	f.StringVar(&o.paramFile, "params", "", "JSON file of such values, secrets too")
	f.StringArrayVar(&o.providers, "provider", nil, "OLD=NEW: another provider for identities, OLD= to leave them out; may be repeated")
	f.StringVar(&o.mapping, "mapping", "", "mapping file, of --from csv, json and jsonl")
	f.StringVar(&o.records, "records", "", "read an export of all records in place of users")
	for _, name := range []string{"from", "list", "dry-run", "update", "all", "state", "param", "params", "provider", "mapping"} {
		c.MarkFlagsMutuallyExclusive("records", name)
	}
	for _, name := range []string{"state", "params", "mapping", "records"} {
		must(c.MarkFlagFilename(name))
	}
	must(c.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(sourceNames(), cobra.ShellCompDirectiveNoFileComp)))
}

func sourceNames() (names []string) {
	for _, i := range importer.Sources() {
		names = append(names, i.Name)
	}
	return names
}

// source is the source that the flags name; without a path it is standard input.
func (o *order) source(words []string) (importer.Source, error) {
	s := importer.Source{From: o.from, File: o.mapping}
	if len(words) > 0 && words[0] != "-" {
		s.Path = words[0]
	}
	all := importer.Sources()
	at := slices.IndexFunc(all, func(i importer.Info) bool { return i.Name == o.from })
	switch {
	case at < 0:
		return s, usagef("--from: %s is not one of %s", quote(o.from), strings.Join(sourceNames(), ", "))
	case all[at].Mapped && o.mapping == "":
		return s, usagef("--from %s: give the mapping file with --mapping", o.from)
	case !all[at].Mapped && o.mapping != "":
		return s, usagef("--mapping is not for --from %s", o.from)
	case s.Path == "" && (o.from != "snib" || o.state != "" || o.paramFile != "" || len(o.params)+len(o.providers) > 0):
		return s, usagef("name the FILE to import: only rows in snib's own form, as they are, come from standard input")
	}
	known := all[at].Params
	if all[at].Mapped && len(o.params) > 0 {
		text, err := os.ReadFile(o.mapping)
		if err != nil {
			return s, err
		}
		m, err := importer.ParseMapping(text)
		if err != nil {
			return s, err
		}
		known = m.Params
	}
	return s, o.values(&s, known)
}

// values fills in parameters and providers. The text of a parameter is in no error.
func (o *order) values(s *importer.Source, known []importer.Param) (err error) {
	if o.paramFile != "" {
		if s.Params, err = importer.ReadParams(o.paramFile); err != nil {
			return err
		}
	}
	for _, text := range o.params {
		name, value, ok := strings.Cut(text, "=")
		at := slices.IndexFunc(known, func(p importer.Param) bool { return p.Name == name })
		switch {
		case !ok || name == "":
			return usagef("--param: write NAME=VALUE")
		case at < 0:
			return usagef("--param: --from %s has no parameter %s; see: snib import --list", s.From, quote(name))
		case known[at].Secret:
			return usagef("--param: %s is a secret, and every process of the machine can read arguments: give it in a file, with --params", name)
		}
		if s.Params == nil {
			s.Params = map[string]string{}
		}
		s.Params[name] = value
	}
	for _, text := range o.providers {
		old, to, ok := strings.Cut(text, "=")
		if !ok || old == "" {
			return usagef("--provider: write OLD=NEW, or OLD= to leave its identities out")
		}
		if s.Providers == nil {
			s.Providers = map[string]string{}
		}
		s.Providers[old] = to
	}
	return nil
}

// listSources lists the systems; it needs no database.
func (a *app) listSources() error {
	tried := map[string]string{"run": "on the program", "documentation": "on a file by its documentation"}
	row := func(i importer.Info) []string {
		var params []string
		for _, p := range i.Params {
			name := p.Name
			if p.Secret {
				name += " (secret)"
			}
			params = append(params, name)
		}
		by := tried[i.Tried]
		if i.Mapped {
			by = "on files of the tests"
			params = append(params, "--mapping")
		}
		return []string{i.Name, i.Help, by, strings.Join(params, ", ")}
	}
	return list(a, newTable(-1, "FROM", "READS", "TRIED", "PARAMETERS"), row, func(each func(importer.Info) error) error {
		for _, i := range importer.Sources() {
			if err := each(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// onAccounts is with for an import from a file.
func (a *app) onAccounts(ctx context.Context, need access, do func(importer.Accounts) error) error {
	if err := a.needFile(); err != nil {
		return err
	}
	c, err := a.live(ctx)
	if err != nil {
		return err
	}
	if c != nil {
		return errors.Join(do(liveDB{c}), c.Close())
	}
	db, _, err := a.open(ctx, need)
	if err != nil {
		return err
	}
	a.tell("file: " + quote(a.file))
	return errors.Join(do(db), db.Close())
}

// importFile runs an import and prints its report, that of one which has failed too.
func (a *app) importFile(ctx context.Context, db importer.Accounts, s importer.Source, o *order) error {
	var m *meter
	end := func() {
		if m != nil {
			m.end()
		}
	}
	defer end()
	var broken error
	run := importer.Options{DryRun: o.args.DryRun, Update: o.args.Update, State: o.state, Progress: func(p importer.Progress) {
		if m == nil {
			m = a.meter("import", p.Bytes)
		}
		m.at(p.Done, p.Total)
	}}
	if o.args.All {
		run.Each = func(r snib.ImportedRow) {
			end()
			out := snibops.ImportedRow{Row: r.Row, ID: string(r.ID), Outcome: r.Outcome.String(), Holder: string(r.Holder), HolderRow: r.HolderRow}
			if r.Err != nil {
				out.Reason = r.Err.Error()
			}
			if broken == nil {
				broken = a.print(out, func(w io.Writer) error { return outcome(w, out) })
			}
		}
	}
	report, err := importer.Run(ctx, db, s, run)
	end()
	if report.Rows > 0 || err == nil {
		err = errors.Join(err, broken, a.print(report, report.WriteText))
	}
	if err != nil && !report.Finished && report.Rows > 0 && !report.DryRun {
		return hint(err, "rows that the report counts are in: run this again to go on")
	}
	return err
}
