package records

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// Events is the kind of events, which are bounded by class.
var Events = &Kind{
	Title: "event", Space: SpaceEvents, Token: token.Event,
	Most:      MaxEvents, // by class: see MostEvents
	Invariant: 17,
	History:   true,
	Merge:     MergeMoves,
	Missing:   errNoEvent,
	Life:      eventLife,
	Rules:     eventRules{},
}

// errNoEvent: there is no such record.
var errNoEvent error = &missing{"no such event"}

func eventLife(key, value []byte) (Life, error) {
	v, err := codec.ViewEvent(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), History: true, Kept: v.Last() + EventAge, Newest: v.Last()}, nil
}

// eventRules are the Rules of Events.
type eventRules struct{}

func (eventRules) facts(key, value []byte) (Object, error) {
	e, err := codec.DecodeEvent(key, value)
	row := EventKind(e.Kind).Row()
	subject := any(nil)
	if row.Subject != nil {
		subject = linked(*row.Subject, e.Key, e.Subject)
	}
	client := any(nil)
	if e.Client != [16]byte{} {
		client = e.Client[:]
	}
	return Object{
		{"kind", row.Name}, {"actor", actorNames[e.Actor]}, {"methods", methodNames(e.Methods)}, {"count", int64(e.Count)}, {"last_at", Instant(e.Last)},
		{"subject", subject}, {"client", client}, {"detail", e.Detail},
	}, err
}

func (eventRules) within() int { return slices.Min(MostEvents[1:]) }

func (eventRules) surplus(tx *Tx, userID string) ([]codec.OwnedKey, error) {
	return tx.surplusEvents(userID)
}

func (eventRules) check(*Tx, inspector, member, []byte) error { return nil } // no content but what decodes

// actorNames are the names of causes of events, as the package snib has them.
var actorNames = map[uint8]string{uint8(ByUser): "user", uint8(ByOperator): "operator", uint8(ByLibrary): "library"}

// An EventKind is the number of a kind of event in the file. It is frozen, and a
// number that is gone is not used again.
type EventKind uint16

// The kinds of events.
const (
	EventUserCreated     EventKind = 1
	EventUserImported    EventKind = 2
	EventUserDisabled    EventKind = 3
	EventUserEnabled     EventKind = 4
	EventUserDeleted     EventKind = 5
	EventPasswordSet     EventKind = 6
	EventPasswordChanged EventKind = 7
	EventPasswordRemoved EventKind = 8
	EventIdentityLinked  EventKind = 9
	EventIdentityMoved   EventKind = 10
	EventIdentityRemoved EventKind = 11
	EventLogIn           EventKind = 12
	EventRefreshCreated  EventKind = 13
	EventReauthenticated EventKind = 14
	EventRefreshReuse    EventKind = 15
	EventSessionsRevoked EventKind = 16
	EventRefreshRevoked  EventKind = 17
	EventTokenCreated    EventKind = 18
	EventTokenUsed       EventKind = 19
	EventUnlocked        EventKind = 20
	EventLogInFailed     EventKind = 21
	EventEverythingEnded EventKind = 22
	EventIdentityClaimed EventKind = 23
	EventIdentityProven  EventKind = 24

	EventDeviceRemembered EventKind = 25
	EventDeviceTrusted    EventKind = 26
	EventDeviceRevoked    EventKind = 27
	EventAPIKeyCreated    EventKind = 28
	EventAPIKeyRevoked    EventKind = 29
	EventRoleGranted      EventKind = 30
	EventRoleWithdrawn    EventKind = 31
	EventFactorAdded      EventKind = 32
	EventFactorRemoved    EventKind = 33
	EventFactorsReset     EventKind = 34
	EventRecoveryCodes    EventKind = 35
	EventRecoveryCodeUsed EventKind = 36
	EventFactorsClosed    EventKind = 37
	EventAPIKeyEnding     EventKind = 38

	EventInvitationAccepted EventKind = 39
	EventGuestCreated       EventKind = 40
	EventGuestUpgraded      EventKind = 41
	EventPasskeyCloned      EventKind = 42
	EventUserMerged         EventKind = 43
)

