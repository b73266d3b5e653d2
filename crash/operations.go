package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// An operation is one transaction; with steps set, one for each space.
type operation struct {
	name   string
	often  int // how often it is drawn, relative to the others
	steps  bool
	later  time.Duration // comes so much later than the one before
	still  bool          // comes after a Close, at the same moment
	do     func(w *work) error
	halved func(w *work) error // the same in two transactions

	events []snib.EventKind // that its commit has, in order
	before []operation      // each time
	needs  []operation      // if it is done alone

	// leaves makes it a cascade, of a user made full for it: the census that the
	// rules leave.
	leaves func(census) census
}

// kinds is for tables.
func kinds(of ...snib.EventKind) []snib.EventKind { return of }

// cascade makes an operation a cascade of a full user.
func cascade(op operation, leaves func(census) census) operation {
	op.leaves = leaves
	if len(op.before) == 0 {
		op.before = []operation{fullVictim}
	}
	return op
}

// operations in an order in which each has something to work on.
var operations = slices.Concat(userOperations, tokenOperations, factorOperations, keyOperations, arrivals, removals)

var createUser = operation{name: "CreateUser", often: 6, do: (*work).createUser, events: kinds(snib.EventUserCreated)}

var userOperations = []operation{
	createUser,
	{name: "CreateUser with a row", often: 4, do: (*work).createWithRow, halved: (*work).createThenRow, events: kinds(snib.EventUserCreated)},
	{name: "ImportUser", often: 3, do: (*work).importUser, events: kinds(snib.EventUserImported)},
	{name: "AuthenticateUser and rehash", often: 2, do: (*work).rehash},
	{name: "LinkIdentity", often: 2, do: (*work).link, events: kinds(snib.EventIdentityLinked)},
	{name: "UpdateUserAttributes", often: 4, do: (*work).updateAttributes},
	{name: "rows only", often: 3, do: (*work).rowsOnly},
	{name: "rows of a user", often: 3, do: (*work).putOwned},
	{name: "rows of a user removed", often: 2, do: (*work).removeOwned},
}

var tokenOperations = []operation{
	{name: "LogIn", often: 4, do: (*work).logIn, events: kinds(snib.EventLogIn)},
	{name: "CreateSession", often: 6, do: (*work).createSession, events: kinds(snib.EventLogIn)},
	{name: "many sessions", often: 2, do: (*work).makeMany, events: slices.Repeat(kinds(snib.EventLogIn), manySessions)},
	{name: "RenewSession", often: 3, do: (*work).renew},
	{name: "Reauthenticate", often: 3, do: (*work).reauthenticate, events: kinds(snib.EventReauthenticated)},
	{name: "ExtendSession", often: 3, do: (*work).extend},
	{name: "RevokeSessionByID", often: 2, do: (*work).endSession},
	{name: "CreateRefreshToken", often: 4, do: (*work).createFamily, events: kinds(snib.EventRefreshTokenCreated)},
	{name: "Refresh", often: 8, do: (*work).refresh},
	{name: "Refresh again", often: 3, do: (*work).refreshAgain},
	{name: "Refresh after reuse", often: 3, do: (*work).reuse, events: kinds(snib.EventRefreshReuse)},
	{name: "CreateOneTimeToken", often: 3, do: (*work).createLink, events: kinds(snib.EventTokenCreated)},
	{name: "UseOneTimeToken", often: 3, do: (*work).useLink, events: kinds(snib.EventTokenUsed)},
	createReset,
	{name: "Tokens.FinishReset", often: 3, do: (*work).finishReset, events: kinds(snib.EventTokenUsed, snib.EventPasswordSet), needs: []operation{createReset}},
}

var createReset = operation{name: "Tokens.CreateReset", often: 3, do: (*work).createReset, events: kinds(snib.EventTokenCreated)}

var (
	beginTOTP   = operation{name: "Factors.BeginTOTP", often: 2, do: (*work).beginTOTP, before: []operation{createUser}}
	confirmTOTP = operation{name: "Factors.ConfirmTOTP", often: 2, do: (*work).confirmTOTP, events: kinds(snib.EventFactorAdded), needs: []operation{beginTOTP}}
	addPasskey  = operation{name: "Factors.AddPasskey", often: 2, do: (*work).addPasskey, events: kinds(snib.EventFactorAdded), before: []operation{createUser}}
)

