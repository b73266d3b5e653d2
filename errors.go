package snib

import (
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// About users, their identities and attributes.
var (
	// ErrUserNotFound: no user has this id, identity or attribute; a malformed
	// id is an unknown one. Returned by every method that takes the id of a
	// user or looks one up, save DeleteUser, DeleteDeadUserSessions, the lists,
	// RevokeSession, and Revoke of [RefreshTokens], [OneTimeTokens], [APIKeys],
	// [Logins] and [Devices].
	ErrUserNotFound = records.ErrUserNotFound

	// ErrUserDisabled: the user exists and is disabled. Returned by methods that
	// would let the user in, or make a token that does, and say so. The
	// ErrInvalidCredentials of AuthenticateUser and LogIn is this too if the
	// password was right.
	ErrUserDisabled = errors.New("user is disabled")

	// ErrIdentityTaken: another user has this provider and identifier.
	// Returned by CreateUser, ImportUser, LinkIdentity, UpdateUserProviderID,
	// and by Open when changed Providers fold two users to one identity (see
	// [ConflictError]). Nothing was written.
	ErrIdentityTaken = records.ErrIdentityTaken

	// ErrAttributeTaken: another user has this value of a unique attribute.
	// Returned as [AttributeTakenError] by CreateUser, ImportUser and
	// UpdateUserAttributes, and as [ConflictError] by Open when a new unique
	// index finds two. Nothing was written.
	ErrAttributeTaken = records.ErrAttributeTaken
)

// About sign-up.
var (
	// ErrSignUpClosed: Options.SignUp does not let this person sign up, whether
	// or not there is an account. Returned by BeginSignUp, PeekSignUp and
	// FinishSignUp of [Identities], and by ResolveExternal for a person without
	// an account. PeekInvitation and AcceptInvitation return it too. Nothing was written.
	ErrSignUpClosed = errors.New("sign-up is closed")

	// ErrInvitationLimit: the file has [MaxInvitations] live ones; none was made and
	// none ended. Returned by [Identities.Invite]. Revoke one.
	ErrInvitationLimit = errors.New("limit of invitations")
)

// About roles.
var (
	// ErrLastHolder: the user is the last enabled one with a role of
	// RolePolicy.Protected. Returned as [LastHolderError] by Roles.Withdraw,
	// DeleteUser, DisableUser and Identities.Merge. Nothing was written. Grant it to another first.
	ErrLastHolder = records.ErrLastHolder

	// ErrRoleHeld: a user has the role, so it cannot be claimed. Returned by
	// Claim and ClaimToken of [Roles].
	ErrRoleHeld = errors.New("role is held")
)

// About merging.
var (
	// ErrNotMergeable: something of the two accounts does not go together. Returned
	// as [MergeError], which has the reason, by [Identities.Merge]. Nothing was
	// written.
	ErrNotMergeable = errors.New("accounts cannot be merged")
)

// About presented credentials. Say no more than that they were refused.
var (
	// ErrInvalidCredentials: unknown identity, no password, a disabled user
	// and a wrong password, which are one error at one cost. Returned by
	// AuthenticateUser, LogIn, ChangePassword and Reauthenticate, for a wrong code
	// by FinishLogIn, FinishRefreshToken and ConfirmTOTP of [Factors], for a passkey
	// that is gone by methods that take an [Assertion], and by
	// CreateSession and CreateRefreshToken when the credentials of the User given
	// as [Proof] have changed since it was read. Ask to log in (again).
	ErrInvalidCredentials = errors.New("invalid credentials")

	// ErrThrottled: too many failures before this attempt, of the account or of
	// the network of the client; the password was not looked at. Always a
	// [ThrottledError], which says how long to wait. Returned by
	// AuthenticateUser, LogIn, ChangePassword, Reauthenticate, Throttle.Begin, and
	// FinishLogIn and FinishRefreshToken of [Factors].
	// Say it: it is the same for accounts that do not exist.
	ErrThrottled = errors.New("too many attempts")

	// ErrInvalidSession: the session token or id is malformed, unknown,
	// ended, or not in a state that the method accepts. Returned by
	// ValidateSession, ValidateSessionUser, RenewSession, ExtendSession,
	// Reauthenticate and GetSession, and by CreateSession, CreateRefreshToken and
	// Create of [APIKeys] for a Session given as [Proof]. Ask to log in.
	ErrInvalidSession = records.ErrInvalidSession

	// ErrInvalidRefreshToken: the refresh token is malformed, unknown,
	// expired or ended. Returned by Refresh. Ask to log in.
	ErrInvalidRefreshToken = records.ErrInvalidRefreshToken

	// ErrRefreshTokenReused: a refresh token was presented that had been used or
	// replaced before, so a copy of it exists. Returned by Refresh as
	// [ReuseError]; the family and its session are ended. Ask to log in and tell
	// the user.
	ErrRefreshTokenReused = errors.New("refresh token was used before")

	// ErrInvalidOneTimeToken: the one-time token is malformed, unknown, expired,
	// used, ended or for another purpose. Returned by Use and Peek of
	// [OneTimeTokens], by Claim of [Roles] for another text, and by PeekSignUp and
	// FinishSignUp of [Identities], PeekInvitation and AcceptInvitation.
	ErrInvalidOneTimeToken = records.ErrInvalidOneTimeToken

	// ErrDeviceNotFound: the call carries no token of a known device of the
	// user. Returned by Current of [Devices].
	ErrDeviceNotFound = records.ErrDeviceNotFound
	// ErrSecondFactor: the first step was right, and the user has a second factor.
	// There is no session yet. Always a [SecondFactorError], whose Pending goes to
	// [Factors.FinishLogIn] with a code. Returned by LogIn, Reauthenticate,
	// CreateSession and CreateRefreshToken.
	ErrSecondFactor = errors.New("second factor is needed")

	// ErrLinkRequired: a provider asserts the address of a user, whose account its
	// word alone does not open. Always a [LinkRequiredError]. Returned by
	// [Identities.ResolveExternal]. Ask the person to log in, and call
	// [Identities.FinishLink].
	ErrLinkRequired = errors.New("log in to link the account")

	// ErrInvalidPending: the pending log-in of a [SecondFactorError] is malformed,
	// of another database, expired or void. Returned by FinishLogIn and
	// FinishRefreshToken of [Factors]. Ask to log in.
	ErrInvalidPending = errors.New("invalid pending log-in")

	// ErrFactorsClosed: ten codes of an authenticator in a row were wrong, and
	// another one is not looked at. Somebody knows the password: tell the user.
	// Returned by FinishLogIn and FinishRefreshToken, which take a recovery code
	// all the same. [Throttle.Unlock] and [Factors.Reset] open it.
	ErrFactorsClosed = errors.New("too many wrong codes")

	// ErrEnrolment: the user must have a second factor ([FactorPolicy]), and the
	// log-in that is to add the first one has shown a password and nothing else.
	// Returned by FinishLogIn, FinishRefreshToken, BeginTOTP, ConfirmTOTP and
	// AddPasskey of [Factors]. Mail a one-time token, or go on from a known device:
	// see [Enrolling].
	ErrEnrolment = errors.New("a mailed one-time token or a known device is needed for the first factor")

	// ErrLastFactor: the user must have a second factor ([FactorPolicy]), and has
	// no other. Returned by Remove of [Factors]. Nothing was written. Add another
	// one first; [Factors.Reset] removes all.
	ErrLastFactor = errors.New("last second factor of a user who must have one")

	// ErrFactorNotFound: the user has no such factor, or none that waits to be
	// confirmed. Returned by methods of [Factors].
	ErrFactorNotFound = records.ErrFactorNotFound

	// ErrPasskeyTaken: the credential is registered already, for this user or
	// another. Returned by AddPasskey of [Factors]. Nothing was written.
	ErrPasskeyTaken = records.ErrPasskeyTaken

	// ErrPasskeyCloned: the counter of an authenticator has not risen since it was
	// used last. Another may hold its key. Returned by UsePasskey,
	// FinishLogInByPasskey and FinishRefreshTokenByPasskey of [Factors], with an
	// event. Ask for another factor, and to remove this one;
	// FactorPolicy.InsecureClones lets it pass.
	ErrPasskeyCloned = errors.New("the counter of the passkey has not risen")

	// ErrInvalidChallenge: the challenge of a passkey is malformed, expired, for
	// another purpose or user, or was answered already. Returned by methods of
	// [Factors] that take one. Begin anew.
	ErrInvalidChallenge = errors.New("invalid challenge")

	// ErrOneTimeTokenLimit: the user has as many one-time tokens as there may
	// be, or got one of this purpose less than a minute ago; none was made and
	// none ended. Returned by Create of [OneTimeTokens] as
	// [OneTimeTokenLimitError]. Give a stranger the answer that success has.
	ErrOneTimeTokenLimit = errors.New("limit of one-time tokens")
)

// About the outbox.
var (
	// ErrGap: events are gone before a consumer has read them. Returned by Read
	// and Consume of [Events] as [GapError], once for each gap.
	ErrGap = errors.New("events are gone from the outbox")
)

// About API keys.
var (
	// ErrInvalidAPIKey: the API key is malformed, unknown, expired or revoked, or
	// its user is disabled. Returned by Validate of [APIKeys].
	ErrInvalidAPIKey = records.ErrInvalidAPIKey

	// ErrAPIKeyLimit: the user has [MaxAPIKeys] live ones; none was made and none
	// ended. Returned by Create and CreateFor of [APIKeys]. Revoke one.
	ErrAPIKeyLimit = errors.New("limit of API keys")

	// ErrNotFresh: the log-in of the session is more than [FreshFor] ago, or was
	// without the second factor that the user has; a trusted device is none here.
	// Returned by Create of [APIKeys], Trust of [Devices], FinishLink of
	// [Identities] and methods of [Factors], and by Merge of [Identities] as
	// [MergeError]. Ask for password and factor again, by
	// [DB.Reauthenticate], or for a log-in.
	ErrNotFresh = errors.New("a fresh log-in is needed, with the second factor if the user has one")
)

// About arguments.
var (
	// ErrInvalidInput: an argument or option is outside its bounds. Always
	// an [InputError], which names the field. Nothing was written. Any method
	// that takes more than ids and tokens may return it, and so do methods that
	// revoke by an id for a text that is none, such as a token.
	ErrInvalidInput = records.ErrInvalidInput

	// ErrTooMany: a user may have no more of this. Returned by Merge of [Identities]
	// for identities or roles of two users that are too many for one, by LinkIdentity and
	// Verify of [Identities] for the 17th identity, by Grant and Claim of [Roles] for the 17th
	// role, and by BeginTOTP and AddPasskey of [Factors] for the 9th
	// factor. Nothing was written.
	ErrTooMany = records.ErrTooMany

	// ErrTooLarge: a closure wrote more than one transaction may hold, and
	// nothing of it is kept, even if the closure returns nil.
	ErrTooLarge = kv.ErrTooLarge
)

// About keys.
var (
	// ErrNoKey: a value in the file is sealed under a key that Options.Keys does
	// not have, or one is to be sealed and the current key is not there, maybe
	// because another process has made its own the current one. Nothing was
	// looked up or written, and it is no verdict on a password. Returned by
	// every method that verifies or sets a password, for all users alike, by
	// Reseal, by BeginTOTP of [Factors] without Options.Keys, and by methods that
	// need a second factor whose key is not there. The text names the id of the key, unless Options.Keys is empty.
	// Open with it.
	ErrNoKey = records.ErrNoKey
)

// About transactions.
var (
	// ErrTxClosed: the Tx was used after its closure returned, or after the
	// joined transaction ended.
	ErrTxClosed = kv.ErrTxClosed

	// ErrNested: a method of DB was called inside a closure or a joined
	// transaction on the same goroutine, where it would wait for itself. Use
	// the method of the same name on Tx, or call it outside.
	ErrNested = kv.ErrNested

	// ErrBusy: the writer was not free within Options.BusyTimeout, or the
	// queue for password hashing is full. Nothing was written; try later.
	ErrBusy = kv.ErrBusy

	// ErrUnsupported: the store is not a file, or its engine cannot do this. It is
	// errors.ErrUnsupported too. Returned under [OpenStore] by the methods that it
	// names.
	ErrUnsupported = fmt.Errorf("not on this store: %w", errors.ErrUnsupported)

	// ErrClock: the clock of this machine differs by more than a minute from those
	// of the others that have the store open. Nothing was written. Returned by
	// OpenStore and by calls that write, where the store has no clock of its own.
	ErrClock = records.ErrClock

	// ErrUnknown: the commit failed after it may have become durable (a failed
	// sync, a server that did not answer). Returned by methods that write, Repair
	// included. On a file the handle refuses everything from then on with
	// ErrClosed: close it, open the file again and look whether the change is
	// there. A server's store goes on: look.
	ErrUnknown = kv.ErrUnknown
)

// About the file.
var (
	// ErrClosed: the DB is closed, or closed itself: after ErrUnknown, when its
	// file was cut or is gone.
	ErrClosed = kv.ErrClosed

	// ErrFileGone: the file was removed, moved away or replaced by another one
	// while the DB had it open. Returned by the call that notices and, with
	// ErrClosed, by all later ones: writes, copies, sweeps and Close look at
	// the path, reads only at the open file, milliseconds later. No write
	// is acknowledged afterwards. Earlier writes are in the gone file.
	ErrFileGone = kv.ErrGone

	// ErrLocked: another process, or another DB of this one, has the file open,
	// and went on having it for Options.File.LockTimeout; the text says which.
	// Returned by Open, Restore and RepairFile.
	ErrLocked = kv.ErrLocked

	// ErrReadOnly: the file lies in a read-only place or may not be written
	// by this process (Open), or the write was asked of a View or of a
	// read-only bbolt handle or transaction.
	ErrReadOnly = kv.ErrReadOnly

	// ErrFull: no space left on the device, Options.File.MaxSize or a file size
	// limit is reached. Nothing was written and nothing is lost. Revocations
	// and deletes still succeed; other writes succeed again once there is
	// space.
	ErrFull = kv.ErrFull

	// ErrCorrupt: the file or a record in it is damaged; see [CorruptError].
	// Returned by every call that meets the damage; Check looks for it
	// everywhere, and Repair tries to mend it.
	ErrCorrupt = kv.ErrCorrupt

	// ErrNewerFormat: a newer version of this library has written the file or
	// the record. Nothing was changed. Use that version. Returned by Open and
	// New, and by calls that meet such a record, Restore and Repair too.
	ErrNewerFormat = records.ErrNewerFormat

	// ErrIncomplete: an import into the file or store has not ended; run
	// [ImportFile] or [ImportStore] again. Returned by Open, New, OpenStore,
	// Restore and RepairFile.
	ErrIncomplete = records.ErrIncomplete

	// ErrForeignFile: the file is not a database of this library. Nothing
	// was changed. Returned by Open, New, Restore and RepairFile.
	ErrForeignFile = records.ErrForeignFile
)

// InputError names the argument or option that is outside its bounds. It is
// an [ErrInvalidInput]. A program that shows it to people in their language
// chooses the text by Field and Code and fills in Min and Max.
type InputError struct {
	Field  string // "Identifier", "Password", "Attributes[name]", "Options.File.LockTimeout", …
	Code   string // one of the constants CodeRequired, CodeTooShort, …
	Reason string // the fault in English; never the value

	// Min and Max are the bounds, in the unit that the Code names; 0 where
	// there is none, or where it depends on other values.
	Min, Max int64
}

// Codes of an [InputError]. Their text stays as it is.
const (
	CodeRequired    = "required"     // empty, nil or missing
	CodeTooShort    = "too_short"    // fewer than Min code points
	CodeTooLong     = "too_long"     // more than Max bytes
	CodeTooMany     = "too_many"     // more than Max of them
	CodeOutOfRange  = "out_of_range" // not from Min to Max: numbers; nanoseconds for a time.Duration, Unix seconds for a time.Time
	CodeMalformed   = "malformed"    // not of the form that the field has: UTF-8, an address, an id, a name
	CodeUnsupported = "unsupported"  // of a kind that is not taken: a value, an unknown system, a hash
	CodeNotAllowed  = "not_allowed"  // does not go with another argument, option or the state of the file
	CodeTaken       = "taken"        // is there already and must be new
	CodeCommon      = "common"       // a password that is guessed first: common, or a name
	CodeAmbiguous   = "ambiguous"    // more than one could be meant
	CodeUndeclared  = "undeclared"   // names an attribute that Options.Indexes does not declare so
)

// Error names the field and the bounds.
func (e *InputError) Error() string { return "invalid input: " + e.Field + " " + e.Reason }

// Unwrap makes it an ErrInvalidInput.
func (e *InputError) Unwrap() error { return ErrInvalidInput }

// AttributeTakenError names the unique attribute whose value another user
// has. It is an [ErrAttributeTaken].
type AttributeTakenError struct {
	Name string // of the attribute
}

// Error names the attribute.
func (e *AttributeTakenError) Error() string {
	return "attribute " + e.Name + " is taken by another user"
}

// Unwrap makes it an ErrAttributeTaken.
func (e *AttributeTakenError) Unwrap() error { return ErrAttributeTaken }

// LastHolderError names the protected role without another holder. It is an
// [ErrLastHolder].
type LastHolderError struct {
	Role string // as in RolePolicy.Protected
}

// Error names the role.
func (e *LastHolderError) Error() string { return "nobody else has the role " + e.Role }

// Unwrap makes it an ErrLastHolder.
func (e *LastHolderError) Unwrap() error { return ErrLastHolder }

// ThrottledError says how long to wait. It is an [ErrThrottled].
type ThrottledError struct {
	// RetryAfter is the step that the account or network has come to: 30 s,
	// 1 min, …, 24 h. The rest of it would tell when somebody tried last.
	RetryAfter time.Duration
}

// Error says how long to wait.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts: wait %v", e.RetryAfter)
}

