package dbtest

import (
	"time"

	"github.com/snibdb/snib"
)

var credentials = []subtest{
	{"sessions", (*lab).sessions},
	{"sessions expire by the clock of the store", (*lab).expiry},
	{"refresh at two programs gives one answer", (*lab).refresh},
	{"reuse of a refresh token", (*lab).reuse},
	{"one-time tokens", (*lab).oneTime},
	{"API keys", (*lab).apiKeys},
	{"second factors", (*lab).factors},
	{"a claim of a role", (*lab).claims},
}

func (l *lab) sessions() {
	a, b := l.two(&snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 5}})
	u := l.user(a)
	s := l.session(a, u)
	_, who, err := b.ValidateSessionUser(l.ctx, s.Token.Reveal())
	l.fine(err)
	if who.ID != u.ID {
		l.Errorf("the session is of %v", who.ID)
	}
	next, err := b.RenewSession(l.ctx, s.Token.Reveal())
	l.fine(err)
	_, err = a.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
	l.discreet(err, s.Token.Reveal())
	_, err = a.ExtendSession(l.ctx, next.Token.Reveal())
	l.fine(err)
	for range 3 {
		l.session(a, u)
		l.session(b, u)
	}
	for _, db := range []*snib.DB{a, b} {
		list, err := db.ListUserSessions(l.ctx, u.ID)
		l.fine(err)
		if len(list) != 5 {
			l.Errorf("%d sessions, want 5", len(list))
		}
	}
	l.fine(b.RevokeUserSessions(l.ctx, u.ID))
	list, err := a.ListUserSessions(l.ctx, u.ID)
	l.fine(err)
	if len(list) != 0 {
		l.Errorf("%d sessions after all were revoked", len(list))
	}
	l.fine(a.RevokeToken(l.ctx, "nonsense"))
	s = l.session(a, u)
	l.fine(b.RevokeToken(l.ctx, s.Token.Reveal()))
	_, err = a.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
	s = l.session(a, u)
	l.fine(b.EndEverything(l.ctx))
	_, err = a.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
}

func (l *lab) expiry() {
	a, b := l.two(&snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: time.Hour}})
	u := l.user(a)
	s := l.session(a, u)
	l.engine.Advance(59 * time.Minute)
	_, err := b.ValidateSession(l.ctx, s.Token.Reveal())
	l.fine(err)
	l.engine.Advance(time.Minute)
	_, err = b.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
	_, err = b.ExtendSession(l.ctx, s.Token.Reveal())
	l.fine(err)
	_, err = a.ValidateSession(l.ctx, s.Token.Reveal())
	l.fine(err)
	l.engine.Advance(3 * time.Hour)
	_, err = a.ExtendSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
}

func (l *lab) refresh() {
	a, b := l.two(&snib.Options{Keys: sealing(l)})
	u := l.user(a)
	_, r, err := a.CreateRefreshToken(l.ctx, u, snib.SessionOptions{})
	l.fine(err)
	for range 20 {
		var sessions [2]snib.Session
		var tokens [2]snib.RefreshToken
		errs := l.race(
			func() (err error) {
				sessions[0], tokens[0], err = a.Refresh(l.ctx, r.Token.Reveal())
				return err
			},
			func() (err error) {
				sessions[1], tokens[1], err = b.Refresh(l.ctx, r.Token.Reveal())
				return err
			},
		)
		for _, err := range errs {
			l.fine(err)
		}
		if tokens[0].Token.Reveal() != tokens[1].Token.Reveal() || sessions[0].Token.Reveal() != sessions[1].Token.Reveal() {
			l.Fatal("two programs gave two answers to one refresh token")
		}
		for _, db := range []*snib.DB{a, b} {
			_, err := db.ValidateSession(l.ctx, sessions[0].Token.Reveal())
			l.fine(err)
		}
		r = tokens[0]
	}
}

func (l *lab) reuse() {
	a, b := l.two(&snib.Options{Keys: sealing(l)})
	u := l.user(a)
	_, first, err := a.CreateRefreshToken(l.ctx, u, snib.SessionOptions{})
	l.fine(err)
	_, second, err := b.Refresh(l.ctx, first.Token.Reveal())
	l.fine(err)
	s, third, err := a.Refresh(l.ctx, second.Token.Reveal())
	l.fine(err)
	_, _, err = b.Refresh(l.ctx, first.Token.Reveal())
	l.wants(err, snib.ErrRefreshTokenReused)
	l.discreet(err, first.Token.Reveal())
	_, err = a.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
	_, _, err = a.Refresh(l.ctx, third.Token.Reveal())
	l.wants(err, snib.ErrRefreshTokenReused)
}

