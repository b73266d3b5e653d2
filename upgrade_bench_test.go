package snib_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
)

// BenchmarkUpgrade opens a file of format 1 with a million sessions of 100,000
// users. It reports the time of Open, and by how much the memory of the process
// grows meanwhile that is not the map of the file. Without syncs it is the time
// of the work alone.
func BenchmarkUpgrade(b *testing.B) {
	whole := millionSessions(b)
	b.Run("synced", func(b *testing.B) { benchmarkUpgrade(b, whole, nil) })
	b.Run("unsynced", func(b *testing.B) { benchmarkUpgrade(b, whole, &snib.Options{InsecureNoSync: true}) })
}

func benchmarkUpgrade(b *testing.B, whole string, o *snib.Options) {
	peak := int64(0)
	for range b.N {
		b.StopTimer()
		path := filepath.Join(b.TempDir(), "accounts.db")
		copyFile(b, path, whole)
		debug.FreeOSMemory() // what grows is then seen
		grown := watchMemory()
		b.StartTimer()
		db, err := snib.Open(path, o)
		b.StopTimer()
		peak = max(peak, grown())
		if err != nil {
			b.Fatal(err)
		}
		if r := must(db.Check(ctx))(b); r.Users != 4 || r.Sessions != 0 {
			b.Fatalf("%+v", r)
		}
		closeDB(b, db)
		os.Remove(path)
	}
	b.ReportMetric(float64(peak)/(1<<20), "MB-grown")
}

// millionSessions makes the file: the golden one and the trees of sessions, of
// which an upgrade reads nothing, with keys and values as long as they were.
func millionSessions(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "one.db")
	if err := os.WriteFile(path, must(os.ReadFile(goldenOne))(b), 0o600); err != nil {
		b.Fatal(err)
	}
	db := openBolt(b, path)
	value := make([]byte, 122)
	for batch := range 50 {
		err := db.Update(func(tx *bolt.Tx) error {
			root := tx.Bucket([]byte("snib"))
			sessions, index := root.Bucket([]byte("sessions")), root.Bucket([]byte("user_sessions"))
			sessions.FillPercent = 0.95
			for i := range 20_000 {
				n := batch*20_000 + i
				id := fmt.Sprintf("snses_%026d", n)
				binary.BigEndian.PutUint64(value, uint64(n))
				if err := sessions.Put([]byte(id), append([]byte{}, value...)); err != nil {
					return err
				}
				// In order of users, so that the file is made in no time.
				if err := index.Put(fmt.Appendf(nil, "snusr_%026d\x00%s", n/10, id), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// copyFile copies a file and waits until the disk has it.
func copyFile(b *testing.B, to, from string) {
	b.Helper()
	in := must(os.Open(from))(b)
	defer in.Close()
	out := must(os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600))(b)
	defer out.Close()
	must(io.Copy(out, in))(b)
	if err := out.Sync(); err != nil {
		b.Fatal(err)
	}
}

// watchMemory returns a function that ends the watch and returns by how many
// bytes anonymous memory has grown at most; 0 where that cannot be seen.
func watchMemory() func() int64 {
	before := anonymous()
	var peak atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak.Store(max(peak.Load(), anonymous()-before))
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(done); <-ended; return peak.Load() }
}

func anonymous() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	var kb int64
	fmt.Sscan(rest, &kb)
	return kb << 10
}
