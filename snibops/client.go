package snibops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"sync/atomic"
)

// A Client runs verbs, one after the other: calls of several goroutines wait for
// each other, and one that a callback makes on the client of its own verb waits
// for ever. Make it by [Dial] or [Local], and Close it.
type Client struct {
	dial func(context.Context) (net.Conn, error)
	name string
	file string // of Dial
	end  func() // after Close, of Local; nil otherwise

	turn   chan struct{}        // holds one value while nobody is at work
	link   *link                // nil without a connection
	info   atomic.Pointer[Info] // of the last handshake; nil before
	closed bool
}

// A link is a connection with its handshake done.
type link struct {
	conn net.Conn
	r    *bufio.Reader
	idle stopwatch // since the last answer
}

// Call runs a verb by its name, with arguments and a result as JSON encodes
// them; both may be nil. A result has numbers without a type as json.Number.
// Items and data of the answer are dropped.
//
// Errors are those of the verb, as errors.Is and errors.As find them in a program
// that calls snib itself; that of ctx, which ends the verb on the server's side
// too, by closing the connection; ErrCut. The next call connects anew.
func (c *Client) Call(ctx context.Context, verb string, args, result any) error {
	return c.exchange(ctx, verb, args, result, nil, Exchange{})
}

// Stream is Call with each, called with each item in order. An error of each
// ends the verb and is returned as it is.
func (c *Client) Stream(ctx context.Context, verb string, args, result any, each func(json.RawMessage) error) error {
	return c.exchange(ctx, verb, args, result, each, Exchange{})
}

// An Exchange is the sides of a verb beside arguments, items and result. All
// fields may be nil.
type Exchange struct {
	Input    iter.Seq2[json.RawMessage, error] // of VerbImport; an error of it ends the verb
	Data     io.Writer                         // for the data of VerbBackup, VerbRecords and VerbUserExport
	Progress func(Progress)                    // now and then, of verbs that run long
}

// Do runs the verb and returns its result; each, which may be nil, gets the
// items. Errors are those of [Client.Call].
func (v Verb[A, I, R]) Do(ctx context.Context, c *Client, args A, each func(I) error) (R, error) {
	return v.With(ctx, c, args, each, Exchange{})
}

// With is Do with the other sides of the verb.
func (v Verb[A, I, R]) With(ctx context.Context, c *Client, args A, each func(I) error, x Exchange) (result R, err error) {
	var raw func(json.RawMessage) error
	if each != nil {
		raw = func(data json.RawMessage) error {
			var item I
			if err := loose(data, &item); err != nil {
				return err
			}
			return each(item)
		}
	}
	err = c.exchange(ctx, string(v), args, &result, raw, x)
	return result, err
}

// Info returns what the server said of itself in the last handshake.
// Before the first call of Local it is zero.
func (c *Client) Info() Info {
	if info := c.info.Load(); info != nil {
		return *info
	}
	return Info{}
}

// Close ends the connection. It waits for a call that is running. Of Local it
// does not close the database.
func (c *Client) Close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.closed = true
	c.drop()
	if c.end != nil {
		c.end()
	}
	return nil
}

func (c *Client) drop() {
	if c.link != nil {
		_ = c.link.conn.Close()
		c.link = nil
	}
}

