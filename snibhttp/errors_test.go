package snibhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

func TestStatusOfErrors(t *testing.T) {
	s := newSite(t, nil)
	for err, want := range map[error]int{
		snibhttp.ErrUnauthenticated:               401,
		snibhttp.ErrBearerToken:                   401,
		snib.ErrInvalidSession:                    401,
		snib.ErrInvalidCredentials:                401,
		snib.ErrUserNotFound:                      401,
		snib.ErrUserDisabled:                      401,
		snib.ErrInvalidRefreshToken:               401,
		&snib.ReuseError{}:                        401,
		&snib.SecondFactorError{}:                 401,
		snib.ErrInvalidPending:                    401,
		snib.ErrNotFresh:                          401,
		snib.ErrFactorsClosed:                     429,
		snib.ErrFactorNotFound:                    404,
		snibhttp.ErrCrossOrigin:                   403,
		snibhttp.ErrMethod:                        405,
		snib.ErrIdentityTaken:                     409,
		snib.ErrInvalidAPIKey:                     401,
		snibhttp.ErrNotFresh:                      401,
		&snibhttp.ScopeError{Scope: "s"}:          403,
		snibhttp.ErrRole:                          403,
		snib.ErrAPIKeyLimit:                       409,
		snib.ErrTooMany:                           409,
		snib.ErrPasskeyTaken:                      409,
		snib.ErrPasskeyCloned:                     401,
		snib.ErrInvalidChallenge:                  401,
		snib.ErrLastFactor:                        409,
		snib.ErrEnrolment:                         403,
		snib.ErrSignUpClosed:                      403,
		snib.ErrInvitationLimit:                   409,
		&snib.LastHolderError{Role: "admin"}:      409,
		snib.ErrRoleHeld:                          409,
		snib.ErrNotMergeable:                      409,
		&snib.AttributeTakenError{Name: "n"}:      409,
		snibhttp.ErrHost:                          421,
		snibhttp.ErrAuthorization:                 400,
		&snib.InputError{Field: "Password"}:       400,
		snib.ErrInvalidOneTimeToken:               400,
		&snib.OneTimeTokenLimitError{}:            429,
		snib.ErrBusy:                              503,
		snib.ErrClosed:                            503,
		snib.ErrUnknown:                           503,
		snib.ErrFull:                              503,
		&snib.CorruptError{Space: "users"}:        503,
		errors.New("disk on fire"):                503,
		fmt.Errorf("x: %w", context.Canceled):     503,
		context.DeadlineExceeded:                  503,
		fmt.Errorf("wrapped: %w", snib.ErrLocked): 503,
	} {
		s.log.Reset()
		w := httptest.NewRecorder()
		s.m.Error(w, s.request("POST", "/secret-path"), err)
		res := w.Result()
		text := body(t, res)
		if res.StatusCode != want || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v: %s, want %d; %v", err, res.Status, want, res.Header)
		}
		if strings.Contains(text, err.Error()) || strings.Contains(text, "secret-path") || len(text) < 20 {
			t.Errorf("%v: body %q", err, text)
		}
		for name, present := range map[string]bool{"Retry-After": want == 503, "WWW-Authenticate": want == 401 || errors.Is(err, snibhttp.ErrScope), "Allow": want == 405} {
			if (res.Header.Get(name) != "") != present {
				t.Errorf("%v: %s %q", err, name, res.Header.Get(name))
			}
		}
		if logged := strings.Contains(s.log.String(), "level=ERROR"); logged != (want == 503) || strings.Contains(s.log.String(), "secret-path") {
			t.Errorf("%v: log %q", err, s.log)
		}
	}
}

// troubles are the errors of the root that say something about the database, or about
// a mistake of the program, and not about the request.
const troubles = "ErrGap ErrTooLarge ErrNoKey ErrTxClosed ErrNested ErrBusy ErrUnsupported ErrClock ErrUnknown ErrClosed " +
	"ErrFileGone ErrLocked ErrReadOnly ErrFull ErrCorrupt ErrNewerFormat ErrIncomplete ErrForeignFile"

