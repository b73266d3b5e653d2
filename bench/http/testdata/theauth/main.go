// Command theauth serves theauth-go: on its store in PostgreSQL where the variable
// BENCH_POSTGRES names an empty database, else on its store in memory.
package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"

	"github.com/glincker/theauth-go"
	"github.com/glincker/theauth-go/storage/memory"
	"github.com/glincker/theauth-go/storage/postgres"
	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

// unbounded is a bound on tries a minute that is not reached: all clients have one
// address here.
const unbounded = 1 << 30

func main() { surface.Main(open) }

func open(o surface.Options) (surface.Server, error) {
	store, err := storage(o.Dir)
	if err != nil {
		return surface.Server{}, err
	}
	auth, err := theauth.New(theauth.Config{
		Storage: store, BaseURL: "https://" + surface.Host, SecureCookie: true,
		RateLimitPerIP: unbounded, RateLimitPerEmail: unbounded,
	})
	if err != nil {
		return surface.Server{}, err
	}
	router := chi.NewRouter()
	auth.Mount(router)
	mux := http.NewServeMux()
	for from, to := range map[string]string{
		"POST /signup": "/auth/email-password/signup", "POST /login": "/auth/email-password/signin",
		"GET /me": "/auth/me", "POST /logout": "/auth/sessions/current",
	} {
		mux.HandleFunc(from, func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = to
			if from == "POST /logout" {
				r.Method = http.MethodDelete
			}
			router.ServeHTTP(w, r)
		})
	}
	return surface.Server{Handler: mux, Close: func() error { auth.Close(); return nil }}, nil
}

// storage is a schema of its own for each folder, which stays.
func storage(dir string) (theauth.Storage, error) {
	ctx, url := context.Background(), os.Getenv("BENCH_POSTGRES")
	if url == "" {
		return memory.New(), nil
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	schema := fmt.Sprintf("theauth_%x", h.Sum64())
	config.ConnConfig.RuntimeParams["search_path"] = schema + ",public"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return nil, err
	}
	return postgres.New(pool), postgres.Migrate(ctx, pool)
}
