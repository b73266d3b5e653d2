package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib"
)

// The outcomes of damaged files; every copy has one of these.
const (
	refused  = "refused"  // Open said that it is damaged, or not ours
	detected = "detected" // opened; a call that met the damage reported it, or Check did
	unseen   = "absent"   // something looked absent, and Check reported damage
	sound    = "correct"  // everything is there and right
	outlived = "outlived" // keys out of order hid sessions from a revocation; Check reported it
	reverted = "reverted" // as an older page had it, sound and unnoticed
	wrong    = "WRONG"    // must never happen
)

// an examination of one damaged file.
type examination struct {
	db      *snib.DB
	truth   *truth
	older   bool // the damage may be an older page in the place of a newer one
	absent  int
	damaged int
	wrongs  []string
	told    bool // Check has found damage
	outlive int  // sessions and families that did not end with the user's others
	revived int  // tokens accepted that were ended
}

// examine opens a file, uses it in every way and returns a verdict.
// older says that an older page may stand in the place of a newer one: each is
// sound, and nothing in the file tells them apart.
func examine(path string, t *truth, older bool) (verdict, detail string) {
	o := options(func() time.Time { return start })
	o.InsecureNoSync, o.BusyTimeout = true, 2*time.Second
	db, err := snib.Open(path, o)
	switch {
	case errors.Is(err, snib.ErrCorrupt), errors.Is(err, snib.ErrForeignFile), errors.Is(err, snib.ErrNewerFormat):
		return refused, err.Error()
	case err != nil:
		return wrong, fmt.Sprintf("Open says neither that it is damaged nor foreign: %v", err)
	}
	e := &examination{db: db, truth: t, older: older}
	e.read()
	_, err = db.Check(ctx)
	clean := err == nil
	if !clean {
		e.met(err)
	}
	e.told = !clean
	seen := e.absent
	e.write()
	if err := db.Close(); err != nil && !errors.Is(err, snib.ErrCorrupt) {
		e.wrong("Close: %v", err)
	}
	switch {
	case len(e.wrongs) > 0:
		return wrong, e.wrongs[0]
	case older && clean && (seen > 0 || e.revived > 0):
		return reverted, ""
	case seen > 0 && clean:
		return wrong, fmt.Sprintf("%d things are absent, and Check finds nothing", seen)
	case e.outlive > 0:
		return outlived, ""
	case seen > 0:
		return unseen, ""
	case !clean || e.damaged > 0:
		return detected, ""
	}
	return sound, ""
}

func (e *examination) wrong(format string, args ...any) {
	e.wrongs = append(e.wrongs, fmt.Sprintf(format, args...))
}

// met counts an error: damage, or something not there.
func (e *examination) met(err error) {
	switch {
	case errors.Is(err, snib.ErrCorrupt), errors.Is(err, snib.ErrNewerFormat), errors.Is(err, snib.ErrClosed):
		e.damaged++
	case kindOf(err) == isRefused:
		e.absent++
	default:
		e.wrong("neither damaged nor absent: %v", err)
	}
}

// user compares the user that a call returned with p.
func (e *examination) user(p *person, u snib.User, err error, by string) {
	if err != nil {
		e.met(err)
		return
	}
	name, _ := snib.Attr[string](u.Attributes(), "name")
	if u.ID != p.ID || name != p.Identifier || len(u.Identities) != 1 || u.Identities[0].Identifier != p.Identifier {
		e.wrong("%s of %s gives the data of %s", by, p.ID, u.ID)
	}
}

func (e *examination) read() {
	for i := range e.truth.Users {
		p := &e.truth.Users[i]
		u, err := e.db.GetUser(ctx, p.ID)
		e.user(p, u, err, "GetUser")
		u, err = e.db.GetUserByProviderID(ctx, "github", p.Identifier)
		e.user(p, u, err, "GetUserByProviderID")
		u, err = e.db.GetUserByAttribute(ctx, "nick", p.Identifier)
		e.user(p, u, err, "GetUserByAttribute")
		for _, token := range p.Sessions {
			s, u, err := e.db.ValidateSessionUser(ctx, token)
			e.user(p, u, err, "ValidateSessionUser")
			if err == nil && s.UserID != p.ID {
				e.wrong("a session of %s is one of %s", p.ID, s.UserID)
			}
		}
		e.lists(p)
		if p.Password != "" {
			u, err := e.db.AuthenticateUser(ctx, "github", p.Identifier, p.Password)
			e.user(p, u, err, "AuthenticateUser")
			if _, err := e.db.AuthenticateUser(ctx, "github", p.Identifier, "not the password"); err == nil {
				e.wrong("a wrong password is accepted")
			}
		}
	}
	for u, err := range e.db.ListUsers(ctx, snib.ListOptions{}) {
		if err != nil {
			e.met(err)
			break
		}
		if name, _ := snib.Attr[string](u.Attributes(), "name"); name != u.Identities[0].Identifier {
			e.wrong("ListUsers mixes %s with %s", u.Identities[0].Identifier, name)
		}
	}
	for _, token := range e.truth.Wrong {
		e.refuse(token, false)
	}
	for _, token := range e.truth.Ended {
		e.refuse(token, e.older)
	}
}

