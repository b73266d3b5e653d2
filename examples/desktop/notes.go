package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
)

// notes is the program while it does one verb.
type notes struct {
	ctx   context.Context
	db    *snib.DB
	token tokenFile
	in    *bufio.Reader
	out   io.Writer
}

// openNotes opens the notes in a folder, and makes the folder if it is missing.
func openNotes(ctx context.Context, opts snib.Options, dir string, stdin io.Reader, stdout io.Writer) (*notes, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// A personal computer needs no daily sign-in.
	opts.Sessions = snib.SessionPolicy{Active: 30 * 24 * time.Hour}
	db, err := snib.Open(filepath.Join(dir, "notes.db"), &opts)
	if err != nil {
		return nil, err
	}
	return &notes{
		ctx: ctx, db: db, token: tokenFile(filepath.Join(dir, "session")),
		in: bufio.NewReader(io.LimitReader(stdin, 4<<10)), out: stdout,
	}, nil
}

// provider is how people are known here: by a name, whose case is ignored.
const provider = "username"

// signUp makes an account with a first note, and signs it in, in one
// transaction.
func (n *notes) signUp(args []string) error {
	name, text := args[0], strings.Join(args[1:], " ")
	if text == "" {
		text = "This is the first note of " + name
	}
	password, err := n.password("Choose a password")
	if err != nil {
		return err
	}
	old, err := n.token.read()
	if err != nil {
		return err
	}
	hash, err := n.db.HashPassword(n.ctx, password) // takes long: before the transaction
	if err != nil {
		return err
	}
	var session snib.Session
	err = n.db.Update(n.ctx, func(tx *snib.Tx) error {
		user, err := tx.CreateUser(snib.NewUser{Provider: provider, Identifier: name, PasswordHash: hash})
		if err != nil {
			return err
		}
		if err := putNote(tx.Bolt(), user.ID, text); err != nil {
			return err // and there is no user either
		}
		if err := tx.RevokeToken(old); err != nil { // ends the previous session
			return err
		}
		session, err = tx.CreateSession(user, snib.SessionOptions{})
		return err
	})
	if err != nil {
		return err
	}
	if err := n.token.write(session.Token); err != nil {
		return err
	}
	fmt.Fprintf(n.out, "Welcome, %s. You are signed in and have a first note.\n", name)
	return nil
}

func (n *notes) signIn(args []string) error {
	password, err := n.password("Password")
	if err != nil {
		return err
	}
	old, err := n.token.read()
	if err != nil {
		return err
	}
	session, user, err := n.db.LogIn(n.ctx, provider, args[0], password, snib.SessionOptions{})
	if err != nil {
		return err
	}
	if err := n.db.RevokeToken(n.ctx, old); err != nil { // ends the previous session
		return err
	}
	if err := n.token.write(session.Token); err != nil {
		return err
	}
	fmt.Fprintf(n.out, "Welcome back, %s.\n", nameOf(user))
	return nil
}

// nameOf is the user's name, or the id of a user who has none: a repair can take
// it away.
func nameOf(user snib.User) string {
	if len(user.Identities) == 0 {
		return string(user.ID)
	}
	return user.Identities[0].Identifier
}

