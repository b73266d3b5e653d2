package snib

import (
	"context"
	"errors"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/users"
)

// SignUp is a sign-up that a stranger has begun.
type SignUp struct {
	// Token is for the mail, and is there for an address with an account too:
	// FinishSignUp refuses it then.
	Token Token

	// UserID is the verified holder of the identity, or "". Mail that
	// there is an account, in the place of the link; the answer to the browser is
	// the same.
	UserID UserID

	ExpiresAt time.Time // the token is accepted before this
}

const maxSignUpLife = 7 * day

// BeginSignUp begins the sign-up of a stranger. It stores
// nothing and reserves nothing: the token holds the address and an expiry under a
// MAC, and its bearer has read the mail. Ask the stranger for the address
// alone; a password or a name typed here could be those of another person than
// the reader of the mail. Bound how often a client may ask: each asks for a
// mail.
//
//	up, err := db.Identities().BeginSignUp(ctx, "email", address, 24*time.Hour)
//	// Answer alike for every address. Then, behind that answer:
//	if up.UserID == "" {
//		mail(address, up.Token.Reveal())
//	} else {
//		mailThatThereIsAnAccount(address)
//	}
//	// When the page of the link posts its token and a password:
//	u, err := db.Identities().FinishSignUp(ctx, token, snib.NewUser{Password: password})
//
// ttl is 1 s to 7 days. Under the current key of Options.Keys the token outlives a
// restart and is good in every process with that key; without keys it is of this
// process. EndEverything, ResetClock and Restore void it.
//
// ErrSignUpClosed by Options.SignUp, whether or not there is an account;
// ErrInvalidInput (Provider, Identifier, TTL); ErrNoKey.
func (x Identities) BeginSignUp(ctx context.Context, provider, identifier string, ttl time.Duration) (SignUp, error) {
	return result(ctx, "begin sign-up", x.at.view, func(tx *Tx) (SignUp, error) {
		if ttl < time.Second || ttl > maxSignUpLife {
			return SignUp{}, &InputError{Field: "TTL", Code: CodeOutOfRange, Reason: "must be from 1 s to 7 days", Min: int64(time.Second), Max: int64(maxSignUpLife)}
		}
		mine, err := tx.applicant(provider, identifier)
		if err != nil {
			return SignUp{}, err
		}
		until := clock.After(tx.rec.Now, ttl)
		text, err := ticket.SignUp(&tx.rec, tx.db.processKey[:], mine.Provider, mine.Identifier, until)
		if err != nil {
			return SignUp{}, err
		}
		holder, err := users.VerifiedHolder(&tx.rec, &mine)
		return SignUp{Token: Token{newSecret(text)}, UserID: UserID(holder), ExpiresAt: clock.Time(until)}, err
	})
}

// applicant returns an identity with which a stranger may sign up.
func (tx *Tx) applicant(provider, identifier string) (codec.Identity, error) {
	x, err := tx.identity(provider, identifier)
	if err == nil {
		err = tx.db.o.SignUp.admits(users.Domain(tx.rec.Declared, &x))
	}
	x.VerifiedAt = tx.rec.Now
	return x, err
}

// PeekSignUp returns the identity that FinishSignUp would give to a new user, for
// the page to which the mailed link leads; VerifiedAt is as of now. It never writes.
//
// ErrInvalidOneTimeToken; ErrIdentityTaken if another user has verified it, as
// after a first use of the token; ErrSignUpClosed; ErrNoKey.
func (x Identities) PeekSignUp(ctx context.Context, token string) (Identity, error) {
	return result(ctx, "peek at sign-up", x.at.view, func(tx *Tx) (Identity, error) {
		mine, err := tx.signUpBy(token)
		if err != nil {
			return Identity{}, err
		}
		return newIdentity(mine), nil
	})
}

// FinishSignUp makes a user with the identity of a token of BeginSignUp, verified
// by it, and returns the user. The rest is from n, as the page of the link has asked
// for it; Provider and Identifier must be empty. Another user with the identity
// unverified loses it, as [Identities] says.
//
// The token is good once because the identity is taken from then on: of many at
// once, one makes a user. If that user gives the identity up before the token
// expires, its bearer, a reader of mail to that address, can sign up anew. In a
// transaction the password is hashed before, as for [Tx.CreateUser].
//
// ErrInvalidOneTimeToken; ErrIdentityTaken, ErrSignUpClosed, as of PeekSignUp and
// before a password is hashed; errors of CreateUser.
func (x Identities) FinishSignUp(ctx context.Context, token string, n NewUser) (User, error) {
	return x.newUser(ctx, "finish sign-up", n,
		func(tx *Tx) error { _, err := tx.signUpBy(token); return err },
		func(tx *Tx, n NewUser) (User, error) {
			mine, err := tx.signUpBy(token)
			if err != nil {
				return User{}, err
			}
			n.Provider, n.Identifier, n.Verified = mine.Provider, mine.Identifier, true
			return tx.CreateUser(n)
		})
}

// newUser makes a user whose identity a token names. look refuses a token before
// a password is hashed for it.
func (x Identities) newUser(ctx context.Context, op string, n NewUser, look func(*Tx) error, create func(*Tx, NewUser) (User, error)) (User, error) {
	if n.Provider != "" || n.Identifier != "" {
		return User{}, during(op, &InputError{Field: "Provider", Code: CodeNotAllowed, Reason: "must be empty: the identity is that of the token"})
	}
	if x.at.tx == nil && n.Password != "" {
		if !n.PasswordHash.isZero() {
			return User{}, during(op, &InputError{Field: "PasswordHash", Code: CodeNotAllowed, Reason: "must not be given along with Password"})
		}
		err := x.at.view(ctx, look)
		if err == nil {
			n.PasswordHash, err = x.at.db.hashPassword(ctx, n.Password)
		}
		if err != nil {
			return User{}, during(op, err)
		}
		n.Password = ""
	}
	return result(ctx, op, x.at.updateIfNeeded, func(tx *Tx) (User, error) { return create(tx, n) })
}

// signUpBy returns the identity of a token, if it is good now and the identity is
// free.
func (tx *Tx) signUpBy(token string) (codec.Identity, error) {
	provider, identifier, err := ticket.OpenSignUp(&tx.rec, tx.db.processKey[:], token)
	if err != nil {
		return codec.Identity{}, err
	}
	x, err := tx.applicant(provider, identifier)
	if errors.Is(err, ErrInvalidInput) {
		err = ErrInvalidOneTimeToken // the rule of the provider is another one now
	}
	if err != nil {
		return codec.Identity{}, err
	}
	holder, err := users.VerifiedHolder(&tx.rec, &x)
	if err == nil && holder != "" {
		err = ErrIdentityTaken
	}
	return x, err
}