func newClient(dial func(context.Context) (net.Conn, error), name string, end func()) *Client {
	c := &Client{dial: dial, name: name, end: end, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// exchange runs one verb.
func (c *Client) exchange(ctx context.Context, verb string, args, result any, each func(json.RawMessage) error, x Exchange) error {
	var payload json.RawMessage
	if args != nil {
		var err error
		if payload, err = json.Marshal(args); err != nil {
			return fmt.Errorf("snibops: %s: %w", verb, err)
		}
	}
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	done, err := c.link.run(ctx, request{verb, payload}, result, each, x)
	if !done {
		c.drop() // the server ends the verb when it sees that
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// connect makes a connection unless there is one that the server has not closed
// for its idleness: a request that was sent is never sent again.
func (c *Client) connect(ctx context.Context) error {
	if c.closed {
		return fmt.Errorf("snibops: %w", net.ErrClosed)
	}
	if c.link != nil && c.link.idle.elapsed() < clientIdle {
		return nil
	}
	c.drop()
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	l := &link{conn: conn, r: bufio.NewReader(conn), idle: started()}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	info, err := l.greet(c.name)
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return err
	}
	c.link = l
	c.info.Store(&info)
	return nil
}

// greeted returns what the server says of itself, after a handshake if there was
// none.
func (c *Client) greeted(ctx context.Context) (Info, error) {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return Info{}, ctx.Err()
	}
	err := c.connect(ctx)
	return c.Info(), err
}

// greet does the handshake.
func (l *link) greet(name string) (Info, error) {
	deadline(l.conn, helloTime)
	defer deadline(l.conn, 0)
	sent := writeJSON(l.conn, kindHello, hello{Protocol, name})
	k, payload, err := readFrame(l.r, MaxFrame)
	var info Info
	switch {
	case err != nil: // what the server said before it closed goes before the error of the write
		return info, fmt.Errorf("snibops: %w: %w", ErrCut, errors.Join(sent, err))
	case k == kindError:
		return info, failed(payload)
	case k != kindHello:
		return info, fmt.Errorf("snibops: %w", errProtocol)
	}
	if err := loose(payload, &info); err != nil {
		return info, fmt.Errorf("snibops: %w: %w", errProtocol, err)
	}
	if info.Protocol != Protocol {
		return info, fmt.Errorf("snibops: %w: the server %d, the client %d", ErrVersion, info.Protocol, Protocol)
	}
	return info, nil
}

// run sends a request and reads its answer. done says that the answer is whole,
// so that the connection can take another request.
func (l *link) run(ctx context.Context, r request, result any, each func(json.RawMessage) error, x Exchange) (done bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	defer func() { done = stop() && done }()
	w := bufio.NewWriterSize(l.conn, bufferSize)
	if err := writeJSON(w, kindRequest, r); err != nil {
		return false, fmt.Errorf("snibops: %s: %w", r.Verb, err)
	}
	if err := w.Flush(); err != nil {
		return false, fmt.Errorf("snibops: %s: %w: %w", r.Verb, ErrCut, err)
	}
	if x.Input != nil {
		return false, l.upload(w, r.Verb, result, each, x)
	}
	done, err = l.answer(r.Verb, result, each, x)
	l.idle = started()
	return done, err
}

// upload sends the input while it reads the answer, which may have items before
// the input ends. It uses the connection up.
func (l *link) upload(w *bufio.Writer, verb string, result any, each func(json.RawMessage) error, x Exchange) error {
	fault, sent := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(sent)
		if err := send(w, x.Input); err != nil {
			fault <- err
			_ = l.conn.Close()
		}
	}()
	said, err := l.answer(verb, result, each, x)
	if err == nil {
		<-sent
		return nil
	}
	select {
	case cause := <-fault:
		if !said {
			return cause
		}
	default: // the input is not waited for: it may be a terminal
	}
	return err
}

// send writes the input. Its errors are those of the input alone: a connection
// that has ended is told by the answer.
func send(w *bufio.Writer, input iter.Seq2[json.RawMessage, error]) error {
	for line, err := range input {
		if err != nil {
			return err
		}
		if err := writeFrame(w, kindInput, line); errors.Is(err, errProtocol) {
			return err // a line that is too long
		} else if err != nil {
			return nil
		}
	}
	if writeFrame(w, kindEnd, nil) == nil {
		_ = w.Flush()
	}
	return nil
}

// answer reads frames until the last one of the answer, which done says that it
// has read: an error of each may be one that another server has sent.
func (l *link) answer(verb string, result any, each func(json.RawMessage) error, x Exchange) (done bool, err error) {
	for {
		k, payload, err := readFrame(l.r, MaxFrame)
		if err != nil {
			return false, fmt.Errorf("snibops: %s: %w: %w", verb, ErrCut, err)
		}
		switch k {
		case kindResult:
			if result == nil {
				return true, nil
			}
			return true, loose(payload, result)
		case kindError:
			return true, failed(payload)
		case kindItem:
			if each != nil {
				err = each(payload)
			}
		case kindData:
			if x.Data != nil {
				_, err = x.Data.Write(payload)
			}
		case kindProgress:
			var p Progress
			if err = loose(payload, &p); err == nil && x.Progress != nil {
				x.Progress(p)
			}
		default:
			err = errProtocol
		}
		if err != nil {
			return false, err
		}
	}
}

// failed is the error in a frame.
func failed(payload []byte) error {
	var f fault
	if err := loose(payload, &f); err != nil {
		return &remote{"an error that is no JSON", []error{ErrServerFailed}}
	}
	return f.err()
}
