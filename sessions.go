package snib

import (
	"context"
	"errors"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/token"
	"time"

	"github.com/snibdb/snib/codec"
)

// Session is one log-in on one device, as it was when it was read.
type Session struct {
	ID     SessionID // public
	UserID UserID    // whose it is

	// Token is the secret text for the bearer, and is there only when a
	// method has just made it: CreateSession, LogIn, RenewSession,
	// CreateRefreshToken and Refresh. Reveal it at once; it cannot be had
	// again.
	Token Token

	// RefreshTokenID is the family that the session was born of, "" for
	// none. Such a session has no idle state and cannot be renewed or
	// extended: Refresh replaces it.
	RefreshTokenID RefreshTokenID

	State           SessionState // when it was read
	ReadAt          time.Time    // when that was, by the database's clock
	CreatedAt       time.Time    // of this token
	AuthenticatedAt time.Time    // of the log-in; kept through renewals
	LastUsedAt      time.Time    // as of the log-in, renewal or last extension that was written
	ActiveUntil     time.Time    // valid before this
	IdleUntil       time.Time    // can be renewed or extended before this
	AbsoluteUntil   time.Time    // no deadline goes beyond this; zero: never

	// ExtendDue says that ExtendSession would have written when this was
	// read. A program that validates on each request calls ExtendSession
	// when it is set, and so pays for one look only on all others.
	ExtendDue bool

	attributes string // encoded; checked when the record was read
}

// Attributes returns what was recorded with the session (its address, user
// agent, device …), a private copy decoded at each call, never nil.
func (s Session) Attributes() Attributes { return decodeAttributes(s.attributes) }

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
}

// sessionState returns where a record is in its life for this transaction.
func (tx *Tx) sessionState(s *codec.Session) SessionState {
	switch {
	case s.Epoch != tx.state.Epoch:
		return SessionDead
	case tx.now < s.ActiveUntil:
		return SessionActive
	case tx.now < s.IdleUntil:
		return SessionIdle
	}
	return SessionDead
}

// newSessionValue is the public form of a record.
func (tx *Tx) newSessionValue(s *codec.Session) Session {
	return Session{
		ID:              SessionID(s.ID),
		UserID:          UserID(s.UserID),
		RefreshTokenID:  RefreshTokenID(s.FamilyID),
		State:           tx.sessionState(s),
		ReadAt:          clock.Time(tx.now),
		CreatedAt:       clock.Time(s.CreatedAt),
		AuthenticatedAt: clock.Time(s.AuthTime),
		LastUsedAt:      clock.Time(s.LastUsedAt),
		ActiveUntil:     clock.Time(s.ActiveUntil),
		IdleUntil:       clock.Time(s.IdleUntil),
		AbsoluteUntil:   clock.Time(s.AbsoluteUntil),
		ExtendDue:       tx.extendDue(s),
		attributes:      s.Attributes,
	}
}

// session returns the record of id, in whatever state, or ErrInvalidSession.
func (tx *Tx) session(id string) (codec.Session, error) {
	return record(tx, spaceSessions, id, codec.DecodeSession, ErrInvalidSession)
}

// presented reads the record that a token leads to, in whatever state, into s.
// The secret is hashed whether there is a record or not, and compared in
// constant time. It is on the path of every request: s is the caller's, so
// that nothing is copied.
func (tx *Tx) presented(text string, s *codec.Session) error {
	var secret [32]byte
	id, ok := token.OfSession.Parse(text, secret[:])
	if !ok {
		return ErrInvalidSession
	}
	hash := token.OfSession.Hash(secret[:])
	value, err := tx.value(spaceSessions, id, ErrInvalidSession)
	if err != nil {
		return err
	}
	if err := s.Decode(tx.key, value); err != nil {
		return damaged(spaceSessions, err)
	}
	if !token.Equal(hash, s.SecretHash) {
		return ErrInvalidSession
	}
	return nil
}

// ValidateSession returns the session of a token, if it is active. It never
// writes. A session that was ended by a call that has returned is refused by
// every call that begins later. ErrInvalidSession.
func (db *DB) ValidateSession(ctx context.Context, token string) (Session, error) {
	return read(ctx, db, "validate session", (*Tx).ValidateSession, token)
}

// ValidateSession is [DB.ValidateSession] in this transaction.
func (tx *Tx) ValidateSession(token string) (Session, error) {
	if err := tx.reading(); err != nil {
		return Session{}, err
	}
	var s codec.Session
	if err := tx.presented(token, &s); err != nil {
		return Session{}, err
	}
	if tx.sessionState(&s) != SessionActive {
		return Session{}, ErrInvalidSession
	}
	return tx.newSessionValue(&s), nil
}

