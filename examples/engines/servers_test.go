package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// etcdStore starts an etcd of one member, which ends with the test.
func etcdStore(tb testing.TB) string {
	tb.Helper()
	at := freeAddresses(tb, 2)
	client, peer := url.URL{Scheme: "http", Host: at[0]}, url.URL{Scheme: "http", Host: at[1]}
	c := embed.NewConfig()
	c.Name, c.Dir = "alone", tb.TempDir()
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = "alone=" + peer.String()
	c.UnsafeNoFsync = true
	e, err := embed.StartEtcd(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(time.Minute):
		tb.Fatal("etcd did not start in a minute")
	}
	return "etcd://" + client.Host
}

// freeAddresses are addresses on which nothing listens. Their ports are below those
// that the system gives to outgoing connections, and of this process: nothing else
// takes them until they are listened on.
func freeAddresses(tb testing.TB, n int) (list []string) {
	tb.Helper()
	first := 10000 + os.Getpid()%1375*16
	for port := first; len(list) < n && port < first+100; port++ {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			defer l.Close()
			list = append(list, l.Addr().String())
		}
	}
	if len(list) < n {
		tb.Fatal("too few ports are free")
	}
	return list
}

// postgresStore makes a database of the test's own on the server of
// SNIB_POSTGRES, a URL. Without it tests are skipped, and fail with
// SNIB_REQUIRE_SERVERS=1.
func postgresStore(tb testing.TB) string {
	tb.Helper()
	dsn := os.Getenv("SNIB_POSTGRES")
	if dsn == "" || dsn == "auto" {
		if os.Getenv("SNIB_REQUIRE_SERVERS") == "1" {
			tb.Fatal("SNIB_POSTGRES names no server")
		}
		tb.Skip("SNIB_POSTGRES names no server")
	}
	u, err := url.Parse(dsn)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		tb.Fatal("SNIB_POSTGRES is not a URL")
	}
	name := "engines_" + strings.ToLower(rand.Text()[:10])
	ask := func(sql string) {
		tb.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			defer conn.Close(ctx)
			_, err = conn.Exec(ctx, sql)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	ask("create database " + name)
	tb.Cleanup(func() { ask(fmt.Sprintf("drop database %s with (force)", name)) })
	u.Path = "/" + name
	return u.String()
}
