package snibops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib"
)

// maxClients is how many connections a server has at once.
const maxClients = 8

// A server answers requests on connections.
type server struct {
	db    *snib.DB
	o     Options
	info  Info
	ctx   context.Context // ends all
	stop  context.CancelFunc
	work  sync.WaitGroup
	slots chan struct{}
	idle  time.Duration // between requests and between rows of an import
}

func newServer(db *snib.DB, o Options, live bool) *server {
	ctx, stop := context.WithCancel(context.Background())
	s := &server{db: db, o: o, ctx: ctx, stop: stop, slots: make(chan struct{}, maxClients), idle: idleTime}
	s.info = Info{Protocol: Protocol, Library: "(devel)", PID: os.Getpid(), File: o.File, Live: live}
	if real, err := filepath.Abs(o.File); err == nil && o.File != "" {
		s.info.File = real // clients run in other folders
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		s.info.Program = build.Path
		for _, m := range append(build.Deps, &build.Main) {
			if m.Path == modulePath && m.Version != "" {
				s.info.Library = m.Version
			}
		}
	}
	return s
}

const modulePath = "github.com/snibdb/snib"

// close ends all connections and waits for their verbs.
func (s *server) close() {
	s.stop()
	s.work.Wait()
}

// start serves a connection whose peer is trusted, on a goroutine of its own; who
// names the peer. With too many connections it says so and closes it.
func (s *server) start(conn net.Conn, who string) {
	select {
	case s.slots <- struct{}{}:
	default:
		deadline(conn, helloTime)
		_ = writeJSON(conn, kindError, faultOf(fmt.Errorf("snibops: %w: %d", ErrTooManyClients, maxClients)))
		_ = conn.Close()
		return
	}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		defer conn.Close()
		defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
		c := &conversation{server: s, conn: conn}
		if err := c.greet(who); err != nil {
			s.o.Logger.Warn("snibops: no handshake", "peer", who, "err", err)
			return
		}
		c.serve()
	})
}

// A conversation is one connection on the server's side.
type conversation struct {
	*server
	conn  net.Conn
	actor string
	pace  *paced
	w     *bufio.Writer // on pace

	frames chan frame  // of the client, read ahead by one
	busy   atomic.Bool // a verb without an input runs: no frame may come
	ctx    context.Context
}

// A frame that was read.
type frame struct {
	kind    kind
	payload []byte
}

// greet does the handshake.
func (c *conversation) greet(who string) error {
	deadline(c.conn, helloTime)
	defer deadline(c.conn, 0)
	k, payload, err := readFrame(c.conn, maxHello)
	if err != nil {
		return err
	}
	var h hello
	if k != kindHello || loose(payload, &h) != nil {
		return errProtocol
	}
	if h.Protocol != Protocol {
		err := fmt.Errorf("snibops: %w: the server %d, the client %d", ErrVersion, Protocol, h.Protocol)
		return errors.Join(err, writeJSON(c.conn, kindError, faultOf(err)))
	}
	if !printable(h.Name) {
		err := &snib.InputError{Field: "Options.Name", Code: snib.CodeMalformed, Reason: "must be at most 64 bytes of printable ASCII"}
		return errors.Join(err, writeJSON(c.conn, kindError, faultOf(err)))
	}
	c.actor = who
	if h.Name != "" {
		c.actor += "/" + h.Name
	}
	info := c.info
	info.Actor = c.actor
	return writeJSON(c.conn, kindHello, info)
}

// printable reports whether a name can be in a line of a log.
func printable(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return len(name) <= 64
}

// serve answers requests until the client closes, is idle for too long, or says
// what is no request. A goroutine reads ahead, so that the end of the connection
// ends the verb that runs.
func (c *conversation) serve() {
	ctx, cancel := context.WithCancelCause(snib.AsOperator(c.server.ctx))
	c.ctx, c.frames = ctx, make(chan frame)
	c.pace = &paced{conn: c.conn}
	c.w = bufio.NewWriterSize(c.pace, bufferSize)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.conn.Close()
	defer cancel(nil)
	readDeadline(c.conn, c.idle)
	reading.Go(func() {
		defer cancel(nil)
		for {
			k, payload, err := readFrame(c.conn, MaxFrame)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				cancel(fmt.Errorf("snibops: %w for %v", ErrStalled, c.idle))
			}
			if err != nil || c.busy.Load() { // a frame that waited would hide the end of the connection
				return
			}
			var r request
			c.busy.Store(k == kindRequest && (loose(payload, &r) != nil || r.Verb != string(VerbImport)))
			select {
			case c.frames <- frame{k, payload}:
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		select {
		case f := <-c.frames:
			readDeadline(c.conn, 0)
			if f.kind != kindRequest || !c.answer(f.payload) {
				return
			}
			readDeadline(c.conn, c.idle)
		case <-ctx.Done():
			return
		}
	}
}

// answer runs one request. It reports whether another may follow.
func (c *conversation) answer(payload []byte) bool {
	var r request
	if err := exact(payload, &r); err != nil {
		return false
	}
	a := &act{conversation: c, verb: r.Verb}
	result, err := a.run(r.Args)
	a.log(err)
	c.busy.Store(false) // before the client knows that it may go on
	if err == nil {
		err = a.finish(kindResult, result)
	}
	if err != nil {
		err = a.finish(kindError, faultOf(err))
	}
	return err == nil && !a.upload
}

// An act is one request that is being answered.
type act struct {
	*conversation
	verb   string
	user   snib.UserID // it is about; "" until it is known
	upload bool        // it has an input, which uses the connection up
}

// run calls the verb. A panic in it is an error of this request alone.
func (a *act) run(args json.RawMessage) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.o.Logger.Error("snibops: panic", "verb", a.verb, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			result, err = nil, fmt.Errorf("snibops: %w", ErrServerFailed)
		}
	}()
	for _, r := range routes() {
		if r.verb == a.verb {
			return r.run(a, args)
		}
	}
	return nil, fmt.Errorf("snibops: %w", ErrUnknownVerb)
}

// log tells the program's log the act. A verb that does not exist has a name that
// the client chose.
func (a *act) log(err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
		if f := faultOf(err); len(f.Codes) > 0 {
			outcome = f.Codes[0]
		}
	}
	a.o.Logger.Info("snibops: act", "verb", Quote(a.verb[:min(len(a.verb), 64)]), "actor", a.actor, "user", string(a.user), "outcome", outcome)
}

// finish writes the last frame of an answer.
func (a *act) finish(k kind, v any) error {
	if err := writeJSON(a.w, k, v); err != nil {
		return err
	}
	return a.w.Flush()
}

// item writes one item of a stream.
func (a *act) item(v any) error { return writeJSON(a.w, kindItem, v) }

// A route is one verb on the server's side.
type route struct {
	verb string
	run  func(a *act, args json.RawMessage) (any, error)
}

// to makes the route of a verb.
func to[A, I, R any](v Verb[A, I, R], do func(a *act, args A, item func(I) error) (R, error)) route {
	return route{string(v), func(a *act, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := exact(raw, &args); err != nil {
				return nil, &snib.InputError{Field: "Args", Code: snib.CodeMalformed, Reason: "must be those of the verb: " + err.Error()}
			}
		}
		return do(a, args, func(i I) error { return a.item(i) })
	}}
}
