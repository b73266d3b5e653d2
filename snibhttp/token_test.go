package snibhttp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

const formType = "application/x-www-form-urlencoded"

// post is a native client's: it has no header of a browser's.
func (s *site) post(path, form string) *http.Request {
	r := httptest.NewRequest("POST", "https://notes.example"+path, strings.NewReader(form))
	r.Header.Set("Content-Type", formType)
	return r
}

func (s *site) refreshToken() string {
	s.t.Helper()
	_, t, err := s.db.CreateRefreshToken(context.Background(), s.user, snib.SessionOptions{Persistent: true})
	if err != nil {
		s.t.Fatal(err)
	}
	all.issue(t.Token.Reveal())
	return t.Token.Reveal()
}

// tokens are what the endpoint answers.
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
}

func tokensOf(t *testing.T, res *http.Response) (got tokens) {
	t.Helper()
	text := body(t, res)
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %q: %v", res.Status, text, err)
	}
	all.issue(got.Access)
	all.issue(got.Refresh)
	return got
}

// wantOAuthError wants an error answer of RFC 6749, 5.2.
func wantOAuthError(t *testing.T, what string, res *http.Response, status int, code string) {
	t.Helper()
	text := body(t, res)
	if res.StatusCode != status || text != `{"error":"`+code+`"}`+"\n" || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %s %q, want %d %s; %v", what, res.Status, text, status, code, res.Header)
	}
	if (res.Header.Get("Retry-After") != "") != (status == 503) || (res.Header.Get("Allow") == "POST") != (status == 405) {
		t.Errorf("%s: %v", what, res.Header)
	}
}

func TestTokenEndpoint(t *testing.T) {
	s := newSite(t, nil)
	first := s.refreshToken()
	r := s.post("/token", "grant_type=refresh_token&client_id=app&empty=&refresh_token="+first)
	r.Header.Set("Cookie", "__Host-notes=x; __Host-notes=y")
	r.Header.Add("Authorization", "Basic YTpi")
	r.Header.Add("Authorization", "Bearer z") // none of it is read
	res := s.do(r)
	got := tokensOf(t, res)
	if got.Type != "Bearer" || got.Expires != 3600 || !s.valid(got.Access) || len(res.Cookies()) != 0 {
		t.Errorf("%s, %d s, valid %v, cookies %v", got.Type, got.Expires, s.valid(got.Access), res.Cookies())
	}
	if h := res.Header; h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", h)
	}
	wantStatus(t, s.do(s.request("GET", "/closed", "Authorization: Bearer "+got.Access)), 200)

	// A lost answer: the same again.
	if again := tokensOf(t, s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+first))); again != got {
		t.Error("a repeated request gets another answer")
	}
	next := tokensOf(t, s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+got.Refresh)))
	// The first comes again: somebody holds a copy, and the family ends.
	for range 2 {
		wantOAuthError(t, "reuse", s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+first)), 400, "invalid_grant")
	}
	if s.valid(next.Access) {
		t.Error("the session outlives its family")
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	s := newSite(t, nil)
	token := s.refreshToken()
	session, access := s.session()
	good := "grant_type=refresh_token&refresh_token=" + token
	before := s.commits()
	for _, c := range []struct {
		what, form string
		code       string
		change     func(*http.Request)
	}{
		{"nothing", "", "invalid_request", nil},
		{"no grant type", "refresh_token=" + token, "invalid_request", nil},
		{"an empty grant type", "grant_type=&refresh_token=" + token, "invalid_request", nil},
		{"another grant type", "grant_type=password&refresh_token=" + token, "unsupported_grant_type", nil},
		{"no token", "grant_type=refresh_token", "invalid_request", nil},
		{"an empty token", "grant_type=refresh_token&refresh_token=", "invalid_request", nil},
		{"no refresh token", "grant_type=refresh_token&refresh_token=x", "invalid_grant", nil},
		{"a session's token", "grant_type=refresh_token&refresh_token=" + access, "invalid_grant", nil},
		{"a token with a space", good + "+", "invalid_grant", nil},
		{"a scope", good + "&scope=all", "invalid_scope", nil},
		{"a token twice", good + "&refresh_token=" + token, "invalid_request", nil},
		{"a grant type twice", good + "&grant_type=refresh_token", "invalid_request", nil},
		{"anything twice", good + "&a=&a=", "invalid_request", nil},
		{"what is no form", good + "&%zz", "invalid_request", nil},
		{"a semicolon", good + ";a=b", "invalid_request", nil},
		{"a large body", good + "&a=" + strings.Repeat("a", 8<<10), "invalid_request", nil},
		{"no type", good, "invalid_request", func(r *http.Request) { r.Header.Del("Content-Type") }},
		{"JSON", `{"grant_type":"refresh_token"}`, "invalid_request", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }},
		{"a type that begins alike", good, "invalid_request", func(r *http.Request) { r.Header.Set("Content-Type", formType+"x") }},
		{"a token in the address", "", "invalid_request", func(r *http.Request) { r.URL.RawQuery = good }},
		{"a query", good, "invalid_request", func(r *http.Request) { r.URL.RawQuery = "a" }},
		{"a body that breaks off", good, "invalid_request", func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(strings.NewReader(good), broken{})) }},
	} {
		r := s.post("/token", c.form)
		if c.change != nil {
			c.change(r)
		}
		wantOAuthError(t, c.what, s.do(r), 400, c.code)
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} {
		r := s.post("/token", good)
		r.Method = method
		wantOAuthError(t, method, s.do(r), 405, "invalid_request")
	}
	if got := s.commits(); got != before || !s.valid(access) {
		t.Errorf("%d commits; session %s valid: %v", got-before, session.ID, s.valid(access))
	}
	// Nothing of that has spent the token, and a charset is no other type.
	r := s.post("/token", good)
	r.Header.Set("Content-Type", formType+"; charset=utf-8")
	tokensOf(t, s.do(r))
}

