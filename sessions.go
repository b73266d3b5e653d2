package snib

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/credentials"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/token"
)

// Session is one log-in on one device, as it was when it was read.
type Session struct {
	ID     SessionID // public
	UserID UserID    // whose it is

	// Token is the secret text for the bearer, and is there only when a
	// method has just made it: CreateSession, LogIn, Reauthenticate,
	// RenewSession, CreateRefreshToken and Refresh. Reveal it at once; it
	// cannot be had again.
	Token Token

	// RefreshTokenID is the family that the session was born of, "" without
	// one. Such a session has no idle state and cannot be renewed or extended:
	// Refresh replaces it.
	RefreshTokenID RefreshTokenID

	State           SessionState // when it was read
	ReadAt          time.Time    // when that was, by the database's clock
	CreatedAt       time.Time    // of this token
	AuthenticatedAt time.Time    // of the log-in; kept through renewals
	LastUsedAt      time.Time    // as of the log-in, renewal or last extension that was written
	ActiveUntil     time.Time    // valid before this
	IdleUntil       time.Time    // can be renewed or extended before this
	AbsoluteUntil   time.Time    // no deadline goes beyond this; zero: never
	Methods         Methods      // how the user was authenticated
	Persistent      bool         // SessionOptions.Persistent

	// ExtendDue says that ExtendSession would have written when this was
	// read. A program that validates on each request calls ExtendSession
	// when it is set, and so pays for one look only on all others.
	ExtendDue bool

	attributes string // encoded; checked when the record was read
}

// Attributes returns the attributes recorded with the session (its address,
// user agent, device …), a private copy decoded at each call, never nil.
func (s Session) Attributes() Attributes { return decodeAttributes(s.attributes) }

// Format implements fmt.Formatter, without the attributes.
func (s Session) Format(f fmt.State, verb rune) {
	type plain Session
	s.attributes = ""
	printed(f, verb, plain(s))
}

// SessionState is where a session is in its life.
type SessionState int

// The states of a session. A dead one is never returned: it is
// ErrInvalidSession whether its record has been swept or not.
const (
	SessionDead   SessionState = iota // ended or expired
	SessionActive                     // valid
	SessionIdle                       // not valid; can be renewed or extended
)

// String returns "dead", "active" or "idle".
func (s SessionState) String() string {
	switch s {
	case SessionActive:
		return "active"
	case SessionIdle:
		return "idle"
	}
	return "dead"
}

// SessionOptions go with a new session.
type SessionOptions struct {
	// Attributes are shown in the list of the user's sessions; at most 16
	// and 4 KiB.
	Attributes Attributes

	// Replaces are the tokens that the client carried when it asked
	// ([PresentedToken]), at most 16. Each ends first in the same transaction,
	// as by RevokeToken, so that a browser which signs in again takes the room
	// of its own session and not that of another device, and a session that an
	// attacker planted in the browser gains nothing. The bearer of a token may
	// end it: whose it is does not matter. Text that leads to nothing is
	// ignored, and so is the session that is given as the [Proof], with its
	// family. snibhttp's Manager.SessionOptions fills it.
	Replaces []Token

	// Methods are proofs that the program has seen to itself, such as the
	// answer of a provider; they are added to those of the [Proof] or password.
	Methods Methods

	// Persistent lets the session outlive the browser: its cookie is kept until
	// the absolute deadline ("remember me"). Otherwise snibhttp's cookie ends
	// with the browser; the session itself goes on to its deadlines.
	// snibhttp's Manager.SessionOptions sets it by its own options.
	Persistent bool

	// Active, Idle and Absolute shorten the life that the policy gives: of a
	// session at a kiosk, say. 0 is the policy's, which no other value may
	// exceed; from 1 s, and a negative Idle is no idle state. They stay with the session
	// when it is extended, renewed or reauthenticated, and its absolute deadline
	// never moves. A lowered policy reaches it too, a raised one does not.
	// A refresh token takes Absolute alone, within Options.Refresh.Absolute.
	Active, Idle, Absolute time.Duration
}

