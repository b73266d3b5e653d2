package proof_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
)

var purposes = []string{"reset", "verify"}

// createLink makes one or a few: two of a purpose are a minute apart.
func (r *run) createLink() bool {
	good := false
	for id := r.user(); ; {
		good = r.linkFor(id, pick(r, purposes)) || good
		if r.rng.IntN(3) == 0 {
			return good
		}
	}
}

// presentedLink is the text of a one-time token, and a purpose: its own, most
// of the time.
func (r *run) presentedLink() (text, purpose string) {
	text, purpose = r.text("snott_"), pick(r, purposes)
	for _, l := range r.m.Links {
		if l.Token == text && !strings.HasPrefix(l.Purpose, "snib:") && r.rng.IntN(4) > 0 {
			purpose = l.Purpose
		}
	}
	return text, purpose
}

func (r *run) linkFor(id snib.UserID, purpose string) bool {
	ttl := time.Duration(1+r.rng.IntN(7200)) * time.Second
	wait := r.m.LinkWait(string(id), purpose)
	l, err := r.on.Tokens().Create(ctx, id, purpose, ttl, []byte("data"))
	r.texts = append(r.texts, l.Token.Reveal())
	if e, ok := errors.AsType[*snib.OneTimeTokenLimitError](err); ok {
		r.good = append(r.good, "limit of links")
		if e.RetryAt.UnixMilli() != wait || e.Purpose != purpose {
			r.differ("the limit is %+v, want until %d", e, wait)
		}
	}
	if !r.agree(err, r.m.CreateLink(string(id), purpose, ttl.Milliseconds(), string(l.ID), l.Token.Reveal())) {
		return false
	}
	if want := r.m.Links[string(l.ID)]; l.ExpiresAt.UnixMilli() != want.Expires || l.Purpose != purpose || string(l.Data) != "data" {
		r.differ("the token is %+v, want %+v", l, want)
	}
	return true
}

func (r *run) revokeLink() bool {
	user, known := r.user(), slices.Sorted(maps.Keys(r.m.Links))
	if user == "" || len(known) == 0 {
		return false
	}
	id := pick(r, known)
	return r.agree(r.on.Tokens().Revoke(ctx, user, snib.OneTimeTokenID(id)), r.m.RevokeLink(id, string(user)))
}

func (r *run) revokeLinks() bool {
	user, purpose := r.user(), append(purposes, "")[r.rng.IntN(3)]
	return r.agree(r.on.Tokens().RevokeAll(ctx, user, purpose), r.m.RevokeLinks(string(user), purpose))
}

// manyLinks comes to the bound over all purposes.
func (r *run) manyLinks() bool {
	id, good := r.user(), false
	for i := range 35 {
		good = r.linkFor(id, fmt.Sprint("purpose-", i)) || good
	}
	return good
}

func (r *run) useLink() bool {
	text, purpose := r.presentedLink()
	l, err := r.on.Tokens().Use(ctx, purpose, text)
	user, want := r.m.UseLink(purpose, text)
	if r.agree(err, want) && string(l.UserID) != user {
		r.differ("the token is of %s, want %s", l.UserID, user)
	}
	return err == nil
}

func (r *run) peekLink() bool {
	text, purpose := r.presentedLink()
	l, err := r.on.Tokens().Peek(ctx, purpose, text)
	want, refused := r.m.PeekLink(purpose, text)
	if r.agree(err, refused) && (string(l.ID) != want.ID || string(l.UserID) != want.User) {
		r.differ("the token is %s, want %s", l.ID, want.ID)
	}
	return err == nil
}

func (r *run) listLinks() bool {
	user, purpose := r.user(), append(purposes, "")[r.rng.IntN(3)]
	got, err := r.on.Tokens().List(ctx, user, purpose)
	var want []string
	for _, l := range r.m.LinksOf(string(user)) {
		if r.m.LinkAlive(l) && (purpose == "" || l.Purpose == purpose) {
			want = append(want, l.ID)
		}
	}
	ids := make([]string, len(got))
	for i, l := range got {
		ids[i] = string(l.ID)
	}
	if !slices.Equal(ids, want) {
		r.differ("one-time tokens of %s for %q: %q, want %q", user, purpose, ids, want)
	}
	return r.agree(err, nil) && len(want) > 0
}

// storeReset goes the way of a request for a link, or an operator's.
func (r *run) storeReset() bool {
	if r.rng.IntN(3) == 0 {
		id := r.user()
		l, err := r.on.Tokens().CreateReset(ctx, id, time.Hour)
		r.texts = append(r.texts, l.Token.Reveal())
		return r.agree(err, r.m.CreateReset(string(id), time.Hour.Milliseconds(), string(l.ID), l.Token.Reveal()))
	}
	x := r.identity()
	asked, err := r.d.db.Tokens().BeginReset(ctx, x.Provider, x.Identifier, time.Hour)
	if err != nil {
		r.differ("begin reset: %v", err)
	}
	l, err := r.on.Tokens().StoreReset(ctx, asked)
	r.texts = append(r.texts, l.Token.Reveal())
	return r.agree(err, r.m.StoreReset(x, time.Hour.Milliseconds(), string(l.ID), l.Token.Reveal()))
}

func (r *run) finishReset() bool {
	token, password := r.text("snott_"), passwords[r.rng.IntN(2)]
	for _, l := range r.m.LinksOf(string(r.user())) {
		if l.Purpose == model.ResetPurpose {
			token = l.Token
		}
	}
	peeked, refused := r.on.Tokens().PeekReset(ctx, token)
	u, err := r.d.db.Tokens().FinishReset(ctx, token, password)
	user, want := r.m.FinishReset(token, password)
	if err == nil && (string(u.ID) != user || peeked.UserID != u.ID) || (err == nil) != (refused == nil) {
		r.differ("the password of %s was set, that of %s was shown, want %s", u.ID, peeked.UserID, user)
	}
	return r.updated(u, err, want)
}