var factorOperations = []operation{
	beginTOTP,
	confirmTOTP,
	{name: "Factors.FinishLogIn", often: 3, do: (*work).logInByCode, events: kinds(snib.EventLogIn), needs: []operation{beginTOTP, confirmTOTP}},
	{name: "Factors.CreateRecoveryCodes", often: 1, do: (*work).createRecovery, events: kinds(snib.EventRecoveryCodesCreated)},
	{name: "Factors.LogIn by a recovery code", often: 3, do: (*work).logInByRecovery, events: kinds(snib.EventRecoveryCodeUsed, snib.EventLogIn)},
	addPasskey,
	{name: "Factors.UsePasskey for a session", often: 3, do: (*work).usePasskey, events: kinds(snib.EventLogIn), needs: []operation{addPasskey}},
	{name: "Factors.FinishRefreshTokenByPasskey", often: 3, do: (*work).refreshTokenByPasskey, events: kinds(snib.EventRefreshTokenCreated)},
	{name: "Factors.Rename", often: 1, do: (*work).renameFactor},
}

var keyOperations = []operation{
	{name: "APIKeys.CreateFor", often: 3, do: (*work).createKey, events: kinds(snib.EventAPIKeyCreated), needs: []operation{createUser}},
	{name: "APIKeys.Create by a session", often: 2, do: (*work).createKeyBySession, events: kinds(snib.EventLogIn, snib.EventAPIKeyCreated), before: []operation{createUser}},
	{name: "Close and Open after the use of an API key", often: 1, steps: true, later: 2 * time.Hour, do: (*work).useKey},
	{name: "APIKeys.RevokeByID", often: 2, do: (*work).revokeKey, events: kinds(snib.EventAPIKeyRevoked)},
	{name: "Devices.Remember", often: 3, do: (*work).remember, events: kinds(snib.EventLogIn, snib.EventDeviceRemembered)},
	{name: "Devices.Remember again", often: 2, later: 25 * time.Hour, do: (*work).rememberAgain, events: kinds(snib.EventLogIn)},
	{name: "Devices.Trust", often: 2, do: (*work).trust, events: kinds(snib.EventLogIn, snib.EventDeviceTrusted)},
	{name: "Devices.Revoke", often: 2, do: (*work).revokeDevice, events: kinds(snib.EventDeviceRevoked)},
	{name: "Roles.Grant", often: 3, do: (*work).grant, events: kinds(snib.EventRoleGranted), needs: []operation{createUser}},
	{name: "Roles.Withdraw", often: 2, do: (*work).withdraw, events: kinds(snib.EventRoleWithdrawn)},
	ackEvents,
	{name: "Events.Ack with a row", often: 2, do: (*work).ackWithRow, halved: (*work).ackThenRow, before: []operation{createUser}},
}

var ackEvents = operation{name: "Events.Ack", often: 3, do: (*work).ackEvents}

var (
	invite     = operation{name: "Identities.Invite", often: 3, do: (*work).invite}
	makeGuest  = operation{name: "Identities.CreateGuest", often: 2, do: (*work).createGuest, events: kinds(snib.EventGuestCreated, snib.EventLogIn)}
	settleDown = operation{name: "all guests sign up", do: (*work).settleDown}
)

// arrivals are invitations, sign-ups and guests.
var arrivals = []operation{
	invite,
	{name: "Identities.Invite again", often: 2, do: (*work).inviteAgain},
	{name: "Identities.AcceptInvitation", often: 3, do: (*work).acceptInvitation, needs: []operation{invite},
		events: kinds(snib.EventUserCreated, snib.EventInvitationAccepted, snib.EventRoleGranted)},
	{name: "Identities.RevokeInvitation", often: 1, do: (*work).revokeInvitation, before: []operation{invite}},
	{name: "Identities.FinishSignUp", often: 3, do: (*work).finishSignUp, events: kinds(snib.EventUserCreated)},
	makeGuest,
	{name: "a guest signs up", often: 2, do: (*work).guestSignsUp, events: kinds(snib.EventIdentityLinked, snib.EventGuestUpgraded)},
	{name: "Identities.Merge of a guest", often: 2, do: (*work).mergeGuest, before: []operation{makeGuest},
		events: kinds(snib.EventUserCreated, snib.EventLogIn, snib.EventUserMerged, snib.EventUserDeleted)},
}

