package main

import (
	"slices"

	"github.com/anishathalye/porcupine"
)

// accountState is one user as the documentation has it, without time: the clock of
// a history stands still, so nothing expires and a spent refresh token's parent
// is within its grace.
type accountState struct {
	there, disabled bool
	password        string // "" if the user has no password
	version         uint64 // of the credentials; 0 is not known yet
	sessions        []sessionState
	hidden          int // sessions whose ids were lost with the answer
	families        []familyState
	links           []string // ids of one-time tokens
	keys            []string // ids of API keys
	factor          bool     // log-ins ask for a second one
	codes           []string // for recovery, not used yet
}

type sessionState struct{ id, token, family string }

// A familyState is a family of refresh tokens, told by their texts.
type familyState struct {
	id, current, parent string
	displaced           string // tokens that a restart replaced, each after a space
	session             string
	epoch               int  // the opening on which current was made
	revoked             bool // for reuse, which is remembered
	replaced            bool // its session has a token that its bearer got since
}

const lost = "?" // an id or a token in a lost answer

var accountModel = porcupine.Model{
	Init: func() any { return &accountState{} },
	Step: func(state, input, output any) (bool, any) {
		r := output.(answer)
		if r.Kind == answerFailed {
			return true, state
		}
		c, next := input.(request), state.(*accountState).clone()
		kind := rules[c.Op](next, &c, &r)
		return kind == r.Kind || r.Kind == answerUnknown, next
	},
	Equal: func(a, b any) bool { return a.(*accountState).equal(b.(*accountState)) },
}

func (a *accountState) clone() *accountState {
	b := *a
	b.sessions, b.families, b.links = slices.Clone(a.sessions), slices.Clone(a.families), slices.Clone(a.links)
	b.keys, b.codes = slices.Clone(a.keys), slices.Clone(a.codes)
	return &b
}

func (a *accountState) equal(b *accountState) bool {
	return a.there == b.there && a.disabled == b.disabled && a.password == b.password && a.version == b.version && a.hidden == b.hidden &&
		slices.Equal(a.sessions, b.sessions) && slices.Equal(a.families, b.families) && slices.Equal(a.links, b.links) &&
		a.factor == b.factor && slices.Equal(a.keys, b.keys) && slices.Equal(a.codes, b.codes)
}

// rules are the effect of each operation and the kind of answer that it must have.
// They change the account only if the operation happens. A lost answer counts as
// that of a call that happened: a call that did not comes after all others.
var rules = map[string]func(a *accountState, c *request, r *answer) string{
	"GetUser":                 ruleGetUser,
	"ImportUser":              ruleImport,
	"DeleteUser":              func(a *accountState, _ *request, _ *answer) string { *a = accountState{}; return answerOK },
	"DisableUser":             ruleDisable,
	"EnableUser":              ruleEnable,
	"UpdateUserPassword":      rulePassword,
	"RemoveUserPassword":      rulePassword,
	"ChangePassword":          ruleChangePassword,
	"ChangeCredentials":       ruleChangeCredentials,
	"Reauthenticate":          ruleReauthenticate,
	"EndEverything":           ruleEndEverything,
	"LogIn":                   ruleLogIn,
	"CreateSession":           ruleCreateSession,
	"ValidateSession":         ruleValidate,
	"ValidateSessionUser":     ruleValidate,
	"ListUserSessions":        ruleList,
	"RenewSession":            ruleRenew,
	"RevokeSession":           ruleRevokeSession,
	"RevokeToken":             ruleRevokeToken,
	"RevokeUserSessions":      ruleRevokeSessions,
	"CreateRefreshToken":      ruleCreateFamily,
	"Refresh":                 ruleRefresh,
	"RefreshTokens.Revoke":    ruleRevokeFamily,
	"CreateOneTimeToken":      ruleCreateLink,
	"UseOneTimeToken":         ruleUseLink,
	"RevokeOneTimeToken":      ruleRevokeLink,
	"RevokeUserOneTimeTokens": ruleRevokeLinks,
	"APIKeys.CreateFor":       ruleCreateKey,
	"APIKeys.Validate":        ruleValidateKey,
	"APIKeys.RevokeByID":      func(a *accountState, c *request, _ *answer) string { a.endKey(c.Key); return answerOK },
	"a factor":                ruleFactor,
	"Factors.Reset":           ruleReset,
	"Factors.LogIn":           ruleLogInByCode,
}

