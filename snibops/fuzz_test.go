package snibops

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"testing"

	"github.com/snibdb/snib"
)

// frames is bytes of the wire.
func frames(list ...frame) []byte {
	var b bytes.Buffer
	for _, f := range list {
		_ = writeFrame(&b, f.kind, f.payload)
	}
	return b.Bytes()
}

// FuzzReadFrame: a frame that is read is written as the same bytes, none is larger
// than its limit, and memory is not taken for bytes that do not come.
func FuzzReadFrame(f *testing.F) {
	f.Add(frames(frame{kindRequest, []byte(`{"verb":"ping"}`)}))
	f.Add([]byte("\xff\xff\xff\xffR"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x10\x00\x00D"))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, limit := range []int{maxHello, MaxFrame} {
			r := bytes.NewReader(data)
			k, payload, err := readFrame(r, limit)
			if err != nil {
				continue
			}
			if len(payload)+1 > limit {
				t.Fatalf("%d bytes of at most %d", len(payload)+1, limit)
			}
			if read := data[:len(data)-r.Len()]; !bytes.Equal(frames(frame{k, payload}), read) {
				t.Fatalf("%q was read as %c %q", read, k, payload)
			}
		}
	})
}

// FuzzServer: after any bytes of a client the server answers the next one, and the
// database is whole.
func FuzzServer(f *testing.F) {
	h, _ := json.Marshal(hello{Protocol: Protocol})
	good := frame{kindHello, h}
	for _, verb := range Verbs() {
		for _, args := range []string{"", `{}`, `{"user":"grace"}`, `{"user":"grace","role":"staff","id":"x","provider":"email","identifier":"a@example.com"}`} {
			payload, _ := json.Marshal(request{Verb: verb, Args: json.RawMessage(args)})
			if verb != string(VerbEvents) {
				f.Add(frames(good, frame{kindRequest, payload}, frame{kindInput, []byte(`{"provider":"username","identifier":"x"}`)}, frame{kindEnd, nil}))
			}
		}
	}
	f.Add(frames(good, frame{kindRequest, []byte(`{"verb":"users","args":{"limit":1e99,"value":[[[]]]}}`)}))
	f.Add([]byte("\x00\x00\x00\x01H"))
	db := open(f, dbPath(f), snib.Options{})
	s := newServer(db, (*Options)(nil).clean(), true)
	f.Cleanup(s.close)
	f.Fuzz(func(t *testing.T, data []byte) {
		here, there := net.Pipe()
		s.start(there, "cli")
		deadline(here, helloTime)
		read := make(chan struct{})
		go func() { defer close(read); _, _ = io.Copy(io.Discard, here) }()
		_, _ = here.Write(data)
		_ = here.Close()
		<-read
		if r, err := db.Check(t.Context()); err != nil {
			t.Fatalf("%v: %v", r.Problems, err)
		}
		settles(t, "the server has a place", func() bool { return len(s.slots) == 0 })
	})
}

// FuzzClient: any bytes of a server are an answer or an error, and the client can
// be used again.
func FuzzClient(f *testing.F) {
	info, _ := json.Marshal(Info{Protocol: Protocol})
	good := frame{kindHello, info}
	f.Add(frames(good, frame{kindItem, []byte(`{"id":"x"}`)}, frame{kindProgress, []byte(`{"op":"x"}`)}, frame{kindResult, []byte(`{"shown":1}`)}))
	f.Add(frames(good, frame{kindError, []byte(`{"codes":["busy","x"],"text":"t","input":{"Field":"F"}}`)}))
	f.Add(frames(good, frame{kindError, []byte(`{`)}))
	f.Add(frames(good, frame{kindRequest, nil}))
	f.Add(frames(frame{kindError, nil}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newClient(func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			go func() { _, _ = there.Write(data); _ = there.Close() }()
			return here, nil
		}, "", nil)
		for range 2 {
			_, _ = VerbUsers.Do(t.Context(), c, UsersArgs{}, func(User) error { return nil })
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
