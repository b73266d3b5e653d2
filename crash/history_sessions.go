package main

import (
	"slices"
	"strings"
)

// The rules of sessions and refresh tokens in a history.

func (a *accountState) session(id string) int {
	return slices.IndexFunc(a.sessions, func(s sessionState) bool { return s.id == id && id != "" })
}

func (a *accountState) add(id, token, family string) {
	if id == "" || id == lost {
		a.hidden++
		return
	}
	a.sessions = append(a.sessions, sessionState{id, token, family})
	slices.SortFunc(a.sessions, func(x, y sessionState) int { return strings.Compare(x.id, y.id) })
}

// remove ends a session alone.
func (a *accountState) remove(id string) {
	if id == lost {
		a.hidden--
		return
	}
	a.sessions = slices.DeleteFunc(a.sessions, func(s sessionState) bool { return s.id == id })
}

func ruleLogIn(a *accountState, c *request, r *answer) string {
	if !a.there || a.disabled || a.password != c.Password || c.shaken && r.Kind == answerCredentials {
		return answerCredentials
	}
	if a.factor {
		return answerFactor
	}
	a.add(r.Session, r.token(0), "")
	return a.saw(r)
}

// admit says whether a user as it was at a version may get a session.
func (a *accountState) admit(c *request, r *answer) string {
	switch {
	case !a.there:
		return answerMissing
	case a.disabled:
		return answerDisabled
	case a.version == 0 && (r.Kind == answerOK || r.Kind == answerFactor):
		a.version = c.Version
	case a.version == 0:
		return answerCredentials
	case a.version != c.Version:
		return answerCredentials
	}
	if a.factor {
		return answerFactor
	}
	return answerOK
}

func ruleCreateSession(a *accountState, c *request, r *answer) string {
	kind := a.admit(c, r)
	if kind == answerOK {
		a.add(r.Session, r.token(0), "")
	}
	return kind
}

func ruleValidate(a *accountState, c *request, r *answer) string {
	i := a.session(c.Session)
	if i < 0 || a.sessions[i].token != c.Token {
		return answerInvalid
	}
	if c.Op == "ValidateSession" {
		return answerOK
	}
	return a.saw(r)
}

// ruleList: all known sessions, and as many more as are hidden.
func ruleList(a *accountState, _ *request, r *answer) string {
	if len(r.Sessions) != len(a.sessions)+a.hidden {
		return answerWrong
	}
	for _, s := range a.sessions {
		if !slices.Contains(r.Sessions, s.id) {
			return answerWrong
		}
	}
	return answerOK
}

func ruleRenew(a *accountState, c *request, r *answer) string {
	i := a.session(c.Session)
	if i < 0 || a.sessions[i].token != c.Token || a.sessions[i].family != "" {
		return answerInvalid
	}
	a.remove(c.Session)
	a.add(r.Session, r.token(0), "")
	return answerOK
}

// bearer returns the session of a token, or how a call by it ends.
func (a *accountState) bearer(c *request) (sessionState, string) {
	i := a.session(c.Session)
	switch {
	case i < 0 || a.sessions[i].token != c.Token:
		return sessionState{}, answerInvalid
	case c.Password != "" && a.password != c.Password:
		return sessionState{}, answerCredentials
	}
	return a.sessions[i], answerOK
}

// keep gives a session the token of an answer, in its family as long as that is
// there.
func (a *accountState) keep(s sessionState, r *answer) {
	a.remove(s.id)
	f := a.family(s.family)
	if f == nil || f.session != s.id {
		a.add(r.Session, r.token(0), "")
		return
	}
	f.session, f.replaced = lost, true
	if r.Kind == answerOK {
		f.session = r.Session
	}
	a.add(f.session, r.token(0), f.id)
}

func ruleReauthenticate(a *accountState, c *request, r *answer) string {
	s, kind := a.bearer(c)
	switch {
	case kind != answerOK:
	case a.factor:
		return answerFactor
	default:
		a.keep(s, r)
	}
	return kind
}

func ruleChangePassword(a *accountState, c *request, r *answer) string {
	s, kind := a.bearer(c)
	if kind == answerOK {
		a.endAll()
		a.password = c.Next
		a.raise()
		a.keep(s, r)
	}
	return kind
}

