package snib

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// EventKind names a kind of event. Names are stable. One that a later program
// has written is "event-" and a number.
type EventKind string

// Events of credentials: a way in has changed, or was used up. The 50 newest of
// a user are kept.
const (
	EventUserCreated          EventKind = "user-created"           // Detail: the identity
	EventUserImported         EventKind = "user-imported"          // by ImportUser; Detail: the identity
	EventUserDisabled         EventKind = "user-disabled"          // by DisableUser
	EventUserEnabled          EventKind = "user-enabled"           // by EnableUser
	EventPasswordSet          EventKind = "password-set"           // by UpdateUserPassword
	EventPasswordChanged      EventKind = "password-changed"       // by ChangePassword, with the old one
	EventPasswordRemoved      EventKind = "password-removed"       // by RemoveUserPassword
	EventIdentityLinked       EventKind = "identity-linked"        // Detail: the new identity
	EventIdentityMoved        EventKind = "identity-moved"         // Detail: the old identity
	EventIdentityClaimed      EventKind = "identity-claimed"       // another user has proven it; Detail: the identity that is gone
	EventIdentityVerified     EventKind = "identity-verified"      // Detail: the identity
	EventIdentityUnlinked     EventKind = "identity-unlinked"      // Detail: the old identity
	EventRefreshReuse         EventKind = "refresh-reuse"          // Subject: the family that it has ended
	EventSessionsRevoked      EventKind = "sessions-revoked"       // by RevokeUserSessions
	EventRefreshTokensRevoked EventKind = "refresh-tokens-revoked" // by RevokeAll of [RefreshTokens]
	EventTokenUsed            EventKind = "token-used"             // Subject: a one-time token; Detail: its purpose
	EventUnlocked             EventKind = "unlocked"               // by Unlock or UnlockIdentity of [Throttle]
	EventDeviceTrusted        EventKind = "device-trusted"         // Subject: the device; by Trust of [Devices]
	EventDeviceRevoked        EventKind = "device-revoked"         // Subject: the device; by Revoke or RevokeAll of [Devices]
	EventAPIKeyCreated        EventKind = "api-key-created"        // Subject: the key; Detail: its name
	EventAPIKeyRevoked        EventKind = "api-key-revoked"        // Subject: the key; by Revoke, RevokeByID or RevokeAll of [APIKeys]
	EventAPIKeyEnding         EventKind = "api-key-ending"         // Subject: a key that ends within 14 days; Detail: its name; by the sweep, once
	EventRoleGranted          EventKind = "role-granted"           // Detail: the role; by Grant or Claim of [Roles]
	EventRoleWithdrawn        EventKind = "role-withdrawn"         // Detail: the role
	EventGuestCreated         EventKind = "guest-created"          // by CreateGuest of [Identities]
	EventGuestUpgraded        EventKind = "guest-upgraded"         // an identity or a password is there
	EventInvitationAccepted   EventKind = "invitation-accepted"    // with user-created; Detail: the identity
	EventFactorAdded          EventKind = "factor-added"           // Subject: the factor; Detail: its kind; by ConfirmTOTP of [Factors]
	EventFactorRemoved        EventKind = "factor-removed"         // Subject: the factor; Detail: its kind
	EventFactorsReset         EventKind = "factors-reset"          // by Reset of [Factors]
	EventRecoveryCodesCreated EventKind = "recovery-codes-created" // those of before are void
	EventRecoveryCodeUsed     EventKind = "recovery-code-used"     // in the place of a factor
	EventFactorsClosed        EventKind = "factors-closed"         // ten wrong codes in a row: somebody knows the password
	EventPasskeyCloned        EventKind = "passkey-cloned"         // Subject: the factor; its counter has not risen, so that two may hold it
	EventUserMerged           EventKind = "user-merged"            // of the user who stays, before user-deleted of the other; Detail: the id of the other; by Merge of [Identities]
)

// Events of log-ins, each with its Subject. The 100 newest of a user are kept.
const (
	EventLogIn               EventKind = "log-in"                // Subject: the session; by LogIn or CreateSession
	EventRefreshTokenCreated EventKind = "refresh-token-created" // Subject: the family
	EventReauthenticated     EventKind = "reauthenticated"       // Subject: the new session
	EventDeviceRemembered    EventKind = "device-remembered"     // Subject: a device that is new, by Remember of [Devices]
)

// Events that strangers can cause. The 20 newest of a user are kept, so that
// they cannot push out the others.
const (
	// EventLogInFailed counts the failed passwords of one hour. It is written
	// in the background, a minute later at most or at Close, and is not in the
	// outbox. Names without a user and attempts that had to wait do not count.
	EventLogInFailed EventKind = "log-in-failed"

	EventTokenCreated EventKind = "token-created" // Subject: a one-time token; Detail: its purpose
)

