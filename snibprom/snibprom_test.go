package snibprom

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// busy returns a database in which something has happened.
func busy(t *testing.T) *snib.DB {
	t.Helper()
	ctx := context.Background()
	db := snibtest.NewDB(t, nil)
	for i := range 3 {
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("u%d@example.com", i), Password: "correct horse battery"})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := db.LogIn(ctx, "email", "u0@example.com", "correct horse battery", snib.SessionOptions{}); err != nil {
		t.Fatal(err)
	}
	db.LogIn(ctx, "email", "u0@example.com", "a guess", snib.SessionOptions{})
	return db
}

// TestCollector: the names keep the conventions, and the values are those of Stats.
func TestCollector(t *testing.T) {
	c := NewCollector(busy(t))
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	want := `
# HELP snib_records Records in the file, from its pages; estimated above 50,000.
# TYPE snib_records gauge
snib_records{kind="refresh_token"} 0
snib_records{kind="session"} 1
snib_records{kind="user"} 3
# HELP snib_passwords_total Passwords tried, by outcome.
# TYPE snib_passwords_total counter
snib_passwords_total{outcome="right"} 1
snib_passwords_total{outcome="wrong"} 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "snib_records", "snib_passwords_total"); err != nil {
		t.Error(err)
	}
}

// TestEveryFigureIsCollected: each field of Stats is one series, but for Largest,
// which is no rate and no state.
func TestEveryFigureIsCollected(t *testing.T) {
	fields := reflect.TypeFor[snib.Stats]()
	for i := range fields.NumField() {
		var s snib.Stats
		v := reflect.ValueOf(&s).Elem().Field(i)
		n := 0
		switch x := v.Addr().Interface().(type) {
		case *snib.Latencies:
			x.Count = 7
			for _, h := range histograms {
				n += int(h.value(&s).Count / 7)
			}
		default:
			if v.CanUint() {
				v.SetUint(7e9)
			} else {
				v.SetInt(7e9)
			}
			for _, f := range figures {
				if f.value(&s) != 0 {
					n++
				}
			}
		}
		if name := fields.Field(i).Name; n != 1 && name != "Largest" {
			t.Errorf("%s is in %d series", name, n)
		}
	}
}

// TestClosed: a scrape of a closed database is an error, not zeros.
func TestClosed(t *testing.T) {
	db := busy(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err == nil || len(families) > 0 {
		t.Errorf("%v, %v", families, err)
	}
}

// TestPrometheus: the server itself scrapes a database and answers a query.
func TestPrometheus(t *testing.T) {
	server, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("SNIB_REQUIRE_SERVERS") != "" {
			t.Fatal(err)
		}
		t.Skip("no prometheus on this machine: nothing scrapes")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(busy(t)))
	metrics := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer metrics.Close()

	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("scrape_configs:\n- job_name: snib\n  scrape_interval: 1s\n  metrics_path: /\n  static_configs:\n  - targets: [%q]\n",
		strings.TrimPrefix(metrics.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := freePort(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, server, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	query := "http://" + at + "/api/v1/query?query=" + url.QueryEscape(`snib_records{kind="user"}`)
	for ctx.Err() == nil {
		if got := ask(ctx, query); got == "3" {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Error("prometheus has not told of 3 users")
}

// ask returns the value of a query, "" if there is none yet.
func ask(ctx context.Context, query string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, query, nil)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if json.NewDecoder(response.Body).Decode(&answer) != nil || len(answer.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

// freePort is an address on which nothing listens. Its port is below those that the
// system gives to outgoing connections, and of this process: nothing else takes it
// until it is listened on.
func freePort(t *testing.T) string {
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
