//go:build unix

package main

import (
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// A session is the command in a terminal of its own.
type session struct {
	tb   testing.TB
	term *os.File
	read chan string
	text string
	done chan int
}

func inTerminal(tb testing.TB, args ...string) *session {
	tb.Helper()
	c := command(tb, args...)
	c.Env = append(c.Env, "NO_COLOR=1")
	term, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		tb.Skip("no pseudo-terminal here:", err)
	}
	s := &session{tb: tb, term: term, read: make(chan string, 1000), done: make(chan int, 1)}
	go func() {
		defer close(s.read)
		b := make([]byte, 4096)
		for {
			n, err := term.Read(b)
			s.read <- string(b[:n])
			if err != nil {
				return
			}
		}
	}()
	go func() {
		_ = c.Wait()
		s.done <- c.ProcessState.ExitCode()
	}()
	tb.Cleanup(func() { _ = c.Process.Kill(); _ = term.Close() })
	return s
}

// expect waits until the terminal has shown a text.
func (s *session) expect(text string) {
	s.tb.Helper()
	limit := time.After(time.Minute)
	for !strings.Contains(s.text, text) {
		select {
		case more, ok := <-s.read:
			if s.text += more; !ok {
				s.tb.Fatalf("the terminal shows %q, not %q", s.text, text)
			}
		case <-limit:
			s.tb.Fatalf("the terminal shows %q, not %q", s.text, text)
		}
	}
}

func (s *session) typed(text string) {
	s.tb.Helper()
	if _, err := io.WriteString(s.term, text); err != nil {
		s.tb.Fatal(err)
	}
}

// end waits for the exit code and the rest of the text.
func (s *session) end() (int, string) {
	s.tb.Helper()
	code := <-s.done
	for more := range s.read {
		s.text += more
	}
	return code, s.text
}

func TestOnATerminal(t *testing.T) {
	path := newDB(t)
	s := inTerminal(t, on(path, "users")...)
	code, text := s.end()
	if code != exitDone || !strings.Contains(text, "IDENTITY") || !strings.Contains(text, "4 users") {
		t.Errorf("code %d: %s", code, text)
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\r\n"))); n > 80 {
			t.Errorf("%d cells: %s", n, line)
		}
	}

	s = inTerminal(t, on(path, "user", "delete", ada)...)
	s.expect("[y/N]")
	s.typed("y\r")
	if code, text := s.end(); code != exitDone || !strings.Contains(text, "is deleted") {
		t.Errorf("code %d: %s", code, text)
	}

	s = inTerminal(t, on(path, "user", "end-sessions", "bob@example.com")...)
	s.expect("[y/N]")
	s.typed("\x03") // Ctrl-C
	if code, text := s.end(); code != exitFailed || !strings.Contains(text, "interrupted") {
		t.Errorf("code %d: %s", code, text)
	}
	sound(t, path)
}

func TestAPasswordIsNotShown(t *testing.T) {
	path := newDB(t)
	s := inTerminal(t, on(path, "user", "create", "new@example.com", "--password")...)
	s.expect("Password: ")
	s.typed("a good long password\r")
	s.expect("Again: ")
	s.typed("a good long password\r")
	if code, text := s.end(); code != exitDone || strings.Contains(text, "good long") || !strings.Contains(text, "created") {
		t.Errorf("code %d: %s", code, text)
	}

	s = inTerminal(t, on(path, "user", "create", "next@example.com", "--password")...)
	s.expect("Password: ")
	s.typed("half a pass\x03")
	if code, text := s.end(); code != exitFailed || strings.Contains(text, "half") || !strings.Contains(text, "interrupted") {
		t.Errorf("code %d: %s", code, text)
	}
	sound(t, path)
}

func TestAnImportShowsABarOnATerminal(t *testing.T) {
	path := newDB(t)
	rows, err := os.CreateTemp(t.TempDir(), "rows")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60_000 {
		if _, err := rows.WriteString(`{"provider":"x","identifier":"` + strings.Repeat("n", i%7+1) + "-" + time.Duration(i).String() + `"}` + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	s := inTerminal(t, on(path, "import", rows.Name(), "--dry-run")...)
	s.expect("import")
	s.expect("iB/s")
	s.typed("\x03")
	if code, text := s.end(); code != exitFailed || !strings.Contains(text, "interrupted") {
		t.Errorf("code %d: %q", code, text)
	}
	sound(t, path)
}

// openTerminal opens a terminal, and returns its state. The command has slave.
func openTerminal(t *testing.T) (master, slave *os.File, before *term.State) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminal here:", err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	if before, err = term.GetState(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	return master, slave, before
}

// TestTheEchoComesBackAfterAnInterrupt: Ctrl-C while a password is typed leaves
// the terminal as it was.
func TestTheEchoComesBackAfterAnInterrupt(t *testing.T) {
	path := newDB(t)
	master, slave, before := openTerminal(t)
	c := command(t, on(path, "user", "create", "new@example.com", "--password")...)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	for text := ""; !strings.Contains(text, "Password: "); {
		b := make([]byte, 100)
		n, err := master.Read(b)
		if text += string(b[:n]); err != nil {
			t.Fatal(err, text)
		}
	}
	if now, err := term.GetState(int(slave.Fd())); err != nil || reflect.DeepEqual(now, before) {
		t.Errorf("the echo is on behind the prompt: %v", err)
	}
	if _, err := master.WriteString("half\x03"); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if after, err := term.GetState(int(slave.Fd())); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the terminal is not as it was: %v", err)
	}
	if code := c.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("code %d", code)
	}
}
