package proof_test

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
)

// An operation is done on both sides, which are then compared. It reports
// whether it was one that succeeds.
type operation struct {
	do     func(r *run) bool
	direct bool // not on a Tx
	rare   int  // skipped but for one time in so many
}

var operations map[string]operation

func init() { // it refers to itself
	operations = map[string]operation{
		"CreateUser": {do: (*run).createUser}, "ImportUser": {do: (*run).importUser}, "DeleteUser": {do: (*run).deleteUser, rare: 6},
		"UpdateUserProviderID": {do: identityOp(methods.UpdateUserProviderID, (*model.Model).UpdateProviderID)},
		"LinkIdentity":         {do: identityOp(methods.LinkIdentity, (*model.Model).Link)},
		"UnlinkIdentity":       {do: identityOp(methods.UnlinkIdentity, (*model.Model).Unlink)},
		"Identities.Verify":    {do: (*run).verify}, "Identities.BeginMove": {do: (*run).beginMove}, "Identities.FinishMove": {do: (*run).finishMove},
		"BeginSignUp": {do: (*run).beginSignUp, rare: 2}, "FinishSignUp": {do: (*run).finishSignUp, rare: 2},
		"Invite": {do: (*run).invite, rare: 2}, "AcceptInvitation": {do: (*run).acceptInvitation, rare: 2}, "RevokeInvitation": {do: (*run).revokeInvitation, rare: 8},
		"CreateGuest":          {do: (*run).createGuest, rare: 2},
		"Merge":                {do: (*run).merge, rare: 2},
		"Invitations":          {do: (*run).listInvitations, rare: 4},
		"UpdateUserAttributes": {do: (*run).updateAttributes},
		"UpdateUserPassword":   {do: (*run).updatePassword, rare: 4}, "RemoveUserPassword": {do: (*run).removePassword, rare: 5},
		"DisableUser": {do: (*run).disable, rare: 5}, "EnableUser": {do: (*run).enable},
		"CreateSession": {do: (*run).createSession}, "ValidateSessionUser": {do: func(r *run) bool { return r.validate(r.text("snses_")) }},
		"many sessions": {do: (*run).manySessions},
		"RenewSession":  {do: (*run).renew}, "ExtendSession": {do: (*run).extend},
		"RevokeSessionByID": {do: (*run).endSession, rare: 4}, "RevokeSession": {do: (*run).endUserSession, rare: 4},
		"RevokeToken": {do: (*run).revokeToken, rare: 6}, "RevokeUserSessions": {do: (*run).endSessions, rare: 4},
		"DeleteDeadUserSessions": {do: (*run).deleteDead, rare: 2},
		"CreateRefreshToken":     {do: (*run).createFamily}, "Refresh": {do: (*run).refreshes, direct: true},
		"refresh in step":          {do: (*run).inStep, direct: true, rare: 2},
		"many refresh tokens":      {do: (*run).manyFamilies, rare: 2},
		"RefreshTokens.RevokeByID": {do: (*run).revoke, rare: 5}, "RefreshTokens.RevokeAll": {do: (*run).revokeAll, rare: 10},
		"RefreshTokens.Revoke": {do: (*run).revokeOfUser, rare: 5},
		"RevokeOneTimeToken":   {do: (*run).revokeLink, rare: 3}, "RevokeUserOneTimeTokens": {do: (*run).revokeLinks, rare: 4},
		"CreateOneTimeToken": {do: (*run).createLink}, "UseOneTimeToken": {do: (*run).useLink}, "many one-time tokens": {do: (*run).manyLinks, rare: 15},
		"PeekOneTimeToken": {do: (*run).peekLink}, "ListOneTimeTokens": {do: (*run).listLinks},
		"StoreReset": {do: (*run).storeReset, direct: true}, "FinishReset": {do: (*run).finishReset, direct: true},
		"Grant": {do: (*run).grantRole, rare: 2}, "Withdraw": {do: (*run).withdrawRole, rare: 2}, "many roles": {do: (*run).manyRoles, rare: 20},
		"CreateAPIKey": {do: (*run).createKey}, "many API keys": {do: (*run).manyKeys, rare: 15}, "ListAPIKeys": {do: (*run).listKeys},
		"ValidateAPIKey": {do: func(r *run) bool { return r.validateKey(r.text("snkey_")) }},
		"RevokeAPIKey":   {do: (*run).revokeKey, rare: 3}, "RevokeUserAPIKeys": {do: (*run).revokeKeys, rare: 6},
		"AuthenticateUser": {do: (*run).authenticate, direct: true}, "LogIn": {do: (*run).logIn, direct: true},
		"ChangePassword":    {do: (*run).changePassword, direct: true},
		"Reauthenticate":    {do: (*run).reauthenticate, direct: true},
		"ChangeCredentials": {do: (*run).changeCredentials, direct: true}, "UpdateSessionAttributes": {do: (*run).updateSession},
		"Factors.AddPasskey": {do: (*run).addPasskey, rare: 3}, "Factors.UsePasskey": {do: (*run).usePasskey},
		"add a factor": {do: (*run).addFactor, rare: 3}, "Factors.Reset": {do: (*run).resetFactors, rare: 2},
		"Sweep": {do: (*run).sweep, direct: true}, "EndEverything": {do: (*run).endEverything, direct: true, rare: 5},
	}
}

