package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib/snibops"
)

func (a *app) user() *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Show or change one user",
		RunE:  a.which,
	}
	c.AddCommand(a.userShow(), a.userCreate(), a.userDisable(), a.userEnable(), a.userDelete(),
		a.userResetLink(), a.userLink(), a.userUnlink(), a.userEndSessions())
	return c
}

// on is a command on one user: do runs with a client and the words of the
// command line.
func (a *app) on(need access, use, short string, args cobra.PositionalArgs, do func(*cobra.Command, *snibops.Client, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(c *cobra.Command, words []string) error {
			return a.with(c.Context(), need, func(client *snibops.Client) error { return do(c, client, words) })
		},
	}
}

func (a *app) userShow() *cobra.Command {
	return a.on(reads, "show USER", "Show a user with all that hangs on it", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			d, err := snibops.VerbUserShow.Do(c.Context(), client, snibops.UserArgs{User: words[0]}, nil)
			if err != nil {
				return err
			}
			return a.print(d, func(w io.Writer) error { return showUser(w, d) })
		})
}

func showUser(w io.Writer, d snibops.UserDetail) error {
	u, f := d.User, new(facts)
	f.add("ID", u.ID)
	for i, x := range u.Identities {
		name := ""
		if i == 0 {
			name = "Identities"
		}
		how := "not verified"
		if !x.VerifiedAt.IsZero() {
			how = "verified " + at(x.VerifiedAt)
		}
		f.add(name, identity(x)+", "+how)
	}
	f.add("Created", at(u.CreatedAt))
	f.add("Changed", at(u.UpdatedAt))
	f.add("State", state(u))
	if u.Disabled {
		f.add("Disabled", at(u.DisabledAt))
		if u.DisabledReason != "" {
			f.add("Reason", quote(u.DisabledReason))
		}
	}
	password := "none"
	if u.HasPassword {
		password = "set " + at(u.PasswordChangedAt)
	}
	f.add("Password", password)
	f.add("Roles", strings.Join(u.Roles, ", "))
	f.add("Attributes", attributes(u.Attributes))
	for i, x := range d.Factors {
		name := ""
		if i == 0 {
			name = "Factors"
		}
		f.add(name, factor(x))
	}
	f.add("Sessions", fmt.Sprintf("%d, refresh tokens %d, API keys %d, devices %d", d.Sessions, d.Families, d.Keys, d.Devices))
	f.add("Last used", at(d.LastUsed))
	for i, x := range d.Links {
		name := ""
		if i == 0 {
			name = "Links"
		}
		f.add(name, quote(x.Purpose)+", until "+at(x.ExpiresAt))
	}
	return f.print(w)
}

func factor(x snibops.Factor) string {
	parts := []string{x.Kind}
	if x.Name != "" {
		parts = append(parts, quote(x.Name))
	}
	if x.Left > 0 {
		parts = append(parts, fmt.Sprintf("%d left", x.Left))
	}
	parts = append(parts, "since "+at(x.CreatedAt))
	return strings.Join(parts, ", ")
}

func (a *app) userCreate() *cobra.Command {
	var args snibops.CreateArgs
	var assigned []string
	var ask, fromStdin bool
	c := &cobra.Command{
		Use:   "create [PROVIDER=]IDENTIFIER",
		Short: "Create a user",
		Long: `Create a user. With --provider the identifier is taken as it is. Without --password
or --password-stdin there is no password: send the user a link of "snib user
reset-link".`,
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&args.Provider, "provider", "email", "provider of the identifier")
	f.BoolVar(&args.Verified, "verified", false, "you know that the person holds the identifier")
	f.StringArrayVar(&args.Roles, "role", nil, "role of the user; may be repeated")
	f.StringArrayVar(&assigned, "attribute", nil, "attribute of the user, NAME=TEXT or NAME:=JSON; may be repeated")
	f.BoolVar(&ask, "password", false, "ask for a password")
	f.BoolVar(&fromStdin, "password-stdin", false, "read a password from standard input, one line")
	c.MarkFlagsMutuallyExclusive("password", "password-stdin")
	c.RunE = func(c *cobra.Command, words []string) (err error) {
		args.Identifier = words[0]
		if !f.Changed("provider") && strings.Contains(words[0], "=") {
			if args.Provider, args.Identifier, err = newWay(words[0]); err != nil {
				return err
			}
		}
		for _, s := range assigned {
			name, value, err := assignment(s)
			if err != nil {
				return err
			}
			if args.Attributes == nil {
				args.Attributes = map[string]any{}
			}
			args.Attributes[name] = value
		}
		if err := a.needFile(); err != nil {
			return err
		}
		if ask || fromStdin {
			if args.Password, err = a.password(c.Context(), fromStdin); err != nil {
				return err
			}
		}
		return a.with(c.Context(), seals, func(client *snibops.Client) error {
			u, err := snibops.VerbUserCreate.Do(c.Context(), client, args, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s created", name(u))
		})
	}
	return c
}

func (a *app) userDisable() *cobra.Command {
	var args snibops.DisableArgs
	c := a.on(writes, "disable USER", "Shut a user out: sessions and tokens end at once", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			args.User = words[0]
			u, err := snibops.VerbUserDisable.Do(c.Context(), client, args, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s is disabled; to undo: snib user enable %s", name(u), u.ID)
		})
	c.Flags().StringVar(&args.Reason, "reason", "", "why, kept with the user")
	return c
}

func (a *app) userEnable() *cobra.Command {
	return a.on(writes, "enable USER", "Let a disabled user in again", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			u, err := snibops.VerbUserEnable.Do(c.Context(), client, snibops.UserArgs{User: words[0]}, nil)
			if err != nil {
				return err
			}
			return a.say(u, "%s is enabled", name(u))
		})
}

