package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// The operations of the workload about API keys, known devices, roles, rows of
// users, and the outbox.

// newKey ends before the sweep of the workload.
var newKey = snib.NewAPIKey{Name: "a program", Scopes: []string{"read"}, TTL: 20 * day}

func (w *work) createKey() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	k, err := w.db.APIKeys().CreateFor(ctx, a.id, newKey)
	if err == nil {
		w.used = k.Token.Reveal()
	}
	return w.unlessTooMany(err)
}

// unlessTooMany is errSkip at a bound.
func (w *work) unlessTooMany(err error) error {
	if errors.Is(err, snib.ErrAPIKeyLimit) || errors.Is(err, snib.ErrTooMany) {
		return errSkip
	}
	return err
}

func (w *work) createKeyBySession() error {
	return w.withSession(func(tx *snib.Tx, s snib.Session) error {
		return w.unlessTooMany(second(tx.APIKeys().Create(ctx, s, newKey)))
	})
}

// withSession gives a user a session and does something by it, in one transaction.
func (w *work) withSession(do func(tx *snib.Tx, s snib.Session) error) error {
	a, err := w.user(plain)
	if err != nil {
		return err
	}
	return w.onSession(a, do)
}

func (w *work) onSession(a *account, do func(tx *snib.Tx, s snib.Session) error) error {
	var s snib.Session
	err := w.db.Update(ctx, func(tx *snib.Tx) error {
		u, err := tx.GetUser(a.id)
		if err != nil {
			return err
		}
		if s, err = tx.CreateSession(u, snib.SessionOptions{}); err != nil {
			return err
		}
		return do(tx, s)
	})
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return err
}

// keyOf returns a live API key of an enabled user.
func (w *work) keyOf() (snib.APIKey, error) {
	return listed(w, w.db.APIKeys().List)
}

// listed returns the first entry of the list of a random enabled user.
func listed[T any](w *work, list func(ctx context.Context, user snib.UserID) ([]T, error)) (one T, err error) {
	users := slices.Clone(w.users)
	w.rng.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	for _, a := range users {
		found, err := list(ctx, a.id)
		if err != nil || len(found) > 0 && !a.disabled {
			return append(found, one)[0], err
		}
	}
	return one, errSkip
}

// useKey notes the hour of a use in memory, which Close writes.
func (w *work) useKey() error {
	if w.used == "" {
		return errSkip
	}
	if _, _, err := w.db.APIKeys().Validate(ctx, w.used); err != nil {
		return w.unlessDead(err)
	}
	return w.reopen(w.options())
}

func (w *work) revokeKey() error {
	k, err := w.keyOf()
	if err != nil {
		return err
	}
	return w.db.APIKeys().RevokeByID(ctx, k.ID)
}

func (w *work) revokeKeys() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	return w.db.APIKeys().RevokeAll(ctx, a.id)
}

func (w *work) remember() error {
	var token string
	var of snib.UserID
	err := w.withSession(func(tx *snib.Tx, s snib.Session) error {
		d, err := tx.Devices().Remember(ctx, s)
		token, of = d.Token.Reveal(), s.UserID
		return err
	})
	if err == nil {
		for _, a := range w.users {
			if a.id == of {
				a.devices = append(a.devices, token)
			}
		}
	}
	return err
}

// rememberAgain is a log-in from a known device on another day, which is written.
func (w *work) rememberAgain() error {
	a, err := w.user(func(a *account) bool { return plain(a) && len(a.devices) > 0 })
	if err != nil {
		return err
	}
	from := snib.WithDevice(ctx, drop(w, &a.devices))
	if _, err := w.db.Devices().Current(from, a.id); err != nil {
		return w.unlessDead(err)
	}
	return w.onSession(a, func(tx *snib.Tx, s snib.Session) error { return second(tx.Devices().Remember(from, s)) })
}

func (w *work) trust() error {
	return w.withSession(func(tx *snib.Tx, s snib.Session) error { return second(tx.Devices().Trust(ctx, s, 0)) })
}

func (w *work) revokeDevice() error {
	d, err := listed(w, w.db.Devices().List)
	if err != nil {
		return err
	}
	return w.db.Devices().Revoke(ctx, d.UserID, d.ID)
}

func (w *work) revokeDevices() error {
	a, err := w.victim()
	if err != nil {
		return err
	}
	a.devices = nil
	return w.db.Devices().RevokeAll(ctx, a.id)
}

func (w *work) grant() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	return w.unlessTooMany(second(w.db.Roles().Grant(ctx, a.id, w.name())))
}

func (w *work) withdraw() error {
	for u, err := range w.db.ListUsers(ctx, snib.ListOptions{}) {
		if err != nil {
			return err
		}
		if len(u.Roles) > 0 {
			return second(w.db.Roles().Withdraw(ctx, u.ID, u.Roles[0]))
		}
	}
	return errSkip
}

// putOwned keeps a row of a user's in a bucket that the file declares for users.
func putOwned(tx *snib.Tx, id snib.UserID, name, value string) error {
	rows, err := tx.Bolt().CreateBucketIfNotExists([]byte(ownedRows))
	if err != nil {
		return err
	}
	return rows.Put(snib.OwnedKey(id, name), []byte(value))
}

func (w *work) putOwned() error {
	a, err := w.user(nil)
	if err != nil {
		return err
	}
	name := w.name()
	return w.db.Update(ctx, func(tx *snib.Tx) error {
		return errors.Join(putOwned(tx, a.id, name, "one"), putOwned(tx, a.id, name+"/2", "two"))
	})
}

// removeOwned removes the first row of the bucket.
func (w *work) removeOwned() error {
	return w.db.Update(ctx, func(tx *snib.Tx) error {
		rows := tx.Bolt().Bucket([]byte(ownedRows))
		if rows == nil {
			return errSkip
		}
		key, _ := rows.Cursor().First()
		if key == nil {
			return errSkip
		}
		return rows.Delete(slices.Clone(key))
	})
}

// unread returns the position of the last event. A sweep may have removed unread
// events.
func (w *work) unread() (position uint64, err error) {
	if _, err := w.db.Events().Read(ctx, consumer, 1000); err != nil && !errors.Is(err, snib.ErrGap) {
		return 0, err
	}
	err = w.db.View(ctx, func(tx *snib.Tx) error {
		b := tx.Bolt().Bucket([]byte(records.Bucket)).Bucket([]byte(codec.SpaceOutbox))
		if b == nil {
			return errSkip
		}
		cursor := b.Cursor()
		head := codec.PositionKey(codec.OutboxHeadKey)
		cursor.Seek(head[:])
		key, _ := cursor.Prev()
		var ok bool
		if position, ok = codec.ParsePosition(key); !ok {
			return errSkip
		}
		return nil
	})
	return position, err
}

func (w *work) ackEvents() error {
	position, err := w.unread()
	if err != nil {
		return err
	}
	return w.db.Events().Ack(ctx, consumer, position)
}

// ackWithRow acknowledges events in the transaction that stores their result.
func (w *work) ackWithRow() error {
	position, err := w.unread()
	if err != nil {
		return err
	}
	return w.db.Update(ctx, func(tx *snib.Tx) error {
		return errors.Join(tx.Events().Ack(ctx, consumer, position), putRow(tx, "seen", fmt.Sprint(position)))
	})
}

func (w *work) ackThenRow() error {
	position, err := w.unread()
	if err != nil {
		return err
	}
	if err := w.db.Events().Ack(ctx, consumer, position); err != nil {
		return err
	}
	return w.db.Update(ctx, func(tx *snib.Tx) error { return putRow(tx, "seen", fmt.Sprint(position)) })
}
