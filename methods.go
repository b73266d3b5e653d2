package snib

import (
	"strings"

	"github.com/snibdb/snib/internal/records"
)

// Methods is a set of proofs: how the user of a session was authenticated, at
// its log-in and by Reauthenticate since. The bits are those of the file and
// keep their places.
type Methods uint16

// The proofs. The library sets those that it has seen itself: a password, a
// one-time token, a code of [Factors], a trusted device. A program adds others, as
// far as it has asked for them, by SessionOptions.Methods. MethodTOTP,
// MethodRecoveryCode, MethodPasskey and MethodTrustedDevice are second factors:
// with one of them among those, a log-in asks for none.
const (
	MethodPassword      = Methods(records.MethodPassword)      // the user's password
	MethodOneTimeToken  = Methods(records.MethodOneTimeToken)  // a mailed link or code
	MethodProvider      = Methods(records.MethodProvider)      // an external provider vouched for the user
	MethodTOTP          = Methods(records.MethodTOTP)          // a time-based code, RFC 6238
	MethodRecoveryCode  = Methods(records.MethodRecoveryCode)  // a code of the printed list
	MethodPasskey       = Methods(records.MethodPasskey)       // a passkey
	MethodTrustedDevice = Methods(records.MethodTrustedDevice) // a device that an earlier log-in with a factor has trusted
)

// methodNames are the names of the bits, from the lowest.
var methodNames = [...]string{"password", "one-time-token", "provider", "totp", "recovery-code", "passkey", "trusted-device"}

const knownMethods = Methods(1<<len(methodNames) - 1)

// Has reports whether all of these proofs are in m.
func (m Methods) Has(all Methods) bool { return m&all == all }

// String returns the names in m, "password totp" say, and "" for the empty set. Bits that
// a later version has set are "unknown".
func (m Methods) String() string { return strings.Join(m.names(), " ") }

// MarshalJSON returns the names in m as a list: ["password","totp"].
func (m Methods) MarshalJSON() ([]byte, error) {
	names := m.names()
	if len(names) == 0 {
		return []byte("[]"), nil
	}
	return []byte(`["` + strings.Join(names, `","`) + `"]`), nil
}

func (m Methods) names() (out []string) {
	for i, name := range methodNames {
		if m.Has(1 << i) {
			out = append(out, name)
		}
	}
	if m&^knownMethods != 0 {
		out = append(out, "unknown")
	}
	return out
}
