// Package testopen opens the databases of tests on etcd: a prefix for each path.
package testopen

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibetcd"
)

const Engine = "etcd"

var client = sync.OnceValues(func() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{os.Getenv("SNIB_SUITE_ETCD")}, Logger: zap.NewNop()})
})

var places = dbtest.Places{Engine: func(path string) (kv.Engine, error) {
	c, err := client()
	if err != nil {
		return nil, err
	}
	return snibetcd.Open(c, &snibetcd.Options{Prefix: fmt.Sprintf("/%.40x/", sha256.Sum256([]byte(path)))[:40]})
}}

func Open(path string, opts *snib.Options) (*snib.DB, error) { return places.Open(path, opts) }