func (l *lab) oneTime() {
	a, b := l.two(nil)
	u := l.user(a)
	token, err := a.Tokens().Create(l.ctx, u.ID, "reset", time.Hour, []byte("data"))
	l.fine(err)
	_, err = b.Tokens().Create(l.ctx, u.ID, "reset", time.Hour, nil)
	l.wants(err, snib.ErrOneTimeTokenLimit) // within a minute
	seen, err := b.Tokens().Peek(l.ctx, "reset", token.Token.Reveal())
	l.fine(err)
	if seen.UserID != u.ID || string(seen.Data) != "data" {
		l.Errorf("peeked %v", seen)
	}
	errs := l.race(
		func() error { _, err := a.Tokens().Use(l.ctx, "reset", token.Token.Reveal()); return err },
		func() error { _, err := b.Tokens().Use(l.ctx, "reset", token.Token.Reveal()); return err },
	)
	if count(errs, nil) != 1 || count(errs, snib.ErrInvalidOneTimeToken) != 1 {
		l.Errorf("used twice at once: %v", errs)
	}
}

func (l *lab) apiKeys() {
	a, b := l.two(nil)
	u := l.user(a)
	k, err := a.APIKeys().CreateFor(l.ctx, u.ID, snib.NewAPIKey{Name: "ci", Scopes: []string{"read"}, TTL: 24 * time.Hour})
	l.fine(err)
	got, who, err := b.APIKeys().Validate(l.ctx, k.Token.Reveal())
	l.fine(err)
	if who.ID != u.ID || !got.HasScope("read") || got.HasScope("write") {
		l.Errorf("a key of %v with %v", who.ID, got)
	}
	// Each program writes the uses that it has seen; the later one stays.
	_, err = b.Sweep(l.ctx)
	l.fine(err)
	l.engine.Advance(2 * time.Hour)
	_, _, err = a.APIKeys().Validate(l.ctx, k.Token.Reveal())
	l.fine(err)
	_, err = a.Sweep(l.ctx)
	l.fine(err)
	keys, err := b.APIKeys().List(l.ctx, u.ID)
	l.fine(err)
	if len(keys) != 1 || keys[0].LastUsedAt.Sub(k.CreatedAt) < time.Hour {
		l.Errorf("keys %v, want one that was used two hours later, whose use is kept to the hour", keys)
	}
	l.fine(b.APIKeys().RevokeByID(l.ctx, k.ID))
	_, _, err = a.APIKeys().Validate(l.ctx, k.Token.Reveal())
	l.wants(err, snib.ErrInvalidAPIKey)
	l.discreet(err, k.Token.Reveal())
}

func (l *lab) factors() {
	a, b := l.two(&snib.Options{Keys: sealing(l)})
	u := l.user(a)
	email := u.Identities[0].Identifier
	s, _, err := a.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.fine(err)
	_, err = a.Factors().CreateRecoveryCodes(l.ctx, s)
	if err == nil {
		l.Error("recovery codes without another factor")
	}
	enrolment, err := a.Factors().BeginTOTP(l.ctx, s, "test", "phone")
	l.fine(err)
	code := l.totp(enrolment)
	_, err = b.Factors().ConfirmTOTP(l.ctx, s, enrolment.ID, code)
	l.fine(err)
	_, _, err = a.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.wants(err, snib.ErrSecondFactor)
	pending := l.pending(err)
	// The code was used for the confirmation, at the other program.
	_, _, err = b.Factors().FinishLogIn(l.ctx, pending, code)
	l.wants(err, snib.ErrInvalidCredentials)
	l.engine.Advance(30 * time.Second)
	_, who, err := b.Factors().FinishLogIn(l.ctx, pending, l.totp(enrolment))
	l.fine(err)
	if who.ID != u.ID {
		l.Errorf("logged in %v", who.ID)
	}
	_, err = b.Factors().Reset(l.ctx, u.ID)
	l.fine(err)
	_, _, err = a.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.fine(err)
}

// claims: texts that have no record are good at all programs with the same keys.
func (l *lab) claims() {
	a, b := l.two(&snib.Options{Keys: sealing(l), Roles: snib.RolePolicy{Protected: []string{"admin"}}})
	u := l.user(a)
	token, err := a.Roles().ClaimToken(l.ctx, "admin")
	l.fine(err)
	_, err = b.Roles().Claim(l.ctx, u, "admin", token.Reveal()+"0")
	l.wants(err, snib.ErrInvalidOneTimeToken)
	_, err = b.Roles().Claim(l.ctx, u, "admin", token.Reveal())
	l.fine(err)
	_, err = a.Roles().Claim(l.ctx, u, "admin", token.Reveal())
	l.wants(err, snib.ErrRoleHeld)
}
