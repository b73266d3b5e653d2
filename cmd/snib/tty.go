package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"sync"
)

// confirm asks before a destructive verb. Without a terminal --yes is required: a
// script must say that it means it.
func (a *app) confirm(ctx context.Context, question string) error {
	if a.yes {
		return nil
	}
	question = oneLine(question)
	if !a.inTerminal || !a.errTerminal {
		return usagef("%s: without a terminal, --yes is required", question)
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, err := a.line(ctx)
	if err != nil {
		fmt.Fprintln(a.err)
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed: nothing was done")
	}
	return nil
}

// line reads one line, or until ctx ends.
func (a *app) line(ctx context.Context) (string, error) {
	return awaited(ctx, func() (string, error) {
		text, err := bufio.NewReader(io.LimitReader(a.in, maxLine)).ReadString('\n')
		if errors.Is(err, io.EOF) && text != "" {
			err = nil
		}
		return strings.TrimRight(text, "\r\n"), err
	})
}

const maxLine = 4096

// awaited is read, which may be abandoned when ctx ends: the process ends then.
func awaited[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	c := make(chan answer, 1)
	go func() {
		v, err := read()
		c <- answer{v, err}
	}()
	select {
	case got := <-c:
		return got.value, got.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// password reads a new password: a line of stdin, or twice from the terminal
// without echo. It never comes from argv, which every process can read.
func (a *app) password(ctx context.Context, fromStdin bool) (string, error) {
	if fromStdin {
		text, err := a.line(ctx)
		if err == nil && text == "" {
			err = io.EOF
		}
		return text, hint(err, "--password-stdin reads one line")
	}
	if !a.inTerminal {
		return "", usagef("a password is read from a terminal: without one, give --password-stdin")
	}
	ctx, stop := signal.NotifyContext(ctx, leaving()...)
	defer stop()
	lines, err := a.hidden()
	if err != nil {
		return "", err
	}
	restore := sync.OnceFunc(lines.restore)
	defer restore() // an interrupt must not leave a terminal without echo
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		typed[i], err = awaited(ctx, func() (string, error) { return lines.ask(prompt) })
		if err != nil {
			restore()                 // first: a reader of the prompts may have gone, or be slow
			fmt.Fprint(a.err, "\r\n") // of a line that has no end
		}
		if errors.Is(err, io.EOF) || ctx.Err() != nil { // Ctrl-C is a key where the echo is off
			err = errors.New("interrupted")
		}
		if err != nil {
			return "", err
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ: nothing was done")
	}
	return typed[0], nil
}