// ValidateSessionUser is ValidateSession and GetUser on one snapshot.
// ErrInvalidSession.
func (db *DB) ValidateSessionUser(ctx context.Context, token string) (Session, User, error) {
	type both struct {
		s Session
		u User
	}
	out, err := read(ctx, db, "validate session", func(tx *Tx, token string) (out both, err error) {
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
// user's if there would be more than Options.Sessions.MaxPerUser.
//
// Before a session is made of a log-in, end the one that the browser carried
// (RevokeToken): an attacker may have planted it there. Errors are those of
// [Proof], and ErrInvalidInput (Attributes).
func (db *DB) CreateSession(ctx context.Context, proof Proof, o SessionOptions) (Session, error) {
	return result(ctx, "create session", db.update, func(tx *Tx) (Session, error) { return tx.CreateSession(proof, o) })
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
func (tx *Tx) newSession(p proven, o SessionOptions) (Session, error) {
	attributes, err := encodeAttributes(o.Attributes, sessionBounds)
	if err != nil {
		return Session{}, err
	}
	s := codec.Session{
		UserID:        p.user.ID,
		AuthTime:      p.at,
		AbsoluteUntil: clock.Earlier(clock.After(tx.now, tx.db.o.Sessions.Absolute), p.until),
		Attributes:    attributes,
	}
	tx.setDeadlines(&s)
	return tx.issue(&s, "")
}

// setDeadlines starts the session's life anew, within its absolute one.
func (tx *Tx) setDeadlines(s *codec.Session) {
	p := &tx.db.o.Sessions
	s.LastUsedAt = tx.now
	s.ActiveUntil = clock.Earlier(clock.After(tx.now, p.Active), s.AbsoluteUntil)
	s.IdleUntil = clock.Earlier(clock.After(s.ActiveUntil, max(0, p.Idle)), s.AbsoluteUntil)
}

// issue gives a session an id and a secret, and writes it in the place of
// another one ("" for none).
func (tx *Tx) issue(s *codec.Session, instead string) (Session, error) {
	id, err := token.NewID(token.Session, tx.now, tx.db.o.Rand)
	if err != nil {
		return Session{}, err
	}
	secret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return Session{}, err
	}
	s.ID, s.CreatedAt = id, tx.now
	ended, err := tx.excessSessions(s.UserID, instead)
	if err != nil {
		return Session{}, err
	}
	return tx.putNewSession(s, secret[:], ended)
}

// excessSessions returns which sessions of a user end when there is one more,
// in the place of instead: that one, and what is above the bound.
func (tx *Tx) excessSessions(userID, instead string) ([]string, error) {
	ids, err := tx.excess(ownedSessions, userID, tx.db.o.Sessions.MaxPerUser, instead, func(id string) (int64, error) {
		s, err := tx.session(id)
		if s.Epoch != tx.state.Epoch {
			return 0, err
		}
		return s.IdleUntil, err
	})
	if instead != "" {
		ids = append(ids, instead)
	}
	return ids, err
}

// putNewSession writes a session that is not there yet, ends those that go for
// it, and returns it with its token.
func (tx *Tx) putNewSession(s *codec.Session, secret []byte, ended []string) (Session, error) {
	if err := tx.deleteAll(ownedSessions, s.UserID, ended); err != nil {
		return Session{}, err
	}
	s.Epoch = tx.state.Epoch
	s.SecretHash = token.OfSession.Hash(secret)
	if err := tx.putOne(ownedSessions, s.UserID, s.ID, s.Append(nil), true); err != nil {
		return Session{}, err
	}
	out := tx.newSessionValue(s)
	out.Token = newToken(token.OfSession, s.ID, secret)
	return out, nil
}

// RenewSession replaces an active or idle session by a new one, with a new
// Token, the same attributes, time of log-in and absolute deadline; the old
// token is refused from then on. Two callers with one token: one gets a
// session. ErrInvalidSession, also for a session born of a refresh token.
func (db *DB) RenewSession(ctx context.Context, token string) (Session, error) {
	return result(ctx, "renew session", db.updateIfNeeded, func(tx *Tx) (Session, error) { return tx.renew(token) })
}

// RenewSession is [DB.RenewSession] in this transaction.
func (tx *Tx) RenewSession(token string) (Session, error) {
	if err := tx.writing(); err != nil {
		return Session{}, err
	}
	return tx.renew(token)
}

func (tx *Tx) renew(token string) (Session, error) {
	var old codec.Session
	if err := tx.presented(token, &old); err != nil {
		return Session{}, err
	}
	if tx.sessionState(&old) == SessionDead || old.FamilyID != "" {
		return Session{}, ErrInvalidSession
	}
	next := old
	tx.setDeadlines(&next)
	return tx.issue(&next, old.ID)
}

// ExtendSession gives an active or idle session later deadlines, within its
// absolute one, under the same token, and notes that it was used: what a
// program calls on every request instead of ValidateSession to keep a session
// alive that is in use. It writes only if the session is idle or the last
// extension is Options.Sessions.ExtendEvery, or half of Active, ago. A session born of a refresh
// token is returned as it is. ErrInvalidSession.
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
	s, due, err := tx.extensible(token)
	if err != nil {
		return Session{}, err
	}
	if due {
		tx.setDeadlines(&s)
		if err := tx.put(spaceSessions, s.ID, s.Append(nil)); err != nil {
			return Session{}, err
		}
	}
	return tx.newSessionValue(&s), nil
}

// extensible returns the session of a token that ExtendSession accepts, and
// whether it is time to write.
func (tx *Tx) extensible(token string) (s codec.Session, due bool, err error) {
	if err := tx.presented(token, &s); err != nil {
		return codec.Session{}, false, err
	}
	if tx.sessionState(&s) == SessionDead {
		return codec.Session{}, false, ErrInvalidSession
	}
	return s, tx.extendDue(&s), nil
}

// extendDue reports whether it is time to write the use of a session, which is
// not dead.
func (tx *Tx) extendDue(s *codec.Session) bool {
	switch {
	case s.FamilyID != "":
		return false
	case tx.now >= s.ActiveUntil: // idle
		return true
	}
	// At the latest when half of the active life is over, or a session in
	// constant use would end where ExtendEvery is no shorter than that.
	every := min(max(0, tx.db.o.Sessions.ExtendEvery), tx.db.o.Sessions.Active/2).Milliseconds()
	return tx.now-s.LastUsedAt >= every
}
