package records

// The bits of codec.Session.Methods: what was proven at the log-in that a
// session goes back to. Their places are frozen (docs/FORMAT.md).
const (
	MethodPassword      uint16 = 1 << iota // the user's password
	MethodOneTimeToken                     // a mailed link or code
	MethodProvider                         // an external provider's word
	MethodTOTP                             // a time-based code, RFC 6238
	MethodRecoveryCode                     // a code from the printed list
	MethodPasskey                          // a passkey credential
	MethodTrustedDevice                    // stood for a factor, by an earlier one
)

// Methods that are a second factor: any of them, and one that was proven by its
// bearer at this log-in.
const (
	ProvenFactors = MethodTOTP | MethodRecoveryCode | MethodPasskey
	SecondFactors = ProvenFactors | MethodTrustedDevice
)