// encode checks the options and returns the attributes as they are stored.
func (o *SessionOptions) encode() (attributes string, err error) {
	if len(o.Replaces) > ticket.MaxReplaced {
		return "", &InputError{Field: "Replaces", Code: CodeTooMany, Reason: "must be at most 16", Max: ticket.MaxReplaced}
	}
	if o.Methods&MethodTrustedDevice != 0 { // a device that this library trusts, or none
		return "", &InputError{Field: "Methods", Code: CodeNotAllowed, Reason: "must not name a trusted device"}
	}
	if o.Methods&^knownMethods != 0 {
		return "", &InputError{Field: "Methods", Code: CodeUnsupported, Reason: "must be of the constants of this package"}
	}
	return encodeAttributes(o.Attributes, sessionBounds)
}

// sessionState returns where a session is in its life for this transaction.
func (tx *Tx) sessionState(epoch uint32, active, idle int64) SessionState {
	switch {
	case epoch != tx.rec.State.Epoch:
		return SessionDead
	case tx.rec.Now < active:
		return SessionActive
	case tx.rec.Now < idle:
		return SessionIdle
	}
	return SessionDead
}

func (tx *Tx) stateOf(v *codec.SessionView) SessionState {
	return tx.sessionState(v.Epoch(), v.ActiveUntil(), v.IdleUntil())
}

// publicSession is the public form of a record. All its texts share one copy.
func (tx *Tx) publicSession(v *codec.SessionView) Session {
	key, family := v.Key(), v.Family()
	text := token.Session.AppendID(tx.text[:0], key)
	id := len(text)
	text = v.AppendUserID(text)
	user := len(text)
	if !family.IsZero() {
		text = token.Family.AppendID(text, key.With(family))
	}
	born := len(text)
	text = append(text, v.Attributes()...)
	tx.text = text
	all := string(text)
	return Session{
		ID:              SessionID(all[:id]),
		UserID:          UserID(all[id:user]),
		RefreshTokenID:  RefreshTokenID(all[user:born]),
		State:           tx.stateOf(v),
		ReadAt:          clock.Time(tx.rec.Now),
		CreatedAt:       clock.Time(key.Time()),
		AuthenticatedAt: clock.Time(v.AuthTime()),
		LastUsedAt:      clock.Time(v.LastUsedAt()),
		ActiveUntil:     clock.Time(v.ActiveUntil()),
		IdleUntil:       clock.Time(v.IdleUntil()),
		AbsoluteUntil:   clock.Time(v.AbsoluteUntil()),
		Methods:         Methods(v.Methods()),
		Persistent:      v.Flags()&codec.SessionPersistent != 0,
		ExtendDue:       tx.extendDue(v),
		attributes:      all[born:],
	}
}

// presented returns the record that a token leads to, in any state. The secret
// is hashed whether there is a record or not, and compared in constant time. It
// is on the path of every request: nothing is copied.
func (tx *Tx) presented(text string) (codec.SessionView, error) {
	var secret [32]byte
	key, ok := token.Session.Parse(text, secret[:])
	if !ok {
		return codec.SessionView{}, ErrInvalidSession
	}
	hash := token.Session.Hash(secret[:])
	v, err := tx.rec.Session(key)
	switch {
	case err != nil:
	case !token.Equal(hash, v.SecretHash()):
		err = ErrInvalidSession
	case !v.Family().IsZero() && tx.stateOf(&v) == SessionActive:
		tx.db.given.Accepted(key) // its refresh answer has arrived
	}
	return v, err
}

// ValidateSession returns the session of a token, if it is active. It never
// writes. A session that was ended by a call that has returned is refused by
// every call that begins later. ErrInvalidSession.
func (db *DB) ValidateSession(ctx context.Context, token string) (Session, error) {
	return read(ctx, db, "validate session", readsSession, (*Tx).ValidateSession, token)
}

// ValidateSession is [DB.ValidateSession] in this transaction.
func (tx *Tx) ValidateSession(token string) (Session, error) {
	if err := tx.reading(); err != nil {
		return Session{}, err
	}
	v, err := tx.presented(token)
	if err == nil && tx.stateOf(&v) != SessionActive {
		err = ErrInvalidSession
	}
	if err != nil {
		return Session{}, err
	}
	return tx.publicSession(&v), nil
}

func readsSession(_ *DB, text string) []kv.Ref {
	var secret [32]byte
	key, ok := token.Session.Parse(text, secret[:])
	if !ok {
		return nil
	}
	return ref(records.SpaceSessions, string(key[:]))
}