var sweepAll = cascade(operation{name: "Sweep", often: 1, steps: true, later: 32 * day, do: (*work).sweep, before: []operation{settleDown, fullVictim}}, sweeps)

var removals = []operation{
	cascade(operation{name: "UpdateUserProviderID", often: 3, do: (*work).updateProviderID, events: kinds(snib.EventIdentityMoved)}, ends(identityMoved)),
	cascade(operation{name: "UnlinkIdentity", often: 1, do: (*work).unlink, events: kinds(snib.EventIdentityUnlinked)}, ends(identityMoved, fewer("identity", 1))),
	cascade(operation{name: "FinishSignUp claims an identity", often: 1, do: (*work).claimIdentity, events: kinds(snib.EventIdentityClaimed, snib.EventUserCreated)}, ends(identityMoved, fewer("identity", 1))),
	cascade(operation{name: "UpdateUserPassword", often: 2, do: (*work).updatePassword, events: kinds(snib.EventPasswordSet)}, ends(passwordReset)),
	cascade(operation{name: "ChangePassword", often: 2, do: (*work).changePassword, events: kinds(snib.EventPasswordChanged)}, ends(passwordChanged, leaving("session", 1))),
	cascade(operation{name: "ChangeCredentials", often: 2, do: (*work).changeCredentials, events: kinds(snib.EventIdentityUnlinked)}, ends(identityMoved, fewer("identity", 1))),
	cascade(operation{name: "RemoveUserPassword", often: 1, do: (*work).removePassword, events: kinds(snib.EventPasswordRemoved)}, ends(passwordReset)),
	cascade(operation{name: "DisableUser", often: 2, do: (*work).disable, events: kinds(snib.EventUserDisabled)}, ends(userDisabled)),
	{name: "EnableUser", often: 2, do: (*work).enable, events: kinds(snib.EventUserEnabled)},
	cascade(operation{name: "RevokeUserSessions", often: 1, do: (*work).endSessions, events: kinds(snib.EventSessionsRevoked)}, ends(sessionsRevoked)),
	cascade(operation{name: "RefreshTokens.RevokeAll", often: 1, do: (*work).revokeAll, events: kinds(snib.EventRefreshTokensRevoked)}, ends(familiesRevoked, bornOfFamilies)),
	cascade(operation{name: "APIKeys.RevokeAll", often: 1, do: (*work).revokeKeys, events: kinds(snib.EventAPIKeyRevoked, snib.EventAPIKeyRevoked)}, endsOnly("API key")),
	cascade(operation{name: "Devices.RevokeAll", often: 1, do: (*work).revokeDevices, events: kinds(snib.EventDeviceRevoked, snib.EventDeviceRevoked)}, endsOnly("known device")),
	cascade(operation{name: "Factors.ConfirmTOTP of a full user", often: 1, do: (*work).confirmSecond, events: kinds(snib.EventFactorAdded)}, ends(factorChanged)),
	cascade(operation{name: "Factors.Remove", often: 1, do: (*work).removeFactor, events: kinds(snib.EventFactorRemoved)}, ends(factorChanged, fewer("second factor", 1), fewer("passkey", 1))),
	cascade(operation{name: "Factors.Reset", often: 1, do: (*work).resetFactors, events: kinds(snib.EventFactorsReset)}, ends(factorsReset, leaving("passkey", 0))),
	cascade(operation{name: "a full guest signs up", often: 1, do: (*work).fullGuestSignsUp, before: []operation{fullGuest}, events: kinds(snib.EventIdentityLinked, snib.EventGuestUpgraded)},
		ends(factorsReset, leaving("passkey", 0), leaving("session", 1), fewer("identity", -1), fewer("role", 1))),
	cascade(operation{name: "DeleteUser", often: 3, do: (*work).deleteUser, halved: (*work).deleteInTwo, events: kinds(snib.EventUserDeleted)}, deletes),
	cascade(operation{name: "DeleteUser with a row", often: 2, do: (*work).deleteWithRow, events: kinds(snib.EventUserDeleted)}, deletesRow),
	cascade(operation{name: "EndEverything", often: 1, do: (*work).endEverything, events: kinds(snib.EventEverythingEnded)}, ends(epochRaised)),
	sweepAll,
	// Everything else that is dead has been removed, and the outbox is empty: the
	// sweep is one transaction.
	cascade(operation{name: "Sweep of a guest", often: 1, later: 32 * day, do: (*work).sweepGuest, events: kinds(snib.EventUserDeleted),
		before: []operation{sweepAll, fullGuest, ackEvents, {name: "Sweep of the outbox", do: (*work).sweepAgain}}}, deletes),
	cascade(operation{name: "ResetClock", often: 1, do: (*work).resetClock, events: kinds(snib.EventEverythingEnded)}, ends(epochRaised)),
	closeAndOpen,
	{name: "Open with other indexes", often: 1, still: true, do: (*work).reindex},
}

