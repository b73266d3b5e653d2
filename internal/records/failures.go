package records

import (
	"errors"
	"strings"

	"github.com/snibdb/snib/codec"
)

// NoteFailures adds failed log-ins of a user to the event of their hour, or
// makes that event. It skips an unknown user.
func (tx *Tx) NoteFailures(userID string, kind EventKind, n uint32, last int64, client [16]byte) error {
	if _, err := tx.User(userID); errors.Is(err, ErrUserNotFound) || unreadable(err) {
		return nil
	} else if err != nil {
		return err
	}
	owner := tx.Owner(userID)
	var same codec.Event
	err := tx.EachEvent(userID, func(e *codec.Event, err error) error {
		if err == nil && e.Kind == uint16(kind) && hour(e.Key.Time()) == hour(last) {
			same = *e
		}
		return nil
	})
	if err != nil {
		return err
	}
	if same.Count == 0 {
		same = codec.Event{UserID: userID, Kind: uint16(kind), Actor: uint8(ByLibrary), Last: last}
		if same.Key, err = tx.newEvent(owner, kind.Row().Class); err != nil {
			return err
		}
	}
	same.Count += min(n, ^same.Count)
	same.Last, same.Client = max(same.Last, last), client
	return tx.PutOwned(Events, same.Key, same.Append(nil))
}

// hour is that of a time in Unix milliseconds.
func hour(ms int64) int64 { return ms / 3_600_000 }

// HasUnlinked reports whether a user has unlinked an identity of a provider, as
// far as the events tell.
func (tx *Tx) HasUnlinked(userID, provider string) (found bool, err error) {
	err = tx.EachEvent(userID, func(e *codec.Event, err error) error {
		found = found || err == nil && EventKind(e.Kind) == EventIdentityRemoved && strings.HasPrefix(e.Detail, provider+" ")
		return nil
	})
	return found, err
}