// user compares what an update returned.
func (r *run) updated(u snib.User, err, want error) bool {
	r.d.t.Helper()
	if r.agree(err, want) {
		r.sameUser(u, r.m.Users[string(u.ID)])
		return true
	}
	return false
}

func (r *run) createUser() bool {
	x := r.identity()
	a, changes := r.attributes()
	n := snib.NewUser{Provider: x.Provider, Identifier: x.Identifier, Attributes: a, Verified: r.rng.IntN(4) == 0}
	if n.Verified {
		x.Verified = r.m.Now
	}
	var password string
	if r.rng.IntN(2) == 0 {
		password = passwords[r.rng.IntN(2)]
		n.PasswordHash = r.d.hashes[password]
	}
	u, err := r.on.CreateUser(n)
	r.users = append(r.users, string(u.ID))
	return r.updated(u, err, r.m.CreateUser(model.User{ID: string(u.ID), Password: password, Version: u.CredentialVersion}, x, changes))
}

func (r *run) importUser() bool {
	x := r.identity()
	a, changes := r.attributes()
	i := snib.UserImport{ID: pick(r, []snib.UserID{"u1", "u2", "u3", "u4", "u10"}), Provider: x.Provider, Identifier: x.Identifier, Attributes: a}
	want := model.User{ID: string(i.ID)}
	if r.rng.IntN(2) == 0 {
		i.PasswordHash, want.Password, want.Imported = foreignHash, importedPassword, true
	}
	if r.rng.IntN(4) == 0 {
		i.Disabled, i.DisabledReason, want.Disabled, want.Reason = true, "r", true, "r"
	}
	u, err := r.on.ImportUser(i)
	want.Version = u.CredentialVersion
	return r.updated(u, err, r.m.CreateUser(want, x, changes))
}

func (r *run) deleteUser() bool {
	id := r.user()
	err, want := r.on.DeleteUser(id), r.m.MayGo(string(id))
	if r.last(want); want == nil {
		r.m.DeleteUser(string(id))
	}
	return r.agree(err, want)
}

func identityOp(on func(methods, snib.UserID, string, string) (snib.User, error), m func(*model.Model, string, model.Identity) error) func(*run) bool {
	return func(r *run) bool {
		id, x := r.user(), r.identity()
		u, err := on(r.on, id, x.Provider, x.Identifier)
		return r.updated(u, err, m(r.m, string(id), x))
	}
}

func (r *run) verify() bool {
	id, x := r.user(), r.identity()
	u, err := r.on.Identities().Verify(ctx, id, x.Provider, x.Identifier)
	x.Verified = r.m.Now
	return r.updated(u, err, r.m.Link(string(id), x))
}

func (r *run) beginMove() bool {
	id, x := r.user(), r.identity()
	l, err := r.on.Identities().BeginMove(ctx, id, x.Provider, x.Identifier, time.Hour)
	r.texts = append(r.texts, l.Token.Reveal())
	return r.agree(err, r.m.BeginMove(string(id), x, time.Hour.Milliseconds(), string(l.ID), l.Token.Reveal()))
}

func (r *run) finishMove() bool {
	token := r.text("snott_")
	u, gone, err := r.on.Identities().FinishMove(ctx, token)
	user, old, want := r.m.FinishMove(token)
	if err == nil && (string(u.ID) != user || gone.Provider != old.Provider || gone.Identifier != old.Identifier) {
		r.differ("%s moves from %v, want %s from %v", u.ID, gone, user, old)
	}
	return r.updated(u, err, want)
}