// broken is the end of a body that does not come.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestTokenEndpointAfterTheEnd(t *testing.T) {
	for what, end := range map[string]func(*site) error{
		"expiry":   func(s *site) error { s.clock.Advance(31 * 24 * time.Hour); return nil },
		"deletion": func(s *site) error { return s.db.DeleteUser(t.Context(), s.user.ID) },
		"a user disabled": func(s *site) error {
			_, err := s.db.DisableUser(t.Context(), s.user.ID, "")
			return err
		},
		"a new password": func(s *site) error {
			_, err := s.db.UpdateUserPassword(t.Context(), s.user.ID, "another password")
			return err
		},
	} {
		s := newSite(t, nil)
		token := s.refreshToken()
		if err := end(s); err != nil {
			t.Fatal(err)
		}
		wantOAuthError(t, what, s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+token)), 400, "invalid_grant")
	}
}

// TestTokenEndpointsKeepTheTokenInTrouble: a client throws its token away at
// invalid_grant, and must not for a full disk.
func TestTokenEndpointsKeepTheTokenInTrouble(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.BusyTimeout = busyTimeout })
	token := s.refreshToken()
	both := map[string]string{"/token": "grant_type=refresh_token&refresh_token=" + token, "/revoke": "token=" + token}
	s.busy(func() {
		for path, form := range both {
			s.log.Reset()
			wantOAuthError(t, path, s.do(s.post(path, form)), 503, "temporarily_unavailable")
			if got := s.log.String(); strings.Count(got, "level=ERROR") != 1 || strings.Count(got, "\n") != 1 {
				t.Errorf("%s: log %q", path, got)
			}
		}
	})
	s.log.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.do(s.post("/token", both["/token"]).WithContext(ctx))
	if s.log.Len() != 0 {
		t.Errorf("log of a canceled request: %q", s.log)
	}
	got := tokensOf(t, s.do(s.post("/token", both["/token"])))
	// Revoked even though the client has gone.
	s.do(s.post("/revoke", "token="+got.Refresh).WithContext(ctx))
	if s.valid(got.Access) {
		t.Error("not revoked")
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	for path, form := range both {
		wantOAuthError(t, path, s.do(s.post(path, form)), 503, "temporarily_unavailable")
	}
}

