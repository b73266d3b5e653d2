package snibhttp_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// serveReal starts a server on loopback with h behind Require, and returns the
// site and a token.
func serveReal(t *testing.T, overTLS bool, h http.HandlerFunc) (s *site, server *httptest.Server, token string) {
	t.Helper()
	server = httptest.NewUnstartedServer(nil)
	s = newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		if o.Hosts = []string{server.Listener.Addr().String()}; !overTLS {
			o.Profile = snibhttp.Loopback
		}
	})
	server.Config.Handler = s.m.Optional(s.m.Require(h))
	if overTLS {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	_, token = s.session()
	return s, server, token
}

// stream flushes a line, waits for the client to have seen it, and sends
// another.
func stream(t *testing.T, seen <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := c.SetWriteDeadline(time.Time{}); err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		if err := c.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
			t.Errorf("EnableFullDuplex: %v", err)
		}
		_, user, _ := snibhttp.FromContext(r.Context())
		fmt.Fprintln(w, r.ProtoMajor, user.ID)
		if err := c.Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if _, ok := w.(http.Flusher); !ok {
			t.Error("no http.Flusher")
		}
		select {
		case <-seen:
		case <-r.Context().Done():
			t.Error("the first line has not come through by itself")
		}
		fmt.Fprintln(w, "end")
	}
}

func TestStreamingOverHTTP1AndHTTP2(t *testing.T) {
	for major, overTLS := range map[int]bool{1: false, 2: true} {
		seen := make(chan struct{})
		s, server, token := serveReal(t, overTLS, stream(t, seen))
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		name := "notes"
		if overTLS {
			name = "__Host-notes"
		}
		r.AddCookie(&http.Cookie{Name: name, Value: token})
		client := server.Client()
		client.Timeout = time.Minute
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintln(major, s.user.ID); line != want || err != nil {
			t.Errorf("got %q, %v, want %q", line, err, want)
		}
		close(seen)
		if line, _ := lines.ReadString('\n'); line != "end\n" {
			t.Errorf("got %q", line)
		}
	}
}

// TestUpgrade takes the connection over, as a WebSocket does, and is refused to
// other sites.
func TestUpgrade(t *testing.T) {
	_, server, token := serveReal(t, false, func(w http.ResponseWriter, r *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := buffer.ReadString('\n')
		io.WriteString(conn, "echo "+line)
	})
	host := server.Listener.Addr().String()
	for origin, want := range map[string]string{
		"http://" + host:          "HTTP/1.1 101",
		"http://attacker.example": "HTTP/1.1 403",
		"http://127.0.0.1:1":      "HTTP/1.1 403", // another program on this machine, which SameSite lets send the cookie
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: notes=%s\r\n\r\n", host, origin, token)
		buffer := bufio.NewReader(conn)
		if line, err := buffer.ReadString('\n'); !strings.HasPrefix(line, want) || err != nil {
			t.Errorf("from %s: %q, %v", origin, line, err)
		}
		if want != "HTTP/1.1 101" {
			continue
		}
		fmt.Fprintln(conn, "hello")
		rest, err := io.ReadAll(buffer)
		if !strings.HasSuffix(string(rest), "\r\n\r\necho hello\n") || err != nil {
			t.Errorf("after the upgrade: %q, %v", rest, err)
		}
	}
}

// TestRebindingOverAConnection: the same request by another name.
func TestRebindingOverAConnection(t *testing.T) {
	_, server, token := serveReal(t, false, func(http.ResponseWriter, *http.Request) {})
	for host, want := range map[string]int{"": 200, "attacker.example": 421, "attacker.example:80": 421} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.AddCookie(&http.Cookie{Name: "notes", Value: token})
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		wantStatus(t, res, want)
	}
}

// TestTheResponseWriterIsHandedOn as it is, whatever it can do.
func TestTheResponseWriterIsHandedOn(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	w := httptest.NewRecorder()
	called := 0
	same := http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		if called++; got != http.ResponseWriter(w) {
			t.Errorf("got a %T", got)
		}
	})
	for _, middleware := range []func(http.Handler) http.Handler{s.m.Protect, s.m.Optional, s.m.Require} {
		r := s.request("GET", "/", cookie+token)
		r.TLS = &tls.ConnectionState{}
		middleware(same).ServeHTTP(w, r)
	}
	if called != 3 {
		t.Errorf("called %d times", called)
	}
}
