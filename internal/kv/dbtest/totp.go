package dbtest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib"
)

// totp is the code of an authenticator (RFC 6238: SHA-1, 30 s, 6 digits) at the
// time of the store.
func (l *lab) totp(e snib.TOTPEnrolment) string {
	l.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret.Reveal())
	l.fine(err)
	now := time.Now().Add(time.Duration(l.engine.ahead.Load()) * time.Millisecond)
	h := hmac.New(sha1.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(now.Unix()/30)))
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// pending is the text of a log-in that waits for its second step.
func (l *lab) pending(err error) string {
	l.Helper()
	waits, ok := errors.AsType[*snib.SecondFactorError](err)
	if !ok {
		l.Fatalf("error %v, want a SecondFactorError", err)
	}
	return waits.Pending.Reveal()
}
