package snib

import (
	"context"
	"errors"
	"strconv"

	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/throttle"
)

// A caller is read from a context; its proof was looked up.
type caller struct {
	from     throttle.Address
	operator bool
	user     string // proven; "" for a stranger
	login    string // the time of the log-in whose session is the proof, if it is one
}

func (db *DB) caller(ctx context.Context) (c caller, err error) {
	if addr := clientOf(ctx); addr != nil {
		c.from = addr.As16()
	}
	c.operator, _ = ctx.Value(operatorKey{}).(bool)
	proof, _ := ctx.Value(proofKey{}).(secret)
	if text := proof.reveal(); text != "" {
		err = db.view(ctx, func(tx *Tx) error { return tx.identify(&c, text) })
	}
	return c, err
}

// turn is that of the caller at the gate.
func (c *caller) turn() *phc.Turn {
	switch {
	case c.operator:
		return &phc.Turn{Key: "operator", Proven: true}
	case c.user != "":
		return &phc.Turn{Key: c.user, Proven: true}
	}
	return &phc.Turn{Key: c.from.Network()}
}

// inTurn returns a context in which hashing takes the caller's turn.
func (db *DB) inTurn(ctx context.Context) (context.Context, error) {
	c, err := db.caller(ctx)
	return phc.WithTurn(ctx, c.turn()), err
}

// identify fills in whose token a text is, if it is good. It is not used.
func (tx *Tx) identify(c *caller, text string) error {
	id, login, err := tx.bearer(text)
	if errors.Is(err, ErrInvalidOneTimeToken) {
		return nil
	}
	if err == nil {
		c.user, c.login = id, login
	}
	return err
}

// bearer returns the user of a live token and, if it is a session's, the time of
// its log-in, which no renewal, refreshing or carrying of the session changes.
func (tx *Tx) bearer(text string) (user, login string, err error) {
	s, u, err := tx.ValidateSessionUser(text)
	switch {
	case err == nil && !u.Disabled():
		return string(s.UserID), strconv.FormatInt(s.AuthenticatedAt.UnixMilli(), 10), nil
	case err != nil && !errors.Is(err, ErrInvalidSession):
		return "", "", err
	}
	t, err := tx.liveOneTime("", text)
	return t.UserID, "", err
}