func (r *run) updateAttributes() bool {
	id := r.user()
	a, changes := r.attributes()
	u, err := r.on.UpdateUserAttributes(id, a)
	return r.updated(u, err, r.m.UpdateAttributes(string(id), changes))
}

func (r *run) updatePassword() bool {
	id, password := r.user(), passwords[r.rng.IntN(2)]
	var u snib.User
	var err error
	switch on := r.on.(type) {
	case direct:
		u, err = on.db.UpdateUserPassword(ctx, id, password)
	case *snib.Tx:
		u, err = on.UpdateUserPassword(id, r.d.hashes[password])
	}
	return r.updated(u, err, r.m.SetPassword(string(id), password))
}

func (r *run) removePassword() bool {
	id := r.user()
	u, err := r.on.RemoveUserPassword(id)
	return r.updated(u, err, r.m.SetPassword(string(id), ""))
}

func (r *run) disable() bool {
	id, reason := r.user(), []string{"", "why", "because"}[r.rng.IntN(3)]
	u, err := r.on.DisableUser(id, reason)
	return r.updated(u, err, r.m.Disable(string(id), reason))
}

func (r *run) enable() bool {
	id := r.user()
	u, err := r.on.EnableUser(id)
	return r.updated(u, err, r.m.Enable(string(id)))
}

// made remembers a new session, and compares it.
func (r *run) made(s snib.Session, err, want error) bool {
	r.d.t.Helper()
	if s.ID != "" {
		r.sessions, r.texts = append(r.sessions, string(s.ID)), append(r.texts, s.Token.Reveal())
	}
	if !r.agree(err, want) {
		return false
	}
	if ms := r.m.Sessions[string(s.ID)]; ms == nil {
		r.differ("the session %s is not the model's", s.ID)
		return false
	} else {
		r.sameSession(s, ms)
	}
	return r.validate(s.Token.Reveal())
}

func (r *run) createSession() bool { return r.sessionFor(r.user()) }

func (r *run) sessionFor(id snib.UserID) bool {
	version := r.version(id)
	o, t, replaced := r.carried()
	s, err := r.on.CreateSession(snib.User{ID: id, CredentialVersion: version}, o)
	create := func() error {
		return r.m.CreateSession(string(id), version, string(s.ID), s.Token.Reveal(), t, replaced...)
	}
	finish := func(pending, code string) (err error) {
		t.Methods |= 1 << 3
		s, _, err = r.on.Factors().FinishLogIn(ctx, pending, code)
		return err
	}
	err, want := r.second(string(id), err, create(), finish, create)
	return r.made(s, err, want)
}

// carried are the options of a client that carries up to two tokens, of anybody
// and in any state, and that may have other wishes.
func (r *run) carried() (o snib.SessionOptions, t model.Traits, replaced []string) {
	if r.rng.IntN(3) == 0 {
		o.Methods, o.Persistent = snib.Methods(r.rng.IntN(64)), r.rng.IntN(2) == 0
		t.Methods, t.Persistent = int(o.Methods), o.Persistent
	}
	own := func(policy int64) (time.Duration, int64) {
		ms := int64(0)
		if r.rng.IntN(4) == 0 {
			ms = 1000 + r.rng.Int64N(policy-999)
		}
		return time.Duration(ms) * time.Millisecond, ms
	}
	o.Active, t.Active = own(r.m.Active)
	o.Idle, t.Idle = own(r.m.Idle)
	o.Absolute, t.Life = own(r.m.Absolute)
	if r.rng.IntN(8) == 0 {
		o.Idle, t.Idle = -1, -1
	}
	for range max(0, r.rng.IntN(6)-3) {
		text := r.text("sn")
		o.Replaces, replaced = append(o.Replaces, snib.PresentedToken(text)), append(replaced, text)
	}
	return o, t, replaced
}

// manySessions comes to the bound.
func (r *run) manySessions() bool {
	good := false
	for id := r.user(); r.rng.IntN(6) > 0; {
		good = r.sessionFor(id) || good
	}
	return good
}

func (r *run) renew() bool {
	text := r.text("snses_")
	s, err := r.on.RenewSession(text)
	return r.made(s, err, r.m.Renew(text, string(s.ID), s.Token.Reveal()))
}

