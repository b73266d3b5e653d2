package proof_test

import (
	"maps"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
)

func (r *run) beginSignUp() bool {
	x, ttl := r.identity(), time.Duration(1+r.rng.IntN(7200))*time.Second
	up, err := r.on.Identities().BeginSignUp(ctx, x.Provider, x.Identifier, ttl)
	r.texts = append(r.texts, up.Token.Reveal())
	if holder := r.m.BeginSignUp(x, ttl.Milliseconds(), up.Token.Reveal()); string(up.UserID) != holder {
		r.differ("the sign-up is for the account %q, want %q", up.UserID, holder)
	}
	return r.agree(err, nil)
}

func (r *run) finishSignUp() bool {
	token := r.text("snsup_")
	if known := slices.Sorted(maps.Keys(r.m.SignUps)); len(known) > 0 && r.rng.IntN(4) > 0 {
		token = pick(r, known[max(0, len(known)-20):])
	}
	shown, err := r.on.Identities().PeekSignUp(ctx, token)
	x, want := r.m.PeekSignUp(token)
	if r.agree(err, want) && (shown.Provider != x.Provider || shown.Identifier != x.Identifier) {
		r.differ("the page shows %v, want %v", shown, x)
	}
	a, changes := r.attributes()
	password := passwords[r.rng.IntN(2)]
	u, err := r.on.Identities().FinishSignUp(ctx, token, snib.NewUser{PasswordHash: r.d.hashes[password], Attributes: a})
	r.users = append(r.users, string(u.ID))
	return r.updated(u, err, r.m.FinishSignUp(token, model.User{ID: string(u.ID), Password: password, Version: u.CredentialVersion}, changes))
}

func (r *run) invite() bool {
	x, ttl := r.identity(), time.Duration(1+r.rng.IntN(7200))*time.Second
	n := snib.NewInvitation{Provider: x.Provider, Identifier: x.Identifier, TTL: ttl}
	role := []string{"", "support"}[r.rng.IntN(2)]
	if role != "" {
		n.Roles = []string{role}
	}
	i, err := r.on.Identities().Invite(ctx, n)
	r.texts = append(r.texts, i.Token.Reveal())
	r.m.Invite(x, ttl.Milliseconds(), role, string(i.ID), i.Token.Reveal())
	return r.agree(err, nil)
}

func (r *run) acceptInvitation() bool {
	token, a, changes := "", snib.Attributes(nil), map[string]any(nil)
	if known := slices.Sorted(maps.Keys(r.m.Invitations)); len(known) > 0 && r.rng.IntN(4) > 0 {
		token = r.m.Invitations[pick(r, known)].Token
	} else {
		token = r.text("sninv_")
	}
	a, changes = r.attributes()
	u, err := r.on.Identities().AcceptInvitation(ctx, token, snib.NewUser{Attributes: a})
	r.users = append(r.users, string(u.ID))
	return r.updated(u, err, r.m.AcceptInvitation(token, model.User{ID: string(u.ID), Version: u.CredentialVersion}, changes))
}

func (r *run) revokeInvitation() bool {
	known := slices.Sorted(maps.Keys(r.m.Invitations))
	if len(known) == 0 {
		return false
	}
	id := pick(r, known)
	delete(r.m.Invitations, id)
	return r.agree(r.on.Identities().RevokeInvitation(ctx, snib.InvitationID(id)), nil)
}

func (r *run) listInvitations() bool {
	list, err := r.on.Identities().Invitations(ctx)
	got := map[string]bool{}
	for _, i := range list {
		got[string(i.ID)] = true
	}
	if want := r.m.LiveInvitations(); !maps.Equal(got, want) {
		r.differ("invitations %v, want %v", got, want)
	}
	return r.agree(err, nil) && len(list) > 0
}

func (r *run) createGuest() bool {
	o, t, replaced := r.carried()
	s, u, err := r.on.Identities().CreateGuest(ctx, o)
	r.users = append(r.users, string(u.ID))
	want := r.m.CreateGuest(string(u.ID), u.CredentialVersion, string(s.ID), s.Token.Reveal(), t, replaced...)
	return r.made(s, err, want) && r.updated(u, err, want)
}
