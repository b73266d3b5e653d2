package snib

import (
	"slices"

	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// MaxRoles bounds the roles of one user: 16.
const MaxRoles = records.MaxRoles

// RolePolicy says what roles there are. The zero value allows every name and
// protects none.
type RolePolicy struct {
	// Protected are roles that never go without a holder: the last enabled user
	// with one cannot lose it, be deleted or be disabled ([LastHolderError]). At most
	// 16. [Roles.Claim] gives it to the first. An address that another user proves
	// is lost by the last one too, who stays enabled ([Identities]): a live session, or
	// an operator, links another. Until then that user does not count as a holder for
	// others, and neither does a guest, as nothing may lead to the account.
	// [Identities.Merge] passes one that a third user holds. A deletion of a record
	// that is damaged, Repair, imports and Restore do not ask.
	Protected []string

	// Known are all roles that can be granted, so that a misspelt one is
	// refused; nil: any. Protected ones must be among them. At most 64.
	// Withdraw takes any, and users keep roles that are no longer known.
	Known []string
}

func (p *RolePolicy) check() error {
	for field, names := range map[string][]string{"Protected": p.Protected, "Known": p.Known} {
		for _, name := range names {
			if !fold.Name(name) {
				return &InputError{Field: "Options.Roles." + field, Code: CodeMalformed, Reason: "must each be 1–32 of [a-z0-9_-]"}
			}
		}
	}
	switch {
	case len(p.Protected) > MaxRoles:
		return &InputError{Field: "Options.Roles.Protected", Code: CodeTooMany, Reason: "must be at most 16", Max: MaxRoles}
	case len(p.Known) > records.MaxDeclared:
		return &InputError{Field: "Options.Roles.Known", Code: CodeTooMany, Reason: "must be at most 64", Max: records.MaxDeclared}
	case p.Known != nil && slices.ContainsFunc(p.Protected, func(r string) bool { return !slices.Contains(p.Known, r) }):
		return &InputError{Field: "Options.Roles.Protected", Code: CodeNotAllowed, Reason: "must each be among Known"}
	}
	p.Protected, p.Known = slices.Clone(p.Protected), slices.Clone(p.Known)
	return nil
}

// grantable refuses a role that cannot be granted.
func (p *RolePolicy) grantable(role string) error {
	switch {
	case !fold.Name(role):
		return malformedRole()
	case p.Known != nil && !slices.Contains(p.Known, role):
		return &InputError{Field: "Role", Code: CodeNotAllowed, Reason: "is not among Options.Roles.Known"}
	}
	return nil
}

// importable refuses roles that a new user cannot have.
func (p *RolePolicy) importable(roles []string) error {
	if fault := records.RolesFault(roles); fault.Found() {
		return faulty("Roles", fault)
	}
	for _, role := range roles {
		if err := p.grantable(role); err != nil {
			return &InputError{Field: "Roles", Code: CodeNotAllowed, Reason: "has one that is not among Options.Roles.Known"}
		}
	}
	return nil
}

func malformedRole() error {
	return &InputError{Field: "Role", Code: CodeMalformed, Reason: "must be 1–32 of [a-z0-9_-]"}
}