// ValidateSessionUser is ValidateSession and GetUser on one snapshot.
// ErrInvalidSession.
func (db *DB) ValidateSessionUser(ctx context.Context, token string) (Session, User, error) {
	type both struct {
		s Session
		u User
	}
	out, err := read(ctx, db, "validate session", readsSession, func(tx *Tx, token string) (out both, err error) {
		out.s, out.u, err = tx.ValidateSessionUser(token)
		return out, err
	}, token)
	return out.s, out.u, err
}

// ValidateSessionUser is [DB.ValidateSessionUser] in this transaction.
func (tx *Tx) ValidateSessionUser(token string) (Session, User, error) {
	s, err := tx.ValidateSession(token)
	if err != nil {
		return Session{}, User{}, err
	}
	u, err := tx.publicUser(s.UserID)
	if errors.Is(err, ErrUserNotFound) {
		err = ErrInvalidSession // a damaged file: Check says more
	}
	if err != nil {
		return Session{}, User{}, err
	}
	return s, u, nil
}

// CreateSession makes a session for the user of whom proof is given, and
// returns it with its Token, this once. It evicts another session of the
// user's if there would be more than Options.Sessions.MaxPerUser. Of a log-in
// in a browser, give the token that this carried as o.Replaces. Errors are those
// of [Proof], and ErrInvalidInput (Attributes, Replaces, Methods, Active, Idle,
// Absolute).
func (db *DB) CreateSession(ctx context.Context, proof Proof, o SessionOptions) (Session, error) {
	return result(ctx, "create session", db.ahead(logInOf(proof)), func(tx *Tx) (Session, error) { return tx.CreateSession(proof, o) })
}

// logInOf is what a log-in of the user of a proof reads.
func logInOf(proof Proof) func() records.Foresight {
	return func() (x records.Foresight) {
		x.Owned = logInSpaces()
		switch p := proof.(type) {
		case User:
			x.User = string(p.ID)
		case Session:
			x.User = string(p.UserID)
		}
		return x
	}
}

// ownerOf is what a call with a token reads: its record, and those of its user in
// some spaces.
func ownerOf(kind token.Kind, secret int, text string, spaces ...kv.Space) func() records.Foresight {
	return func() (x records.Foresight) {
		if key, ok := kind.Parse(text, make([]byte, secret)); ok {
			x.Owner, x.Owned = key.Owner(), spaces
		}
		return x
	}
}

func logInSpaces() []kv.Space {
	return []kv.Space{records.SpaceSessions, records.SpaceFactors, records.SpaceEvents}
}

// CreateSession is [DB.CreateSession] in this transaction.
func (tx *Tx) CreateSession(proof Proof, o SessionOptions) (Session, error) {
	if err := tx.writing(); err != nil {
		return Session{}, err
	}
	p, err := tx.proven(proof)
	if err != nil {
		return Session{}, err
	}
	return tx.newSession(p, o)
}

// newSession makes a session of its own (of no family).
func (tx *Tx) newSession(p proven, o SessionOptions) (out Session, err error) {
	attributes, err := o.encode()
	if err != nil {
		return Session{}, err
	}
	l, err := o.life(&tx.db.o.Sessions)
	if err == nil {
		err = tx.complete(p.with(o.Methods), pendingFor(ticket.ForSession, p.session, attributes, &o))
	}
	if err != nil {
		return Session{}, err
	}
	s := codec.Session{
		UserID:        p.user.ID,
		Flags:         o.flags(),
		Methods:       uint16(p.methods | o.Methods),
		AuthTime:      p.at,
		AbsoluteUntil: min(clock.After(tx.rec.Now, l.absolute), p.until),
		Attributes:    attributes,
	}
	tx.setLife(&s, l)
	err = tx.replacing(p, o.Replaces, func() (err error) {
		if out, err = tx.issue(&s, codec.OwnedKey{}); err != nil {
			return err
		}
		return tx.rec.Note(s.UserID, records.EventLogIn, records.About{Subject: s.Key.OwnID(), Methods: uint16(p.methods)})
	})
	return out, err
}

// replacing runs create after the credentials of the tokens have ended, so that
// these take no room. Once one has, there is no way back: a failure fails the
// whole transaction.
func (tx *Tx) replacing(p proven, tokens []Token, create func() error) error {
	written := false
	for _, t := range tokens {
		ended, err := tx.endToken(t.Reveal(), p.session)
		if written = written || ended; err != nil && (ended || !records.DamagedOrMissing(err)) {
			return tx.rec.DoomIf(written, err)
		}
	}
	return tx.rec.DoomIf(written, create())
}

