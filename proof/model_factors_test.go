package proof_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
	"github.com/snibdb/snib/internal/testopen"
)

// codeAt is the code of a seed in a step (RFC 6238).
func codeAt(secret string, step int64) string {
	seed, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		panic(err)
	}
	h := hmac.New(sha1.New, seed)
	binary.Write(h, binary.BigEndian, step)
	sum := h.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// wallStep is the step of the wall clock, which may have been set back. A store's
// own is not.
func (r *run) wallStep() int64 {
	if testopen.Engine != "" {
		return r.m.Now / 30_000
	}
	return r.d.clock.Now().Unix() / 30
}

func (r *run) addFactor() bool {
	id := r.user()
	version := r.version(id)
	if u := r.m.Users[string(id)]; len(r.d.o.Keys) == 0 || u != nil && u.Seed != "" {
		return false // one is enough here
	}
	proof := snib.FactorNotNeeded(snib.User{ID: id, CredentialVersion: version})
	e, err := r.on.Factors().BeginTOTP(ctx, proof, "Notes", "phone")
	step := r.wallStep() - 1
	if err == nil {
		_, err = r.on.Factors().ConfirmTOTP(ctx, proof, e.ID, codeAt(e.Secret.Reveal(), step))
	}
	return r.agree(err, r.m.AddFactor(string(id), version, e.Secret.Reveal(), step))
}

func (r *run) resetFactors() bool {
	id := r.user()
	u, err := r.on.Factors().Reset(ctx, id)
	return r.updated(u, err, r.m.ResetFactors(string(id)))
}

// second takes the second step of a log-in, if first says that there is one and
// a code is left. It returns the errors of both sides.
func (r *run) second(id string, err, first error, finish func(pending, code string) error, create func() error) (got, want error) {
	r.d.t.Helper()
	e, ok := errors.AsType[*snib.SecondFactorError](err)
	u := r.m.Users[id]
	if first != model.ErrSecondFactor || !ok || u.Seed == "" || r.wallStep()+1 <= u.Step {
		return err, first
	}
	step := max(u.Step+1, r.wallStep()-1)
	got = finish(e.Pending.Reveal(), codeAt(u.Seed, step))
	if want = r.m.Finish(id, step, create); got == nil && want == nil {
		r.good = append(r.good, "second step")
	}
	return got, want
}

// addPasskey registers one of a few credentials, which others may have.
func (r *run) addPasskey() bool {
	id := r.user()
	version := r.version(id)
	if u := r.m.Users[string(id)]; len(r.d.o.Keys) == 0 || id == "" || u != nil && len(u.Passkeys) > 3 {
		return false // a few are enough here
	}
	credential := fmt.Sprintf("credential %d", r.rng.IntN(6))
	challenge, err := r.on.Factors().PasskeyChallenge(ctx, snib.PasskeyRegistration, id)
	if err == nil {
		proof := snib.FactorNotNeeded(snib.User{ID: id, CredentialVersion: version})
		_, err = r.on.Factors().AddPasskey(ctx, proof, snib.NewPasskey{
			Name: "key", Challenge: challenge.Reveal(), CredentialID: []byte(credential), PublicKey: []byte("public"),
		})
	}
	return r.agree(err, r.m.AddPasskey(string(id), version, credential))
}

// usePasskey signs in by one of the credentials, if a user has it.
func (r *run) usePasskey() bool {
	if len(r.d.o.Keys) == 0 {
		return false
	}
	credential := fmt.Sprintf("credential %d", r.rng.IntN(6))
	p, u, err := r.on.Factors().PasskeyByCredential(ctx, []byte(credential))
	if found := r.m.Keeper(credential); (found == "") != errors.Is(err, snib.ErrFactorNotFound) || err == nil && string(u.ID) != found {
		r.differ("%s is of %q (%v), in the model of %q", credential, u.ID, err, found)
		return false
	}
	if err != nil {
		return false
	}
	challenge, err := r.on.Factors().PasskeyChallenge(ctx, snib.PasskeyLogIn, "")
	if err != nil {
		r.differ("a challenge: %v", err)
		return false
	}
	o, t, replaced := r.carried()
	a := snib.Assertion{Passkey: p, Challenge: challenge.Reveal(), UserVerified: true}
	var s snib.Session
	used, err := r.on.Factors().UsePasskey(ctx, a)
	if err == nil {
		s, err = r.on.CreateSession(used, o)
	}
	t.Methods |= 1 << 5
	return r.made(s, err, r.m.UsePasskey(credential, func(u *model.User) error {
		return r.m.CreateSession(u.ID, u.Version, string(s.ID), s.Token.Reveal(), t, replaced...)
	}))
}

// comparePasskeys compares those of one user.
func (r *run) comparePasskeys(want *model.User) {
	var got []string
	for _, p := range must(r.d.db.Factors().Passkeys(ctx, snib.UserID(want.ID)))(r.d.t) {
		got = append(got, string(p.CredentialID))
	}
	slices.Sort(got)
	if !slices.Equal(got, slices.Sorted(slices.Values(want.Passkeys))) {
		r.differ("passkeys %v, want %v", got, want.Passkeys)
	}
}
