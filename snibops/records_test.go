package snibops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// TestRecordsMoveWithTheirPasswords: the data of a program that runs, read into
// another file, lets the user log in and the session go on.
func TestRecordsMoveWithTheirPasswords(t *testing.T) {
	for _, served := range []bool{false, true} {
		path := dbPath(t)
		db := open(t, path, snib.Options{})
		u := must(db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password}))(t)
		s := must(db.CreateSession(t.Context(), u, snib.SessionOptions{}))(t)
		must(db.Tokens().Create(t.Context(), u.ID, "verify", time.Hour, nil))(t)
		c := local(t, db, nil)
		if served {
			c = live(t, db, path, nil)
		}
		var data bytes.Buffer
		r := must(VerbRecords.With(t.Context(), c, None{}, nil, Exchange{Data: &data}))(t)
		sum := sha256.Sum256(data.Bytes())
		if r.Users != 1 || r.Records < 3 || r.LeftOut != 1 || r.Bytes != int64(data.Len()) || r.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("served %v: %+v of %d bytes", served, r, data.Len())
		}
		to := dbPath(t)
		must(snib.ImportFile(t.Context(), to, &data, nil))(t)
		moved := open(t, to, snib.Options{})
		must(moved.ValidateSession(t.Context(), s.Token.Reveal()))(t)
		must(moved.AuthenticateUser(t.Context(), "email", "ada@example.com", password))(t)
	}
}