func (a *app) userDelete() *cobra.Command {
	return a.asking("delete USER", "Delete a user with all that hangs on it", cobra.ExactArgs(1), deletion,
		func(c *cobra.Command, client *snibops.Client, d snibops.UserDetail, _ []string) error {
			r, err := snibops.VerbUserDelete.Do(c.Context(), client, snibops.UserArgs{User: byID(d.User.ID)}, nil)
			if err != nil {
				return err
			}
			return a.say(r, "%s is deleted", name(d.User))
		})
}

func deletion(d snibops.UserDetail, _ []string) (string, error) {
	return fmt.Sprintf("delete %s, with %s and %s?", name(d.User), plural(d.Sessions+d.Families, "log-in"), plural(d.Keys, "API key")), nil
}

// asking is a command on one user that asks first. While the operator thinks,
// nobody waits for the file: it is read before and changed after. The change
// takes the id of the user that the question showed. A question that is "" is not
// asked.
func (a *app) asking(use, short string, args cobra.PositionalArgs, question func(snibops.UserDetail, []string) (string, error),
	do func(*cobra.Command, *snibops.Client, snibops.UserDetail, []string) error,
) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: args}
	c.RunE = func(c *cobra.Command, words []string) error {
		var d snibops.UserDetail
		err := a.with(c.Context(), reads, func(client *snibops.Client) (err error) {
			d, err = snibops.VerbUserShow.Do(c.Context(), client, snibops.UserArgs{User: words[0]}, nil)
			return err
		})
		if err != nil {
			return err
		}
		text, err := question(d, words)
		if err == nil && text != "" {
			err = a.confirm(c.Context(), text)
		}
		if err != nil {
			return err
		}
		return a.with(c.Context(), writes, func(client *snibops.Client) error { return do(c, client, d, words) })
	}
	return c
}

// byID names a user by the id alone.
func byID(id string) string { return "id=" + id }

func (a *app) userResetLink() *cobra.Command {
	var args snibops.ResetLinkArgs
	var ttl time.Duration
	var show bool
	c := &cobra.Command{
		Use:   "reset-link USER",
		Short: "Make a link by which a user sets a password",
		Long: `Make a link by which a user sets a password, for the page of the program's by which
forgotten passwords are set. The link is a secret: it is shown on a terminal, once, and
elsewhere only with --print. Send it by a way that the user alone reads.`,
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&args.URL, "url", "", "address of the page, up to the token (default that of the program)")
	f.StringVar(&args.Purpose, "purpose", "", "purpose of the token (default that of the program)")
	f.DurationVar(&ttl, "ttl", time.Hour, "how long it is good")
	f.BoolVar(&show, "print", false, "print it though standard output is no terminal")
	c.RunE = func(c *cobra.Command, words []string) error {
		if !a.outTerminal && !show {
			return usagef("a reset link is a secret: without a terminal, give --print")
		}
		args.User, args.TTL = words[0], snibops.Duration(ttl)
		return a.with(c.Context(), writes, func(client *snibops.Client) error {
			l, err := snibops.VerbUserResetLink.Do(c.Context(), client, args, nil)
			if err != nil {
				return err
			}
			link := l.Link
			if link == "" {
				link = l.Token
			}
			if !a.json {
				fmt.Fprintf(a.err, "for %s, until %s:\n", oneLine(l.UserID), at(l.ExpiresAt))
			}
			return a.say(l, "%s", oneLine(link))
		})
	}
	return c
}