// Unwrap makes it an ErrThrottled.
func (e *ThrottledError) Unwrap() error { return ErrThrottled }

// OneTimeTokenLimitError says when to ask again for a one-time token. It is an
// [ErrOneTimeTokenLimit].
type OneTimeTokenLimitError struct {
	Purpose string    // of the token that was not made
	RetryAt time.Time // none can be made before; one can then, unless others are made
}

// Error names the purpose.
func (e *OneTimeTokenLimitError) Error() string {
	return "limit of one-time tokens for " + e.Purpose + " until " + e.RetryAt.UTC().Format(time.RFC3339)
}

// Unwrap makes it an ErrOneTimeTokenLimit.
func (e *OneTimeTokenLimitError) Unwrap() error { return ErrOneTimeTokenLimit }

// ReuseError names the refresh family that was ended because one of its spent
// tokens was presented. It is an [ErrRefreshTokenReused].
type ReuseError struct {
	ID     RefreshTokenID // of the family
	UserID UserID         // whose it was
}

// Error names the family.
func (e *ReuseError) Error() string { return "refresh token " + string(e.ID) + " was used before" }

// Unwrap makes it an ErrRefreshTokenReused.
func (e *ReuseError) Unwrap() error { return ErrRefreshTokenReused }

// ConflictError is why Open could not make the file as Options.Indexes or
// Options.Providers declare: two users would have one key. The file is
// unchanged. It is an [ErrAttributeTaken] or an [ErrIdentityTaken].
type ConflictError struct {
	Name  string    // of the attribute or provider
	Users [2]UserID // that would share one key
	kind  error
}

