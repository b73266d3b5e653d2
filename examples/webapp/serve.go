package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// serve serves the application until ctx ends, then lets open requests and the
// mail in progress end.
func serve(ctx context.Context, addr string, c config) (err error) {
	if c.path == "" {
		if c.path, err = defaultPath(); err != nil {
			return err
		}
	}
	l, hosts, err := listen(addr)
	if err != nil {
		return err
	}
	c.hosts = hosts
	a, err := open(c)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(c.terminal, "Accounts: %s\nOpen %s in a browser. Interrupt to stop.\n", c.path, a.origin)

	// Shutdown before the outbox, which handlers use, and that before the
	// database.
	var background sync.WaitGroup
	mailing, stopMailing := context.WithCancel(context.WithoutCancel(ctx))
	background.Go(func() { a.outbox.run(mailing) })
	err = serveUntil(ctx, l, a.handler())
	stopMailing()
	background.Wait()
	return errors.Join(err, a.db.Close())
}

// serveUntil serves h on l. When ctx ends it takes no new requests, waits a
// moment for the open ones, and returns.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h,
		// A client slower than this is no person with a browser.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(soon); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// listen listens on addr, and returns also the values of the Host header that
// mean this program, the one to show first. It refuses addresses that others
// can reach: over plain HTTP they could take over every session.
func listen(addr string) (_ net.Listener, hosts []string, err error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	at := l.Addr().(*net.TCPAddr)
	if !at.IP.IsLoopback() {
		return nil, nil, errors.Join(fmt.Errorf("%s can be reached from other machines; this program is for one", addr), l.Close())
	}
	for _, name := range []string{host, "localhost", "127.0.0.1", "::1"} {
		// Browsers leave the scheme's own port out.
		hosts = append(hosts, strings.TrimSuffix(net.JoinHostPort(name, fmt.Sprint(at.Port)), ":80"))
	}
	return l, hosts, nil
}
