package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

// site is the name under which browsers know the program behind the proxy.
const site = "accounts.example.com"

// A backend is a program behind a proxy on this machine.
type backend struct {
	*httptest.Server
	mu      sync.Mutex
	clients []string // of the log-ins
}

func newBackend(t *testing.T) *backend {
	b := &backend{}
	o := snibtest.Fast(&snib.Options{})
	o.Throttle.BeforeAuth = func(_ context.Context, a snib.Attempt) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.clients = append(b.clients, fmt.Sprint(a.Client))
		return nil
	}
	db := snibtest.NewDB(t, o)
	_, err := db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := snibhttp.New(db, &snibhttp.Options{
		App: "accounts", Hosts: []string{site}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		u, err := db.AuthenticateUser(r.Context(), "email", "ada@example.com", r.PostFormValue("password"))
		if err == nil {
			_, err = m.LogIn(w, r, u, m.SessionOptions(r))
		}
		if err != nil {
			m.Error(w, r, err)
		}
	})
	mux.Handle("GET /account", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, u, _ := m.FromContext(r.Context())
		fmt.Fprint(w, u.Identities[0].Identifier)
	})))
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(c, "echo "+line)
	})
	b.Server = httptest.NewServer(m.Optional(mux))
	t.Cleanup(b.Close)
	return b
}

// TestProxies: behind nginx and Caddy, configured as the documents have it, a user
// signs in, other sites cannot, the client's own address is throttled, and a
// WebSocket opens.
func TestProxies(t *testing.T) {
	if os.Getenv("SNIB_E2E") == "" {
		t.Skip("SNIB_E2E is not set: scripts/e2e.sh runs the proxies")
	}
	for _, proxy := range []struct {
		name  string
		start func(t *testing.T, dir, backend, listen string)
	}{{"nginx", startNginx}, {"caddy", startCaddy}} {
		t.Run(proxy.name, func(t *testing.T) {
			b, dir, listen := newBackend(t), t.TempDir(), freeAddress(t)
			roots := certify(t, dir)
			proxy.start(t, dir, strings.TrimPrefix(b.URL, "http://"), listen)
			behind(t, b, roots, listen)
		})
	}
}

// behind does what a browser does, from 127.0.0.9.
func behind(t *testing.T, b *backend, roots *x509.CertPool, listen string) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	config := &tls.Config{RootCAs: roots, ServerName: site, NextProtos: []string{"http/1.1"}}
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: config,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, listen)
		},
	}}
	do := func(method, path, origin, password string) *http.Response {
		t.Helper()
		r, err := http.NewRequest(method, "https://"+site+path, strings.NewReader(url.Values{"password": {password}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-For", "203.0.113.7") // a lie
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		response.Body = io.NopCloser(strings.NewReader(string(body)))
		return response
	}
	is := func(what string, r *http.Response, want int) {
		t.Helper()
		if r.StatusCode != want {
			body, _ := io.ReadAll(r.Body)
			t.Errorf("%s: %s, want %d: %.200s", what, r.Status, want, body)
		}
	}
	is("another site", do("POST", "/sign-in", "https://evil.example", "correct horse battery"), http.StatusForbidden)
	is("no origin", do("POST", "/sign-in", "", "correct horse battery"), http.StatusForbidden)
	is("before", do("GET", "/account", "", ""), http.StatusUnauthorized)
	is("sign-in", do("POST", "/sign-in", "https://"+site, "correct horse battery"), http.StatusOK)
	is("account", do("GET", "/account", "", ""), http.StatusOK)
	b.mu.Lock()
	if got := strings.Join(b.clients, " "); got != "127.0.0.9" {
		t.Errorf("the clients of the log-ins are %q", got)
	}
	b.mu.Unlock()

	jar, _ = cookiejar.New(nil)
	client.Jar = jar
	for range 5 {
		is("guess", do("POST", "/sign-in", "https://"+site, "a guess"), http.StatusUnauthorized)
	}
	r := do("POST", "/sign-in", "https://"+site, "a guess")
	is("sixth guess", r, http.StatusTooManyRequests)
	if r.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}

	conn, err := tls.DialWithDialer(dialer, "tcp", listen, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nOrigin: https://%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", site, site)
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("WebSocket: %v, %v", answer, err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("WebSocket: %q, %v", line, err)
	}
}

// certify makes the certificate of the site in dir, and returns what trusts it.
func certify(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{site}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "site.pem"), string(public))
	write(t, filepath.Join(dir, "site.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	return roots
}

// document returns a file of docs/deploy with other values for this machine, each
// of which must be there.
func document(t *testing.T, name string, values ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	for i := 0; i < len(values); i += 2 {
		if !strings.Contains(out, values[i]) {
			t.Fatalf("%s has no %q", name, values[i])
		}
		out = strings.ReplaceAll(out, values[i], values[i+1])
	}
	return out
}

func startNginx(t *testing.T, dir, backend, listen string) {
	conf := document(t, "nginx.conf",
		"127.0.0.1:8080", backend, "listen 443 ssl", "listen "+listen+" ssl",
		"/etc/ssl/accounts.example.com.pem", filepath.Join(dir, "site.pem"),
		"/etc/ssl/private/accounts.example.com.key", filepath.Join(dir, "site.key"))
	var paths strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s;\n", name, filepath.Join(dir, name))
	}
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf("daemon off;\nmaster_process off;\npid %s;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n",
		filepath.Join(dir, "pid"), paths.String(), conf))
	runServer(t, listen, "nginx", "-p", dir, "-c", file)
}

func startCaddy(t *testing.T, dir, backend, listen string) {
	_, port, _ := net.SplitHostPort(listen)
	conf := document(t, "Caddyfile", "127.0.0.1:8080", backend, "accounts.example.com {",
		"{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n\n"+site+":"+port+" {\n\tbind 127.0.0.1\n\ttls "+
			filepath.Join(dir, "site.pem")+" "+filepath.Join(dir, "site.key"))
	file := filepath.Join(dir, "Caddyfile")
	write(t, file, conf)
	runServer(t, listen, "caddy", "run", "--config", file, "--adapter", "caddyfile")
}

// runServer runs a server until the test ends, and waits until it listens.
func runServer(t *testing.T, listen, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is an address on which nothing listens. Its port is below those that the
// system gives to outgoing connections, and of this process: nothing else takes it
// until it is listened on.
func freeAddress(t *testing.T) string {
	t.Helper()
	first := 10000 + os.Getpid()%1375*16
	for port := first; port < first+100; port++ {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
