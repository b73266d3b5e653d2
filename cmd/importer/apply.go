package importer

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// user maps one record. at stands for times that the export does not tell: that of
// the file, so that a second run gives the same user.
func (m *Mapping) user(rec record, params map[string]string, at time.Time) Row {
	u := snib.UserImport{Row: rec.row}
	if rec.err != nil {
		return refusedRow(u, rec.err)
	}
	e := &env{fields: rec.fields, params: params}
	id, fault := m.ID.expand(e)
	if fault != nil {
		return refusedRow(u, fault)
	}
	u.ID = snib.UserID(id)
	row := Row{}
	for _, step := range []func(*env, *snib.UserImport) *RowError{
		m.times,
		func(e *env, u *snib.UserImport) *RowError { return m.identities(e, u, at) },
		m.password, m.disabled, m.attributes,
		func(e *env, _ *snib.UserImport) (fault *RowError) { row.Left, fault = m.left(e); return fault },
	} {
		if fault := step(e, &u); fault != nil {
			return refusedRow(u, fault)
		}
	}
	row.User = u
	return row
}

func (m *Mapping) times(e *env, u *snib.UserImport) (fault *RowError) {
	if u.CreatedAt, fault = m.Created.value(e); fault == nil {
		u.PasswordChangedAt, fault = m.PasswordChanged.value(e)
	}
	return fault
}

func (m *Mapping) identities(e *env, u *snib.UserImport, at time.Time) *RowError {
	if !u.CreatedAt.IsZero() {
		at = u.CreatedAt
	}
	var all []snib.Identity
	for i := range m.Identities {
		rule := &m.Identities[i]
		items, fault := rule.items(e)
		if fault != nil {
			return fault
		}
		for _, v := range items {
			x, fault := rule.identity(&env{fields: e.fields, item: v, params: e.params}, at)
			if fault != nil {
				return fault
			}
			if !rule.Alias || !slices.ContainsFunc(all, func(y snib.Identity) bool { return strings.EqualFold(x.Identifier, y.Identifier) }) {
				all = addIdentity(all, x)
			}
		}
	}
	if len(all) == 0 {
		return &RowError{Kind: noIdentity}
	}
	setIdentities(u, all)
	return nil
}

// items are the elements that a rule is about: one without a list.
func (x *identityRule) items(e *env) ([]any, *RowError) {
	if x.Each == nil {
		return []any{nil}, nil
	}
	v, fault := e.get(x.Each)
	if fault != nil {
		return nil, fault
	}
	wrong := &RowError{Kind: "no list", Place: x.Each.String()}
	if x.Split != "" {
		text, ok := scalar(v)
		if !ok {
			return nil, wrong
		}
		var out []any
		for part := range strings.SplitSeq(text, x.Split) {
			out = append(out, strings.TrimSpace(part))
		}
		return out, nil
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	}
	return nil, wrong
}

// identity returns the zero Identity if a field is empty.
func (x *identityRule) identity(e *env, at time.Time) (out snib.Identity, fault *RowError) {
	if ok, fault := x.When.hold(e); !ok || fault != nil {
		return out, fault
	}
	if len(x.Unless) > 0 {
		if ok, fault := x.Unless.hold(e); ok || fault != nil {
			return out, fault
		}
	}
	provider, fault := x.Provider.expand(e)
	if fault != nil {
		return out, fault
	}
	identifier, fault := x.Identifier.expand(e)
	if fault != nil || identifier == "" || provider == "" {
		return out, fault
	}
	linked, fault := x.Linked.value(e)
	if fault != nil {
		return out, fault
	}
	verified, fault := x.verified(e, at)
	return snib.Identity{Provider: provider, Identifier: identifier, LinkedAt: linked, VerifiedAt: verified}, fault
}

// verified returns the time of the verification, at where only the fact is known.
func (x *identityRule) verified(e *env, at time.Time) (time.Time, *RowError) {
	given, fault := x.VerifiedAt.value(e)
	if fault != nil {
		return time.Time{}, fault
	}
	yes := x.Proven || x.Verified == nil && !given.IsZero()
	if x.Verified != nil {
		if yes, fault = x.Verified.value(e); fault != nil {
			return time.Time{}, fault
		}
	}
	switch {
	case !yes:
		return time.Time{}, nil
	case given.IsZero():
		return at, nil
	}
	return given, nil
}

// addIdentity adds one that is not there already. Of two, a verification counts.
func addIdentity(all []snib.Identity, x snib.Identity) []snib.Identity {
	if x.Provider == "" || x.Identifier == "" {
		return all
	}
	for i := range all {
		if sameIdentity(&all[i], &x) {
			if all[i].VerifiedAt.IsZero() {
				all[i].VerifiedAt = x.VerifiedAt
			}
			return all
		}
	}
	return append(all, x)
}

// sameIdentity compares addresses and names without their case, as the library
// does by default.
func sameIdentity(a, b *snib.Identity) bool {
	folds := a.Provider == "email" || a.Provider == "username"
	return a.Provider == b.Provider &&
		(a.Identifier == b.Identifier || folds && strings.EqualFold(a.Identifier, b.Identifier))
}

func (m *Mapping) password(e *env, u *snib.UserImport) *RowError {
	rules := m.Password
	if rules == nil {
		return nil
	}
	if rules.In != nil {
		found, fault := rules.element(e)
		if found == nil || fault != nil {
			return fault
		}
		e = found
	}
	present, fault := rules.Present.expand(e)
	if present == "" || fault != nil {
		return fault
	}
	for i := range rules.Rules {
		rule := &rules.Rules[i]
		ok, fault := rule.When.hold(e)
		if fault != nil {
			return fault
		}
		if ok {
			return rule.apply(e, u)
		}
	}
	name, _ := rules.Algorithm.expand(e)
	return &RowError{Kind: "a password hash that no rule of the mapping fits" + orNothing(": ", short(name))}
}