// Events that are only in the outbox.
const (
	EventUserDeleted     EventKind = "user-deleted"     // with the UserID, so that the program can forget the user too
	EventEverythingEnded EventKind = "everything-ended" // by EndEverything or ResetClock; without a UserID
)

// An EventActor is the cause of an event.
type EventActor string

// The actors.
const (
	ActorUser     EventActor = "user"     // or the program for the user
	ActorOperator EventActor = "operator" // a call with [AsOperator]
	ActorLibrary  EventActor = "library"  // a rule, such as that against reuse
)

var actors = [...]EventActor{records.ByUser: ActorUser, records.ByOperator: ActorOperator, records.ByLibrary: ActorLibrary}

// EventID names an event, "evt_" and 32 characters as of SessionID. It is the
// idempotency key of an event in the outbox: it never names another.
type EventID string

// Event is something that has happened to a user. It was written in the commit
// of the change itself, and holds no token, password or hash.
type Event struct {
	ID     EventID   // never of another event
	Kind   EventKind // one of the constants
	UserID UserID    // "" where there is none, or where the event is gone
	At     time.Time // of the first, of several

	// Count and Last are of several alike in one hour: how many, and when the
	// last one was.
	Count int
	Last  time.Time // At, of a single one

	Actor EventActor // the cause

	// Client is the address that [WithClient] gave, IPv4 mapped into IPv6, all
	// zero without one, and where it is that of another user, who has proven this
	// user's identity: netip.AddrFrom16(e.Client).Unmap() has its text.
	Client [16]byte

	Subject string // the id of the session, family or token that it is about, or ""
	Detail  string // see the kinds; an identity is its provider, a space and its identifier

	// Position is the place in the outbox, which rises in the order of commits;
	// 0 in the list of a user.
	Position uint64
}

func (e Event) printed() any {
	type plain Event
	e.Client, e.Detail = [16]byte{}, ""
	return plain(e)
}

// Format implements fmt.Formatter, without Client and Detail.
func (e Event) Format(f fmt.State, verb rune) { printed(f, verb, e.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (e Event) LogValue() slog.Value { return slog.AnyValue(e.printed()) }

// Events lists the history of a user, and reads the outbox. Transactions: see [Tx].
//
// Every change of a way in and every log-in is an event, written in the commit
// of the change: no change without its event, and no event without its change.
// ImportUsers, Refresh, changes of attributes, and the renewal or end of one
// session write no event. Events are kept for a year,
// within the bounds of their kinds, are kept by Restore and EndEverything, and go
// with the user.
//
// # Outbox
//
// With [Options].Outbox each event but failed log-ins is also put into one queue
// for the consumers that the option names: to send the notice of a new password
// even if the program was killed between the commit and the mail. Consume is
// the loop for that. No event holds a token: fn makes the link that it mails,
// [OneTimeTokens.Create] at EventUserCreated, and takes ErrOneTimeTokenLimit for a
// mail that it has sent. Choose the kinds that deserve a notice: a browser, say, is
// remembered anew, as EventDeviceRemembered, after each change of a password or a
// factor there.
type Events struct{ at handle }

// Events returns the methods on events, a transaction each.
func (db *DB) Events() Events { return Events{handle{db: db}} }

// Events returns the methods on events in this transaction.
func (tx *Tx) Events() Events { return Events{handle{db: tx.db, tx: tx}} }

// List returns the events of the user, newest first, or those of some kinds: the
// log-in history is List(ctx, id, EventLogIn). At most 170, an empty list for an
// unknown user.
func (e Events) List(ctx context.Context, user UserID, kinds ...EventKind) ([]Event, error) {
	return result(ctx, "list events", e.at.view, func(tx *Tx) (out []Event, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		err = tx.rec.EachEvent(string(user), func(r *codec.Event, err error) error {
			if err != nil {
				return tx.rec.Damaged(records.SpaceEvents, err)
			}
			if x := newEvent(r); len(kinds) == 0 || slices.Contains(kinds, x.Kind) {
				out = append(out, x)
			}
			return nil
		})
		slices.Reverse(out)
		return out, err
	})
}

// newEvent is the public form of a record.
func newEvent(r *codec.Event) Event {
	row := records.EventKind(r.Kind).Row()
	out := Event{
		ID: EventID(token.Event.ID(r.Key)), Kind: EventKind(row.Name), UserID: UserID(r.UserID),
		At: clock.Time(r.Key.Time()), Count: int(r.Count), Last: clock.Time(r.Last),
		Actor: actorOf(r.Actor), Client: r.Client, Detail: r.Detail,
	}
	if row.Subject != nil && !r.Subject.IsZero() {
		out.Subject = row.Subject.ID(r.Key.With(r.Subject))
	}
	return out
}

func actorOf(n uint8) EventActor {
	if int(n) < len(actors) {
		return actors[n]
	}
	return ActorLibrary
}
