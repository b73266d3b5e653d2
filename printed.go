package snib

import (
	"fmt"
	"log/slog"
	"time"
)

// Values reach logs by accident: in a panic, in the arguments of an error.
// Those with what a user has typed print without it.

// printed writes v, which has nothing personal, as fmt would without a method.
func printed(f fmt.State, verb rune, v any) { fmt.Fprintf(f, fmt.FormatString(f, verb), v) }

// A printedUser is what the log of a program may have of a User.
type printedUser struct {
	ID                   UserID
	Identities           int // how many
	CreatedAt, UpdatedAt time.Time
	HasPassword          bool
	DisabledAt           time.Time
}

func (u User) printed() printedUser {
	return printedUser{u.ID, len(u.Identities), u.CreatedAt, u.UpdatedAt, u.HasPassword, u.DisabledAt}
}

// Format implements fmt.Formatter, without identities, attributes and the
// reason of disabling.
func (u User) Format(f fmt.State, verb rune) { printed(f, verb, u.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (u User) LogValue() slog.Value { return slog.AnyValue(u.printed()) }

// A printedMerged is a Merged in a log.
type printedMerged struct {
	Session      SessionID
	User, From   printedUser
	Rows, Events int
}

func (m Merged) printed() printedMerged {
	return printedMerged{m.Session.ID, m.User.printed(), m.From.printed(), m.Rows, m.Events}
}

// Format implements fmt.Formatter, with the users as they print.
func (m Merged) Format(f fmt.State, verb rune) { printed(f, verb, m.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (m Merged) LogValue() slog.Value { return slog.AnyValue(m.printed()) }

// A printedNewUser is a NewUser, or a UserImport, in a log.
type printedNewUser struct {
	ID       UserID
	Provider string
}

// Format implements fmt.Formatter: only the provider.
func (n NewUser) Format(f fmt.State, verb rune) { printed(f, verb, printedNewUser{"", n.Provider}) }

// LogValue implements slog.LogValuer, as Format.
func (n NewUser) LogValue() slog.Value { return slog.AnyValue(printedNewUser{"", n.Provider}) }

// Format implements fmt.Formatter: only the id and the provider.
func (i UserImport) Format(f fmt.State, verb rune) {
	printed(f, verb, printedNewUser{i.ID, i.Provider})
}

// LogValue implements slog.LogValuer, as Format.
func (i UserImport) LogValue() slog.Value {
	return slog.AnyValue(printedNewUser{i.ID, i.Provider})
}

// Format implements fmt.Formatter, without the attributes.
func (s Session) Format(f fmt.State, verb rune) {
	type plain Session
	s.attributes = ""
	printed(f, verb, plain(s))
}

// Format implements fmt.Formatter, without the attributes.
func (r RefreshToken) Format(f fmt.State, verb rune) {
	type plain RefreshToken
	r.attributes = ""
	printed(f, verb, plain(r))
}

// Format implements fmt.Formatter, without the data.
func (o OneTimeToken) Format(f fmt.State, verb rune) {
	type plain OneTimeToken
	o.Data = nil
	printed(f, verb, plain(o))
}

// LogValue implements slog.LogValuer, as Format.
func (o OneTimeToken) LogValue() slog.Value {
	type plain OneTimeToken
	o.Data = nil
	return slog.AnyValue(plain(o))
}

// A printedInvitation is what the log of a program may have of an Invitation.
type printedInvitation struct {
	ID                   InvitationID
	Provider             string
	CreatedAt, ExpiresAt time.Time
}

func (i Invitation) printed() printedInvitation {
	return printedInvitation{i.ID, i.Provider, i.CreatedAt, i.ExpiresAt}
}

// Format implements fmt.Formatter, without identifier and attributes.
func (i Invitation) Format(f fmt.State, verb rune) { printed(f, verb, i.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (i Invitation) LogValue() slog.Value { return slog.AnyValue(i.printed()) }

// Format implements fmt.Formatter: only the provider.
func (n NewInvitation) Format(f fmt.State, verb rune) {
	printed(f, verb, printedNewUser{"", n.Provider})
}

// LogValue implements slog.LogValuer, as Format.
func (n NewInvitation) LogValue() slog.Value { return slog.AnyValue(printedNewUser{"", n.Provider}) }
