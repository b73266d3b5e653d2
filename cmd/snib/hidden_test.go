//go:build unix

package main

import (
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"
)

// TestTheEchoComesBackOnEachWay out of a prompt for a password: a signal of any kind,
// and a reader of the prompts that has gone.
func TestTheEchoComesBackOnEachWay(t *testing.T) {
	path := newDB(t)
	for name, sent := range map[string]syscall.Signal{
		"terminated": syscall.SIGTERM, "hung up": syscall.SIGHUP, "quit": syscall.SIGQUIT, "stopped": syscall.SIGTSTP,
		"prompt without a reader": 0,
	} {
		t.Run(name, func(t *testing.T) {
			_, slave, before := openTerminal(t)
			prompts, stderr, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer prompts.Close()
			if sent == 0 {
				prompts.Close()
			}
			c := command(t, on(path, "user", "create", "new@example.com", "--password")...)
			c.Stdin, c.Stdout, c.Stderr = slave, slave, stderr
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			stderr.Close()
			hung := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
			defer hung.Stop()
			if sent != 0 {
				if _, err := prompts.Read(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				if err := c.Process.Signal(sent); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.Wait()
			if after, err := term.GetState(int(slave.Fd())); err != nil || !reflect.DeepEqual(after, before) {
				t.Errorf("the terminal is not as it was: %v, %v", err, c.ProcessState)
			}
		})
	}
}