// closeAndOpen stores the clock, and counters in another transaction. It goes before
// an operation that is still, so that nothing is left for Close to store.
var closeAndOpen = operation{name: "Close and Open", often: 1, steps: true, do: func(w *work) error { return w.reopen(w.options()) }}

// declare follows the first Open: each is a transaction of its own.
var declare = []operation{
	{name: "Open with keys", still: true, do: func(w *work) error { w.keyed = true; return w.reopen(w.options()) }},
	{name: "Open with a consumer", still: true, do: func(w *work) error { w.consumed = true; return w.reopen(w.options()) }},
}

// draw chooses operation n: each once, then by how often they come.
func (w *work) draw(n int) operation {
	if n < len(operations) {
		return operations[n]
	}
	all := 0
	for _, op := range operations {
		all += op.often
	}
	i := w.rng.IntN(all)
	for _, op := range operations {
		if i -= op.often; i < 0 {
			return op
		}
	}
	panic("unreachable: the sum is all")
}

// operationOf returns the operation of a name.
func operationOf(name string) operation {
	for _, op := range append(slices.Clip(operations), repair) {
		if op.name == name {
			return op
		}
	}
	panic("unreachable: there is no operation " + name)
}

// all returns op with the operations that come before it.
func (op operation) all() (out []operation) {
	if op.still {
		out = append(out, closeAndOpen)
	}
	for _, b := range op.before {
		out = append(out, b.all()...)
	}
	return append(out, op)
}

// run does op, or the mistake in its place.
func (w *work) run(op operation) error {
	if op.halved != nil && w.halved {
		return op.halved(w)
	}
	return op.do(w)
}

// hear returns the events that the outbox has behind those heard before.
func (w *work) hear() (events []snib.EventKind, err error) {
	err = w.db.View(ctx, func(tx *snib.Tx) error {
		b := tx.Bolt().Bucket([]byte(records.Bucket)).Bucket([]byte(codec.SpaceOutbox))
		if b == nil {
			return nil
		}
		from := codec.PositionKey(w.heard + 1)
		cursor := b.Cursor()
		for k, v := cursor.Seek(from[:]); k != nil; k, v = cursor.Next() {
			if position, ok := codec.ParsePosition(k); !ok || position == codec.OutboxHeadKey {
				break
			}
			e, err := codec.DecodeOutboxEntry(k, v)
			if err != nil {
				return err
			}
			w.heard = e.Position
			events = append(events, snib.EventKind(records.EventKind(e.Kind).Row().Name))
		}
		return nil
	})
	return events, err
}

// told compares the events since the last operation with those of op.
func (w *work) told(op operation) error {
	events, err := w.hear()
	if err == nil && op.name != repair.name && op.name != settleDown.name && !slices.Equal(events, op.events) {
		err = fmt.Errorf("UNTOLD: the commit has the events %q, want %q", events, op.events)
	}
	return err
}

// cascade does an operation on a full user and compares the census after it.
func (w *work) cascade(op operation) error {
	before, err := w.counted()
	if err != nil {
		return err
	}
	if lacking := before.lacks(aFullUser(w.full.guest)); len(lacking) > 0 {
		return fmt.Errorf("EMPTY: the victim has %v, which is too little of %q", before, lacking)
	}
	if err := w.run(op); err != nil {
		return err
	}
	after, err := w.counted()
	if err != nil {
		return err
	}
	want := op.leaves(before)
	if want["user"] > 0 {
		for _, kind := range op.events {
			if kind != snib.EventEverythingEnded && kind != snib.EventUserCreated { // of no user, of another one
				want["event"]++
			}
		}
	}
	for title, n := range want {
		if n != unjudged && after[title] != n {
			return errors.Join(err, fmt.Errorf("INCOMPLETE: it leaves %v, want %v, of %v", after, want, before))
		}
	}
	return err
}
