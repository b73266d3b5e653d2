package dbtest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/snibdb/snib"
)

var whole = []subtest{
	{"sweep", (*lab).sweep},
	{"check and repair", (*lab).repair},
	{"what is of files only", (*lab).filesOnly},
	{"closures", (*lab).closures},
	{"closing", (*lab).closing},
	{"a context that has ended", (*lab).ended},
}

func (l *lab) sweep() {
	a, b := l.two(nil)
	u := l.user(a)
	for range 5 {
		l.session(a, u)
	}
	l.fine(b.EndEverything(l.ctx))
	live := l.session(b, u)
	n, err := b.Sweep(l.ctx)
	l.fine(err)
	if n != 5 {
		l.Errorf("swept %d, want 5", n)
	}
	_, err = a.ValidateSession(l.ctx, live.Token.Reveal())
	l.fine(err)
	l.engine.Advance(200 * 24 * time.Hour)
	if n, err = a.Sweep(l.ctx); err != nil || n != 1 {
		l.Errorf("swept %d half a year later (%v), want 1", n, err)
	}
}

func (l *lab) repair() {
	a, b := l.two(&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	for i := range 30 {
		u := l.user([]*snib.DB{a, b}[i%2])
		l.session(a, u)
		_, err := b.UpdateUserAttributes(l.ctx, u.ID, snib.Attributes{"nick": string(u.ID)})
		l.fine(err)
	}
	report, err := b.Check(l.ctx)
	l.fine(err)
	if report.Users != 30 || report.Passwords != 30 || report.Records["sessions"] != 30 {
		l.Errorf("counted %+v", report)
	}
	repaired, err := a.Repair(l.ctx)
	l.fine(err)
	if repaired.Repaired != 0 {
		l.Errorf("repaired %v", repaired.Repairs)
	}
}

func (l *lab) filesOnly() {
	db := l.open(nil)
	var out bytes.Buffer
	path := l.TempDir() + "/copy"
	for name, err := range map[string]error{
		"Backup":     db.File().Backup(l.ctx, &out),
		"BackupFile": db.File().BackupFile(l.ctx, path, nil),
		"CompactTo":  db.File().CompactTo(l.ctx, path, nil),
		"Compact":    db.File().Compact(l.ctx),
		"Join":       func() error { _, err := db.Join(nil); return err }(),
	} {
		if !errors.Is(err, snib.ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
			l.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	for field, o := range map[string]*snib.Options{
		"Options.File.MaxSize":     {File: snib.FileOptions{MaxSize: 1 << 30}},
		"Options.File.LockTimeout": {File: snib.FileOptions{LockTimeout: time.Second}},
		"Options.InsecureNoSync":   {InsecureNoSync: true},
	} {
		_, err := snib.OpenStore(l.ctx, l.engine, o)
		if in, ok := errors.AsType[*snib.InputError](err); !ok || in.Field != field {
			l.Errorf("%s: %v", field, err)
		}
	}
	_, err := snib.OpenStore(l.ctx, nil, nil)
	l.wants(err, snib.ErrInvalidInput)
}

func (l *lab) closures() {
	a, b := l.two(nil)
	mine := errors.New("mine")
	var id snib.UserID
	err := a.Update(l.ctx, func(tx *snib.Tx) error {
		u, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"})
		if err != nil {
			return err
		}
		id = u.ID
		if _, err := tx.GetUser(id); err != nil {
			return err
		}
		if err := a.DeleteUser(l.ctx, id); !errors.Is(err, snib.ErrNested) {
			l.Errorf("inside: %v, want ErrNested", err)
		}
		return mine
	})
	l.wants(err, mine)
	_, err = b.GetUser(l.ctx, id)
	l.wants(err, snib.ErrUserNotFound)

	var kept *snib.Tx
	l.fine(a.Update(l.ctx, func(tx *snib.Tx) error {
		kept = tx
		u, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"})
		id = u.ID
		return err
	}))
	_, err = b.GetUser(l.ctx, id)
	l.fine(err)
	_, err = kept.GetUser(id)
	l.wants(err, snib.ErrTxClosed)
	if kept.Underlying() != nil {
		l.Error("a transaction that has ended is handed out")
	}
	l.wants(b.View(l.ctx, func(tx *snib.Tx) error { return tx.DeleteUser(id) }), snib.ErrReadOnly)
	func() {
		defer func() {
			if recover() == nil {
				l.Error("a panic was swallowed")
			}
		}()
		a.Update(l.ctx, func(tx *snib.Tx) error {
			if err := tx.DeleteUser(id); err != nil {
				return err
			}
			panic("mine")
		})
	}()
	_, err = b.GetUser(l.ctx, id)
	l.fine(err)
}

func (l *lab) closing() {
	a, b := l.two(nil)
	u := l.user(a)
	l.fine(a.Close())
	l.fine(a.Close())
	_, err := a.GetUser(l.ctx, u.ID)
	l.wants(err, snib.ErrClosed)
	l.wants(a.DeleteUser(l.ctx, u.ID), snib.ErrClosed)
	_, err = b.GetUser(l.ctx, u.ID)
	l.fine(err)
	_, err = l.open(nil).GetUser(l.ctx, u.ID)
	l.fine(err)
}

func (l *lab) ended() {
	db := l.open(nil)
	u := l.user(db)
	ctx, cancel := context.WithCancel(l.ctx)
	cancel()
	_, err := db.DisableUser(ctx, u.ID, "late")
	l.wants(err, context.Canceled)
	got, err := db.GetUser(l.ctx, u.ID)
	l.fine(err)
	if got.Disabled() {
		l.Error("a call whose context had ended has written")
	}
}
