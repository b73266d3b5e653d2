package snib

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
)

// A pendingLogIn is the first step of a log-in, as its bearer carries it to the
// second one: sealed under the current key, so that nothing is stored for it. A
// stranger with the password makes as many as he likes: they fill no table and
// evict no pending log-in of the owner.
type pendingLogIn struct {
	goal       byte // of the second step
	user       string
	version    uint64 // of the user's credentials
	epoch      uint32 // of the file
	expires    int64
	at, until  int64 // as of proven
	methods    uint16
	asked      uint16 // of the options, as the next four
	persistent byte
	active     int64 // nanoseconds
	idle       int64
	absolute   int64
	session    codec.OwnedKey // that must be active: the proof, or the one to replace; zero without one
	attributes string         // encoded
	replaces   []string       // tokens
}

// The goals of a second step.
const (
	goalSession byte = iota + 1 // a session
	goalFamily                  // a refresh token and its session
	goalAgain                   // a session in the place of another: Reauthenticate
)

// pendingLife is how long the second step may take, in milliseconds.
const pendingLife = 10 * 60_000

const (
	pendingPrefix = "snpen_"
	pendingFixed  = 1 + 8 + 4 + 3*8 + 2 + 2 + 1 + 3*8 + codec.OwnedKeyBytes
	maxPending    = 16 << 10 // bytes of text; 16 tokens and 4 KiB of attributes take 8 KiB
)

// encode is the text that is sealed.
func (p *pendingLogIn) encode() string {
	b := append(make([]byte, 0, 256), p.goal)
	b = binary.BigEndian.AppendUint64(b, p.version)
	b = binary.BigEndian.AppendUint32(b, p.epoch)
	for _, t := range []int64{p.expires, p.at, p.until} {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	b = binary.BigEndian.AppendUint16(b, p.methods)
	b = append(binary.BigEndian.AppendUint16(b, p.asked), p.persistent)
	for _, d := range []int64{p.active, p.idle, p.absolute} {
		b = binary.BigEndian.AppendUint64(b, uint64(d))
	}
	b = append(b, p.session[:]...)
	for _, text := range append([]string{p.user, p.attributes}, p.replaces...) {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return string(b)
}

// decodePending is the inverse of encode. ok is false for all other texts.
func decodePending(text string) (p pendingLogIn, ok bool) {
	b := []byte(text)
	if len(b) < pendingFixed {
		return p, false
	}
	p.goal, b = b[0], b[1:]
	p.version, b = binary.BigEndian.Uint64(b), b[8:]
	p.epoch, b = binary.BigEndian.Uint32(b), b[4:]
	for _, t := range []*int64{&p.expires, &p.at, &p.until} {
		*t, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	}
	p.methods, b = binary.BigEndian.Uint16(b), b[2:]
	p.asked, p.persistent, b = binary.BigEndian.Uint16(b), b[2], b[3:]
	for _, d := range []*int64{&p.active, &p.idle, &p.absolute} {
		*d, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	}
	b = b[copy(p.session[:], b):]
	var texts []string
	for len(b) > 0 {
		n, head := binary.Uvarint(b)
		if head <= 0 || n > uint64(len(b)-head) {
			return pendingLogIn{}, false
		}
		texts, b = append(texts, string(b[head:head+int(n)])), b[head+int(n):]
	}
	if len(texts) < 2 || len(texts) > 2+maxReplaced {
		return pendingLogIn{}, false
	}
	p.user, p.attributes = texts[0], texts[1]
	if len(texts) > 2 {
		p.replaces = texts[2:]
	}
	return p, true
}

// options are those with which the log-in began.
func (p *pendingLogIn) options() (o SessionOptions) {
	o.Attributes = decodeAttributes(p.attributes)
	o.Methods, o.Persistent = Methods(p.asked), p.persistent == 1
	o.Active, o.Idle, o.Absolute = time.Duration(p.active), time.Duration(p.idle), time.Duration(p.absolute)
	for _, text := range p.replaces {
		o.Replaces = append(o.Replaces, PresentedToken(text))
	}
	return o
}

// pendingPlace binds a pending log-in to this file and its copies. Keys may be
// shared with another file, whose user has the same id. The user's own place is
// not known before it is opened.
func (tx *Tx) pendingPlace() seal.Place {
	file := tx.rec.Owner("\x00log-in") // no user has such an id
	return seal.Place{Space: "log-in", Key: string(file[:]), Field: "pending"}
}

// sealPending gives a pending log-in its version, epoch, deadline and text.
func (tx *Tx) sealPending(p *pendingLogIn, u *codec.User) (Token, error) {
	key, err := tx.rec.CurrentKey()
	if err != nil {
		return Token{}, err
	}
	p.user, p.version, p.epoch = u.ID, u.CredentialVersion, tx.rec.State.Epoch
	p.expires = tx.rec.Now + pendingLife
	id, box, _ := strings.Cut(strings.TrimPrefix(key.Seal(tx.pendingPlace(), p.encode()), "$sealed$"), "$")
	return Token{newSecret(pendingPrefix + id + "." + box)}, nil
}

// pending returns the live log-in of a text, and its user as of now.
// ErrInvalidPending.
func (tx *Tx) pending(text string) (p pendingLogIn, u codec.User, err error) {
	p, ok := tx.openPending(text)
	if !ok || p.epoch != tx.rec.State.Epoch || tx.rec.Now >= p.expires {
		return p, u, ErrInvalidPending
	}
	u, err = tx.user(UserID(p.user))
	switch {
	case records.IsMissing(err), err == nil && (u.DisabledAt != 0 || u.CredentialVersion != p.version):
		return p, u, ErrInvalidPending
	case err != nil || p.session == codec.OwnedKey{}:
		return p, u, err
	}
	v, err := tx.rec.Session(p.session)
	if records.IsMissing(err) || err == nil && (tx.stateOf(&v) != SessionActive || !v.IsUser(u.ID)) {
		err = ErrInvalidPending
	}
	return p, u, err
}

// openPending opens a text with the key that it names, and with no other.
func (tx *Tx) openPending(text string) (p pendingLogIn, ok bool) {
	body, ok := strings.CutPrefix(text, pendingPrefix)
	id, box, found := strings.Cut(body, ".")
	if !ok || !found || len(text) > maxPending {
		return p, false
	}
	key, err := tx.rec.KeyOf(id)
	if err != nil {
		return p, false
	}
	plain, err := key.Open(tx.pendingPlace(), "$sealed$"+id+"$"+box)
	if err != nil {
		return p, false
	}
	return decodePending(plain)
}

// proof returns the result of the first step.
func (p *pendingLogIn) proof(u codec.User) proven {
	return proven{user: u, at: p.at, until: p.until, session: p.session, methods: Methods(p.methods)}
}
