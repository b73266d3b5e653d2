package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib/snibops"
)

// way splits PROVIDER=IDENTIFIER.
func way(s string) (provider, identifier string, err error) {
	for i := range len(s) {
		if s[i] == '=' && i > 0 && i < len(s)-1 {
			return s[:i], s[i+1:], nil
		}
	}
	return "", "", usagef("%s: write PROVIDER=IDENTIFIER, email=ada@example.com say", quote(s))
}

// newWay is way for a user to be made. An address may have an equals sign: one that
// could be meant is no other identity in silence.
func newWay(s string) (provider, identifier string, err error) {
	provider, identifier, err = way(s)
	if err == nil && provider != "email" && provider != "username" && strings.Contains(identifier, "@") {
		err = usagef("%s: an address, or PROVIDER=IDENTIFIER? Give --provider, too", quote(s))
	}
	return provider, identifier, err
}

func (a *app) userLink() *cobra.Command {
	var verified bool
	c := a.on(writes, "link USER PROVIDER=IDENTIFIER", "Give a user one more identity", cobra.ExactArgs(2), nil)
	c.RunE = func(c *cobra.Command, words []string) error {
		provider, identifier, err := way(words[1])
		if err != nil {
			return err
		}
		return a.with(c.Context(), writes, func(client *snibops.Client) error {
			args := snibops.LinkArgs{User: words[0], Provider: provider, Identifier: identifier, Verified: verified}
			u, err := snibops.VerbUserLink.Do(c.Context(), client, args, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s has %s now", name(u), identity(snibops.Identity{Provider: provider, Identifier: identifier}))
		})
	}
	c.Flags().BoolVar(&verified, "verified", false, "you know that the person holds the identifier")
	return c
}

func (a *app) userUnlink() *cobra.Command {
	question := func(d snibops.UserDetail, words []string) (string, error) {
		provider, identifier, err := way(words[1])
		return fmt.Sprintf("take %s from %s?", identity(snibops.Identity{Provider: provider, Identifier: identifier}), name(d.User)), err
	}
	return a.asking("unlink USER PROVIDER=IDENTIFIER", "Take an identity from a user", cobra.ExactArgs(2), question,
		func(c *cobra.Command, client *snibops.Client, d snibops.UserDetail, words []string) error {
			provider, identifier, err := way(words[1])
			if err != nil {
				return err
			}
			args := snibops.LinkArgs{User: byID(d.User.ID), Provider: provider, Identifier: identifier}
			u, err := snibops.VerbUserUnlink.Do(c.Context(), client, args, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s does not have %s any more", name(u), identity(snibops.Identity{Provider: provider, Identifier: identifier}))
		})
}

func (a *app) userEndSessions() *cobra.Command {
	question := func(d snibops.UserDetail, words []string) (string, error) {
		if len(words) == 2 {
			return "", nil
		}
		return fmt.Sprintf("end %s of %s?", plural(d.Sessions+d.Families, "log-in"), name(d.User)), nil
	}
	return a.asking("end-sessions USER [ID]", "End all log-ins of a user, or one by its id", cobra.RangeArgs(1, 2), question,
		func(c *cobra.Command, client *snibops.Client, d snibops.UserDetail, words []string) error {
			args := snibops.EndSessionsArgs{User: byID(d.User.ID)}
			if len(words) == 2 {
				args.ID = words[1]
			}
			r, err := snibops.VerbUserEndSessions.Do(c.Context(), client, args, nil)
			if err != nil {
				return err
			}
			return a.say(r, "%s: %s and %s ended", r.UserID, plural(r.Sessions, "session"), plural(r.Families, "refresh token"))
		})
}

func (a *app) factors() *cobra.Command {
	question := func(d snibops.UserDetail, _ []string) (string, error) {
		return fmt.Sprintf("remove the second factors of %s, and end %s?", name(d.User), plural(d.Sessions+d.Families, "log-in")), nil
	}
	c := &cobra.Command{Use: "factors", Short: "Second factors of a user", RunE: a.which}
	c.AddCommand(a.asking("reset USER", "Remove all second factors: for a user who has lost them", cobra.ExactArgs(1), question,
		func(c *cobra.Command, client *snibops.Client, d snibops.UserDetail, _ []string) error {
			u, err := snibops.VerbFactorsReset.Do(c.Context(), client, snibops.UserArgs{User: byID(d.User.ID)}, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s has no second factors", name(u))
		}))
	return c
}

func (a *app) unlock() *cobra.Command {
	return a.on(writes, "unlock USER", "Forget the failed log-ins of a user, who is throttled by them", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			_, err := snibops.VerbUnlock.Do(c.Context(), client, snibops.UserArgs{User: words[0]}, nil)
			if err != nil {
				return err
			}
			return a.say(map[string]bool{"unlocked": true}, "%s is unlocked", quote(words[0]))
		})
}

func (a *app) role() *cobra.Command {
	c := &cobra.Command{Use: "role", Short: "Roles of users", RunE: a.which}
	change := func(verb snibops.Verb[snibops.RoleArgs, snibops.None, snibops.User], use, short, done string) *cobra.Command {
		return a.on(writes, use, short, cobra.ExactArgs(2), func(c *cobra.Command, client *snibops.Client, words []string) error {
			u, err := verb.Do(c.Context(), client, snibops.RoleArgs{User: words[0], Role: words[1]}, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s %s %s", name(u), done, quote(words[1]))
		})
	}
	c.AddCommand(
		change(snibops.VerbRoleAdd, "add USER ROLE", "Grant a role", "has the role"),
		change(snibops.VerbRoleRemove, "remove USER ROLE", "Take a role back", "does not have the role"),
		a.roleList(),
	)
	return c
}

func (a *app) roleList() *cobra.Command {
	var args snibops.HoldersArgs
	c := &cobra.Command{Use: "list ROLE", Short: "List the users who have a role", Args: cobra.ExactArgs(1)}
	c.RunE = func(c *cobra.Command, words []string) error {
		args.Role = words[0]
		return a.paged(args.Limit, args.Cursor, func(limit int, cursor string, each func(snibops.User) error) (snibops.UsersResult, error) {
			args.Limit, args.Cursor = limit, cursor
			return pageOf(c.Context(), a, snibops.VerbRoleHolders, args, each)
		})
	}
	c.Flags().IntVar(&args.Limit, "limit", 0, "at most so many (default 100 in a table)")
	c.Flags().StringVar(&args.Cursor, "after", "", "go on behind the list that told this")
	return c
}
