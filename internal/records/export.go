package records

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// An export holds all that the file knows of one user but secrets. The kind of a
// record says which of its fields are safe to give.

// An exporter writes one as it reads, so that memory does not grow with it.
type exporter struct {
	ctx  context.Context
	tx   *Tx
	user codec.User
	w    *bufio.Writer
	line []byte
	n    int // elements of the list that is being written
}

// Export writes all that the file knows of a user to w, as one JSON object.
// password describes the password. ErrUserNotFound before anything is written.
func Export(ctx context.Context, tx *Tx, id string, w io.Writer, password func(*codec.User) (any, error)) error {
	u, err := tx.User(id)
	if err != nil {
		return err
	}
	about, err := password(&u)
	if err != nil {
		return err
	}
	e := &exporter{ctx: ctx, tx: tx, user: u, w: bufio.NewWriterSize(w, 16<<10)}
	e.text(`{"exported_at":`).value(Instant(tx.Now)).text(",\n\"user\":").value(exportedUser(&u, about))
	for _, part := range []func() error{e.kinds, e.unread, e.rows} {
		if err := part(); err != nil {
			return err
		}
	}
	e.text("}\n")
	return e.w.Flush()
}

// text and value write; an error stays and is that of Flush.
func (e *exporter) text(s string) *exporter { e.w.WriteString(s); return e }

func (e *exporter) value(v any) *exporter {
	e.line = appendJSON(e.line[:0], v)
	e.w.Write(e.line)
	return e
}

// list writes a list under a name. fill adds the elements.
func (e *exporter) list(name string, fill func() error) error {
	outer := e.n
	e.n = 0
	e.value(name).text(":[")
	err := fill()
	e.text("]")
	e.n = outer
	return err
}

// next begins the next element of a list, on a line of its own.
func (e *exporter) next() error {
	if e.n++; e.n > 1 {
		e.text(",")
	}
	e.text("\n")
	_, err := e.w.Write(nil) // the one that stays, if w has failed
	return errors.Join(err, e.ctx.Err())
}

func exportedUser(u *codec.User, password any) Object {
	identities := []any{}
	for _, x := range u.Identities {
		identities = append(identities, Object{
			{"provider", x.Provider}, {"identifier", x.Identifier},
			{"linked_at", Instant(x.LinkedAt)}, {"verified_at", Instant(x.VerifiedAt)},
		})
	}
	return Object{
		{"id", u.ID}, {"created_at", Instant(u.CreatedAt)}, {"updated_at", Instant(u.UpdatedAt)},
		{"disabled_at", Instant(u.DisabledAt)}, {"disabled_reason", u.DisabledReason},
		{"password", password}, {"identities", identities}, {"roles", texts(u.Roles)}, {"guest", u.GuestSeenAt != 0}, {"attributes", attributesOf(u)},
	}
}

// kinds writes the records of each kind. Of one that cannot be read it says so,
// and a record in the range that names another user is not the user's.
func (e *exporter) kinds() error {
	from, to := e.tx.Owner(e.user.ID).AppendRange(nil)
	for _, k := range Kinds {
		e.text(",\n")
		err := e.list(e.tx.Name(k.Space), func() error {
			return e.tx.R.Scan(k.Space, from, to, 0, func(raw, value []byte) error {
				key, ok := codec.ParseOwnedKey(raw)
				l, err := k.Life(raw, value)
				if ok && err == nil && !l.Who.Is(e.user.ID) {
					return nil
				}
				if err := e.next(); err != nil {
					return err
				}
				o := Object{{"id", k.Token.ID(key)}, {"created_at", Instant(key.Time())}}
				var more Object
				if err == nil {
					more, err = k.Rules.facts(raw, value)
				}
				if !ok || err != nil {
					more = Object{{"unreadable", true}}
				}
				e.value(append(o, more...))
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unread counts the bytes that may be secrets, for all that this program can tell:
// records of kinds that a later one has added, and quarantine.
func (e *exporter) unread() error {
	owner := e.tx.Owner(e.user.ID)
	counts := Object{}
	for _, space := range e.tx.ownedAndQuarantine() {
		if KindOf(space) != nil {
			continue
		}
		n, err := e.tx.CountOwner(space, owner, 0)
		if err != nil {
			return err
		}
		if n > 0 {
			counts = append(counts, Field{e.tx.Name(space), n})
		}
	}
	e.text(",\n\"not_exported\":").value(counts)
	return nil
}

// rows writes the rows of the application's, by bucket.
func (e *exporter) rows() error {
	e.text(",\n\"rows\":{")
	defer e.text("}")
	tables, _ := kv.As[kv.Tables](e.tx.R)
	for i, bucket := range e.tx.Declared.Owned {
		if i > 0 {
			e.text(",")
		}
		e.text("\n")
		from, to := rowRange(e.user.ID)
		read := func() error { return e.set([]string{bucket}, from, to, len(from)) }
		if tables != nil {
			read = func() error { return tables.ReadOwned(bucket, e.user.ID, e.row) }
		}
		if err := e.list(bucket, read); err != nil {
			return err
		}
	}
	return nil
}

// row writes a row of a table.
func (e *exporter) row(row []kv.Column) error {
	if err := e.next(); err != nil {
		return err
	}
	o := make(Object, len(row))
	for i, c := range row {
		o[i] = Field{c.Name, c.Value}
	}
	e.value(o)
	return nil
}

// set writes the rows of a bucket, and of those in it, without the beginning of
// their keys.
func (e *exporter) set(path []string, from, to []byte, beginning int) error {
	rows, err := kv.RowsOf(e.tx.R)
	if err != nil {
		return err
	}
	return rows.ScanRows(path, from, to, 0, func(key, value []byte) error {
		if err := e.next(); err != nil {
			return err
		}
		if e.text(`{"key":`).value(key[beginning:]); value != nil {
			e.text(`,"value":`).value(value).text("}")
			return nil
		}
		e.text(",")
		defer e.text("}")
		inside := append(path[:len(path):len(path)], string(key))
		return e.list("rows", func() error { return e.set(inside, nil, nil, 0) })
	})
}
