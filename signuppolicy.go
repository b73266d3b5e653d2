package snib

import (
	"slices"
	"strings"
)

// SignUpMode is a rule for new users.
type SignUpMode string

// The modes.
const (
	SignUpOpen     SignUpMode = ""        // anybody
	SignUpByDomain SignUpMode = "domain"  // the holder of an address of SignUpPolicy.Domains; invited persons
	SignUpInvited  SignUpMode = "invited" // invited persons
	SignUpClosed   SignUpMode = "closed"  // not even they
)

// SignUpPolicy bounds the new users on a stranger's word: by
// BeginSignUp and FinishSignUp, by AcceptInvitation, by ResolveExternal for a person
// without an account, and by CreateGuest, all of [Identities]. It decides in
// the transaction that makes the user, so a link that was mailed under another policy
// is refused under this one: [ErrSignUpClosed]. CreateUser and imports are acts of the
// program or its operator, and free; a sign-up form that calls CreateUser is
// under no policy.
//
//	mode      sign-up    ResolveExternal    invitation  guest
//	open      yes        yes                yes         yes
//	by domain of Domains vouched, of Domains yes         no
//	invited   no         no                 yes         no
//	closed    no         no                 no          no
//
// Users log in, link and move identities under any policy, to identities of any
// domain.
type SignUpPolicy struct {
	// Mode is the rule. Default: anybody can sign up.
	Mode SignUpMode

	// Domains are those of SignUpByDomain, in lower case and compared whole, at
	// most 64. Only identities of providers with the rule [Email] have a domain; the
	// address in a provider's answer counts if Options.VouchesFor names its domain.
	Domains []string
}

// check refuses a policy that cannot be meant.
func (p *SignUpPolicy) check() error {
	switch p.Mode {
	case SignUpByDomain:
		if len(p.Domains) == 0 {
			return missing("Options.SignUp.Domains")
		}
	case SignUpOpen, SignUpInvited, SignUpClosed:
		if len(p.Domains) > 0 {
			return &InputError{Field: "Options.SignUp.Domains", Code: CodeNotAllowed, Reason: "are of SignUpByDomain only"}
		}
	default:
		return &InputError{Field: "Options.SignUp.Mode", Code: CodeUnsupported, Reason: "must be one of the modes of this package"}
	}
	if len(p.Domains) > maxDomains {
		return &InputError{Field: "Options.SignUp.Domains", Code: CodeTooMany, Reason: "must be at most 64", Max: maxDomains}
	}
	for _, d := range p.Domains {
		if d == "" || strings.ContainsAny(d, "@ ") || d != strings.ToLower(d) {
			return &InputError{Field: "Options.SignUp.Domains", Code: CodeMalformed, Reason: "must be in lower case"}
		}
	}
	return nil
}

const maxDomains = 64

// admits refuses a new user with a proven address of a domain, or "".
func (p *SignUpPolicy) admits(domain string) error {
	if p.Mode == SignUpOpen || p.Mode == SignUpByDomain && slices.Contains(p.Domains, domain) {
		return nil
	}
	return ErrSignUpClosed
}

// admitsInvited refuses a new user with an invitation.
func (p *SignUpPolicy) admitsInvited() error {
	if p.Mode == SignUpClosed {
		return ErrSignUpClosed
	}
	return nil
}