// add writes a note of the signed-in user. One transaction validates the
// session and writes the note.
func (n *notes) add(args []string) error {
	token, err := n.token.read()
	if err != nil {
		return err
	}
	err = n.db.Update(n.ctx, func(tx *snib.Tx) error {
		session, err := tx.ExtendSession(token) // use keeps the session alive
		if err != nil {
			return err
		}
		return putNote(tx.Bolt(), session.UserID, strings.Join(args, " "))
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(n.out, "Noted.")
	return nil
}

// list shows the notes of the signed-in user: session, user and notes on one
// snapshot.
func (n *notes) list([]string) error {
	token, err := n.token.read()
	if err != nil {
		return err
	}
	var name string
	var texts []string
	err = n.db.View(n.ctx, func(tx *snib.Tx) error {
		session, user, err := tx.ValidateSessionUser(token)
		if err != nil {
			return err
		}
		name, texts = nameOf(user), notesOf(tx.Bolt(), session.UserID)
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(n.out, "Notes of %s:\n", name)
	for i, text := range texts {
		fmt.Fprintf(n.out, "%3d  %s\n", i+1, text)
	}
	return nil
}

func (n *notes) signOut([]string) error {
	token, err := n.token.read()
	if err != nil {
		return err
	}
	// The session ends here, not only on this disk: a copy of the token is
	// worth nothing from now on.
	if err := n.db.RevokeToken(n.ctx, token); err != nil {
		return err
	}
	if err := n.token.remove(); err != nil {
		return err
	}
	fmt.Fprintln(n.out, "Signed out.")
	return nil
}

// deleteAccount removes the signed-in user and their notes in one transaction.
func (n *notes) deleteAccount([]string) error {
	token, err := n.token.read()
	if err != nil {
		return err
	}
	_, user, err := n.db.ValidateSessionUser(n.ctx, token)
	if err != nil {
		return err
	}
	name := nameOf(user)
	fmt.Fprintf(n.out, "This deletes %s and all notes of %s.\n", name, name)
	password, err := n.password("Password")
	if err != nil {
		return err
	}
	if _, err := n.db.AuthenticateUser(n.ctx, provider, name, password); err != nil {
		return err
	}
	deleted := 0
	err = n.db.Update(n.ctx, func(tx *snib.Tx) (err error) {
		session, err := tx.ValidateSession(token) // still
		if err != nil {
			return err
		}
		if deleted, err = deleteNotes(tx.Bolt(), session.UserID); err != nil {
			return err
		}
		return tx.DeleteUser(session.UserID)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(n.out, "%s is deleted, with %d notes.\n", name, deleted)
	return n.token.remove()
}

// password reads a line.
func (n *notes) password(prompt string) (string, error) {
	fmt.Fprintf(n.out, "%s (it is seen while you type): ", prompt)
	line, err := n.in.ReadString('\n')
	fmt.Fprintln(n.out)
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// The notes are rows of this program's own, in a bucket beside the accounts.
// The key is the user's id, a zero byte and the number of the note, so that the
// notes of one user are neighbours; no id contains a zero byte.
var notesBucket = []byte("notes")

const maxNote = 4 << 10

var (
	errNoteTooLong = errors.New("the note is longer than 4 KiB")
	errNotText     = errors.New("the note must be one line of text")
)

// noteKeys is how the keys of a user's notes begin.
func noteKeys(id snib.UserID) []byte { return append([]byte(id), 0) }

func putNote(tx *bolt.Tx, id snib.UserID, text string) error {
	if len(text) > maxNote {
		return errNoteTooLong
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return errNotText
	}
	b, err := tx.CreateBucketIfNotExists(notesBucket)
	if err != nil {
		return err
	}
	number, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(fmt.Appendf(noteKeys(id), "%012d", number), []byte(text))
}

// notesOf returns the notes of a user, the oldest first.
func notesOf(tx *bolt.Tx, id snib.UserID) (texts []string) {
	b := tx.Bucket(notesBucket)
	if b == nil {
		return nil
	}
	prefix := noteKeys(id)
	c := b.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		texts = append(texts, string(v))
	}
	return texts
}

// deleteNotes removes the notes of a user and returns how many there were.
func deleteNotes(tx *bolt.Tx, id snib.UserID) (deleted int, err error) {
	b := tx.Bucket(notesBucket)
	if b == nil {
		return 0, nil
	}
	prefix := noteKeys(id)
	c := b.Cursor()
	// Seek again after each: a cursor that has deleted is not to be moved on.
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
		if err := c.Delete(); err != nil {
			return 0, err
		}
		deleted++
	}
	return deleted, nil
}
