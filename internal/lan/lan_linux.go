package lan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// LAN is a network of hosts. Each is a namespace, with one wire to a switch that is
// a bridge in a namespace of its own. There is a second bridge: the hosts whose wires
// lead to one bridge see each other. All goes with the process, however it ends.
type LAN struct {
	hub   *namespace
	hosts map[string]*host
	ended chan struct{}
}

type host struct {
	*namespace
	address, wire, card string
}

// New makes a network. It skips the test where that is not possible.
func New(tb testing.TB, hosts ...string) *LAN {
	tb.Helper()
	l := &LAN{hosts: map[string]*host{}, ended: make(chan struct{})}
	tb.Cleanup(func() {
		close(l.ended)
		for _, h := range l.hosts {
			h.file.Close()
		}
		if l.hub != nil {
			l.hub.file.Close()
		}
	})
	if err := l.build(hosts); err != nil {
		skip(tb, err)
	}
	return l
}

func (l *LAN) build(names []string) (err error) {
	if l.hub, err = newNamespace(); err != nil {
		return err
	}
	at := []string{"link add whole type bridge", "link add part type bridge", "link set whole up", "link set part up"}
	for i, name := range names {
		n, err := newNamespace()
		if err != nil {
			return err
		}
		h := &host{namespace: n, address: fmt.Sprint("10.77.0.", i+1), wire: fmt.Sprint("wire", i), card: fmt.Sprintf("02:00:00:00:00:%02x", i+1)}
		l.hosts[name] = h
		at = append(at, fmt.Sprintf("link add %s type veth peer name card address %s netns /proc/%d/fd/%d", h.wire, h.card, os.Getpid(), n.file.Fd()),
			"link set "+h.wire+" master whole", "link set "+h.wire+" up")
	}
	if err := l.hub.ip(at...); err != nil {
		return err
	}
	for _, h := range l.hosts {
		at := []string{"address add " + h.address + "/24 dev card", "link set lo up", "link set card up"}
		for _, other := range l.hosts { // or one that cannot be found is refused after a while
			if other != h {
				at = append(at, "neigh add "+other.address+" lladdr "+other.card+" dev card nud permanent")
			}
		}
		if err := h.ip(at...); err != nil {
			return err
		}
	}
	return nil
}

// Address is the IPv4 address of a host.
func (l *LAN) Address(host string) string { return l.hosts[host].address }

// Dial dials from a host.
func (l *LAN) Dial(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		failed := l.hosts[host].run(nil, func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return nil
		})
		return conn, errors.Join(failed, err)
	}
}

// Run runs fn on a host: the processes that it starts are there.
func (l *LAN) Run(host string) func(fn func() error) error {
	return func(fn func() error) error { return l.hosts[host].run(l.ended, fn) }
}

// Part cuts hosts off from the others. They see each other.
func (l *LAN) Part(tb testing.TB, hosts ...string) {
	tb.Helper()
	var at []string
	for name, h := range l.hosts {
		bridge := "whole"
		for _, cut := range hosts {
			if cut == name {
				bridge = "part"
			}
		}
		at = append(at, "link set "+h.wire+" master "+bridge)
	}
	if err := l.hub.ip(at...); err != nil {
		tb.Fatal(err)
	}
}

// Heal ends each partition.
func (l *LAN) Heal(tb testing.TB) {
	tb.Helper()
	l.Part(tb)
}

// namespace is a network of its own, as long as its file is open.
type namespace struct{ file *os.File }

func newNamespace() (n *namespace, err error) {
	if setns[runtime.GOARCH] == 0 {
		return nil, errors.New("not on " + runtime.GOARCH)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends here
		if err = syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			return
		}
		var file *os.File
		if file, err = os.Open("/proc/thread-self/ns/net"); err == nil {
			n = &namespace{file}
		}
	}()
	<-done
	return n, err
}

// setns are the numbers of the system call, which package syscall lacks.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268}

// run runs fn on a thread in the namespace. The thread lasts until a channel closes,
// if there is one: what fn has started may be tied to it (Pdeathsig).
func (n *namespace) run(until chan struct{}, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if _, _, e := syscall.Syscall(setns[runtime.GOARCH], n.file.Fd(), syscall.CLONE_NEWNET, 0); e != 0 {
			done <- fmt.Errorf("setns: %w", e)
			return
		}
		done <- fn()
		if until != nil {
			<-until
		}
	}()
	return <-done
}

// ip runs commands of iproute2 in the namespace.
func (n *namespace) ip(commands ...string) error {
	return n.run(nil, func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, out)
		}
		return nil
	})
}
