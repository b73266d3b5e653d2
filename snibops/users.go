package snibops

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/snibdb/snib"
)

// Bounds of a list of users.
const (
	defaultLimit, maxLimit = 100, 10_000
	defaultScan, maxScan   = 20_000, 100_000
)

// doUsers reads pages of short transactions. The writer of items may block.
func doUsers(a *act, args UsersArgs, item func(User) error) (UsersResult, error) {
	if args.Attribute != "" && args.Prefix != "" {
		return UsersResult{}, &snib.InputError{Field: "Prefix", Code: snib.CodeNotAllowed, Reason: "must not be given with an attribute"}
	}
	o := snib.ListOptions{After: snib.UserID(args.Cursor)}
	source := func(o snib.ListOptions) iter.Seq2[snib.User, error] { return a.db.ListUsers(a.ctx, o) }
	switch {
	case args.Attribute != "":
		source = func(o snib.ListOptions) iter.Seq2[snib.User, error] {
			return a.db.ListUsersByAttribute(a.ctx, args.Attribute, args.Value, o)
		}
	case args.Prefix != "":
		o.Provider, o.Prefix = args.Provider, args.Prefix
		if o.Provider == "" {
			o.Provider = "email"
		}
	case args.Role != "":
		source = func(o snib.ListOptions) iter.Seq2[snib.User, error] { return a.db.Roles().List(a.ctx, args.Role, o) }
	}
	part := strings.ToLower(args.Contains)
	return list(source, o, args.Limit, args.Scan, func(u snib.User) bool { return args.match(u, part) }, item)
}

// list sends the users of a source that match, until so many are sent or looked
// at.
func list(source func(snib.ListOptions) iter.Seq2[snib.User, error], o snib.ListOptions, limit, scan int,
	match func(snib.User) bool, item func(User) error) (r UsersResult, err error) {
	if limit, err = bounded("Limit", limit, defaultLimit, maxLimit); err != nil {
		return r, err
	}
	if scan, err = bounded("Scan", scan, defaultScan, maxScan); err != nil {
		return r, err
	}
	o.Limit = scan
	last := ""
	for u, err := range source(o) {
		if err != nil {
			return r, err
		}
		fits := match(u)
		if fits && r.Shown == limit {
			r.Next = last // before this one
			return r, nil
		}
		last = string(u.ID)
		r.Scanned++
		if fits {
			r.Shown++
			if err := item(userOf(u)); err != nil {
				return r, err
			}
		}
	}
	if r.Scanned == scan {
		r.Next = last
	}
	return r, nil
}

// bounded returns n, or its default for 0.
func bounded(field string, n, standard, limit int) (int, error) {
	if n == 0 {
		return standard, nil
	}
	if n < 0 || n > limit {
		return 0, &snib.InputError{Field: field, Code: snib.CodeOutOfRange, Reason: "must be from 1 to the bound", Min: 1, Max: int64(limit)}
	}
	return n, nil
}

// match reports whether the conditions that are no look-up hold for a user; part
// is Contains in lower case.
func (args *UsersArgs) match(u snib.User, part string) bool {
	is := func(want *bool, have bool) bool { return want == nil || *want == have }
	return is(args.Disabled, u.Disabled()) && is(args.HasPassword, u.HasPassword) && is(args.HasRole, len(u.Roles) > 0) &&
		(args.Role == "" || u.HasRole(args.Role)) && (part == "" || contains(u, part))
}

// contains reports whether a part, in lower case, is in the text of a user, or
// begins the id: within the random letters of an id, a short name is in many.
func contains(u snib.User, part string) bool {
	in := func(text string) bool { return strings.Contains(strings.ToLower(text), part) }
	return strings.HasPrefix(strings.ToLower(string(u.ID)), part) ||
		slices.ContainsFunc(u.Identities, func(x snib.Identity) bool { return in(x.Identifier) }) ||
		within(u.Attributes(), in)
}

// within reports whether in holds for a text within a value.
func within(v any, in func(string) bool) bool {
	switch v := v.(type) {
	case string:
		return in(v)
	case snib.Attributes:
		return within(map[string]any(v), in)
	case map[string]any:
		for _, x := range v {
			if within(x, in) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return within(x, in) })
	}
	return false
}

func doUserShow(a *act, args UserArgs, _ func(None) error) (UserDetail, error) {
	u, err := a.find(args.User)
	if err != nil {
		return UserDetail{}, err
	}
	var d UserDetail
	err = a.db.View(a.ctx, func(tx *snib.Tx) (err error) {
		if u, err = tx.GetUser(u.ID); err == nil {
			d, err = detail(a.ctx, tx, u)
		}
		return err
	})
	return d, err
}