// ruleChangeCredentials ends all other sessions and families.
func ruleChangeCredentials(a *accountState, c *request, r *answer) string {
	s, kind := a.bearer(c)
	if kind == answerOK {
		ruleRevokeSessions(a, &request{Keep: s.id}, r)
		a.keep(s, r)
	}
	return kind
}

// ruleRevokeSession ends a session and its family.
func ruleRevokeSession(a *accountState, c *request, _ *answer) string {
	if i := a.session(c.Session); i >= 0 {
		family := a.sessions[i].family
		a.remove(c.Session)
		a.families = slices.DeleteFunc(a.families, func(f familyState) bool { return f.id == family && !f.revoked })
	}
	return answerOK
}

func ruleRevokeToken(a *accountState, c *request, r *answer) string {
	if c.Family != "" {
		return ruleRevokeFamily(a, c, r)
	}
	if i := a.session(c.Session); i >= 0 && a.sessions[i].token == c.Token {
		return ruleRevokeSession(a, c, r)
	}
	return answerOK
}

// ruleRevokeFamily ends a family and its session.
func ruleRevokeFamily(a *accountState, c *request, _ *answer) string {
	if f := a.family(c.Family); f != nil && !f.revoked {
		a.remove(f.session)
		a.families = slices.DeleteFunc(a.families, func(f familyState) bool { return f.id == c.Family })
	}
	return answerOK
}

func (a *accountState) family(id string) *familyState {
	i := slices.IndexFunc(a.families, func(f familyState) bool { return f.id == id })
	if i < 0 {
		return nil
	}
	return &a.families[i]
}

func ruleCreateFamily(a *accountState, c *request, r *answer) string {
	kind := a.admit(c, r)
	if kind != answerOK {
		return kind
	}
	a.add(r.Session, r.token(0), r.Family)
	if r.Family != "" { // else no client can ever present it
		a.families = append(a.families, familyState{id: r.Family, current: r.token(1), session: r.Session, epoch: c.Epoch})
		slices.SortFunc(a.families, func(x, y familyState) int { return strings.Compare(x.id, y.id) })
	}
	return answerOK
}

// ruleRefresh: the current token gives the next, its parent the same answer
// again, and every other token of the family is reuse. After a restart, the answers
// to the parent and to the tokens that it displaced are not judged.
func ruleRefresh(a *accountState, c *request, r *answer) string {
	f := a.family(c.Family)
	switch {
	case f == nil || a.disabled:
		return answerInvalid
	case f.revoked:
		return answerReused
	case c.Token == f.current:
		if r.Kind == answerOK && (r.token(1) == f.current || r.token(1) == f.parent) {
			return answerWrong // the next one is new
		}
		f.parent = f.current
		return a.give(f, c, r)
	case c.Token == f.parent && f.current == lost && r.Kind == answerOK:
		return a.give(f, c, r) // the answer that was lost, or its replacement
	case c.Token == f.parent && c.Epoch == f.epoch:
		if r.Kind == answerOK && (r.token(1) != f.current || (r.Session == f.session) == f.replaced) {
			return answerWrong
		}
		if f.replaced { // which is nothing for the bearer of a refresh token
			a.remove(f.session)
			f.session, f.replaced = lost, false
			if r.Kind == answerOK {
				f.session = r.Session
			}
			a.add(f.session, r.token(0), f.id)
		}
		return answerOK
	case c.Token == f.parent && r.Kind != answerReused && r.Kind != answerInvalid:
		if r.token(1) != f.current {
			f.displaced += " " + f.current
			return a.give(f, c, r)
		}
		return answerOK
	case strings.Contains(f.displaced+" ", " "+c.Token+" ") && r.Kind == answerInvalid, c.Token == f.parent && r.Kind == answerInvalid:
		return answerInvalid
	}
	f.revoked = true
	a.remove(f.session)
	f.session = ""
	return answerReused
}

// give puts the pair that an answer had, or would have had, in the place of
// the one before.
func (a *accountState) give(f *familyState, c *request, r *answer) string {
	a.remove(f.session)
	f.current, f.session, f.epoch, f.replaced = lost, lost, c.Epoch, false
	if r.Kind == answerOK {
		f.current, f.session = r.token(1), r.Session
	}
	a.add(f.session, r.token(0), f.id)
	return answerOK
}
