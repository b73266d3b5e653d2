package snibsqlite

import (
	"database/sql"

	"github.com/snibdb/snib"
)

// Conn returns the connection of a transaction on accounts in SQLite: rows of the
// program's own, read and written on it, are part of that transaction. In an
// Update they are committed with the accounts, or not at all; in a View they are
// of the same moment, and writing is an error. It is nil in a transaction on
// another engine, and after its end.
//
//	err := db.Update(ctx, func(tx *snib.Tx) error {
//		u, err := tx.CreateUser(newUser)
//		if err != nil {
//			return err
//		}
//		_, err = snibsqlite.Conn(tx).ExecContext(ctx, "INSERT INTO orders (user) VALUES (?)", u.ID)
//		return err
//	})
//
// What tx has written is visible on it at once. Do not end the transaction, close
// the connection, keep it or leave rows open on it. A statement that SQLite answers
// by rolling back the transaction, as one that is interrupted by its context, makes
// the Update fail; a COMMIT of the program's does too, and earlier writes of the
// closure stay. Once a program has taken a connection, each of its Updates is a commit
// of its own.
func Conn(tx *snib.Tx) *sql.Conn {
	c, _ := tx.Underlying().(*sql.Conn)
	return c
}
