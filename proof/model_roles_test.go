package proof_test

import (
	"github.com/snibdb/snib/internal/model"
)

var roles = []string{"admin", "support", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"}

func (r *run) grantRole() bool {
	id, role := r.user(), pick(r, roles) // the first are rare, so that an admin is the last now and then
	u, err := r.on.Roles().Grant(ctx, id, role)
	return r.updated(u, err, r.m.Grant(string(id), role))
}

// manyRoles comes to the bound.
func (r *run) manyRoles() bool {
	id, good := r.user(), false
	for _, role := range roles {
		u, err := r.on.Roles().Grant(ctx, id, role)
		good = r.updated(u, err, r.m.Grant(string(id), role)) || good
	}
	return good
}

func (r *run) withdrawRole() bool {
	id, role := r.user(), roles[r.rng.IntN(2)]
	u, err := r.on.Roles().Withdraw(ctx, id, role)
	want := r.m.Withdraw(string(id), role)
	r.last(want)
	return r.updated(u, err, want)
}

// last notes that a last holder had to stay.
func (r *run) last(err error) {
	if err == model.ErrLastHolder {
		r.good = append(r.good, err.Error())
	}
}