func (r *run) extend() bool {
	text := r.text("snses_")
	s, err := r.on.ExtendSession(text)
	if !r.agree(err, r.m.Extend(text)) {
		return false
	}
	r.sameSession(s, r.m.Sessions[string(s.ID)])
	return true
}

func (r *run) endSession() bool {
	id := r.sessionID()
	err := r.on.RevokeSessionByID(id)
	return r.agree(err, r.m.EndSession(string(id), ""))
}

func (r *run) endUserSession() bool {
	id, user := r.sessionID(), r.user()
	if user == "" {
		return false
	}
	err := r.on.RevokeSession(user, id)
	return r.agree(err, r.m.EndSession(string(id), string(user)))
}

func (r *run) revokeToken() bool {
	text := r.text("sn")
	err := r.on.RevokeToken(text)
	r.m.RevokeToken(text)
	return r.agree(err, nil)
}

func (r *run) endSessions() bool {
	id := r.user()
	except, kept := r.keepSome(id)
	return r.agree(r.on.RevokeUserSessions(id, except...), r.m.EndSessions(string(id), kept...))
}

func (r *run) deleteDead() bool {
	id := r.user()
	n, err := r.on.DeleteDeadUserSessions(id)
	if want := r.m.DeleteDead(string(id)); n != want {
		r.differ("%d dead sessions removed, want %d", n, want)
	}
	return r.agree(err, nil)
}

func (r *run) createFamily() bool { return r.familyFor(r.user()) }

func (r *run) familyFor(id snib.UserID) bool {
	version := r.version(id)
	o, t, replaced := r.carried()
	o.Active, o.Idle, t.Active, t.Idle = 0, 0, 0, 0
	s, f, err := r.on.CreateRefreshToken(snib.User{ID: id, CredentialVersion: version}, o)
	create := func() error {
		return r.m.CreateFamily(string(id), version, string(f.ID), f.Token.Reveal(), string(s.ID), s.Token.Reveal(), t, replaced...)
	}
	finish := func(pending, code string) (err error) {
		t.Methods |= 1 << 3
		s, f, err = r.on.Factors().FinishRefreshToken(ctx, pending, code)
		return err
	}
	err, want := r.second(string(id), err, create(), finish, create)
	return r.madeFamily(s, f, err, want)
}

func (r *run) manyFamilies() bool {
	good := false
	for id := r.user(); r.rng.IntN(5) > 0; {
		good = r.familyFor(id) || good
	}
	return good
}

func (r *run) madeFamily(s snib.Session, f snib.RefreshToken, err, want error) bool {
	r.d.t.Helper()
	if err == nil {
		r.families, r.texts = append(r.families, string(f.ID)), append(r.texts, f.Token.Reveal(), f.Token.Reveal())
	}
	if !r.made(s, err, want) {
		return false
	}
	mf := r.m.Families[string(f.ID)]
	r.sameFamily(f, mf)
	if ms := r.m.Sessions[mf.Session]; f.Token.Reveal() != mf.Current || s.Token.Reveal() != ms.Token {
		r.differ("the tokens are not those that count")
	}
	return true
}

func (r *run) refresh() bool { return r.refreshBy(r.text("snrft_"), r.rng.IntN(len(clients))) }

func (r *run) refreshBy(text string, from int) bool {
	client := clients[from]
	before := r.m.Clone().Families
	s, f, err := r.on.(direct).db.Refresh(snib.WithClient(ctx, client.addr), text)
	want := r.m.Refresh(client.network, text, f.Token.Reveal(), string(s.ID), s.Token.Reveal())
	ok := r.madeFamily(s, f, err, want)
	switch was := before[string(f.ID)]; { // the rules that were met
	case errors.Is(err, snib.ErrRefreshTokenReused):
		r.good = append(r.good, "reuse")
		for id, f := range before {
			switch {
			case f.Revoked || !r.m.Families[id].Revoked:
			case f.Previous == text && r.m.Families[id].Foreign == 3:
				r.good = append(r.good, "reuse elsewhere")
			case f.Previous == text:
				r.good = append(r.good, "reuse by the parent")
			}
		}
	case ok && f.Rotations > was.Rotations:
		r.good = append(r.good, "rotate")
	case ok && f.Token.Reveal() == was.Current && string(s.ID) == was.Session:
		r.good = append(r.good, "repeat")
	case ok && f.Token.Reveal() == was.Current:
		r.good = append(r.good, "session again")
	case ok:
		r.good = append(r.good, "replace")
	}
	return ok
}