// EventRow describes a kind of event.
type EventRow struct {
	Name    string
	Class   EventClass
	Subject *token.Kind // of the record that the event is about; nil without one
}

// eventRows are the kinds by number.
var eventRows = []EventRow{
	EventUserCreated:     {Name: "user-created", Class: CredentialEvents},
	EventUserImported:    {Name: "user-imported", Class: CredentialEvents},
	EventUserDisabled:    {Name: "user-disabled", Class: CredentialEvents},
	EventUserEnabled:     {Name: "user-enabled", Class: CredentialEvents},
	EventUserDeleted:     {Name: "user-deleted"},
	EventPasswordSet:     {Name: "password-set", Class: CredentialEvents},
	EventPasswordChanged: {Name: "password-changed", Class: CredentialEvents},
	EventPasswordRemoved: {Name: "password-removed", Class: CredentialEvents},
	EventIdentityLinked:  {Name: "identity-linked", Class: CredentialEvents},
	EventIdentityMoved:   {Name: "identity-moved", Class: CredentialEvents},
	EventIdentityRemoved: {Name: "identity-unlinked", Class: CredentialEvents},
	EventLogIn:           {Name: "log-in", Class: LogInEvents, Subject: &token.Session},
	EventRefreshCreated:  {Name: "refresh-token-created", Class: LogInEvents, Subject: &token.Family},
	EventReauthenticated: {Name: "reauthenticated", Class: LogInEvents, Subject: &token.Session},
	EventRefreshReuse:    {Name: "refresh-reuse", Class: CredentialEvents, Subject: &token.Family},
	EventSessionsRevoked: {Name: "sessions-revoked", Class: CredentialEvents},
	EventRefreshRevoked:  {Name: "refresh-tokens-revoked", Class: CredentialEvents},
	EventTokenCreated:    {Name: "token-created", Class: FailureEvents, Subject: &token.OneTime},
	EventTokenUsed:       {Name: "token-used", Class: CredentialEvents, Subject: &token.OneTime},
	EventUnlocked:        {Name: "unlocked", Class: CredentialEvents},
	EventLogInFailed:     {Name: "log-in-failed", Class: FailureEvents},
	EventEverythingEnded: {Name: "everything-ended"},
	EventIdentityClaimed: {Name: "identity-claimed", Class: CredentialEvents},
	EventIdentityProven:  {Name: "identity-verified", Class: CredentialEvents},

	EventDeviceRemembered: {Name: "device-remembered", Class: LogInEvents, Subject: &token.Device},
	EventDeviceTrusted:    {Name: "device-trusted", Class: CredentialEvents, Subject: &token.Device},
	EventDeviceRevoked:    {Name: "device-revoked", Class: CredentialEvents, Subject: &token.Device},
	EventAPIKeyCreated:    {Name: "api-key-created", Class: CredentialEvents, Subject: &token.APIKey},
	EventAPIKeyRevoked:    {Name: "api-key-revoked", Class: CredentialEvents, Subject: &token.APIKey},
	EventRoleGranted:      {Name: "role-granted", Class: CredentialEvents},
	EventRoleWithdrawn:    {Name: "role-withdrawn", Class: CredentialEvents},
	EventFactorAdded:      {Name: "factor-added", Class: CredentialEvents, Subject: &token.Factor},
	EventFactorRemoved:    {Name: "factor-removed", Class: CredentialEvents, Subject: &token.Factor},
	EventFactorsReset:     {Name: "factors-reset", Class: CredentialEvents},
	EventRecoveryCodes:    {Name: "recovery-codes-created", Class: CredentialEvents},
	EventRecoveryCodeUsed: {Name: "recovery-code-used", Class: CredentialEvents},
	EventFactorsClosed:    {Name: "factors-closed", Class: CredentialEvents},
	EventAPIKeyEnding:     {Name: "api-key-ending", Class: CredentialEvents, Subject: &token.APIKey},

	EventInvitationAccepted: {Name: "invitation-accepted", Class: CredentialEvents},
	EventGuestCreated:       {Name: "guest-created", Class: CredentialEvents},
	EventGuestUpgraded:      {Name: "guest-upgraded", Class: CredentialEvents},
	EventPasskeyCloned:      {Name: "passkey-cloned", Class: CredentialEvents, Subject: &token.Factor},
	EventUserMerged:         {Name: "user-merged", Class: CredentialEvents},
}