// detail reads all that hangs on a user.
func detail(ctx context.Context, tx *snib.Tx, u snib.User) (UserDetail, error) {
	d := UserDetail{User: userOf(u)}
	factors, err := tx.Factors().List(ctx, u.ID)
	if err != nil {
		return d, err
	}
	for _, f := range factors {
		d.Factors = append(d.Factors, factorOf(f))
	}
	sessions, err := tx.ListUserSessions(u.ID)
	if err != nil {
		return d, err
	}
	families, err := tx.RefreshTokens().List(ctx, u.ID)
	if err != nil {
		return d, err
	}
	keys, err := tx.APIKeys().List(ctx, u.ID)
	if err != nil {
		return d, err
	}
	devices, err := tx.Devices().List(ctx, u.ID)
	if err != nil {
		return d, err
	}
	links, err := tx.Tokens().List(ctx, u.ID, "")
	if err != nil {
		return d, err
	}
	for _, l := range links {
		d.Links = append(d.Links, linkOf(l))
	}
	logins, err := tx.Logins().List(ctx, u.ID)
	for _, l := range logins {
		if l.LastUsedAt.After(d.LastUsed) {
			d.LastUsed = utc(l.LastUsedAt)
		}
	}
	d.Sessions, d.Families, d.Keys, d.Devices = len(sessions), len(families), len(keys), len(devices)
	return d, err
}

func doUserCreate(a *act, args CreateArgs, _ func(None) error) (User, error) {
	n := snib.NewUser{Provider: args.Provider, Identifier: args.Identifier, Verified: args.Verified, Attributes: args.Attributes}
	var err error
	if args.Password != "" {
		if n.PasswordHash, err = a.db.HashPassword(a.ctx, args.Password); err != nil {
			return User{}, err
		}
	}
	var u snib.User
	err = a.db.Update(a.ctx, func(tx *snib.Tx) (err error) {
		u, err = tx.CreateUser(n)
		for _, role := range args.Roles {
			if err == nil {
				u, err = tx.Roles().Grant(a.ctx, u.ID, role)
			}
		}
		return err
	})
	if err != nil {
		return User{}, err
	}
	a.user = u.ID
	return userOf(u), nil
}

// change finds a user and does something to it.
func (a *act) change(text string, do func(snib.UserID) (snib.User, error)) (User, error) {
	u, err := a.find(text)
	if err != nil {
		return User{}, err
	}
	if u, err = do(u.ID); err != nil {
		return User{}, err
	}
	return userOf(u), nil
}

func doUserDisable(a *act, args DisableArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) { return a.db.DisableUser(a.ctx, id, args.Reason) })
}

func doUserEnable(a *act, args UserArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) { return a.db.EnableUser(a.ctx, id) })
}

func doUserDelete(a *act, args UserArgs, _ func(None) error) (DeleteResult, error) {
	u, err := a.find(args.User)
	if err == nil {
		err = a.db.DeleteUser(a.ctx, u.ID)
	}
	if err != nil {
		return DeleteResult{}, err
	}
	return DeleteResult{string(u.ID)}, nil
}

func doUserLink(a *act, args LinkArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) {
		if args.Verified {
			return a.db.Identities().Verify(a.ctx, id, args.Provider, args.Identifier)
		}
		return a.db.LinkIdentity(a.ctx, id, args.Provider, args.Identifier)
	})
}

func doUserUnlink(a *act, args LinkArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) {
		return a.db.UnlinkIdentity(a.ctx, id, args.Provider, args.Identifier)
	})
}

func doFactorsReset(a *act, args UserArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) { return a.db.Factors().Reset(a.ctx, id) })
}

func doUnlock(a *act, args UserArgs, _ func(None) error) (None, error) {
	u, err := a.find(args.User)
	if err == nil {
		err = a.db.Throttle().Unlock(a.ctx, u.ID)
	}
	return None{}, err
}

func doRoleAdd(a *act, args RoleArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) { return a.db.Roles().Grant(a.ctx, id, args.Role) })
}

func doRoleRemove(a *act, args RoleArgs, _ func(None) error) (User, error) {
	return a.change(args.User, func(id snib.UserID) (snib.User, error) { return a.db.Roles().Withdraw(a.ctx, id, args.Role) })
}

func doRoleHolders(a *act, args HoldersArgs, item func(User) error) (UsersResult, error) {
	source := func(o snib.ListOptions) iter.Seq2[snib.User, error] { return a.db.Roles().List(a.ctx, args.Role, o) }
	o := snib.ListOptions{After: snib.UserID(args.Cursor)}
	return list(source, o, args.Limit, 0, func(snib.User) bool { return true }, item)
}