const answerWrong = "wrong" // an answer that no call returns

// saw compares the user that an answer shows.
func (a *accountState) saw(r *answer) string {
	if r.Kind != answerOK {
		return answerOK
	}
	if a.version == 0 {
		a.version = r.Version
	}
	if a.version != r.Version || a.disabled != r.Disabled {
		return answerWrong
	}
	return answerOK
}

// raise counts the credential version up.
func (a *accountState) raise() {
	if a.version != 0 {
		a.version++
	}
}

func ruleGetUser(a *accountState, _ *request, r *answer) string {
	if !a.there {
		return answerMissing
	}
	return a.saw(r)
}

func ruleImport(a *accountState, _ *request, r *answer) string {
	if a.there {
		return answerInput
	}
	*a = accountState{there: true}
	return a.saw(r)
}

// endAll ends every credential. That a family was revoked for
// reuse is remembered.
func (a *accountState) endAll() {
	a.sessions, a.hidden, a.links = nil, 0, nil
	a.families = slices.DeleteFunc(a.families, func(f familyState) bool { return !f.revoked })
}

func ruleDisable(a *accountState, _ *request, r *answer) string {
	if !a.there {
		return answerMissing
	}
	if !a.disabled {
		a.disabled = true
		a.raise()
		a.endAll()
	}
	return a.saw(r)
}

func ruleEnable(a *accountState, _ *request, r *answer) string {
	if !a.there {
		return answerMissing
	}
	if a.disabled {
		a.disabled = false
		a.raise()
	}
	return a.saw(r)
}

func rulePassword(a *accountState, c *request, r *answer) string {
	if !a.there {
		return answerMissing
	}
	a.endAll()
	a.keys = nil
	a.password = c.Next
	a.raise()
	return a.saw(r)
}

// ruleEndEverything forgets reuse too.
func ruleEndEverything(a *accountState, _ *request, _ *answer) string {
	a.endAll()
	a.families, a.keys = nil, nil
	return answerOK
}

// kept returns the session of an id, if there is one.
func (a *accountState) kept(id string) (out []sessionState) {
	if i := a.session(id); i >= 0 {
		out = append(out, a.sessions[i])
	}
	return out
}

// ruleRevokeSessions: a kept session keeps its family.
func ruleRevokeSessions(a *accountState, c *request, _ *answer) string {
	if !a.there {
		return answerMissing
	}
	kept := a.kept(c.Keep)
	a.sessions, a.hidden = kept, 0
	a.families = slices.DeleteFunc(a.families, func(f familyState) bool {
		return !f.revoked && (len(kept) == 0 || kept[0].family != f.id)
	})
	a.links = nil
	a.raise()
	return answerOK
}

func ruleCreateLink(a *accountState, _ *request, r *answer) string {
	switch {
	case !a.there:
		return answerMissing
	case a.disabled:
		return answerDisabled
	}
	if r.Link != "" {
		a.links = append(a.links, r.Link)
		slices.Sort(a.links)
	}
	return answerOK
}

func (a *accountState) endLink(id string) {
	a.links = slices.DeleteFunc(a.links, func(l string) bool { return l == id })
}

func ruleUseLink(a *accountState, c *request, _ *answer) string {
	if !slices.Contains(a.links, c.Link) {
		return answerInvalid
	}
	a.endLink(c.Link)
	return answerOK
}

func ruleRevokeLink(a *accountState, c *request, _ *answer) string {
	a.endLink(c.Link)
	return answerOK
}

// ruleRevokeLinks: each one-time token of a history has a purpose of its own.
func ruleRevokeLinks(a *accountState, c *request, _ *answer) string {
	if !a.there {
		return answerMissing
	}
	a.endLink(c.Link)
	return answerOK
}
