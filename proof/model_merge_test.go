package proof_test

// merge makes one user of those of two sessions, mostly of different ones.
func (r *run) merge() bool {
	into, from := r.text("snses_"), r.text("snses_")
	got, err := r.on.Identities().Merge(ctx, into, from)
	want := r.m.Merge(into, from, string(got.Session.ID), got.Session.Token.Reveal())
	return r.made(got.Session, err, want) && r.updated(got.User, err, want)
}
