package snib

import (
	"context"
	"errors"
	"iter"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/lists"
	"github.com/snibdb/snib/internal/records"
)

// ListOptions bounds a list.
type ListOptions struct {
	After UserID // begin behind this user; "" begins with the first
	Limit int    // at most so many; 0 and less are all

	// Provider and Prefix, of ListUsers alone, choose the users with an identity
	// of the provider that begins with the prefix, each once, in the order of
	// these identities, compared by the provider's rule: "ada.l" of
	// "email", as an operator types it. An empty Prefix is all of the provider.
	// After must then be a user of the list.
	Provider, Prefix string
}

// pageSize is how many users are read in one transaction of a list.
const pageSize = 256

// ListUsers ranges over the users in order of their ids: ids made here in the
// order of creation, imported ones among them bytewise. It reads pages of 256
// and has no transaction open while the body runs, so the body may call any
// method of db, and the list is not one snapshot. An error comes once, with
// the zero User, and ends the list; so does the end of ctx. ErrInvalidInput
// (Provider, After).
func (db *DB) ListUsers(ctx context.Context, o ListOptions) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) { db.pages(ctx, "list users", o, o.page())(yield) }
}

// ListUsers is [DB.ListUsers] in this transaction: on its snapshot and, in an
// Update, its own writes.
func (tx *Tx) ListUsers(o ListOptions) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) { tx.pages(o, o.page())(yield) }
}

// A page reads at most n users whose ids come behind after.
type page func(tx *Tx, after UserID, n int) ([]User, error)

// page returns the page of the users that o chooses.
func (o *ListOptions) page() page {
	if o.Provider == "" && o.Prefix == "" {
		return publicPage(lists.Users)
	}
	if fault := fold.Provider(o.Provider); fault.Found() {
		return failing(faulty("Provider", fault))
	}
	s := &lists.Search{Provider: o.Provider, Prefix: o.Prefix}
	return publicPage(s.Users)
}

// publicPage is the public form of the users that read returns.
func publicPage(read func(tx *records.Tx, after string, n int) ([]codec.User, error)) page {
	return func(tx *Tx, after UserID, n int) (out []User, err error) {
		found, err := read(&tx.rec, string(after), n)
		if errors.Is(err, lists.ErrAfter) {
			err = &InputError{Field: "After", Code: CodeNotAllowed, Reason: "must be a user of this list"}
		}
		for _, u := range found {
			out = append(out, newUser(u))
		}
		return out, err
	}
}

// only returns a page for options that choose no users.
func (o *ListOptions) only(next page) page {
	if o.Provider == "" && o.Prefix == "" {
		return next
	}
	return failing(&InputError{Field: "Provider", Code: CodeNotAllowed, Reason: "must not be given here"})
}

func failing(err error) page {
	return func(*Tx, UserID, int) ([]User, error) { return nil, err }
}

// pages ranges over pages, each read in a transaction of its own.
func (db *DB) pages(ctx context.Context, op string, o ListOptions, next page) iter.Seq2[User, error] {
	return paged(o, func(after UserID, n int) ([]User, error) {
		return result(ctx, op, db.view, func(tx *Tx) ([]User, error) { return next(tx, after, n) })
	})
}

// pages ranges over pages of this transaction.
func (tx *Tx) pages(o ListOptions, next page) iter.Seq2[User, error] {
	return paged(o, func(after UserID, n int) ([]User, error) {
		if err := tx.reading(); err != nil {
			return nil, err
		}
		return next(tx, after, n)
	})
}

func paged(o ListOptions, next func(after UserID, n int) ([]User, error)) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		after, left := o.After, o.Limit
		for {
			n := pageSize
			if o.Limit > 0 {
				n = min(n, left)
			}
			users, err := next(after, n)
			if err != nil {
				yield(User{}, err)
				return
			}
			for _, u := range users {
				if !yield(u, nil) {
					return
				}
				after = u.ID
			}
			left -= len(users)
			if len(users) < n || o.Limit > 0 && left == 0 {
				return
			}
		}
	}
}
