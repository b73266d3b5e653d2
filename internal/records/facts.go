package records

import (
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/token"
)

// facts returns the fields of a record that its user may be given: no secret, and
// no hash of one. It is no column of the table of kinds, so that programs which
// export no user do not link it.
func facts(k *Kind, key, value []byte) (Object, error) {
	switch k {
	case Sessions:
		return sessionFacts(key, value)
	case Families:
		return familyFacts(key, value)
	case OneTimeTokens:
		return oneTimeFacts(key, value)
	case Factors:
		return factorFacts(key, value)
	case Events:
		return eventFacts(key, value)
	case Devices:
		return deviceFacts(key, value)
	case APIKeys:
		return apiKeyFacts(key, value)
	}
	panic("a kind without facts") // unreachable: TestEveryKindLivesAndEnds
}

// methods are the names of the bits of codec.Session.Methods.
var methods = []string{"password", "one-time token", "provider", "totp", "recovery code", "passkey", "trusted device"}

func methodNames(bits uint16) []any {
	names := []any{}
	for i, name := range methods {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// linked is the id of another record of the same owner, or null.
func linked(k token.Kind, key codec.OwnedKey, id codec.OwnID) any {
	if id.IsZero() {
		return nil
	}
	return k.ID(key.With(id))
}

func exportedAttributes(raw string) any { return attributesOf(&codec.User{Attributes: raw}) }

// actorNames are the names of causes of events, as the package snib has them.
var actorNames = map[uint8]string{uint8(ByUser): "user", uint8(ByOperator): "operator", uint8(ByLibrary): "library"}

func eventFacts(key, value []byte) (Object, error) {
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

func sessionFacts(key, value []byte) (Object, error) {
	s, err := codec.DecodeSession(key, value)
	return Object{
		{"authenticated_at", Instant(s.AuthTime)}, {"methods", methodNames(s.Methods)}, {"last_used_at", Instant(s.LastUsedAt)},
		{"active_until", Instant(s.ActiveUntil)}, {"idle_until", Instant(s.IdleUntil)}, {"absolute_until", Instant(s.AbsoluteUntil)},
		{"persistent", s.Flags&codec.SessionPersistent != 0}, {"refresh_token", linked(token.Family, s.Key, s.Family)},
		{"attributes", exportedAttributes(s.Attributes)},
	}, err
}

func familyFacts(key, value []byte) (Object, error) {
	f, err := codec.DecodeFamily(key, value)
	return Object{
		{"authenticated_at", Instant(f.AuthTime)}, {"methods", methodNames(f.Methods)}, {"refreshed_at", Instant(f.RotatedAt)},
		{"refreshes", int64(f.Generation)}, {"repeats", int64(f.Repeats)}, {"revoked_at", Instant(f.RevokedAt)},
		{"idle_until", Instant(f.IdleUntil)}, {"absolute_until", Instant(f.AbsoluteUntil)},
		{"persistent", f.Flags&codec.SessionPersistent != 0}, {"session", linked(token.Session, f.Key, f.Session)},
		{"attributes", exportedAttributes(f.Attributes)},
	}, err
}

func oneTimeFacts(key, value []byte) (Object, error) {
	o, err := codec.DecodeOneTimeToken(key, value)
	if strings.HasPrefix(o.Purpose, "snib:") {
		o.Data = nil // the library's own, which may be the hash of a code
	}
	return Object{{"purpose", o.Purpose}, {"expires_at", Instant(o.ExpiresAt)}, {"data", o.Data}}, err
}

func deviceFacts(key, value []byte) (Object, error) {
	d, err := codec.DecodeDevice(key, value)
	trusted := d.TrustedUntil
	if trusted == d.Key.Time() {
		trusted = clock.Never // it never was
	}
	return Object{
		{"last_used_at", Instant(d.LastUsedAt)}, {"expires_at", Instant(d.ExpiresAt)}, {"trusted_until", Instant(trusted)},
		{"attributes", exportedAttributes(d.Attributes)},
	}, err
}

func apiKeyFacts(key, value []byte) (Object, error) {
	k, err := codec.DecodeAPIKey(key, value)
	return Object{
		{"name", k.Name}, {"scopes", texts(k.Scopes)}, {"expires_at", Instant(k.ExpiresAt)}, {"last_used_at", Instant(k.LastUsedAt)},
	}, err
}

// texts is a list of texts, empty for nil.
func texts(list []string) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// factorTypes are the names of types of factors.
var factorTypes = map[uint8]string{FactorTOTP: "totp", FactorRecovery: "recovery codes", FactorPasskey: "passkey", FactorLost: "lost"}

func factorFacts(key, value []byte) (Object, error) {
	f, err := codec.DecodeFactor(key, value)
	credential := any(nil)
	if p, err := codec.DecodePasskey(f.Passkey); err == nil {
		credential = Object{{"id", p.CredentialID}, {"aaguid", p.AAGUID[:]}, {"transports", p.Transports}}
	}
	return Object{
		{"type", factorTypes[f.Type]}, {"name", f.Name}, {"confirmed", Confirmed(&f)}, {"last_used_at", Instant(f.UsedAt)},
		{"codes_left", int64(len(f.Codes) / len(f.Hash))}, {"credential", credential},
	}, err
}

// attributesOf decodes those of a record, which were checked when it was read.
func attributesOf(u *codec.User) map[string]any {
	if u.Attributes == "" {
		return map[string]any{}
	}
	m, err := codec.DecodeAttributes(u.Attributes)
	if err != nil || m == nil {
		return map[string]any{}
	}
	return m
}
