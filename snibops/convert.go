package snibops

import (
	"net/netip"
	"time"

	"github.com/snibdb/snib"
)

func userOf(u snib.User) User {
	return User{
		ID: string(u.ID), Identities: identitiesOf(u.Identities), CreatedAt: utc(u.CreatedAt), UpdatedAt: utc(u.UpdatedAt),
		HasPassword: u.HasPassword, PasswordChangedAt: utc(u.PasswordChangedAt),
		Disabled: u.Disabled(), DisabledAt: utc(u.DisabledAt), DisabledReason: u.DisabledReason,
		Guest: u.Guest, Roles: u.Roles, Attributes: attributesOf(u.Attributes()),
	}
}

func identitiesOf(list []snib.Identity) []Identity {
	out := make([]Identity, len(list))
	for i, x := range list {
		out[i] = Identity{x.Provider, x.Identifier, utc(x.LinkedAt), utc(x.VerifiedAt)}
	}
	return out
}

// attributesOf makes values that JSON has: a time outside the years that RFC
// 3339 can write becomes text of another form, and everything else stays.
func attributesOf(a map[string]any) map[string]any {
	for name, v := range a {
		a[name] = plain(v)
	}
	return a
}

func plain(v any) any {
	switch v := v.(type) {
	case time.Time:
		if v = v.UTC(); v.Year() < 0 || v.Year() > 9999 {
			return v.String()
		}
		return v
	case snib.Attributes:
		return attributesOf(v)
	case map[string]any:
		return attributesOf(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

func sessionOf(s snib.Session) *Session {
	return &Session{
		ID: string(s.ID), Family: string(s.RefreshTokenID), State: s.State.String(),
		CreatedAt: utc(s.CreatedAt), AuthenticatedAt: utc(s.AuthenticatedAt), LastUsedAt: utc(s.LastUsedAt),
		ActiveUntil: utc(s.ActiveUntil), IdleUntil: utc(s.IdleUntil), AbsoluteUntil: utc(s.AbsoluteUntil),
		Methods: s.Methods.String(), Persistent: s.Persistent, Attributes: attributesOf(s.Attributes()),
	}
}

func familyOf(r snib.RefreshToken) *Family {
	return &Family{
		ID: string(r.ID), Session: string(r.SessionID),
		CreatedAt: utc(r.CreatedAt), AuthenticatedAt: utc(r.AuthenticatedAt), RotatedAt: utc(r.RotatedAt),
		IdleUntil: utc(r.IdleUntil), AbsoluteUntil: utc(r.AbsoluteUntil),
		Methods: r.Methods.String(), Persistent: r.Persistent, Rotations: r.Rotations, Repeats: r.Repeats,
		Attributes: attributesOf(r.Attributes()),
	}
}

func keyOf(k snib.APIKey) APIKey {
	return APIKey{
		ID: string(k.ID), UserID: string(k.UserID), Name: k.Name, Scopes: k.Scopes,
		CreatedAt: utc(k.CreatedAt), ExpiresAt: utc(k.ExpiresAt), LastUsedAt: utc(k.LastUsedAt),
	}
}

func factorOf(f snib.Factor) Factor {
	return Factor{
		ID: string(f.ID), Kind: string(f.Kind), Name: f.Name,
		CreatedAt: utc(f.CreatedAt), LastUsedAt: utc(f.LastUsedAt), Left: f.Left,
	}
}

func linkOf(o snib.OneTimeToken) OneTimeToken {
	return OneTimeToken{string(o.ID), o.Purpose, utc(o.CreatedAt), utc(o.ExpiresAt)}
}

func eventOf(e snib.Event) Event {
	out := Event{
		ID: string(e.ID), Kind: string(e.Kind), At: utc(e.At), Count: e.Count, Last: utc(e.Last),
		Actor: string(e.Actor), Subject: e.Subject, Detail: e.Detail,
	}
	if e.Client != [16]byte{} {
		out.Client = netip.AddrFrom16(e.Client).Unmap().String()
	}
	return out
}

func problemOf(p snib.Problem) *Problem {
	return &Problem{p.Invariant, p.Space, p.ID, p.Text, p.Severity.String()}
}

// CountOf returns the numbers of a report.
func CountOf(r snib.CheckReport) CheckCount {
	return CheckCount{
		Users: r.Users, Passwords: r.Passwords, Disabled: r.Disabled, Records: r.Records,
		Guests: r.Guests, Invitations: r.Invitations, Outbox: r.Outbox,
		ForeignHashes: r.ForeignHashes, SealedHashes: r.SealedHashes, Newer: r.Newer, Leaving: r.Leaving, Rows: r.Rows, OrphanRows: r.OrphanRows,
		Newest: utc(r.Newest), Found: r.Found,
	}
}
