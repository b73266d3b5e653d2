package proof_test

import (
	"maps"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
)

func init() {
	maps.Copy(operations, map[string]operation{
		"RememberDevice": {do: (*run).rememberDevice}, "TrustDevice": {do: (*run).trustDevice, rare: 2},
		"many devices":  {do: (*run).manyDevices, rare: 8},
		"CurrentDevice": {do: (*run).currentDevice}, "ListDevices": {do: (*run).listDevices},
		"RevokeDevice": {do: (*run).revokeDevice, rare: 3}, "RevokeDevices": {do: (*run).revokeDevices, rare: 6},
	})
}

// proof chooses a session to remember a device by: mostly one of the user's that
// is there, and sometimes one that has ended or another user's.
func (r *run) proof() snib.Session {
	id := pick(r, append(slices.Clone(r.d.sessions), r.sessions...))
	if known := slices.Sorted(maps.Keys(r.m.Sessions)); len(known) > 0 && r.rng.IntN(5) > 0 {
		id = pick(r, known)
	}
	s := snib.Session{ID: snib.SessionID(id), UserID: r.user()}
	if ms := r.m.Sessions[id]; ms != nil && r.rng.IntN(8) > 0 {
		s.UserID = snib.UserID(ms.User)
	}
	return s
}

// carriedDevice chooses the token that a client carries, mostly one of the user's.
func (r *run) carriedDevice(user snib.UserID) string {
	if have := r.m.DevicesOf(string(user)); len(have) > 0 && r.rng.IntN(3) > 0 {
		return pick(r, have).Token
	}
	return r.text("sndev_")
}

// sameDevice compares what Remember and Trust returned with the model, which has
// the record under the id that it returned.
func (r *run) sameDevice(d snib.Device, id string) {
	r.d.t.Helper()
	want := r.m.Devices[id]
	if want == nil {
		r.differ("the device is %+v, want %s", d, id)
		return
	}
	got := model.Device{
		ID: string(d.ID), User: string(d.UserID), Token: want.Token, Epoch: want.Epoch, Trusted: want.Trusted,
		Created: d.CreatedAt.UnixMilli(), Used: d.LastUsedAt.UnixMilli(), Expires: d.ExpiresAt.UnixMilli(),
	}
	if got != *want || !d.TrustedUntil.IsZero() != (want.Trusted > r.m.Now) || !d.TrustedUntil.IsZero() && d.TrustedUntil.UnixMilli() != want.Trusted {
		r.differ("the device is\n%+v, want\n%+v", d, *want)
	}
}

func (r *run) rememberDevice() bool {
	s := r.proof()
	return r.rememberAs(s, r.carriedDevice(s.UserID))
}

func (r *run) rememberAs(s snib.Session, carried string) bool {
	d, err := r.on.Devices().Remember(snib.WithDevice(ctx, "", carried), s)
	r.texts = append(r.texts, d.Token.Reveal())
	known := r.m.KnownDevice(string(s.UserID), carried) != nil
	id, want := r.m.Remember(string(s.ID), string(s.UserID), carried, string(d.ID), d.Token.Reveal())
	if !r.agree(err, want) {
		return false
	}
	if (d.Token.Reveal() == "") != known {
		r.differ("a device that is known (%t) gets the token %q", known, d.Token.Reveal())
	}
	r.sameDevice(d, id)
	return true
}

func (r *run) trustDevice() bool {
	s, life := r.proof(), time.Duration(1+r.rng.IntN(10*3600))*time.Second
	carried := r.carriedDevice(s.UserID)
	d, err := r.on.Devices().Trust(snib.WithDevice(ctx, carried), s, life)
	r.texts = append(r.texts, d.Token.Reveal())
	id, want := r.m.Trust(string(s.ID), string(s.UserID), carried, life.Milliseconds(), string(d.ID), d.Token.Reveal())
	if r.agree(err, want) {
		r.sameDevice(d, id)
	}
	return err == nil
}

// manyDevices comes to the bound.
func (r *run) manyDevices() bool {
	s, good := r.proof(), false
	for range 22 {
		good = r.rememberAs(s, "") || good
	}
	return good
}

func (r *run) currentDevice() bool {
	user := r.user()
	carried := r.carriedDevice(user)
	d, err := r.on.Devices().Current(snib.WithDevice(ctx, carried), user)
	known := r.m.KnownDevice(string(user), carried)
	if known == nil {
		return r.agree(err, model.ErrDeviceNotFound)
	}
	if r.agree(err, nil) {
		r.sameDevice(d, known.ID)
	}
	return err == nil
}

func (r *run) listDevices() bool {
	user := r.user()
	if known := slices.Sorted(maps.Keys(r.m.Devices)); len(known) > 0 && r.rng.IntN(2) == 0 {
		user = snib.UserID(r.m.Devices[pick(r, known)].User)
	}
	got, err := r.on.Devices().List(ctx, user)
	var want []*model.Device
	for _, d := range r.m.DevicesOf(string(user)) {
		if r.m.DeviceAlive(d) {
			want = append(want, d)
		}
	}
	if !r.agree(err, nil) || len(got) != len(want) {
		r.differ("%d devices of %s, want %d", len(got), user, len(want))
		return false
	}
	for i := range got {
		r.sameDevice(got[i], want[i].ID)
	}
	return len(got) > 0
}

func (r *run) revokeDevice() bool {
	user, known := r.user(), slices.Sorted(maps.Keys(r.m.Devices))
	if user == "" || len(known) == 0 {
		return false
	}
	id := pick(r, known)
	return r.agree(r.on.Devices().Revoke(ctx, user, snib.DeviceID(id)), r.m.RevokeDevice(id, string(user)))
}

func (r *run) revokeDevices() bool {
	user := r.user()
	return r.agree(r.on.Devices().RevokeAll(ctx, user), r.m.RevokeDevices(string(user)))
}
