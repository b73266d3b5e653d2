package proof_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
)

// createKey makes a key by a session, or as an operator does.
func (r *run) createKey() bool {
	session := r.sessionID()
	if s := r.m.Sessions[string(session)]; s != nil && r.rng.IntN(2) == 0 {
		return r.keyFor(string(session), s.User)
	}
	return r.keyFor("", string(r.user()))
}

func (r *run) keyFor(session, user string) bool {
	n := snib.NewAPIKey{Name: "k", Scopes: []string{"a"}, TTL: time.Duration(1+r.rng.IntN(7200)) * time.Second}
	ttl := n.TTL.Milliseconds()
	if r.rng.IntN(4) == 0 {
		n.TTL, ttl = snib.Never, 0
	}
	var k snib.APIKey
	var err error
	if session == "" {
		k, err = r.on.APIKeys().CreateFor(ctx, snib.UserID(user), n)
	} else {
		k, err = r.on.APIKeys().Create(ctx, snib.Session{ID: snib.SessionID(session), UserID: snib.UserID(user)}, n)
	}
	r.texts = append(r.texts, k.Token.Reveal())
	want := r.m.CreateKey(session, user, ttl, string(k.ID), k.Token.Reveal())
	if want == model.ErrAPIKeyLimit || want == model.ErrNotFresh {
		r.good = append(r.good, want.Error())
	}
	if !r.agree(err, want) {
		return false
	}
	r.sameKey(k, r.m.Keys[string(k.ID)])
	return r.validateKey(k.Token.Reveal())
}

// manyKeys comes to the bound.
func (r *run) manyKeys() bool {
	id, good := r.user(), false
	for range 52 {
		good = r.keyFor("", string(id)) || good
	}
	return good
}

func (r *run) validateKey(text string) bool {
	k, u, err := r.on.APIKeys().Validate(ctx, text)
	want, refused := r.m.ValidateKey(text)
	if !r.agree(err, refused) {
		return false
	}
	r.sameKey(k, want)
	r.sameUser(u, r.m.Users[want.User])
	return true
}

func (r *run) sameKey(k snib.APIKey, want *model.APIKey) {
	expires := int64(0)
	if !k.ExpiresAt.IsZero() {
		expires = k.ExpiresAt.UnixMilli()
	}
	got := fmt.Sprint(k.ID, k.UserID, k.CreatedAt.UnixMilli(), expires)
	if w := fmt.Sprint(want.ID, want.User, want.Created, want.Expires); got != w {
		r.differ("the key is %s, want %s", got, w)
	}
}

func (r *run) listKeys() bool {
	user := r.user()
	got, err := r.on.APIKeys().List(ctx, user)
	var ids, want []string
	for _, k := range r.m.KeysOf(string(user)) {
		if r.m.KeyAlive(k) {
			want = append(want, k.ID)
		}
	}
	for _, k := range got {
		ids = append(ids, string(k.ID))
	}
	if !slices.Equal(ids, want) {
		r.differ("keys of %s: %q, want %q", user, ids, want)
	}
	return r.agree(err, nil) && len(want) > 0
}

func (r *run) revokeKey() bool {
	user, known := r.user(), slices.Sorted(maps.Keys(r.m.Keys))
	if user == "" || len(known) == 0 {
		return false
	}
	id := pick(r, known)
	if r.rng.IntN(2) == 0 {
		return r.agree(r.on.APIKeys().RevokeByID(ctx, snib.APIKeyID(id)), r.m.RevokeKey(id, ""))
	}
	return r.agree(r.on.APIKeys().Revoke(ctx, user, snib.APIKeyID(id)), r.m.RevokeKey(id, string(user)))
}

func (r *run) revokeKeys() bool {
	user := r.user()
	return r.agree(r.on.APIKeys().RevokeAll(ctx, user), r.m.RevokeKeys(string(user)))
}
