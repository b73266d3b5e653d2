package proof_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
)

// methods are those of a Tx that the model knows; direct has them too.
type methods interface {
	CreateUser(snib.NewUser) (snib.User, error)
	ImportUser(snib.UserImport) (snib.User, error)
	DeleteUser(snib.UserID) error
	UpdateUserProviderID(id snib.UserID, provider, identifier string) (snib.User, error)
	LinkIdentity(id snib.UserID, provider, identifier string) (snib.User, error)
	UnlinkIdentity(id snib.UserID, provider, identifier string) (snib.User, error)
	RemoveUserPassword(snib.UserID) (snib.User, error)
	UpdateSessionAttributes(snib.UserID, snib.SessionID, snib.Attributes) (snib.Session, error)
	UpdateUserAttributes(snib.UserID, snib.Attributes) (snib.User, error)
	DisableUser(id snib.UserID, reason string) (snib.User, error)
	EnableUser(snib.UserID) (snib.User, error)
	CreateSession(snib.Proof, snib.SessionOptions) (snib.Session, error)
	ValidateSessionUser(string) (snib.Session, snib.User, error)
	RenewSession(string) (snib.Session, error)
	ExtendSession(string) (snib.Session, error)
	RevokeSessionByID(snib.SessionID) error
	RevokeSession(snib.UserID, snib.SessionID) error
	RevokeToken(string) error
	RevokeUserSessions(snib.UserID, ...snib.SessionID) error
	DeleteDeadUserSessions(snib.UserID) (int, error)
	CreateRefreshToken(snib.Proof, snib.SessionOptions) (snib.Session, snib.RefreshToken, error)
	RefreshTokens() snib.RefreshTokens
	Identities() snib.Identities
	Tokens() snib.OneTimeTokens
	Devices() snib.Devices
	APIKeys() snib.APIKeys
	Roles() snib.Roles
	Factors() snib.Factors
}

var _ methods = (*snib.Tx)(nil)

// direct calls the methods of DB: a transaction each.
type direct struct{ db *snib.DB }

func (x direct) CreateUser(n snib.NewUser) (snib.User, error)    { return x.db.CreateUser(ctx, n) }
func (x direct) ImportUser(i snib.UserImport) (snib.User, error) { return x.db.ImportUser(ctx, i) }
func (x direct) DeleteUser(id snib.UserID) error                 { return x.db.DeleteUser(ctx, id) }
func (x direct) EnableUser(id snib.UserID) (snib.User, error)    { return x.db.EnableUser(ctx, id) }
func (x direct) RenewSession(token string) (snib.Session, error) {
	return x.db.RenewSession(ctx, token)
}
func (x direct) ExtendSession(token string) (snib.Session, error) {
	return x.db.ExtendSession(ctx, token)
}
func (x direct) RevokeSessionByID(id snib.SessionID) error { return x.db.RevokeSessionByID(ctx, id) }
func (x direct) RevokeToken(token string) error            { return x.db.RevokeToken(ctx, token) }
func (x direct) DeleteDeadUserSessions(id snib.UserID) (int, error) {
	return x.db.DeleteDeadUserSessions(ctx, id)
}
func (x direct) UpdateUserProviderID(id snib.UserID, p, i string) (snib.User, error) {
	return x.db.UpdateUserProviderID(ctx, id, p, i)
}
func (x direct) LinkIdentity(id snib.UserID, p, i string) (snib.User, error) {
	return x.db.LinkIdentity(ctx, id, p, i)
}
func (x direct) UnlinkIdentity(id snib.UserID, p, i string) (snib.User, error) {
	return x.db.UnlinkIdentity(ctx, id, p, i)
}
func (x direct) RemoveUserPassword(id snib.UserID) (snib.User, error) {
	return x.db.RemoveUserPassword(ctx, id)
}
func (x direct) UpdateSessionAttributes(id snib.UserID, s snib.SessionID, a snib.Attributes) (snib.Session, error) {
	return x.db.UpdateSessionAttributes(ctx, id, s, a)
}
func (x direct) UpdateUserAttributes(id snib.UserID, a snib.Attributes) (snib.User, error) {
	return x.db.UpdateUserAttributes(ctx, id, a)
}
func (x direct) DisableUser(id snib.UserID, reason string) (snib.User, error) {
	return x.db.DisableUser(ctx, id, reason)
}
func (x direct) CreateSession(p snib.Proof, o snib.SessionOptions) (snib.Session, error) {
	return x.db.CreateSession(ctx, p, o)
}
func (x direct) ValidateSessionUser(token string) (snib.Session, snib.User, error) {
	return x.db.ValidateSessionUser(ctx, token)
}
func (x direct) RevokeSession(id snib.UserID, s snib.SessionID) error {
	return x.db.RevokeSession(ctx, id, s)
}
func (x direct) RevokeUserSessions(id snib.UserID, except ...snib.SessionID) error {
	return x.db.RevokeUserSessions(ctx, id, except...)
}
func (x direct) CreateRefreshToken(p snib.Proof, o snib.SessionOptions) (snib.Session, snib.RefreshToken, error) {
	return x.db.CreateRefreshToken(ctx, p, o)
}
func (x direct) Identities() snib.Identities       { return x.db.Identities() }
func (x direct) RefreshTokens() snib.RefreshTokens { return x.db.RefreshTokens() }
func (x direct) Tokens() snib.OneTimeTokens        { return x.db.Tokens() }
func (x direct) Devices() snib.Devices             { return x.db.Devices() }
func (x direct) APIKeys() snib.APIKeys             { return x.db.APIKeys() }
func (x direct) Roles() snib.Roles                 { return x.db.Roles() }
func (x direct) Factors() snib.Factors             { return x.db.Factors() }

