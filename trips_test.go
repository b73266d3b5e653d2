package snib_test

import (
	"context"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/farkv"
	"github.com/snibdb/snib/internal/kv/sharedkv"
)

// farEngine is an engine over a network.
type farEngine struct {
	*sharedkv.Engine
	far *farkv.Store
}

func (e *farEngine) Open(ctx context.Context, setup kv.Setup) (kv.Store, error) {
	s, err := e.Engine.Open(ctx, setup)
	if err == nil {
		e.far = farkv.Wrap(s)
	}
	return e.far, err
}

// Over a network each read that was not declared before costs a trip. The bounds
// are those of docs/adr/0022.
func TestTripsOfWrites(t *testing.T) {
	key, err := snib.NewKey("k1", []byte("0123456789abcdef0123456789abcdef"))
	wantErr(t, err, nil)
	e := &farEngine{Engine: sharedkv.New(t, sharedkv.Options{})}
	db := openStore(t, e, &snib.Options{Keys: []snib.Key{key}})
	far := e.far
	create := func(name string) snib.User {
		u, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name, Password: "correct horse battery"})
		wantErr(t, err, nil)
		return u
	}
	u := create("ada")
	gone := create("gone")
	for range 10 {
		_, err := db.CreateSession(ctx, gone, snib.SessionOptions{})
		wantErr(t, err, nil)
	}
	s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
	wantErr(t, err, nil)
	_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	wantErr(t, err, nil)
	for _, x := range []struct {
		name  string
		trips int64
		call  func() error
	}{
		{"CreateUser", 2, func() error { create("eve"); return nil }},
		{"CreateSession", 4, func() error { _, err := db.CreateSession(ctx, u, snib.SessionOptions{}); return err }},
		{"LogIn", 4, func() error {
			_, _, err := db.LogIn(ctx, "username", "ada", "correct horse battery", snib.SessionOptions{})
			return err
		}},
		{"RenewSession", 4, func() error { s, err = db.RenewSession(ctx, s.Token.Reveal()); return err }},
		{"Refresh", 4, func() error { _, r, err = db.Refresh(ctx, r.Token.Reveal()); return err }},
		{"RevokeToken", 4, func() error { return db.RevokeToken(ctx, s.Token.Reveal()) }},
		{"DeleteUser", 4, func() error { return db.DeleteUser(ctx, gone.ID) }},
		{"UpdateUserAttributes", 4, func() error { _, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"a": 1}); return err }},
	} {
		far.Trips()
		wantErr(t, x.call(), nil)
		if n := far.Trips(); n > x.trips {
			t.Errorf("%s: %d trips, want at most %d", x.name, n, x.trips)
		}
	}
}
