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
	queue    chan snib.ResetRequest
	terminal io.Writer
}

func newOutbox(a *app, terminal io.Writer) *outbox {
	return &outbox{app: a, queue: make(chan snib.ResetRequest, 16), terminal: terminal}
}

// sendReset asks for a link. With too many in the queue it drops the link: the
// user can ask again.
func (o *outbox) sendReset(request snib.ResetRequest) {
	select {
	case o.queue <- request:
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
		case request := <-o.queue:
			if err := o.send(ctx, request); err != nil {
				o.app.log.Error("a link was not sent", "error", err)
			}
		}
	}
}

// send makes a link for the user who may have it, if there is one, and sends it to
// the address that is stored.
func (o *outbox) send(ctx context.Context, request snib.ResetRequest) error {
	link, err := o.app.db.Tokens().StoreReset(ctx, request)
	if errors.Is(err, snib.ErrUserNotFound) || errors.Is(err, snib.ErrUserDisabled) || errors.Is(err, snib.ErrOneTimeTokenLimit) {
		return nil // within a minute the link of before is good
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.terminal, "\nTo %s: set a new password, once and until %s, at\n%s/reset?token=%s\n\n",
		link.To.Identifier, link.ExpiresAt.Local().Format(time.TimeOnly),
		o.app.origin, url.QueryEscape(link.Token.Reveal()))
	return err
}