// Error names the attribute or provider and both users.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: %v (users %s and %s)", e.Name, e.kind, e.Users[0], e.Users[1])
}

// Unwrap makes it an ErrAttributeTaken or an ErrIdentityTaken.
func (e *ConflictError) Unwrap() error { return e.kind }

// CorruptError says in which space a record is damaged. It is an [ErrCorrupt].
type CorruptError struct {
	Space  string // as in docs/FORMAT.md
	Reason string // the damage
}

// Error names the space and the damage.
func (e *CorruptError) Error() string { return "damaged record in " + e.Space + ": " + e.Reason }

// Unwrap makes it an ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// failures makes errors of this package's types for the records.
var failures = records.Failures{
	Corrupt: func(space, reason string) error { return &CorruptError{Space: space, Reason: reason} },
	Input:   func(field string, f fold.Fault) error { return faulty(field, f) },
	Taken:   func(attribute string) error { return &AttributeTakenError{Name: attribute} },

	LastHolder: func(role string) error { return &LastHolderError{Role: role} },
}

// during says in which operation an error happened; op is "" inside of one.
func during(op string, err error) error {
	if err == nil || op == "" {
		return err
	}
	return fmt.Errorf("snib: %s: %w", op, err)
}

// faulty is the error of a field whose value has a fault.
func faulty(field string, f fold.Fault) *InputError {
	return &InputError{Field: field, Code: f.Code, Reason: f.Reason, Min: f.Min, Max: f.Max}
}

// missing refuses a field that must be given.
func missing(field string) error {
	return &InputError{Field: field, Code: CodeRequired, Reason: "is required"}
}

// given refuses an empty path: it is never meant, and the file system would take
// it for the working directory.
func given(field, path string) error {
	if path == "" {
		return missing(field)
	}
	return nil
}