func TestRevokeEndpoint(t *testing.T) {
	s := newSite(t, nil)
	refresh := s.refreshToken()
	got := tokensOf(t, s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+refresh)))
	_, session := s.session()
	for what, token := range map[string]string{
		"a refresh token": got.Refresh, "the same": got.Refresh, "a spent one": refresh, "a session's": session, "an unknown one": "x",
		"an unknown one of the form": got.Refresh[:len(got.Refresh)-1] + "0",
	} {
		r := s.post("/revoke", url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode())
		r.Header.Set("Cookie", "__Host-notes="+session)
		res := s.do(r)
		if text := body(t, res); res.StatusCode != 200 || text != "" || res.Header.Get("Cache-Control") != "no-store" || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s %q", what, res.Status, text)
		}
	}
	if s.valid(got.Access) || s.valid(session) {
		t.Error("a session is still good")
	}
	wantOAuthError(t, "a revoked token", s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+got.Refresh)), 400, "invalid_grant")
	for what, form := range map[string]string{"nothing": "", "an empty token": "token=", "two": "token=a&token=b", "large": "token=a&b=" + strings.Repeat("b", 8<<10)} {
		wantOAuthError(t, what, s.do(s.post("/revoke", form)), 400, "invalid_request")
	}
	wantOAuthError(t, "GET", s.do(httptest.NewRequest("GET", "https://notes.example/revoke?token="+session, nil)), 405, "invalid_request")
}

// TestWriteTokens is the answer to a native log-in.
func TestWriteTokens(t *testing.T) {
	s := newSite(t, nil)
	session, refresh, err := s.db.CreateRefreshToken(t.Context(), s.user, s.m.SessionOptions(s.post("/", "")))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := snibhttp.WriteTokens(w, session, refresh); err != nil {
		t.Fatal(err)
	}
	got := tokensOf(t, w.Result())
	if got.Access != session.Token.Reveal() || got.Refresh != refresh.Token.Reveal() || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v", w.Header())
	}
}

// lost is a connection that breaks off.
type lost struct{ *httptest.ResponseRecorder }

func (lost) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestATokenAnswerThatIsLost is no error of ours, and the client's next try
// gets the same tokens.
func TestATokenAnswerThatIsLost(t *testing.T) {
	s := newSite(t, nil)
	form := "grant_type=refresh_token&refresh_token=" + s.refreshToken()
	s.mux.ServeHTTP(lost{httptest.NewRecorder()}, s.post("/token", form))
	if got := s.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=DEBUG") {
		t.Errorf("log %q", got)
	}
	tokensOf(t, s.do(s.post("/token", form)))
}

// TestExpiresInIsWhatIsLeft of a session in an answer that is repeated, and of
// its cookie if it is given one.
func TestExpiresInIsWhatIsLeft(t *testing.T) {
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.Refresh.Session = 20 * time.Second })
	token := s.refreshToken()
	form := "grant_type=refresh_token&refresh_token=" + token
	if got := tokensOf(t, s.do(s.post("/token", form))); got.Expires != 20 {
		t.Errorf("expires_in %d at first", got.Expires)
	}
	s.clock.Advance(18500 * time.Millisecond)
	got := tokensOf(t, s.do(s.post("/token", form)))
	if !s.valid(got.Access) || got.Expires != 1 { // and a half
		t.Errorf("expires_in %d of a repeated answer", got.Expires)
	}
	session, refresh, err := s.db.Refresh(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := snibhttp.WriteTokens(w, session, refresh); err != nil {
		t.Fatal(err)
	}
	if got := tokensOf(t, w.Result()); got.Expires != 1 {
		t.Errorf("WriteTokens: expires_in %d", got.Expires)
	}
	res := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, s.m.SetSession(w, r, session))
	}), s.request("POST", "/"))
	if got := res.Cookies()[0].MaxAge; got != 1 {
		t.Errorf("Max-Age %d", got)
	}
}

// TestReuseIsToldToTheProgram, which the client's answer is not.
func TestReuseIsToldToTheProgram(t *testing.T) {
	var told []*snib.ReuseError
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		o.Reused = func(r *http.Request, e *snib.ReuseError) {
			if told = append(told, e); r.URL.Path != "/token" {
				t.Errorf("told of a request to %s", r.URL.Path)
			}
		}
	})
	spent := "grant_type=refresh_token&refresh_token=" + s.refreshToken()
	next := tokensOf(t, s.do(s.post("/token", spent)))
	tokensOf(t, s.do(s.post("/token", "grant_type=refresh_token&refresh_token="+next.Refresh)))
	wantOAuthError(t, "unknown", s.do(s.post("/token", "grant_type=refresh_token&refresh_token=x")), 400, "invalid_grant")
	if len(told) != 0 {
		t.Errorf("told of no reuse: %v", told)
	}
	for i := range 2 {
		wantOAuthError(t, "reuse", s.do(s.post("/token", spent)), 400, "invalid_grant")
		if len(told) != i+1 || told[i].UserID != s.user.ID || told[i].ID == "" || told[i].ID != told[0].ID {
			t.Errorf("told %v", told)
		}
	}
}