// TestEverySentinelHasItsStatus: an error that nobody has decided about would be a 503,
// and in the log a trouble of the database.
func TestEverySentinelHasItsStatus(t *testing.T) {
	table, err1 := os.ReadFile("../internal/answers/answers.go")
	root, err2 := os.ReadFile("../errors.go")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\t(Err\w+) += `).FindAllStringSubmatch(string(root), -1)
	for _, m := range names {
		decided := regexp.MustCompile(`\{snib\.` + m[1] + `, "\w+", [1-4]\d\d\}`).Match(table)
		if trouble := slices.Contains(strings.Fields(troubles), m[1]); decided == trouble {
			t.Errorf("%s: a status in answers.All %t, among the troubles %t", m[1], decided, trouble)
		}
	}
	if len(names) < 40 {
		t.Errorf("%d errors found", len(names))
	}
}

func TestChallenge(t *testing.T) {
	s := newSite(t, nil)
	for header, want := range map[string]string{"X: y": "Bearer", "Authorization: Bearer x": `Bearer error="invalid_token"`} {
		if got := s.do(s.request("GET", "/closed", header)).Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
}

func TestTheBodyFollowsAccept(t *testing.T) {
	s := newSite(t, nil)
	for accept, problem := range map[string]bool{
		"":    false,
		"*/*": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false, // a browser
		"application/json":                          true,
		"application/problem+json":                  true,
		"Application/JSON ; charset=utf-8":          true,
		"application/json, text/plain, */*":         false,
		"application/json, text/plain;q=0.9":        true,
		"application/json;q=0.5, text/html;Q = 0.4": true,
		"application/json;q=0.5, text/html":         false,
		"application/json;q=0":                      false,
		"application/json;q=x":                      false,
		"application/json;q=NaN":                    false,
		"application/json;q=7, text/html":           false,
		"application/jsonx":                         false,
		";;,,;q=1":                                  false,
	} {
		res := s.do(s.request("GET", "/closed", "Accept: "+accept))
		text := body(t, res)
		var got struct {
			Title, Detail string
			Status        int
		}
		isJSON := json.Unmarshal([]byte(text), &got) == nil
		kind := res.Header.Get("Content-Type")
		if isJSON != problem || (kind == "application/problem+json") != problem || (kind == "text/plain; charset=utf-8") == problem {
			t.Errorf("Accept %q: %s: %s", accept, kind, text)
		}
		if isJSON && (got.Title != "Unauthorized" || got.Status != 401 || got.Detail == "") {
			t.Errorf("Accept %q: %+v", accept, got)
		}
		if vary := strings.Join(res.Header["Vary"], ", "); !strings.Contains(vary, "Accept") {
			t.Errorf("Accept %q: Vary %q", accept, vary)
		}
	}
	r := s.request("GET", "/closed", "Accept: text/html;q=0.1", "Accept: application/json")
	if got := s.do(r).Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("two Accept headers: %s", got)
	}
}

func TestRefuseReplacesTheAnswer(t *testing.T) {
	var got error
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		o.Refuse = func(w http.ResponseWriter, r *http.Request, status int, err error) {
			if got = err; status == http.StatusUnauthorized {
				http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
				return
			}
			snibhttp.WriteStatus(w, r, status)
		}
	})
	res := s.do(s.request("GET", "/closed"))
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/sign-in" || !errors.Is(got, snibhttp.ErrUnauthenticated) || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v, %v", res.Status, res.Header, got)
	}
	wantStatus(t, s.do(s.request("POST", "/open", "Sec-Fetch-Site: cross-site")), http.StatusForbidden)
	if !errors.Is(got, snibhttp.ErrCrossOrigin) {
		t.Errorf("%v", got)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	res = s.do(s.request("GET", "/closed", cookie+"x"))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !errors.Is(got, snib.ErrClosed) {
		t.Errorf("%s, %v", res.Status, got)
	}
}

// TestADeadlineIsAnswered: it is the program's, and somebody waits.
func TestADeadlineIsAnswered(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	res := s.do(s.request("GET", "/closed", cookie+token).WithContext(ctx))
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("%s, log %q", res.Status, s.log)
	}
}

// TestWriteStatusOfAnything: a status that this package does not answer with.
func TestWriteStatusOfAnything(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Length", "5000")
	snibhttp.WriteStatus(w, httptest.NewRequest("GET", "/", nil), http.StatusTeapot)
	if b, _ := io.ReadAll(w.Result().Body); string(b) != "I'm a teapot.\n" || w.Header().Get("Content-Length") != "" {
		t.Errorf("%q, %v", b, w.Header())
	}
}
