package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Histories: several clients work on the same users at once, and every call
// must look as if it had happened at one moment between its beginning and its
// return. A child announces each call and each answer; porcupine looks for an
// order of the calls that a small model of an account (history_model.go), written
// from the documentation, agrees with.
//
//	call N JSON    call N is about to be made
//	ret N JSON     it has returned
//
// A call without a return, or one that returned ErrUnknown, may have happened
// at any later time, or not at all. One that returned another error of the
// system has not happened.

// A request is the input of one operation on one user. Sessions and families are
// named by their ids, which the model compares, and presented by their tokens.
type request struct {
	Op       string
	User     int
	Epoch    int    // which opening of the file it was made on
	Password string `json:",omitempty"`
	Next     string `json:",omitempty"` // a password to be set
	Version  uint64 `json:",omitempty"` // of the credentials that are the proof
	Session  string `json:",omitempty"`
	Family   string `json:",omitempty"`
	Link     string `json:",omitempty"` // id of a one-time token
	Purpose  string `json:",omitempty"` // of it
	Key      string `json:",omitempty"` // id of an API key
	Code     string `json:",omitempty"` // for recovery
	Token    string `json:",omitempty"` // of one of the four
	Keep     string `json:",omitempty"` // a session to keep

	// shaken says that the credential version rose meanwhile, which refuses a
	// log-in whose password is right. disturbed says that credentials may have
	// changed between the two steps of a log-in, which voids the second.
	shaken, disturbed bool
}

// An answer is the result of a call.
type answer struct {
	Kind     string   // see answerOf
	Version  uint64   `json:",omitempty"` // of the user it returned, if it did
	Disabled bool     `json:",omitempty"`
	Session  string   `json:",omitempty"`
	Family   string   `json:",omitempty"`
	Link     string   `json:",omitempty"`
	Purpose  string   `json:",omitempty"`
	Key      string   `json:",omitempty"`
	Codes    []string `json:",omitempty"` // for recovery
	Tokens   []string `json:",omitempty"` // of the session, the one-time token or the API key, then of the family
	Sessions []string `json:",omitempty"` // of a list
}

// token returns token i of an answer, or "".
func (r *answer) token(i int) string {
	if i < len(r.Tokens) {
		return r.Tokens[i]
	}
	return ""
}

// exchange is one call and its answer; from and to are its places in the
// history.
type exchange struct {
	request
	answer
	from, to int
}

// parseHistory reads the output of one child after the other. Calls without a
// return end after everything else.
func parseHistory(output string) ([]*exchange, error) {
	var all []*exchange
	open, place := map[int]*exchange{}, 0
	lines := bufio.NewScanner(strings.NewReader(output))
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 3)
		if len(words) != 3 || words[0] != "call" && words[0] != "ret" {
			continue
		}
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		place++
		if words[0] == "call" {
			open[n] = &exchange{from: place, to: -1, answer: answer{Kind: answerUnknown}}
			all = append(all, open[n])
			err = json.Unmarshal([]byte(words[2]), &open[n].request)
		} else if x := open[n]; x == nil {
			err = errors.New("a return without a call")
		} else {
			x.to = place
			err = json.Unmarshal([]byte(words[2]), &x.answer)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	for _, x := range all {
		if x.Kind == answerUnknown {
			place++
			x.to = place
		}
	}
	return all, lines.Err()
}

// reads are the operations that change nothing: without an answer they say
// nothing.
var reads = map[string]bool{"GetUser": true, "ValidateSession": true, "ValidateSessionUser": true, "ListUserSessions": true, "APIKeys.Validate": true}

// shake marks the log-ins during which the credential version rose while the
// password stayed.
func shake(all []*exchange) {
	for _, x := range all {
		beside := func(ops ...string) bool {
			return slices.ContainsFunc(all, func(y *exchange) bool {
				return (y.User == x.User || y.Op == "EndEverything") && slices.Contains(ops, y.Op) && y.from < x.to && x.from < y.to
			})
		}
		x.shaken = strings.HasSuffix(x.Op, "LogIn") && beside("RevokeUserSessions")
		x.disturbed = x.Op == "Factors.LogIn" && beside("RevokeUserSessions", "ImportUser", "DeleteUser", "DisableUser", "EnableUser", "UpdateUserPassword",
			"RemoveUserPassword", "ChangePassword", "ChangeCredentials", "EndEverything", "Factors.Reset", "a factor")
	}
}

// events puts a user's calls in the order in which they began and returned.
func events(all []*exchange, user int) []porcupine.Event {
	type placed struct {
		at int
		e  porcupine.Event
	}
	var out []placed
	for i, x := range all {
		if x.User != user && x.Op != "EndEverything" || x.Kind == answerUnknown && reads[x.Op] {
			continue
		}
		out = append(out,
			placed{x.from, porcupine.Event{Kind: porcupine.CallEvent, Value: x.request, Id: i}},
			placed{x.to, porcupine.Event{Kind: porcupine.ReturnEvent, Value: x.answer, Id: i}})
	}
	slices.SortFunc(out, func(a, b placed) int { return a.at - b.at })
	list := make([]porcupine.Event, len(out))
	for i := range out {
		list[i] = out[i].e
	}
	return list
}

// errInconclusive says that no order was found in time, and that one may exist.
var errInconclusive = errors.New("the history could not be judged in time")

// linearizable returns an error unless the calls on each user have an order
// that the model agrees with.
func linearizable(all []*exchange, patience time.Duration) error {
	shake(all)
	for user := range historyUsers {
		list := events(all, user)
		switch porcupine.CheckEventsTimeout(accountModel, list, patience) {
		case porcupine.Illegal:
			return fmt.Errorf("user %d: NOT LINEARIZABLE: no order of these %d calls is possible:\n%s", user, len(list)/2, describe(list))
		case porcupine.Unknown:
			return fmt.Errorf("user %d, %d calls: %w", user, len(list)/2, errInconclusive)
		}
	}
	return nil
}

// describe shows the shortest beginning of a history that has no order.
func describe(list []porcupine.Event) string {
	var b strings.Builder
	for n := 1; n <= len(list); n++ {
		e := list[n-1]
		if e.Kind == porcupine.CallEvent {
			fmt.Fprintf(&b, "%4d calls   %+v\n", e.Id, e.Value)
			continue
		}
		fmt.Fprintf(&b, "%4d returns %+v\n", e.Id, e.Value)
		if porcupine.CheckEventsTimeout(accountModel, completed(list[:n]), time.Second) == porcupine.Illegal {
			break
		}
	}
	return b.String()
}

// completed returns a beginning of a history with every call returned.
func completed(list []porcupine.Event) []porcupine.Event {
	open := map[int]bool{}
	for _, e := range list {
		open[e.Id] = e.Kind == porcupine.CallEvent
	}
	out := slices.Clone(list)
	for _, e := range list {
		if e.Kind == porcupine.CallEvent && open[e.Id] {
			out = append(out, porcupine.Event{Kind: porcupine.ReturnEvent, Value: answer{Kind: answerUnknown}, Id: e.Id})
		}
	}
	return out
}
