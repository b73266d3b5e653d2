package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

func (a *app) export() *cobra.Command {
	var all, replace bool
	var to, records string
	c := &cobra.Command{
		Use:   "export [USER...]",
		Short: "Write all that the file knows of users, as JSON, one user a line",
		Long: `Write all that the file knows of users, as JSON, one user a line: for a request of a
person, or for another system. No password, hash or token is in it; to move the
accounts themselves, use "snib backup" and "snib restore", or --records, which writes
every record, sessions, tokens and passwords alive, for a database on another
engine: "snib import --records" reads it, and so does snib.ImportStore.`,
		Example: `  snib export ada@example.com --output ada.json
  snib export --all > users.jsonl
  snib export --records accounts.records`,
	}
	c.Flags().BoolVar(&all, "all", false, "all users")
	c.Flags().StringVarP(&to, "output", "o", "", "a file in the place of standard output; it appears when it is whole, mode 0600")
	c.Flags().StringVar(&records, "records", "", "write every record to this file, mode 0600, as secret as the database")
	c.MarkFlagsMutuallyExclusive("records", "all")
	c.MarkFlagsMutuallyExclusive("records", "output")
	c.Flags().BoolVar(&replace, "replace", false, "let it take the place of a file")
	c.RunE = func(c *cobra.Command, users []string) error {
		if records != "" && len(users) == 0 {
			return a.exportRecords(c.Context(), records, replace)
		}
		if records != "" {
			return usagef("--records has all users: name none")
		}
		if all == (len(users) > 0) {
			return usagef("name users, or give --all")
		}
		return a.with(c.Context(), reads, func(client *snibops.Client) error {
			if to == "" {
				return a.exportTo(c.Context(), client, a.out, users)
			}
			if a.own(client, to) {
				return fmt.Errorf("%s is the database itself", quote(to))
			}
			return newFile(c.Context(), to, replace, func(w io.Writer) error { return a.exportTo(c.Context(), client, w, users) })
		})
	}
	return c
}

// exportTo exports the users that are named, or all.
func (a *app) exportTo(ctx context.Context, client *snibops.Client, w io.Writer, users []string) error {
	m := a.meter("export", false)
	defer m.end()
	done := int64(0)
	one := func(user string) error {
		var b, line bytes.Buffer
		_, err := snibops.VerbUserExport.With(ctx, client, snibops.UserArgs{User: user}, nil, snibops.Exchange{Data: &b})
		if err != nil {
			return err
		}
		if err := json.Compact(&line, b.Bytes()); err != nil {
			return err
		}
		done++
		if w != a.out || !a.outTerminal {
			m.at(done, 0)
		}
		_, err = w.Write(append(escaped(line.Bytes()), '\n'))
		return err
	}
	for _, user := range users {
		if err := one(user); err != nil {
			return err
		}
	}
	if len(users) > 0 {
		return nil
	}
	for cursor := ""; ; {
		var page []string
		r, err := snibops.VerbUsers.Do(ctx, client, snibops.UsersArgs{Limit: 1000, Cursor: cursor}, func(u snibops.User) error {
			page = append(page, byID(u.ID))
			return nil
		})
		if err != nil {
			return err
		}
		for _, user := range page {
			if err := one(user); err != nil && !errors.Is(err, snib.ErrUserNotFound) { // deleted meanwhile
				return err
			}
		}
		if cursor = r.Next; cursor == "" {
			return nil
		}
	}
}
