package main

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/snibdb/snib"
	bolt "go.etcd.io/bbolt"
)

// The third workload: records of full users are damaged, and Repair removes
// all that was theirs.

func init() { jobs["repairs"] = cascades }

// repair removes a user whose record is unreadable.
var repair = cascade(operation{name: "Repair", do: (*work).repair, before: []operation{fullVictim, hurtVictim}}, repairs)

func (w *work) repair() error {
	if err := w.onVictim(func(a *account) error { return second(w.db.Repair(ctx)) }); err != nil {
		return err
	}
	w.gone(w.full)
	return second(w.db.Check(ctx))
}

// hurtVictim flips a bit of the victim's record.
var hurtVictim = operation{name: "damage to a user", do: func(w *work) error {
	return w.db.Update(ctx, func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		record := bytes.Clone(users.Get([]byte(w.full.id)))
		record[30] ^= 1
		return users.Put([]byte(w.full.id), record)
	})
}}

// rawContents is contents of a closed file, read without snib. bbolt panics on some
// damage.
func rawContents(path string) (text string, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("cannot be read: %v", v)
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		text, err = contentsOf(tx)
		return err
	})
	return text, err
}