// Row returns that of a kind. One of a later program is named by its number.
func (k EventKind) Row() EventRow {
	if int(k) < len(eventRows) && eventRows[k].Name != "" {
		return eventRows[k]
	}
	return EventRow{Name: fmt.Sprintf("event-%d", k)}
}

// An EventClass is a set of kinds with a bound of its own, so that events of
// which there are many do not push out others. Its number is frozen.
type EventClass uint8

// The classes. Events of class 0 are only in the outbox.
const (
	CredentialEvents EventClass = 1 + iota // a way in has changed
	LogInEvents                            // a session or refresh token was made
	FailureEvents                          // strangers can cause them
	eventClasses
)

// MostEvents bounds the events of one user, by class (INV-17).
var MostEvents = [eventClasses]int{CredentialEvents: 50, LogInEvents: 100, FailureEvents: MaxFailures}

// Bounds of the events of one user.
const (
	MaxFailures = 20 // of the class with the fewest
	MaxEvents   = 50 + 100 + MaxFailures
)

// EventAge is how long an event is kept, in milliseconds.
const EventAge = 365 * 24 * 3600 * 1000

// An Actor is the cause of an event. Its number is frozen.
type Actor uint8

// The actors.
const (
	ByUser     Actor = iota // or the program for the user
	ByOperator              // a call with snib.AsOperator
	ByLibrary               // by a rule, not by a call for it
)

// By is the part of an event that the context of a call tells.
type By struct {
	Actor  Actor
	Client [16]byte // address, IPv4 mapped into IPv6; zero if it is not known
}

// About is the rest of an event. It must hold no secret.
type About struct {
	Subject codec.OwnID // the record of the user that the event is about
	Methods uint16      // bits such as MethodPassword
	Detail  string      // short
	Library bool        // the actor is the library
	Other   bool        // the client is that of another user, whom the address would show
	First   bool        // of a new user under a random id, without other events
}

// Note writes an event of a user, in this transaction, and evicts the oldest of
// its class above the bound. Call it for each change of which a user, an
// operator or a consumer of the outbox should know. It dooms the transaction if
// it fails: no change is committed without its event.
func (tx *Tx) Note(userID string, kind EventKind, about About) error {
	if tx.W == nil {
		return kv.ErrReadOnly
	}
	class := kind.Row().Class
	key, err := tx.firstEvent(tx.Owner(userID), class, about)
	if err != nil {
		return tx.doom(err)
	}
	e := codec.Event{
		Key: key, UserID: userID, Kind: uint16(kind), Actor: uint8(tx.actor(about)), Methods: about.Methods,
		Count: 1, Last: tx.Now, Subject: about.Subject, Client: tx.By.Client, Detail: about.Detail,
	}
	if about.Other {
		e.Client = [16]byte{}
	}
	if err := tx.PutOwned(Events, key, e.Append(nil)); err != nil {
		return err
	}
	return tx.publish(codec.OutboxEntry{Kind: e.Kind, Actor: e.Actor, Event: key})
}

func (tx *Tx) actor(about About) Actor {
	if about.Library {
		return ByLibrary
	}
	return tx.By.Actor
}

// firstEvent is newEvent without the look at other events for a new user.
func (tx *Tx) firstEvent(owner codec.Owner, class EventClass, about About) (codec.OwnedKey, error) {
	if about.First {
		return tx.eventKey(owner, 0, class)
	}
	return tx.newEvent(owner, class)
}

