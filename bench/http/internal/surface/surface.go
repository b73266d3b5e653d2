// Package surface is common to all servers of the comparison: the requests that
// they answer, their start and their end.
//
//	POST /signup  {"email","password","name"}   an account, signed in
//	POST /login   {"email","password"}          200, or 400 or 401
//	GET  /me                                     200 with the address, or 401
//	POST /logout                                 ends the session, 2xx
//
// An answer that signs in has the session as cookies, or as "token" in its body,
// which is then a bearer token.
package surface

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Host is the name by which clients call the server.
const Host = "accounts.example"

// The parameters of argon2id, on each side that lets a program choose them. They
// are snib's defaults.
const (
	HashKiB     = 19 * 1024
	HashPasses  = 2
	HashThreads = 1
)

// Options come from the command line of a server.
type Options struct {
	Dir  string // of its files
	Sync string // full or normal: synchronous of SQLite
}

// SQLite is the data source name of a file of modernc.org/sqlite, with
// PocketBase's own pragmas, and a lock at the begin of a transaction, so that two
// writers wait for each other.
func (o Options) SQLite(name string) string {
	return "file:" + o.Dir + "/" + name + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" +
		"&_pragma=journal_size_limit(200000000)&_pragma=synchronous(" + o.Sync + ")&_pragma=foreign_keys(ON)" +
		"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)&_txlock=immediate"
}

// Credentials are the body of a sign-up or log-in.
type Credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// Read returns the credentials of a request.
func Read(w http.ResponseWriter, r *http.Request) (c Credentials, err error) {
	err = json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&c)
	return c, err
}

// Write answers with JSON.
func Write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// A Server is a handler that is ready, and the close of its store.
type Server struct {
	Handler http.Handler
	Close   func() error
}

// Listening begins the line that Announce writes.
const Listening = "listening on "

// Announce says on standard output where the server listens.
func Announce(addr net.Addr) { fmt.Println(Listening + addr.String()) }

// UntilEnd calls end when standard input has ended, which is how a server is
// stopped, also by the death of the process that began it.
func UntilEnd(end func()) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	end()
}

// Parse reads the flags of a server.
func Parse() (o Options) {
	flag.StringVar(&o.Dir, "dir", ".", "folder of the files")
	flag.StringVar(&o.Sync, "sync", "full", "full or normal: synchronous of SQLite")
	flag.Parse()
	return o
}

// Main is a server's main: it opens it and serves on loopback until standard input
// ends.
func Main(open func(Options) (Server, error)) {
	if err := serve(Parse(), open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(o Options, open func(Options) (Server, error)) (err error) {
	s, err := open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.Handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go UntilEnd(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	Announce(listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
