package peers

import (
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	gorilla "github.com/gorilla/sessions"

	"github.com/snibdb/snib/bench/internal/peer"
)

var gorillaModules = []string{"github.com/gorilla/sessions"}

var gorillaCookie = peer.Peer{
	Name:       "gorilla-cookie",
	Note:       "the session is in the cookie: nothing can be ended, by nobody; no users; validation without a look-up",
	Modules:    gorillaModules,
	Durability: peer.Memory,
	OwnClock:   true,
	Open: func(string, peer.Options) (peer.Store, error) {
		s := gorilla.NewCookieStore(gorillaKey)
		s.MaxAge(int(peer.Life / time.Second))
		return &gorillaStore{s}, nil
	},
}

var gorillaFiles = peer.Peer{
	Name:        "gorilla-files",
	Note:        "a file for each session, not synced; no users",
	Modules:     gorillaModules,
	Durability:  peer.Unsynced,
	OwnClock:    true,
	MaxSessions: 10_000,
	Open: func(dir string, _ peer.Options) (peer.Store, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		s := gorilla.NewFilesystemStore(dir, gorillaKey)
		s.MaxAge(int(peer.Life / time.Second))
		return &gorillaEnder{gorillaStore{s}}, nil
	},
}

var gorillaKey = []byte("0123456789abcdef0123456789abcdef")

const gorillaName = "session"

// gorillaStore uses a store as a handler does; the token is the cookie.
type gorillaStore struct{ store gorilla.Store }

func gorillaRequest(cookie string) *http.Request {
	r := &http.Request{Header: http.Header{}}
	if cookie != "" {
		r.Header.Set("Cookie", gorillaName+"="+cookie)
	}
	return r
}

// AddUsers implements peer.Store. gorilla has no users.
func (s *gorillaStore) AddUsers([]peer.User) error { return nil }

// AddSessions implements peer.Store.
func (s *gorillaStore) AddSessions(userIDs []string, each func(string)) error {
	return createEach(s, userIDs, each)
}

// CreateSession implements peer.Store.
func (s *gorillaStore) CreateSession(userID string) (string, error) {
	r, w := gorillaRequest(""), httptest.NewRecorder()
	session, err := s.store.New(r, gorillaName)
	if err != nil {
		return "", err
	}
	session.Values["user"] = userID
	session.Values["nonce"] = peer.NewID("", time.Now()) // one cookie a session
	if err := s.store.Save(r, w, session); err != nil {
		return "", err
	}
	return w.Result().Cookies()[0].Value, nil
}

// Validate implements peer.Store. gorilla makes a new session for a cookie that
// it cannot read.
func (s *gorillaStore) Validate(token string) (string, error) {
	session, _ := s.store.New(gorillaRequest(token), gorillaName)
	user, _ := session.Values["user"].(string)
	return user, errIf(session.IsNew || user == "")
}

// Close implements peer.Store.
func (s *gorillaStore) Close() error { return nil }

// gorillaEnder adds the end of a session, which only the files support.
type gorillaEnder struct{ gorillaStore }

// EndSession implements peer.Ender.
func (s *gorillaEnder) EndSession(token string) error {
	r := gorillaRequest(token)
	session, err := s.store.New(r, gorillaName)
	if err != nil || session.IsNew {
		return nil
	}
	session.Options.MaxAge = -1
	return s.store.Save(r, httptest.NewRecorder(), session)
}
