package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib/snibops"
)

// shownOnTerminal is how many users a table has unless --limit says otherwise.
const shownOnTerminal = 100

// most is how many users are read at once, and held in memory to be printed.
const most = 1000

func (a *app) users() *cobra.Command {
	var args snibops.UsersArgs
	var attribute string
	var disabled, enabled, password, noPassword bool
	c := &cobra.Command{
		Use:   "users [TEXT]",
		Short: "List users, or search them",
		Long: `List users, or those with TEXT in an identifier or an attribute, or whose id begins
with it; case does not count. All conditions that are given must hold. --prefix, --role and
--attribute, which must be a declared index, are looked up; the others read users
one by one.

A table has at most 100 users, and tells how to go on; JSON has all.`,
		Example: `  snib users ada
  snib users --prefix ada.l --limit 20
  snib users --attribute plan=pro --disabled
  snib users --attribute seats:=5 --json`,
		Args: cobra.MaximumNArgs(1),
	}
	f := c.Flags()
	f.StringVar(&args.Prefix, "prefix", "", "an identifier begins with this")
	f.StringVar(&args.Provider, "provider", "", `provider of --prefix (default "email")`)
	f.StringVar(&attribute, "attribute", "", "an indexed attribute has this value: NAME=TEXT or NAME:=JSON")
	f.StringVar(&args.Role, "role", "", "has this role")
	f.BoolVar(&disabled, "disabled", false, "is disabled")
	f.BoolVar(&enabled, "enabled", false, "is not disabled")
	f.BoolVar(&password, "password", false, "has a password")
	f.BoolVar(&noPassword, "no-password", false, "has no password")
	f.IntVar(&args.Limit, "limit", 0, "at most so many (default 100 in a table)")
	f.StringVar(&args.Cursor, "after", "", "go on behind the list that told this")
	c.MarkFlagsMutuallyExclusive("disabled", "enabled")
	c.MarkFlagsMutuallyExclusive("password", "no-password")
	c.RunE = func(c *cobra.Command, words []string) error {
		if len(words) > 0 {
			args.Contains = words[0]
		}
		if disabled || enabled {
			args.Disabled = &disabled
		}
		if password || noPassword {
			args.HasPassword = &password
		}
		if attribute != "" {
			name, value, err := assignment(attribute)
			if err != nil {
				return err
			}
			args.Attribute, args.Value = name, value
		}
		if args.Limit < 0 {
			return usagef("--limit must not be negative")
		}
		return a.listUsers(c.Context(), args)
	}
	return c
}

// assignment reads NAME=TEXT or NAME:=JSON.
func assignment(s string) (string, any, error) {
	name, text, ok := strings.Cut(s, "=")
	if before, found := strings.CutSuffix(name, ":"); ok && found && before != "" {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var value any
		if err := d.Decode(&value); err != nil || d.More() {
			return "", nil, usagef("%s: not JSON behind :=", quote(s))
		}
		return before, value, nil
	}
	if !ok || name == "" {
		return "", nil, usagef("%s: write NAME=TEXT, or NAME:=JSON", quote(s))
	}
	return name, text, nil
}

func usersTable() *table {
	return newTable(1, "ID", "IDENTITY", "CREATED", "STATE", "PW", "ROLES")
}

func userRow(u snibops.User) []string {
	password := "no"
	if u.HasPassword {
		password = "yes"
	}
	return []string{u.ID, identities(u.Identities), day(u.CreatedAt), state(u), password, strings.Join(u.Roles, ",")}
}

func (a *app) listUsers(ctx context.Context, args snibops.UsersArgs) error {
	return a.paged(args.Limit, args.Cursor, func(limit int, cursor string, each func(snibops.User) error) (snibops.UsersResult, error) {
		args.Limit, args.Cursor = limit, cursor
		return pageOf(ctx, a, snibops.VerbUsers, args, each)
	})
}

// pageOf reads one page, and prints it when nothing is open any more: a reader that
// sleeps, such as less, keeps no program from the file.
func pageOf[A any](ctx context.Context, a *app, verb snibops.Verb[A, snibops.User, snibops.UsersResult], args A, each func(snibops.User) error) (r snibops.UsersResult, err error) {
	var page []snibops.User
	err = a.with(ctx, reads, func(client *snibops.Client) (err error) {
		r, err = verb.Do(ctx, client, args, func(u snibops.User) error {
			page = append(page, u)
			return nil
		})
		return err
	})
	for _, u := range page {
		if err := each(u); err != nil {
			return r, err
		}
	}
	return r, err
}

// paged prints users page by page, until there are as many as wanted or no more.
func (a *app) paged(limit int, cursor string, page func(int, string, func(snibops.User) error) (snibops.UsersResult, error)) error {
	if limit == 0 && !a.json {
		limit = shownOnTerminal
	}
	shown := 0
	err := list(a, usersTable(), userRow, func(each func(snibops.User) error) error {
		for {
			n := most
			if limit > 0 {
				n = min(n, limit-shown)
			}
			r, err := page(n, cursor, each)
			if err != nil {
				return err
			}
			shown, cursor = shown+r.Shown, r.Next
			if cursor == "" || limit > 0 && shown >= limit {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	if cursor != "" {
		fmt.Fprintf(a.err, "%s shown; for more: --after %s\n", plural(shown, "user"), oneLine(cursor))
	} else if !a.json {
		fmt.Fprintf(a.err, "%s\n", plural(shown, "user"))
	}
	return nil
}
