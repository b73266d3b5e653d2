package snibhttp_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// A holderSite is a site whose user has a second factor.
type holderSite struct {
	*site
	seed []byte
}

func newHolderSite(t *testing.T, change func(*snibhttp.Options)) *holderSite {
	t.Helper()
	key, err := snib.NewKey("k1", []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	h := &holderSite{site: newSite(t, func(o *snib.Options, s *snibhttp.Options) {
		o.Keys = []snib.Key{key}
		if change != nil {
			change(s)
		}
	})}
	e, err := h.db.Factors().BeginTOTP(t.Context(), h.user, "Notes", "phone")
	if err != nil {
		t.Fatal(err)
	}
	all.issue("." + e.Secret.Reveal())
	if h.seed, err = base32.StdEncoding.DecodeString(e.Secret.Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.db.Factors().ConfirmTOTP(t.Context(), h.user, e.ID, h.code()); err != nil {
		t.Fatal(err)
	}
	h.user = h.refreshed()
	h.mux.HandleFunc("/code", func(w http.ResponseWriter, r *http.Request) {
		session, err := h.m.FinishLogIn(w, r, r.Header.Get("Code"))
		if err == nil && session.Token.Reveal() != "" {
			err = errors.New("the session has its token")
		}
		h.answer(w, r, err)
	})
	h.mux.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) {
		_, err := h.m.Reauthenticate(w, r, password)
		h.answer(w, r, err)
	})
	return h
}

