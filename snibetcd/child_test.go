package snibetcd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// A seat is one member of a cluster of processes.
type seat struct {
	Name, Dir, Client, Peer, Cluster string

	cmd *exec.Cmd
	run func(func() error) error // on its host; nil on this machine
}

// runChild is a member, until its standard input ends.
func runChild(role string) {
	var s seat
	if err := json.Unmarshal([]byte(role), &s); err != nil {
		panic(err)
	}
	e, err := member(s.Dir, s.Name, s.Client, s.Peer, s.Cluster, embed.ClusterStateFlagNew)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}()
	<-e.Server.StopNotify()
}

// cluster starts three members, and ends them with the test.
func cluster(t *testing.T) []*seat {
	t.Helper()
	seats, at := make([]*seat, 3), freeAddresses(t, 6)
	var all string
	for i := range seats {
		name := fmt.Sprint("n", i)
		seats[i] = &seat{Name: name, Dir: t.TempDir(), Client: "http://" + at[2*i], Peer: "http://" + at[2*i+1]}
		all += "," + name + "=" + seats[i].Peer
	}
	for _, s := range seats {
		s.Cluster = all[1:]
		s.start(t)
		t.Cleanup(s.kill)
	}
	return seats
}

func (s *seat) start(t *testing.T) {
	t.Helper()
	role, _ := json.Marshal(s)
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), "SNIB_ETCD_ROLE="+string(role), "SNIB_ETCD_SYNC=1")
	s.cmd.Stderr = os.Stderr
	if _, err := s.cmd.StdinPipe(); err != nil { // it ends with this process
		t.Fatal(err)
	}
	start := s.cmd.Start
	if s.run != nil {
		start = func() error { return s.run(s.cmd.Start) }
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
}

func (s *seat) kill() {
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// freeze stops the process for a while.
func (s *seat) freeze(d time.Duration) {
	s.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(d)
	s.cmd.Process.Signal(syscall.SIGCONT)
}

// freeAddresses are addresses on which nothing listens. Their ports are below those
// that the system gives to outgoing connections, and of this process: nothing else
// takes them until they are listened on.
func freeAddresses(t *testing.T, n int) (list []string) {
	t.Helper()
	first := 10000 + os.Getpid()%1375*16
	for port := first; len(list) < n && port < first+100; port++ {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			defer l.Close()
			list = append(list, l.Addr().String())
		}
	}
	if len(list) < n {
		t.Fatal("too few ports are free")
	}
	return list
}
