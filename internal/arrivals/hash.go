package arrivals

import (
	"errors"
	"strings"

	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/phc"
)

// HashFault names the field at fault, for an error about a hash that was given in
// parts or as one text, and where an option lifts the refusal, the option. Other
// errors are no fault.
func HashFault(err error, parts bool) (field string, f fold.Fault) {
	field, reason := "PasswordHash", strings.TrimPrefix(err.Error(), "phc: ")
	if parts {
		field = "PasswordKey"
	}
	code := fold.Unsupported
	switch {
	case errors.Is(err, phc.ErrUnknownSource):
		field, reason = "PasswordSource", "must be one of PasswordSources"
	case errors.Is(err, phc.ErrMissing):
		code, reason = fold.NotAllowed, reason+" in Options.Passwords"
	case errors.Is(err, phc.ErrAmbiguous):
		code, reason = fold.Ambiguous, reason+": PasswordSource must name it"
	case errors.Is(err, phc.ErrSlow):
		code, reason = fold.NotAllowed, reason+", Options.Passwords.MaxImportTime"
	case errors.Is(err, phc.ErrWeak):
		reason += ", and only DB.ImportUser and ImportUsers hash it"
	case errors.Is(err, phc.ErrLimits):
		code = fold.NotAllowed
		if strings.Contains(reason, "memory") {
			reason += ", more than Options.Passwords.MaxHashMemory"
		}
	case errors.Is(err, phc.ErrMalformed):
		code = fold.Malformed
	case errors.Is(err, phc.ErrUnsupported):
	default:
		return "", fold.Fault{}
	}
	return field, fold.Fault{Code: code, Reason: reason}
}
