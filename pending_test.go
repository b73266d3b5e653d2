package snib_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// TestAPendingLogInIsVoid once anything that it stands on has changed.
func TestAPendingLogInIsVoid(t *testing.T) {
	id := func(h *holder) snib.UserID { return h.user.ID }
	for what, c := range map[string]func(*holder) error{
		"password change": func(h *holder) error { return second(h.db.UpdateUserPassword(ctx, id(h), "another passphrase")) },
		"disabled":        func(h *holder) error { return second(h.db.DisableUser(ctx, id(h), "")) },
		"disabled and enabled": func(h *holder) error {
			return errors.Join(second(h.db.DisableUser(ctx, id(h), "")), second(h.db.EnableUser(ctx, id(h))))
		},
		"deleted":        func(h *holder) error { return h.db.DeleteUser(ctx, id(h)) },
		"reset":          func(h *holder) error { return second(h.db.Factors().Reset(ctx, id(h))) },
		"factor removed": func(h *holder) error { return h.db.Factors().Remove(ctx, snib.FactorNotNeeded(h.user), h.phone.id) },
		"sign-out":       func(h *holder) error { return h.db.RevokeUserSessions(ctx, id(h)) },
		"identity moved": func(h *holder) error {
			return second(h.db.UpdateUserProviderID(ctx, id(h), "email", "new@example.com"))
		},
		"everything ended": func(h *holder) error { return h.db.EndEverything(ctx) },
		"expired":          func(h *holder) error { h.clock.Advance(10 * time.Minute); return nil },
	} {
		t.Run(what, func(t *testing.T) {
			h := newHolder(t, snib.Options{})
			pending := h.pend(t)
			if err := c(h); err != nil {
				t.Fatal(err)
			}
			quiet(t, h.db, func() {
				for _, code := range []string{h.phone.code(h.db), h.codes[0]} {
					_, err := h.finish(pending, code)
					wantErr(t, err, snib.ErrInvalidPending)
				}
			})
		})
	}
	h := newHolder(t, snib.Options{})
	pending := h.pend(t)
	h.clock.Advance(10*time.Minute - tick)
	must(h.finish(pending, h.phone.code(h.db)))(t)
	s := h.logIn(t)
	again := pendingOf(t, second(h.db.Reauthenticate(ctx, s.Token.Reveal(), password)))
	if err := h.db.RevokeToken(ctx, s.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	_, err := h.finish(again, h.codes[0])
	wantErr(t, err, snib.ErrInvalidPending) // of a session that has ended

	h = newHolder(t, snib.Options{Sessions: snib.SessionPolicy{Active: 5 * time.Minute}})
	s = h.logIn(t)
	again = pendingOf(t, second(h.db.Reauthenticate(ctx, s.Token.Reveal(), password)))
	h.clock.Advance(5 * time.Minute)
	_, err = h.finish(again, h.codes[0])
	wantErr(t, err, snib.ErrInvalidPending) // of one that is idle
}

// TestAPendingLogInIsOfItsFileAlone, also where files share a key, an id and a
// credential version.
func TestAPendingLogInIsOfItsFileAlone(t *testing.T) {
	h := newHolder(t, snib.Options{})
	pending := h.pend(t)
	quiet(t, h.db, func() {
		for i := range pending {
			_, err := h.finish(pending[:i]+string(pending[i]^1)+pending[i+1:], h.codes[0])
			wantErr(t, err, snib.ErrInvalidPending)
		}
		for _, text := range []string{"", "snpen_", "snpen_k1.", "snpen_k2." + pending[9:], h.session.Token.Reveal(), pending + "A", strings.Repeat("A", 1<<20)} {
			_, err := h.finish(text, h.codes[0])
			wantErr(t, err, snib.ErrInvalidPending)
		}
	})
	other, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	must(other.ImportUser(ctx, snib.UserImport{ID: h.user.ID, Provider: "email", Identifier: "ada@example.com"}))(t)
	phone := enrol(t, other, asNow(t, other, h.user.ID))
	rawPut(t, handle(t, other), "users", string(h.user.ID), rawGet(t, handle(t, h.db), "users", string(h.user.ID))) // and a version
	_, _, err := other.Factors().FinishLogIn(ctx, pending, phone.at(phone.last+1))
	wantErr(t, err, snib.ErrInvalidPending)
}

// TestASecondFactorErrorShowsNoToken, in no format.
func TestASecondFactorErrorShowsNoToken(t *testing.T) {
	h := newHolder(t, snib.Options{})
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	e, _ := errors.AsType[*snib.SecondFactorError](err)
	enrolment := must(h.db.Factors().BeginTOTP(ctx, h.logIn(t), "Notes", "tablet"))(t)
	var out bytes.Buffer
	for _, v := range []any{err, e, *e, []any{e}, struct{ E error }{err}, struct{ e error }{err}, enrolment, &enrolment} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		json.NewEncoder(&out).Encode(v)
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Info("log-in", "value", v)
		}
	}
	for what, secret := range map[string]string{"pending": e.Pending.Reveal(), "seed": enrolment.Secret.Reveal(), "URI": enrolment.URI.Reveal()} {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), secret[len(secret)-22:]} {
			if len(secret) < 32 || strings.Contains(out.String(), form) {
				t.Errorf("the %s is shown", what)
			}
		}
	}
}

// TestAThousandPendingsGiveFiveGuesses, all at once.
func TestAThousandPendingsGiveFiveGuesses(t *testing.T) {
	h := newHolder(t, snib.Options{})
	pendings := make([]string, 1000)
	for i := range pendings {
		pendings[i] = pendingOf(t, second(h.db.CreateSession(ctx, h.user, snib.SessionOptions{})))
	}
	var mu sync.Mutex
	looked := 0
	var wg sync.WaitGroup
	for _, p := range pendings {
		wg.Go(func() {
			_, err := h.finish(p, h.phone.wrong(h.db))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, snib.ErrInvalidCredentials):
				looked++
			case !errors.Is(err, snib.ErrThrottled):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if looked != 5 {
		t.Errorf("%d codes were looked at, want 5", looked)
	}
	must(h.finish(pendings[0], h.codes[0]))(t) // none was evicted
}

// TestASecondStepKeepsTheOptionsOfTheFirst, and a factor that the program names
// itself is one.
func TestASecondStepKeepsTheOptionsOfTheFirst(t *testing.T) {
	h := newHolder(t, snib.Options{})
	o := snib.SessionOptions{Persistent: true, Active: time.Hour, Idle: 2 * time.Hour, Absolute: 4 * time.Hour, Methods: snib.MethodProvider}
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, o)
	s := must(h.finish(pendingOf(t, err), h.phone.code(h.db)))(t)
	now := h.clock.Now()
	if !s.Persistent || !s.ActiveUntil.Equal(now.Add(time.Hour)) || !s.IdleUntil.Equal(now.Add(3*time.Hour)) || !s.AbsoluteUntil.Equal(now.Add(4*time.Hour)) ||
		s.Methods != snib.MethodPassword|snib.MethodProvider|snib.MethodTOTP {
		t.Errorf("%+v", s)
	}
	o.Methods |= snib.MethodPasskey
	valid(t, h.db, must(h.db.CreateSession(ctx, h.user, o))(t))
}