// Small spaces to choose from, so that choices collide.
var (
	nicks         = []any{"a", "A", "b", " B ", "c  d", "C D", "", "  ", nil, 1, 1.0, true}
	teams         = []any{1, 2.0, "1", "2", nil, false, "", []byte("1")}
	passwords     = []string{"password-1", "password-2"}
	allIdentities = func() (out []model.Identity) {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			out = append(out, model.Identity{Provider: "email", Identifier: name + "@x"}, model.Identity{Provider: "email", Identifier: strings.ToUpper(name) + "@X"},
				model.Identity{Provider: "github", Identifier: name}, model.Identity{Provider: "github", Identifier: strings.ToUpper(name)})
		}
		return out
	}()
)

// stored is a value as it is read back.
func stored(v any) any {
	if n, ok := v.(int); ok {
		return int64(n)
	}
	return v
}

// pick chooses one of a list, mostly among the last.
func pick[T any](r *run, from []T) T {
	n := len(from)
	if r.rng.IntN(4) > 0 {
		return from[n-1-r.rng.IntN(min(n, 12))]
	}
	return from[r.rng.IntN(n)]
}

func (r *run) identity() model.Identity { return allIdentities[r.rng.IntN(len(allIdentities))] }

// user names a user, mostly one who is there.
func (r *run) user() snib.UserID {
	if ids := slices.Sorted(maps.Keys(r.m.Users)); len(ids) > 0 && r.rng.IntN(10) > 0 {
		return snib.UserID(ids[r.rng.IntN(len(ids))])
	}
	return snib.UserID(pick(r, r.d.users))
}

func (r *run) sessionID() snib.SessionID {
	if known := slices.Sorted(maps.Keys(r.m.Sessions)); len(known) > 0 && r.rng.IntN(3) > 0 {
		return snib.SessionID(pick(r, known))
	}
	return snib.SessionID(pick(r, slices.Concat(r.d.sessions, r.sessions)))
}

// text names a token of this kind: mostly one that the model has a record of,
// sometimes any that ever was.
func (r *run) text(kind string) string {
	var known []string
	switch kind {
	case "snses_":
		for _, id := range slices.Sorted(maps.Keys(r.m.Sessions)) {
			known = append(known, r.m.Sessions[id].Token)
		}
	case "snrft_":
		for _, id := range slices.Sorted(maps.Keys(r.m.Families)) {
			f := r.m.Families[id]
			known = append(known, f.Current, f.Current, f.Previous, f.Previous)
			known = append(known, f.Spent[max(0, len(f.Spent)-2):]...)
		}
	case "snott_":
		for _, id := range slices.Sorted(maps.Keys(r.m.Links)) {
			known = append(known, r.m.Links[id].Token)
		}
	case "sndev_":
		for _, id := range slices.Sorted(maps.Keys(r.m.Devices)) {
			known = append(known, r.m.Devices[id].Token)
		}
	case "snkey_":
		for _, id := range slices.Sorted(maps.Keys(r.m.Keys)) {
			known = append(known, r.m.Keys[id].Token)
		}
	}
	if len(known) > 0 && r.rng.IntN(4) > 0 {
		return pick(r, known)
	}
	return pick(r, slices.Concat(r.d.texts, r.texts))
}

// keepSome names up to two sessions, mostly of the user.
func (r *run) keepSome(user snib.UserID) (db []snib.SessionID, m []string) {
	own := r.m.SessionsOf(string(user))
	if i := slices.IndexFunc(own, func(s *model.Session) bool { return s.Family != "" }); i >= 0 && r.rng.IntN(2) == 0 {
		own = own[i : i+1]
	}
	for range r.rng.IntN(3) {
		id := r.sessionID()
		if len(own) > 0 && r.rng.IntN(4) > 0 {
			id = snib.SessionID(own[r.rng.IntN(len(own))].ID)
		}
		db, m = append(db, id), append(m, string(id))
	}
	return db, m
}

// version is 0, the user's, or another.
func (r *run) version(id snib.UserID) uint64 {
	if u := r.m.Users[string(id)]; u != nil {
		return u.Version + uint64(r.rng.IntN(8)/7)
	}
	return 1
}

// attributes are changes, for the database and for the model.
func (r *run) attributes() (snib.Attributes, map[string]any) {
	db, m := snib.Attributes{}, map[string]any{}
	for _, x := range []struct {
		name   string
		values []any
	}{{"nick", nicks}, {"team", teams}} {
		name, v := x.name, x.values[r.rng.IntN(len(x.values))]
		if r.rng.IntN(2) == 0 {
			continue
		}
		if r.rng.IntN(8) == 0 {
			db[name], m[name] = snib.Unset, model.Unset{}
			continue
		}
		db[name], m[name] = v, stored(v)
	}
	return db, m
}
