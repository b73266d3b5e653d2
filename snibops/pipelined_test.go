package snibops

import (
	"testing"

	"github.com/snibdb/snib"
)

// TestAPipelinedRequestDoesNotHideTheEnd: a client that has sent more than one
// request, and goes, ends the verb that runs.
func TestAPipelinedRequestDoesNotHideTheEnd(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "grace"}))(t)
	s := must(Listen(db, path, nil))(t)
	defer s.Close()
	conn := raw(t, path)
	ask(t, conn, string(VerbEvents), EventsArgs{User: "grace", Follow: true})
	for range 2 {
		_ = writeJSON(conn, kindRequest, request{Verb: string(VerbPing)}) // the server may have ended it
	}
	_ = conn.Close()
	settles(t, "the connection has ended", func() bool { return len(s.slots) == 0 })
}
