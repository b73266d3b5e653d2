// Package answers says how each error of package snib leaves a program: by its code in
// the protocol of snibops, and by its status in answers of snibhttp.
package answers

import "github.com/snibdb/snib"

// Trouble is the status of an error that says something about the database, or about a
// mistake of the program, and not about the request.
const Trouble = 503

// An Answer is that to one error.
type Answer struct {
	Err    error
	Code   string // stays as it is
	Status int    // of HTTP
}

// All are the answers. An error that is several has the status of the first. A context
// that is over, ErrUnsupported and errors of files are those of the standard library.
var All = []Answer{
	{snib.ErrNotFresh, "not_fresh", 401},
	{snib.ErrInvalidSession, "invalid_session", 401},
	{snib.ErrInvalidCredentials, "invalid_credentials", 401},
	{snib.ErrUserNotFound, "user_not_found", 401},
	{snib.ErrUserDisabled, "user_disabled", 401},
	{snib.ErrInvalidRefreshToken, "invalid_refresh_token", 401},
	{snib.ErrRefreshTokenReused, "refresh_token_reused", 401},
	{snib.ErrInvalidAPIKey, "invalid_api_key", 401},
	{snib.ErrSecondFactor, "second_factor", 401},
	{snib.ErrLinkRequired, "link_required", 409},
	{snib.ErrInvalidPending, "invalid_pending", 401},
	{snib.ErrInvalidChallenge, "invalid_challenge", 401},
	{snib.ErrPasskeyCloned, "passkey_cloned", 401},
	{snib.ErrFactorsClosed, "factors_closed", 429},
	{snib.ErrFactorNotFound, "factor_not_found", 404},
	{snib.ErrDeviceNotFound, "device_not_found", 404},
	{snib.ErrEnrolment, "enrolment", 403},
	{snib.ErrSignUpClosed, "sign_up_closed", 403},
	{snib.ErrInvalidInput, "invalid_input", 400},
	{snib.ErrInvalidOneTimeToken, "invalid_one_time_token", 400},
	{snib.ErrIdentityTaken, "identity_taken", 409},
	{snib.ErrAPIKeyLimit, "api_key_limit", 409},
	{snib.ErrInvitationLimit, "invitation_limit", 409},
	{snib.ErrTooMany, "too_many", 409},
	{snib.ErrPasskeyTaken, "passkey_taken", 409},
	{snib.ErrLastFactor, "last_factor", 409},
	{snib.ErrLastHolder, "last_holder", 409},
	{snib.ErrRoleHeld, "role_held", 409},
	{snib.ErrNotMergeable, "not_mergeable", 409},
	{snib.ErrAttributeTaken, "attribute_taken", 409},
	{snib.ErrThrottled, "throttled", 429},
	{snib.ErrOneTimeTokenLimit, "one_time_token_limit", 429},

	{snib.ErrGap, "gap", Trouble},
	{snib.ErrClock, "clock", Trouble},
	{snib.ErrIncomplete, "incomplete", Trouble},
	{snib.ErrTooLarge, "too_large", Trouble},
	{snib.ErrNoKey, "no_key", Trouble},
	{snib.ErrTxClosed, "tx_closed", Trouble},
	{snib.ErrNested, "nested", Trouble},
	{snib.ErrBusy, "busy", Trouble},
	{snib.ErrUnknown, "unknown", Trouble},
	{snib.ErrClosed, "closed", Trouble},
	{snib.ErrFileGone, "file_gone", Trouble},
	{snib.ErrLocked, "locked", Trouble},
	{snib.ErrReadOnly, "read_only", Trouble},
	{snib.ErrFull, "full", Trouble},
	{snib.ErrCorrupt, "corrupt", Trouble},
	{snib.ErrNewerFormat, "newer_format", Trouble},
	{snib.ErrForeignFile, "foreign_file", Trouble},
}
