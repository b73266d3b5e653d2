package importer

import "slices"

// names are the fields that a mapping names. Rest makes no attributes of
// them: the hash is among them.
func (m *Mapping) names() map[string]bool {
	out := make(map[string]bool)
	add := func(p path) {
		if len(p) > 0 {
			out[p[0]] = true
		}
	}
	for i := range m.ID {
		m.ID[i].paths(add)
	}
	for i := range m.Identities {
		m.Identities[i].names(add)
	}
	m.Created.names(add)
	m.PasswordChanged.names(add)
	if d := m.Disabled; d != nil {
		add(d.Field)
		d.Reason.paths(add)
		d.Until.names(add)
	}
	for _, list := range []map[string]path{m.Left, m.Attributes, m.Spread} {
		for _, p := range list {
			add(p)
		}
	}
	if m.Password != nil {
		m.Password.names(add)
	}
	return out
}

func (m *moment) names(add func(path)) {
	if m != nil {
		add(m.Field)
	}
}

func (c conditions) names(add func(path)) {
	for _, x := range c {
		add(x.path)
	}
}

func (x *identityRule) names(add func(path)) {
	add(x.Each)
	x.Provider.paths(add)
	x.Identifier.paths(add)
	if x.Verified != nil {
		add(x.Verified.Field)
	}
	slices.Concat(x.When, x.Unless).names(add)
	x.VerifiedAt.names(add)
	x.Linked.names(add)
}

func (p *passwordRules) names(add func(path)) {
	add(p.In)
	p.Where.names(add)
	p.Present.paths(add)
	p.Algorithm.paths(add)
	for i := range p.Rules {
		r := &p.Rules[i]
		r.When.names(add)
		r.Hash.paths(add)
		r.Source.paths(add)
		if k := r.Key; k != nil {
			for _, t := range []*template{&k.Scheme, &k.Iterations, &k.N, &k.R, &k.P, &k.MemoryKiB, &k.Salt, &k.Key} {
				t.paths(add)
			}
		}
	}
}