// inStep refreshes a token and at once again, maybe from another network, as a
// thief does who follows its owner. The session may make room in between.
func (r *run) inStep() bool {
	live := slices.Sorted(maps.Keys(r.m.Families))
	if len(live) == 0 {
		return false
	}
	f, good := r.m.Families[live[r.rng.IntN(len(live))]], false
	owner, thief := r.rng.IntN(3), 1+r.rng.IntN(5)
	for range 1 + r.rng.IntN(4) {
		token := f.Current
		good = r.refreshBy(token, owner) || good
		for range max(0, r.rng.IntN(14)-9) {
			r.sessionFor(snib.UserID(f.User))
		}
		if s := r.m.Sessions[f.Session]; s != nil && r.rng.IntN(4) == 0 {
			text := s.Token
			s, err := r.on.(direct).db.ChangeCredentials(ctx, text, func(*snib.Tx, snib.Session) error { return nil })
			r.made(s, err, r.m.ChangeCredentials(text, string(s.ID), s.Token.Reveal(), func(string) error { return nil }))
		}
		good = r.refreshBy(token, thief) || good
	}
	return good
}

// clients are addresses and their networks.
var clients = []struct {
	addr    netip.Addr
	network string
}{
	{netip.Addr{}, ""},
	{netip.MustParseAddr("192.0.2.1"), "v4"}, {netip.MustParseAddr("::ffff:192.0.2.200"), "v4"},
	{netip.MustParseAddr("2001:db8:1:2::3"), "v6"}, {netip.MustParseAddr("2001:db8:1:ffff::"), "v6"},
	{netip.MustParseAddr("2001:db8:2::3"), "other"},
}

// refreshes are several, as those of two tabs and of lost answers.
func (r *run) refreshes() bool {
	good := false
	for range 1 + r.rng.IntN(5) {
		good = r.refresh() || good
		step := r.rng.Int64N(8_000)
		if moments := r.d.moments(); r.rng.IntN(4) == 0 && len(moments) > 0 && moments[0] < r.m.Now+40_000 {
			step = moments[0] - r.m.Now - r.rng.Int64N(2)
		}
		r.m.Now += step
		r.d.see(time.Duration(step) * time.Millisecond)
	}
	return good
}

func (r *run) revoke() bool {
	id := pick(r, slices.Concat(r.d.families, r.families))
	err := r.on.RefreshTokens().RevokeByID(ctx, snib.RefreshTokenID(id))
	return r.agree(err, r.m.Revoke(id, ""))
}

func (r *run) revokeOfUser() bool {
	id, user := pick(r, slices.Concat(r.d.families, r.families)), r.user()
	if user == "" {
		return false
	}
	err := r.on.RefreshTokens().Revoke(ctx, user, snib.RefreshTokenID(id))
	return r.agree(err, r.m.Revoke(id, string(user)))
}

func (r *run) revokeAll() bool {
	id := r.user()
	return r.agree(r.on.RefreshTokens().RevokeAll(ctx, id), r.m.RevokeAll(string(id)))
}

func (r *run) password() string {
	return []string{passwords[0], passwords[1], importedPassword}[r.rng.IntN(3)]
}

// credentials are an identity and a password, mostly of one user.
func (r *run) credentials() (model.Identity, string) {
	var users []*model.User
	for _, id := range slices.Sorted(maps.Keys(r.m.Users)) {
		if u := r.m.Users[id]; u.Password != "" && len(u.Identities) > 0 {
			users = append(users, u)
		}
	}
	if len(users) == 0 || r.rng.IntN(4) == 0 {
		return r.identity(), r.password()
	}
	u := users[r.rng.IntN(len(users))]
	return u.Identities[r.rng.IntN(len(u.Identities))], u.Password
}

func (r *run) authenticate() bool {
	x, password := r.credentials()
	u, err := r.on.(direct).db.AuthenticateUser(ctx, x.Provider, x.Identifier, password)
	_, want := r.m.Authenticate(x, password)
	return r.updated(u, err, want)
}

