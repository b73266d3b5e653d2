package snibetcd

import (
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// member starts an etcd in this process, on addresses of this machine.
func member(dir, name, client, peer, cluster, state string) (*embed.Etcd, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = name, dir
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	at := func(s string) []url.URL {
		u, err := url.Parse(s)
		if err != nil {
			panic(err)
		}
		return []url.URL{*u}
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = at(client), at(client)
	c.ListenPeerUrls, c.AdvertisePeerUrls = at(peer), at(peer)
	c.InitialCluster, c.ClusterState = cluster, state
	c.UnsafeNoFsync = os.Getenv("SNIB_ETCD_SYNC") == ""
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err := <-e.Err():
		return nil, err
	case <-time.After(time.Minute):
		e.Close()
		return nil, fmt.Errorf("etcd did not start in a minute")
	}
}

// alone is a cluster of one, shared by all tests.
var alone = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "snibetcd-*")
	if err != nil {
		return "", err
	}
	folder = dir
	at := "unix://" + dir + "/client.sock:0"
	peer := "unix://" + dir + "/peer.sock:0"
	server, err = member(dir+"/data", "alone", at, peer, "alone="+peer, embed.ClusterStateFlagNew)
	if err != nil {
		return "", err
	}
	return at, nil
})

var (
	server *embed.Etcd
	folder string
)

func TestMain(m *testing.M) {
	if role := os.Getenv("SNIB_ETCD_ROLE"); role != "" {
		runChild(role)
		return
	}
	code := m.Run()
	if server != nil {
		server.Close()
	}
	if folder != "" {
		os.RemoveAll(folder)
	}
	os.Exit(code)
}

// connect returns a client of the shared cluster.
func connect(tb testing.TB) *clientv3.Client {
	tb.Helper()
	at, err := alone()
	if err != nil {
		tb.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{at}, Logger: zap.NewNop()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}
