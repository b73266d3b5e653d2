package ticket

import (
	"encoding/binary"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// A Pending is the first step of a log-in, as its bearer carries it to the
// second one: sealed under the current key, so that nothing is stored for it. A
// stranger with the password makes as many as he likes: they fill no table and
// evict no pending log-in of the owner.
type Pending struct {
	Goal       byte // of the second step
	User       string
	Version    uint64 // of the user's credentials
	Epoch      uint32 // of the file
	Expires    int64
	At, Until  int64 // of the proof of the first step
	Methods    uint16
	Asked      uint16 // of the options, as the next four
	Persistent byte
	Active     int64 // nanoseconds
	Idle       int64
	Absolute   int64
	Session    codec.OwnedKey // that must be active: the proof, or the one to replace; zero without one
	Attributes string         // encoded
	Replaces   []string       // tokens, at most MaxReplaced
}

// The goals of a second step.
const (
	ForSession byte = iota + 1 // a session
	ForFamily                  // a refresh token and its session
	ForAgain                   // a session in the place of another: Reauthenticate
)

// MaxReplaced is how many tokens a new session replaces: each is a lookup.
const MaxReplaced = 16

// pendingLife is how long the second step may take, in milliseconds.
const pendingLife = 10 * 60_000

const pendingFixed = 1 + 8 + 4 + 3*8 + 2 + 2 + 1 + 3*8 + codec.OwnedKeyBytes

// pendings are 8 KiB with 16 tokens and 4 KiB of attributes.
var pendings = sealed{prefix: "snpen_", space: "log-in", field: "pending", owner: "\x00log-in", max: 16 << 10}

// encode is the text that is sealed.
func (p *Pending) encode() string {
	b := append(make([]byte, 0, 256), p.Goal)
	b = binary.BigEndian.AppendUint64(b, p.Version)
	b = binary.BigEndian.AppendUint32(b, p.Epoch)
	for _, t := range []int64{p.Expires, p.At, p.Until} {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	b = binary.BigEndian.AppendUint16(b, p.Methods)
	b = append(binary.BigEndian.AppendUint16(b, p.Asked), p.Persistent)
	for _, d := range []int64{p.Active, p.Idle, p.Absolute} {
		b = binary.BigEndian.AppendUint64(b, uint64(d))
	}
	b = append(b, p.Session[:]...)
	for _, text := range append([]string{p.User, p.Attributes}, p.Replaces...) {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return string(b)
}

// decodePending is the inverse of encode. ok is false for all other texts.
func decodePending(text string) (p Pending, ok bool) {
	b := []byte(text)
	if len(b) < pendingFixed {
		return p, false
	}
	p.Goal, b = b[0], b[1:]
	p.Version, b = binary.BigEndian.Uint64(b), b[8:]
	p.Epoch, b = binary.BigEndian.Uint32(b), b[4:]
	for _, t := range []*int64{&p.Expires, &p.At, &p.Until} {
		*t, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	}
	p.Methods, b = binary.BigEndian.Uint16(b), b[2:]
	p.Asked, p.Persistent, b = binary.BigEndian.Uint16(b), b[2], b[3:]
	for _, d := range []*int64{&p.Active, &p.Idle, &p.Absolute} {
		*d, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	}
	b = b[copy(p.Session[:], b):]
	var texts []string
	for len(b) > 0 {
		n, head := binary.Uvarint(b)
		if head <= 0 || n > uint64(len(b)-head) {
			return Pending{}, false
		}
		texts, b = append(texts, string(b[head:head+int(n)])), b[head+int(n):]
	}
	if len(texts) < 2 || len(texts) > 2+MaxReplaced {
		return Pending{}, false
	}
	p.User, p.Attributes = texts[0], texts[1]
	if len(texts) > 2 {
		p.Replaces = texts[2:]
	}
	return p, true
}

// Seal gives a pending log-in of u its version, epoch, deadline and text.
func (p *Pending) Seal(tx *records.Tx, u *codec.User) (string, error) {
	p.User, p.Version, p.Epoch = u.ID, u.CredentialVersion, tx.State.Epoch
	p.Expires = tx.Now + pendingLife
	return pendings.seal(tx, p.encode())
}

// OpenPending returns the pending log-in of a text, if its time is not over. Whether
// its user and session are as they were is for the caller to see.
func OpenPending(tx *records.Tx, text string) (p Pending, ok bool) {
	plain, ok := pendings.open(tx, text)
	if ok {
		p, ok = decodePending(plain)
	}
	return p, ok && p.Epoch == tx.State.Epoch && tx.Now < p.Expires
}
