package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib/snibops"
)

func (a *app) sessions() *cobra.Command {
	return a.on(reads, "sessions USER", "List the sessions and refresh tokens of a user", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			t := newTable(5, "ID", "STATE", "LAST USED", "UNTIL", "BY", "CLIENT")
			return list(a, t, sessionRow, func(each func(snibops.SessionItem) error) error {
				_, err := snibops.VerbSessions.Do(c.Context(), client, snibops.UserArgs{User: words[0]}, each)
				return err
			})
		})
}

func sessionRow(i snibops.SessionItem) []string {
	if f := i.Family; f != nil {
		return []string{f.ID, "refresh", at(f.RotatedAt), at(f.IdleUntil), f.Methods, attributes(f.Attributes)}
	}
	s := i.Session
	until := s.ActiveUntil
	if s.IdleUntil.After(until) {
		until = s.IdleUntil
	}
	return []string{s.ID, s.State, at(s.LastUsedAt), at(until), s.Methods, attributes(s.Attributes)}
}

func (a *app) keys() *cobra.Command {
	c := a.on(reads, "keys USER", "List the API keys of a user", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			t := newTable(1, "ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED")
			row := func(k snibops.APIKey) []string {
				return []string{k.ID, quote(k.Name), scopes(k.Scopes), at(k.CreatedAt), at(k.ExpiresAt), at(k.LastUsedAt)}
			}
			return list(a, t, row, func(each func(snibops.APIKey) error) error {
				_, err := snibops.VerbKeys.Do(c.Context(), client, snibops.UserArgs{User: words[0]}, each)
				return err
			})
		})
	c.AddCommand(a.keyRevoke())
	return c
}

func (a *app) keyRevoke() *cobra.Command {
	c := &cobra.Command{Use: "revoke ID", Short: "End an API key, by its id and not by the key", Args: cobra.ExactArgs(1)}
	c.RunE = func(c *cobra.Command, words []string) error {
		if err := a.needFile(); err != nil {
			return err
		}
		if err := a.confirm(c.Context(), fmt.Sprintf("end the API key %s?", quote(words[0]))); err != nil {
			return err
		}
		return a.with(c.Context(), writes, func(client *snibops.Client) error {
			_, err := snibops.VerbKeyRevoke.Do(c.Context(), client, snibops.KeyRevokeArgs{ID: words[0]}, nil)
			if err != nil {
				return err
			}
			return a.say(map[string]string{"revoked": words[0]}, "%s is not accepted any more", quote(words[0]))
		})
	}
	return c
}

// scopes are names that a program has chosen.
func scopes(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, label(n))
	}
	return strings.Join(out, ",")
}

func (a *app) events() *cobra.Command {
	var args snibops.EventsArgs
	c := a.on(reads, "events USER", "List what has happened to a user, oldest first", cobra.ExactArgs(1),
		func(c *cobra.Command, client *snibops.Client, words []string) error {
			args.User = words[0]
			if args.Follow {
				if !client.Info().Live {
					return hint(fmt.Errorf("no program has %s open", quote(a.file)), "nothing new would come: leave out --follow")
				}
				return a.follow(c, client, args)
			}
			t := newTable(5, "AT", "COUNT", "KIND", "ACTOR", "CLIENT", "DETAIL", "SUBJECT")
			return list(a, t, eventRow, func(each func(snibops.Event) error) error {
				_, err := snibops.VerbEvents.Do(c.Context(), client, args, each)
				return err
			})
		})
	c.Flags().StringArrayVar(&args.Kinds, "kind", nil, "only events of this kind; may be repeated")
	c.Flags().BoolVarP(&args.Follow, "follow", "F", false, "go on with new ones until Ctrl-C; with a program that has the file open")
	return c
}

func eventRow(e snibops.Event) []string {
	detail := ""
	if e.Detail != "" {
		detail = quote(e.Detail)
	}
	return []string{at(e.At), fmt.Sprint(max(e.Count, 1)), e.Kind, e.Actor, oneLine(e.Client), detail, e.Subject}
}

// follow prints each event when it comes. Ctrl-C is its end and no failure.
func (a *app) follow(c *cobra.Command, client *snibops.Client, args snibops.EventsArgs) error {
	_, err := snibops.VerbEvents.Do(c.Context(), client, args, func(e snibops.Event) error {
		if a.json {
			return a.printJSON(e)
		}
		_, err := fmt.Fprintln(a.out, oneLine(strings.Join(strings.Fields(strings.Join(eventRow(e), " ")), " ")))
		return err
	})
	if c.Context().Err() != nil {
		return nil
	}
	return err
}
