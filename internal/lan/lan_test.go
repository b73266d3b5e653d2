package lan

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// echo answers on each connection.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for line, err := r.ReadString('\n'); err == nil; line, err = r.ReadString('\n') {
				c.Write([]byte(line))
			}
		}()
	}
}

// TestPartition: what is cut off hears nothing, on old connections and new ones, and
// hears what was sent meanwhile once the network heals.
func TestPartition(t *testing.T) {
	n := New(t, "a", "b", "c")
	var at string
	if err := n.Run("a")(func() error {
		l, err := net.Listen("tcp", n.Address("a")+":0")
		if err == nil {
			at = l.Addr().String()
			t.Cleanup(func() { l.Close() })
			go echo(l)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	dial := func(host string, patience time.Duration) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return n.Dial(host)(ctx, "tcp", at)
	}
	said := func(c net.Conn, patience time.Duration) error {
		c.SetReadDeadline(time.Now().Add(patience))
		_, err := c.Read(make([]byte, 1))
		return err
	}
	c, err := dial("c", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).Dial("tcp", at); err == nil {
		t.Error("dialled from outside of the network")
	}
	c.Write([]byte("\n"))
	if err := said(c, time.Minute); err != nil {
		t.Error(err)
	}
	n.Part(t, "c")
	c.Write([]byte("\n"))
	if err := said(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("through the cut: %v", err)
	}
	if _, err := dial("c", 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("dialled through the cut: %v", err)
	}
	if b, err := dial("b", time.Minute); err != nil {
		t.Errorf("beside the cut: %v", err)
	} else {
		b.Close()
	}
	n.Heal(t)
	if err := said(c, time.Minute); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// TestSlow: a round trip takes both delays, and what is sent at once arrives at once.
func TestSlow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	const delay = 20 * time.Millisecond
	c, err := net.Dial("tcp", Slow(t, "tcp", l.Addr().String(), delay))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	c.Write([]byte("one\n"))
	c.Write([]byte("two\n"))
	r := bufio.NewReader(c)
	for _, want := range []string{"one\n", "two\n"} {
		if got, err := r.ReadString('\n'); got != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	if took := time.Since(began); took < 2*delay {
		t.Errorf("both ways in %v", took)
	}
}
