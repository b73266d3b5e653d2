package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/snibdb/snib"
)

// An outbox sends links, one after the other, behind the requests that ask for
// them: the time of an answer does not tell which addresses have accounts. A
// real one hands mail to a server; this one prints to the terminal.
type outbox struct {
	app      *app
	queue    chan string // addresses, as they were typed
	terminal io.Writer
}

func newOutbox(a *app, terminal io.Writer) *outbox {
	return &outbox{app: a, queue: make(chan string, 16), terminal: terminal}
}

// sendReset asks for a link. With too many in the queue it drops the link: the
// user can ask again.
func (o *outbox) sendReset(address string) {
	select {
	case o.queue <- address:
	default:
		o.app.log.Warn("the outbox is full, a link was not sent")
	}
}

// run sends until ctx ends.
func (o *outbox) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case address := <-o.queue:
			if err := o.send(ctx, address); err != nil {
				o.app.log.Error("a link was not sent", "error", err)
			}
		}
	}
}

// send makes a token for the user with this address, if there is one, and
// sends it to the address that is stored. The one that was typed is the same by
// the rule of the provider, but may be spelled so that another server gets it.
func (o *outbox) send(ctx context.Context, address string) error {
	user, err := o.app.db.GetUserByProviderID(ctx, provider, address)
	if errors.Is(err, snib.ErrUserNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	link, err := o.app.db.Tokens().Create(ctx, user.ID, purposeReset, resetFor, nil)
	if errors.Is(err, snib.ErrUserDisabled) || errors.Is(err, snib.ErrUserNotFound) || errors.Is(err, snib.ErrOneTimeTokenLimit) {
		return nil // at the limit the user has links that are good
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.terminal, "\nTo %s: set a new password, once and until %s, at\n%s/reset?token=%s\n\n",
		addressOf(user), link.ExpiresAt.Local().Format(time.TimeOnly),
		o.app.origin, url.QueryEscape(link.Token.Reveal()))
	return err
}