// lists checks the lists of a user's sessions and refresh tokens.
func (e *examination) lists(p *person) {
	sessions, err := e.db.ListUserSessions(ctx, p.ID)
	if err != nil {
		e.met(err)
	} else if len(sessions) != 3 {
		e.absent++
	}
	for _, s := range sessions {
		if s.UserID != p.ID {
			e.wrong("the list of %s has a session of %s", p.ID, s.UserID)
		}
	}
	families, err := e.db.RefreshTokens().List(ctx, p.ID)
	if err != nil {
		e.met(err)
	} else if len(families) != 1 || families[0].UserID != p.ID {
		e.absent++
	}
}

// refuse tries a token that must not be accepted, or only by an older page.
func (e *examination) refuse(token string, older bool) {
	_, err1 := e.db.ValidateSession(ctx, token)
	_, _, err2 := e.db.Refresh(ctx, token)
	_, err3 := e.db.Tokens().Use(ctx, "reset", token)
	switch accepted := err1 == nil || err2 == nil || err3 == nil; {
	case accepted && older:
		e.revived++
	case accepted:
		e.wrong("a wrong token is accepted: %.8s", token)
	}
}

// write changes the file as if nothing were wrong, and checks that revocations hold.
func (e *examination) write() {
	for i := range min(len(e.truth.Users), 48) { // each is a commit
		p := &e.truth.Users[i]
		var err error
		switch i % 8 {
		case 0:
			_, err = e.db.UpdateUserAttributes(ctx, p.ID, snib.Attributes{"team": i, "more": p.Identifier})
		case 1:
			if err = e.db.DeleteUser(ctx, p.ID); err == nil {
				e.out(p, "DeleteUser")
			}
		case 2:
			if _, err = e.db.DisableUser(ctx, p.ID, "damaged"); err == nil {
				e.out(p, "DisableUser")
			}
		case 3:
			var s snib.Session
			if s, _, err = e.db.Refresh(ctx, p.Refresh); err == nil && s.UserID != p.ID {
				e.wrong("a refresh token of %s gives a session of %s", p.ID, s.UserID)
			}
		case 4:
			var l snib.OneTimeToken
			if l, err = e.db.Tokens().Use(ctx, "reset", p.Link); err == nil && l.UserID != p.ID {
				e.wrong("a one-time token of %s is one of %s", p.ID, l.UserID)
			}
		case 5:
			if err = e.db.RevokeUserSessions(ctx, p.ID); err == nil {
				e.out(p, "RevokeUserSessions")
			}
		case 6:
			_, err = e.db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "new-" + p.Identifier})
		case 7:
			_, err = e.db.CreateSession(ctx, proofOf(e.db, p.ID), snib.SessionOptions{})
		}
		if err != nil {
			e.met(err)
		}
	}
	if _, err := e.db.Sweep(ctx); err != nil {
		e.met(err)
	}
	if err := e.db.EndEverything(ctx); err != nil {
		e.met(err)
		return
	}
	for i := range e.truth.Users {
		e.out(&e.truth.Users[i], "EndEverything")
	}
}

// out tries p's tokens after a revocation. In a leaf whose keys are out of order, a
// range of keys is not found whole: a known limit, accepted if Check reports it.
func (e *examination) out(p *person, by string) {
	alive := 0
	for _, token := range append(p.Sessions, p.Refresh) {
		if _, err := e.db.ValidateSession(ctx, token); err == nil {
			alive++
		}
	}
	if _, _, err := e.db.Refresh(ctx, p.Refresh); err == nil {
		alive++
	}
	switch {
	case alive > 0 && (!e.told || by == "EndEverything"):
		e.wrong("%d sessions and families of %s outlive %s", alive, p.ID, by)
	case alive > 0:
		e.outlive += alive
	}
}