// code is the next code of the user's phone (RFC 6238).
func (h *holderSite) code() string {
	h.clock.Advance(time.Minute)
	mac := hmac.New(sha1.New, h.seed)
	binary.Write(mac, binary.BigEndian, h.clock.Now().Unix()/30)
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// cookies returns those of an answer by name; "" is deleted.
func cookies(res *http.Response) map[string]string {
	out := map[string]string{}
	for _, c := range res.Cookies() {
		out[c.Name] = c.Value
	}
	return out
}

const step = "__Host-notes-step"

// TestALogInInTwoStepsByCookies: the first one signs nobody in and ends nothing.
func TestALogInInTwoStepsByCookies(t *testing.T) {
	for _, path := range []string{"/log-in", "/sign-in", "/again"} {
		t.Run(path, func(t *testing.T) {
			h := newHolderSite(t, nil)
			carriedSession, err := h.db.CreateSession(t.Context(), snib.FactorNotNeeded(h.refreshed()), snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			carried := carriedSession.Token.Reveal()
			all.issue(carried)
			res := h.do(h.request("POST", path, cookie+carried, "Accept: application/json"))
			wantStatus(t, res, http.StatusUnauthorized)
			var problem struct{ Code string }
			if err := json.Unmarshal([]byte(body(t, res)), &problem); err != nil || problem.Code != "second_factor_required" {
				t.Errorf("%+v, %v", problem, err)
			}
			list := res.Cookies()
			if len(list) != 1 || list[0].Name != step || list[0].MaxAge != 600 || !list[0].HttpOnly || !list[0].Secure ||
				list[0].SameSite != http.SameSiteStrictMode || list[0].Path != "/" || res.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%q", res.Header)
			}
			pending := "Cookie: " + step + "=" + list[0].Value
			if !h.valid(carried) {
				t.Error("the carried session has ended")
			}

			res = h.do(h.request("POST", "/code", cookie+carried, pending, "Code: 000000"))
			wantStatus(t, res, http.StatusUnauthorized)
			if len(res.Cookies()) != 0 {
				t.Errorf("a wrong code sets %q", res.Header["Set-Cookie"])
			}
			res = h.do(h.request("POST", "/code", cookie+carried, pending, "Code: "+h.code()))
			wantStatus(t, res, http.StatusNoContent)
			set := cookies(res)
			delete(set, "__Host-notes.device") // of a session that outlives the browser
			if token := set["__Host-notes"]; !h.valid(token) || h.valid(carried) || len(set) != 2 || set[step] != "" {
				t.Errorf("%q", set)
			}
		})
	}
}

func TestFinishLogInRefuses(t *testing.T) {
	h := newHolderSite(t, nil)
	value := cookies(h.do(h.request("POST", "/log-in")))[step]
	pending := "Cookie: " + step + "=" + value
	for what, c := range map[string]struct {
		r       *http.Request
		want    error
		deleted bool
	}{
		"no cookie":         {h.request("POST", "/code"), snib.ErrInvalidPending, true},
		"two cookies":       {h.request("POST", "/code", pending, "Cookie: "+step+"=x"), snib.ErrInvalidPending, true},
		"a dead cookie":     {h.request("POST", "/code", pending+"x"), snib.ErrInvalidPending, true},
		"a GET":             {h.request("GET", "/code", pending), snibhttp.ErrMethod, false},
		"a bearer token":    {h.request("POST", "/code", pending, "Authorization: Bearer x"), snibhttp.ErrAuthorization, false},
		"from another site": {h.request("POST", "/code", pending, "Sec-Fetch-Site: cross-site"), snibhttp.ErrCrossOrigin, false},
	} {
		if what == "from another site" {
			c.r.Header["Sec-Fetch-Site"] = []string{"cross-site"}
		}
		rec := httptest.NewRecorder()
		_, err := h.m.FinishLogIn(rec, c.r, h.code())
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if list := rec.Result().Cookies(); len(list) > 1 || (len(list) == 1) != c.deleted || c.deleted && (list[0].Name != step || list[0].MaxAge >= 0) {
			t.Errorf("%s: sets %q", what, rec.Header()["Set-Cookie"])
		}
	}
	wantStatus(t, h.do(h.request("POST", "/code", pending, "Code: "+h.code())), http.StatusNoContent)
}

// TestSecondStepSetsNoCookieWhereNoneIsDue: for another site's request, for a
// native client, and where browsers would drop it.
func TestSecondStepSetsNoCookieWhereNoneIsDue(t *testing.T) {
	h := newHolderSite(t, nil)
	_, _, err := h.db.LogIn(t.Context(), "email", "ada@example.com", password, snib.SessionOptions{})
	_, _, long := h.db.LogIn(t.Context(), "email", "ada@example.com", password, snib.SessionOptions{Attributes: snib.Attributes{"x": strings.Repeat("x", 3000)}})
	foreign := h.request("POST", "/log-in")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	for what, c := range map[string]struct {
		r   *http.Request
		err error
	}{
		"another site":   {foreign, err},
		"a bearer token": {h.request("POST", "/log-in", "Authorization: Bearer x"), err},
		"too long":       {h.request("POST", "/log-in"), long},
	} {
		rec := httptest.NewRecorder()
		if !h.m.SecondStep(rec, c.r, c.err) || len(rec.Result().Cookies()) != 0 {
			t.Errorf("%s: sets %q", what, rec.Header()["Set-Cookie"])
		}
	}
	if h.m.SecondStep(httptest.NewRecorder(), h.request("POST", "/"), snib.ErrInvalidCredentials) {
		t.Error("another error is one")
	}
}

// TestTheHookGetsTheSecondStep with the cookie set, to show its form.
func TestTheHookGetsTheSecondStep(t *testing.T) {
	h := newHolderSite(t, func(o *snibhttp.Options) {
		o.Refuse = func(w http.ResponseWriter, r *http.Request, status int, err error) {
			if status == 401 && errors.Is(err, snib.ErrSecondFactor) {
				http.Redirect(w, r, "/code", http.StatusSeeOther)
			}
		}
	})
	res := h.do(h.request("POST", "/log-in"))
	wantStatus(t, res, http.StatusSeeOther)
	if res.Header.Get("Location") != "/code" || cookies(res)[step] == "" {
		t.Errorf("%q", res.Header)
	}
}

// TestEnrolmentInTheSecondStep of a user who must have a factor and has none: from
// a known browser a page shows the seed, and the code signs in.
func TestEnrolmentInTheSecondStep(t *testing.T) {
	key, err := snib.NewKey("k1", []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	must := false
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) {
		o.Keys, o.Factors.Require = []snib.Key{key}, func(snib.User) bool { return must }
	})
	home := s.device(s.user)
	must = true
	h := &holderSite{site: s}
	var begun snib.TOTPEnrolment
	s.mux.HandleFunc("/first", func(w http.ResponseWriter, r *http.Request) {
		_, err := s.m.LogIn(w, r, s.refreshed(), s.m.SessionOptions(r))
		s.m.Error(w, r, err)
	})
	s.mux.HandleFunc("/enrol", func(w http.ResponseWriter, r *http.Request) {
		var err error
		begun, err = s.m.BeginTOTP(w, r, "Notes", "phone")
		s.answer(w, r, err)
	})
	s.mux.HandleFunc("/code", func(w http.ResponseWriter, r *http.Request) {
		_, err := s.m.FinishLogIn(w, r, r.Header.Get("Code"))
		s.answer(w, r, err)
	})
	res := s.serve(s.mux, s.request("POST", "/first", "Accept: application/json"))
	wantStatus(t, res, http.StatusUnauthorized)
	body, _ := io.ReadAll(res.Body)
	if !strings.Contains(string(body), `"code":"`+snibhttp.CodeEnrolment+`"`) {
		t.Errorf("%s", body)
	}
	step := ""
	for _, c := range res.Cookies() {
		if strings.HasSuffix(c.Name, "-step") {
			step = "Cookie: " + c.Name + "=" + c.Value
		}
	}
	wantStatus(t, s.serve(s.mux, s.request("POST", "/enrol", step)), http.StatusForbidden)
	wantStatus(t, s.serve(s.mux, s.request("GET", "/enrol", step, deviceCookie+home)), http.StatusMethodNotAllowed)
	wantStatus(t, s.serve(s.mux, s.request("POST", "/enrol", deviceCookie+home)), http.StatusUnauthorized)
	wantStatus(t, s.serve(s.mux, s.request("POST", "/enrol", step, deviceCookie+home)), http.StatusNoContent)
	all.issue("." + begun.Secret.Reveal())
	if h.seed, err = base32.StdEncoding.DecodeString(begun.Secret.Reveal()); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, s.serve(s.mux, s.request("POST", "/code", step, "Code: "+h.code())), http.StatusForbidden)
	res = s.serve(s.mux, s.request("POST", "/code", step, deviceCookie+home, "Code: "+h.code()))
	wantStatus(t, res, http.StatusNoContent)
	if c := res.Cookies(); c[0].Name != "__Host-notes" || !s.valid(c[0].Value) {
		t.Error("the cookie is of no session")
	}
}

// TestRequireFreshTakesNoTrustedDevice for the second factor.
func TestRequireFreshTakesNoTrustedDevice(t *testing.T) {
	h := newHolderSite(t, nil)
	_, _, err := h.db.LogIn(t.Context(), "email", "ada@example.com", password, snib.SessionOptions{})
	e, _ := errors.AsType[*snib.SecondFactorError](err)
	complete, _, err := h.db.Factors().FinishLogIn(t.Context(), e.Pending.Reveal(), h.code())
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.db.Devices().Trust(t.Context(), complete, 0)
	if err != nil {
		t.Fatal(err)
	}
	byDevice, _, err := h.db.LogIn(snib.WithDevice(t.Context(), d.Token.Reveal()), "email", "ada@example.com", password, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []snib.Session{complete, byDevice} {
		all.issue(s.Token.Reveal())
		want := http.StatusNotFound
		if s.ID == byDevice.ID {
			want = http.StatusUnauthorized
		}
		wantStatus(t, h.serve(h.m.RequireFresh(time.Hour, http.NotFoundHandler()), h.request("GET", "/", cookie+s.Token.Reveal())), want)
	}
}