// newEvent returns the key of a new event and makes room for it. Keys alone
// tell classes and age, so that nothing is decoded, and a damaged event is in
// the way of no change. Events of one millisecond are numbered, to be listed in
// their order.
func (tx *Tx) newEvent(owner codec.Owner, class EventClass) (codec.OwnedKey, error) {
	var buf [2 * codec.OwnerBytes]byte
	from, to := owner.AppendRange(buf[:0])
	n, number := 0, 0
	err := tx.R.Scan(SpaceEvents, from, to, 0, func(raw, _ []byte) error {
		k, ok := codec.ParseOwnedKey(raw)
		switch {
		case !ok:
			return nil
		case k.Time() == tx.Now:
			number = min(int(codec.EventNumber(k))+1, 255)
		}
		if codec.EventClass(k) == uint8(class) {
			n++
		}
		return nil
	})
	if err == nil {
		err = tx.forgetEvents(owner, class, n+1-MostEvents[class])
	}
	for range 8 {
		if err != nil {
			return codec.OwnedKey{}, err
		}
		key, err := tx.eventKey(owner, uint8(number), class)
		if err != nil || number < 255 { // a number of its own is free
			return key, err
		}
		if taken, err := tx.Has(SpaceEvents, string(key[:])); !taken || err != nil {
			return key, err
		}
	}
	return codec.OwnedKey{}, errors.New("no free id: the random bytes repeat")
}

func (tx *Tx) eventKey(owner codec.Owner, number uint8, class EventClass) (codec.OwnedKey, error) {
	var random [2]byte
	if _, err := io.ReadFull(tx.Rand, random[:]); err != nil {
		return codec.OwnedKey{}, fmt.Errorf("reading random bytes: %w", err)
	}
	return codec.MakeOwnedKey(owner, codec.NewEventID(tx.Now, number, uint8(class), random)), nil
}

// forgetEvents removes the n oldest events of a class of an owner, but first those
// of a time to come: the clock was ahead, and they would push out all new ones.
func (tx *Tx) forgetEvents(owner codec.Owner, class EventClass, n int) error {
	if n <= 0 {
		return nil
	}
	from, to := owner.AppendRange(nil)
	future := codec.MakeOwnedKey(owner, codec.NewEventID(tx.Now+1, 0, 0, [2]byte{}))
	keys, err := tx.oldestEvents(future[:], to, class, n)
	if err == nil && len(keys) < n {
		var old []codec.OwnedKey
		old, err = tx.oldestEvents(from, future[:], class, n-len(keys))
		keys = append(keys, old...)
	}
	if err != nil {
		return err
	}
	return tx.DeleteOwned(Events, keys...)
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

func (tx *Tx) oldestEvents(from, to []byte, class EventClass, n int) (keys []codec.OwnedKey, err error) {
	if n <= 0 {
		return nil, nil
	}
	err = tx.R.Scan(SpaceEvents, from, to, 0, func(raw, _ []byte) error {
		if k, ok := codec.ParseOwnedKey(raw); ok && codec.EventClass(k) == uint8(class) {
			keys = append(keys, k)
		}
		if len(keys) == n {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return keys, err
}

// EachEvent visits the events of a user by age. With an error of the codec, e
// has nothing but its Key.
func (tx *Tx) EachEvent(userID string, visit func(e *codec.Event, err error) error) error {
	return tx.ScanOwner(SpaceEvents, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		e, err := codec.DecodeEvent(key[:], value)
		switch {
		case err != nil:
			e = codec.Event{Key: key}
		case e.UserID != userID:
			return nil
		}
		return visit(&e, err)
	})
}

// surplusEvents returns the events of a user above the bounds, for Check.
func (tx *Tx) surplusEvents(userID string) (surplus []codec.OwnedKey, err error) {
	owner := tx.Owner(userID)
	from, to := owner.AppendRange(nil)
	var n [256]int
	err = tx.R.Scan(SpaceEvents, from, to, 0, func(raw, _ []byte) error {
		if k, ok := codec.ParseOwnedKey(raw); ok {
			n[codec.EventClass(k)]++
		}
		return nil
	})
	for class := 1; class < len(MostEvents) && err == nil; class++ {
		var keys []codec.OwnedKey
		keys, err = tx.oldestEvents(from, to, EventClass(class), n[class]-MostEvents[class])
		surplus = append(surplus, keys...)
	}
	return surplus, err
}
