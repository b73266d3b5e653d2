package main

import "slices"

// The rules of API keys and second factors in a history.

func ruleCreateKey(a *accountState, _ *request, r *answer) string {
	switch {
	case !a.there:
		return answerMissing
	case a.disabled:
		return answerDisabled
	}
	if r.Key != "" {
		a.keys = append(a.keys, r.Key)
		slices.Sort(a.keys)
	}
	return answerOK
}

func (a *accountState) endKey(id string) {
	a.keys = slices.DeleteFunc(a.keys, func(k string) bool { return k == id })
}

// ruleValidateKey: a disabled user keeps keys that are refused.
func ruleValidateKey(a *accountState, c *request, r *answer) string {
	if a.disabled || !slices.Contains(a.keys, c.Key) {
		return answerInvalid
	}
	return a.saw(r)
}

// ruleFactor raises the version with each of its three changes. Codes that were
// lost with an answer are never used.
func ruleFactor(a *accountState, _ *request, r *answer) string {
	switch {
	case !a.there:
		return answerMissing
	case a.disabled:
		return answerDisabled
	}
	a.endAll()
	a.keys, a.factor, a.codes = nil, true, slices.Sorted(slices.Values(r.Codes))
	for range 3 {
		a.raise()
	}
	return a.saw(r)
}

func ruleReset(a *accountState, _ *request, r *answer) string {
	if !a.there {
		return answerMissing
	}
	a.endAll()
	a.keys, a.factor, a.codes = nil, false, nil
	a.raise()
	return a.saw(r)
}

// ruleLogInByCode: password and code are looked at one after the other, by one
// version of the credentials.
func ruleLogInByCode(a *accountState, c *request, r *answer) string {
	if c.disturbed && r.Kind == answerPending {
		return answerPending
	}
	if kind := ruleLogIn(a, c, r); kind != answerFactor {
		return kind
	}
	i := slices.Index(a.codes, c.Code)
	if i < 0 {
		return answerFactor
	}
	a.codes = slices.Delete(a.codes, i, i+1)
	a.add(r.Session, r.token(0), "")
	return a.saw(r)
}