func (r *run) logIn() bool {
	x, password := r.credentials()
	o, t, replaced := r.carried()
	s, u, err := r.on.(direct).db.LogIn(ctx, x.Provider, x.Identifier, password, o)
	mu, want := r.m.Authenticate(x, password)
	if want == nil {
		t.Methods |= 1
		create := func() error {
			return r.m.CreateSession(mu.ID, mu.Version, string(s.ID), s.Token.Reveal(), t, replaced...)
		}
		finish := func(pending, code string) (err error) {
			t.Methods |= 1 << 3
			s, u, err = r.on.Factors().FinishLogIn(ctx, pending, code)
			return err
		}
		err, want = r.second(mu.ID, err, create(), finish, create)
	}
	return r.made(s, err, want) && r.updated(u, err, want)
}

func (r *run) changePassword() bool {
	text, current, password := r.bearer()
	s, err := r.on.(direct).db.ChangePassword(ctx, text, current, password)
	return r.made(s, err, r.m.ChangePassword(text, current, password, string(s.ID), s.Token.Reveal()))
}

// bearer is a token of a session, mostly with the password of its user, and a
// password to be set.
func (r *run) bearer() (text, current, next string) {
	text, current = r.text("snses_"), r.password()
	if s := r.m.Presented(text); s != nil && r.rng.IntN(4) > 0 {
		if known := r.m.Users[s.User].Password; known != "" {
			current = known
		}
	}
	return text, current, passwords[r.rng.IntN(2)]
}

// changeCredentials does one of the changes that a session outlives.
func (r *run) changeCredentials() bool {
	text, x := r.text("snses_"), r.identity()
	var keep []string
	if s := r.m.Presented(text); s != nil && r.rng.IntN(2) == 0 {
		keep = []string{s.ID}
	}
	change := []struct {
		db func(tx *snib.Tx, s snib.Session) error
		m  func(user string) error
	}{
		{func(tx *snib.Tx, s snib.Session) error {
			return second(tx.LinkIdentity(s.UserID, x.Provider, x.Identifier))
		},
			func(user string) error { return r.m.Link(user, x) }},
		{func(tx *snib.Tx, s snib.Session) error {
			return second(tx.UnlinkIdentity(s.UserID, x.Provider, x.Identifier))
		},
			func(user string) error { return r.m.Unlink(user, x) }},
		{func(tx *snib.Tx, s snib.Session) error { return second(tx.RemoveUserPassword(s.UserID)) },
			func(user string) error { return r.m.SetPassword(user, "") }},
		{func(tx *snib.Tx, s snib.Session) error {
			if keep == nil {
				return tx.RevokeUserSessions(s.UserID)
			}
			return tx.RevokeUserSessions(s.UserID, s.ID)
		}, func(user string) error { return r.m.EndSessions(user, keep...) }},
	}[r.rng.IntN(4)]
	s, err := r.on.(direct).db.ChangeCredentials(ctx, text, change.db)
	return r.made(s, err, r.m.ChangeCredentials(text, string(s.ID), s.Token.Reveal(), change.m))
}

func (r *run) updateSession() bool {
	id, user, room := r.sessionID(), r.user(), []string{"kitchen", "hall"}[r.rng.IntN(2)]
	if s := r.m.Sessions[string(id)]; s != nil && r.rng.IntN(4) > 0 {
		user = snib.UserID(s.User)
	}
	s, err := r.on.UpdateSessionAttributes(user, id, snib.Attributes{"room": room})
	if !r.agree(err, r.m.SetRoom(string(user), string(id), room)) {
		return false
	}
	r.sameSession(s, r.m.Sessions[string(id)])
	return true
}

func (r *run) reauthenticate() bool {
	text, password, _ := r.bearer()
	s, err := r.on.(direct).db.Reauthenticate(ctx, text, password)
	return r.made(s, err, r.m.Reauthenticate(text, password, string(s.ID), s.Token.Reveal()))
}

func (r *run) sweep() bool {
	n, err := r.on.(direct).db.Sweep(ctx)
	if want := r.m.Sweep(); n != want {
		r.differ("%d swept, want %d", n, want)
	}
	return r.agree(err, nil) && n > 0
}

func (r *run) endEverything() bool {
	r.m.EndEverything()
	ok := r.agree(r.on.(direct).db.EndEverything(ctx), nil)
	r.createFamily()
	r.manySessions()
	return ok
}