// issue gives a session a key and a secret, and writes it in the place of
// another one (zero: a new session).
func (tx *Tx) issue(s *codec.Session, replaced codec.OwnedKey) (Session, error) {
	var err error
	if s.Key, err = tx.rec.NewKey(records.Sessions, s.UserID); err != nil {
		return Session{}, err
	}
	secret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return Session{}, err
	}
	ended, err := credentials.EvictedSessions(&tx.rec, s.UserID, replaced)
	if err != nil {
		return Session{}, err
	}
	v, err := credentials.PutNewSession(&tx.rec, s, secret[:], ended)
	if err != nil {
		return Session{}, err
	}
	out := tx.publicSession(&v)
	out.Token = newToken(token.Session, s.Key, secret[:])
	return out, nil
}

// putSession writes a session and returns its public form.
func (tx *Tx) putSession(s *codec.Session) (Session, error) {
	v, err := credentials.PutSession(&tx.rec, s)
	if err != nil {
		return Session{}, err
	}
	return tx.publicSession(&v), nil
}

// RenewSession replaces an active or idle session by a new one, with a new
// Token, the same attributes, time of log-in and absolute deadline; the old
// token is refused from then on. Two callers with one token: one gets a
// session. ErrInvalidSession, also for a session born of a refresh token.
func (db *DB) RenewSession(ctx context.Context, text string) (Session, error) {
	ahead := ownerOf(token.Session, 32, text, records.SpaceSessions, records.SpaceEvents)
	return result(ctx, "renew session", db.aheadIfNeeded(ahead), func(tx *Tx) (Session, error) { return tx.renew(text) })
}

// RenewSession is [DB.RenewSession] in this transaction.
func (tx *Tx) RenewSession(token string) (Session, error) {
	if err := tx.writing(); err != nil {
		return Session{}, err
	}
	return tx.renew(token)
}

func (tx *Tx) renew(token string) (Session, error) {
	v, err := tx.presented(token)
	if err != nil {
		return Session{}, err
	}
	if tx.stateOf(&v) == SessionDead || !v.Family().IsZero() {
		return Session{}, ErrInvalidSession
	}
	var next codec.Session
	v.Decode(&next)
	tx.setDeadlines(&next)
	return tx.issue(&next, v.Key())
}

// ExtendSession gives an active or idle session later deadlines, within its
// absolute one, under the same token, and notes that it was used. Call it on
// each request instead of ValidateSession to keep a session alive. It writes
// only if the session is idle or the last extension is
// Options.Sessions.ExtendEvery, or half of Active, ago. A session born of a
// refresh token is returned as it is. ErrInvalidSession.
func (db *DB) ExtendSession(ctx context.Context, token string) (Session, error) {
	return result(ctx, "extend session", db.updateIfNeeded, func(tx *Tx) (Session, error) { return tx.extend(token) })
}

// ExtendSession is [DB.ExtendSession] in this transaction.
func (tx *Tx) ExtendSession(token string) (Session, error) {
	if err := tx.writing(); err != nil {
		return Session{}, err
	}
	return tx.extend(token)
}

func (tx *Tx) extend(token string) (Session, error) {
	v, err := tx.presented(token)
	if err == nil && tx.stateOf(&v) == SessionDead {
		err = ErrInvalidSession
	}
	if err != nil {
		return Session{}, err
	}
	if !tx.extendDue(&v) {
		return tx.publicSession(&v), nil
	}
	var s codec.Session
	v.Decode(&s)
	tx.setDeadlines(&s)
	return tx.putSession(&s)
}

// extendDue reports whether it is time to write the use of a session, which is
// not dead.
func (tx *Tx) extendDue(v *codec.SessionView) bool {
	switch {
	case !v.Family().IsZero():
		return false
	case tx.rec.Now >= v.ActiveUntil(): // idle
		return true
	}
	// At the latest when half of the active life is over, or a session in
	// constant use would end where ExtendEvery is no shorter than that.
	l := tx.db.o.Sessions.lifeOf(v.Flags(), v.LastUsedAt(), v.ActiveUntil(), v.IdleUntil())
	every := min(max(0, tx.db.o.Sessions.ExtendEvery), l.active/2).Milliseconds()
	return tx.rec.Now-v.LastUsedAt() >= every
}