func orNothing(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// element returns an env about the first element that fits, or nil.
func (p *passwordRules) element(e *env) (*env, *RowError) {
	v, fault := e.get(p.In)
	if v == nil || fault != nil {
		return nil, fault
	}
	list, ok := v.([]any)
	if !ok {
		return nil, &RowError{Kind: "no list", Place: p.In.String()}
	}
	for _, v := range list {
		found := &env{fields: e.fields, item: v, params: e.params}
		if ok, fault := p.Where.hold(found); ok || fault != nil {
			return found, fault
		}
	}
	return nil, nil
}

// apply sets the password. A part that is missing refuses the row: there is a
// password, and it must not get lost.
func (r *passwordRule) apply(e *env, u *snib.UserImport) (fault *RowError) {
	if r.None {
		return nil
	}
	if u.PasswordSource, fault = r.Source.expand(e); fault != nil {
		return fault
	}
	u.PasswordPepper = r.Pepper
	if r.Key != nil {
		u.PasswordKey, fault = r.Key.key(e)
		return fault
	}
	u.PasswordHash, fault = r.Hash.expand(e)
	if fault == nil && u.PasswordHash == "" {
		fault = &RowError{Kind: "a password hash with a part missing"}
	}
	return fault
}

func (k *keyRule) key(e *env) (*snib.PasswordKey, *RowError) {
	out := &snib.PasswordKey{}
	var fault *RowError
	if out.Scheme, fault = k.Scheme.expand(e); fault != nil {
		return nil, fault
	}
	for _, n := range []struct {
		from *template
		to   *uint64
	}{{&k.Iterations, &out.Iterations}, {&k.N, &out.N}, {&k.R, &out.R}, {&k.P, &out.P}, {&k.MemoryKiB, &out.MemoryKiB}} {
		text, fault := n.from.expand(e)
		if fault != nil {
			return nil, fault
		}
		if text == "" {
			continue
		}
		var err error
		if *n.to, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, &RowError{Kind: "a parameter of the hash that is no number"}
		}
	}
	if out.Salt, fault = decoded(&k.Salt, orElse(k.SaltAs, k.Encoding), e); fault != nil {
		return nil, fault
	}
	out.Key, fault = decoded(&k.Key, k.Encoding, e)
	return out, fault
}

func orElse(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

func decoded(t *template, encoding string, e *env) ([]byte, *RowError) {
	text, fault := t.expand(e)
	if fault != nil {
		return nil, fault
	}
	if text == "" {
		return nil, &RowError{Kind: "a password hash with a part missing"}
	}
	var out []byte
	var err error
	switch encoding {
	case "hex":
		out, err = hex.DecodeString(text)
	case "text":
		out = []byte(text)
	default:
		text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		out, err = base64.RawStdEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, &RowError{Kind: "a part of the password hash that is not " + orElse(encoding, "base64")}
	}
	return out, nil
}

func (m *Mapping) disabled(e *env, u *snib.UserImport) *RowError {
	d := m.Disabled
	if d == nil {
		return nil
	}
	var fault *RowError
	if len(d.Field) > 0 {
		if u.Disabled, fault = d.value(e); fault != nil {
			return fault
		}
	}
	until, fault := d.Until.value(e)
	if fault != nil {
		return fault
	}
	switch {
	case until.After(time.Now()):
		u.Disabled = true
	case !until.IsZero():
		u.Disabled = false // it is over
	}
	if u.Disabled {
		u.DisabledReason, fault = d.Reason.expand(e)
		u.DisabledReason = cut(u.DisabledReason, 256)
	}
	return fault
}

// cut shortens text to at most n bytes, at the end of a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}

func (m *Mapping) attributes(e *env, u *snib.UserImport) *RowError {
	out := snib.Attributes{}
	set := func(name string, v any) *RowError {
		if text, ok := v.(string); v == nil || ok && text == "" {
			return nil
		}
		v, err := attributeValue(v)
		if err != nil {
			return &RowError{Kind: err.Error(), Place: "attribute " + short(name)}
		}
		out[name] = v
		return nil
	}
	if m.Rest {
		for _, name := range sortedKeys(e.fields) {
			if m.named[name] {
				continue
			}
			if fault := set(name, e.fields[name]); fault != nil {
				return fault
			}
		}
	}
	for _, prefix := range sortedKeys(m.Spread) {
		v, fault := e.get(m.Spread[prefix])
		if fault != nil {
			return fault
		}
		object, _ := v.(map[string]any)
		if v != nil && v != "" && object == nil {
			return &RowError{Kind: "no object", Place: m.Spread[prefix].String()}
		}
		for _, name := range sortedKeys(object) {
			if fault := set(prefix+name, object[name]); fault != nil {
				return fault
			}
		}
	}
	for _, name := range sortedKeys(m.Attributes) {
		v, fault := e.get(m.Attributes[name])
		if fault == nil {
			fault = set(name, v)
		}
		if fault != nil {
			return fault
		}
	}
	if len(out) > 0 {
		u.Attributes = out
	}
	return nil
}

// left names the parts that the row has and snib does not take.
func (m *Mapping) left(e *env) (out []string, fault *RowError) {
	for _, name := range sortedKeys(m.Left) {
		v, fault := e.get(m.Left[name])
		if fault != nil {
			return nil, fault
		}
		list, isList := v.([]any)
		if v != nil && v != "" && v != false && !(isList && len(list) == 0) {
			out = append(out, name)
		}
	}
	return out, nil
}
