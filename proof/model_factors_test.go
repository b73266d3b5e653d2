package proof_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/model"
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

// wallStep is the step of the wall clock, which may have been set back.
func (r *run) wallStep() int64 { return r.d.clock.Now().Unix() / 30 }

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
	if first != model.ErrSecondFactor || !ok || r.wallStep()+1 <= u.Step {
		return err, first
	}
	step := max(u.Step+1, r.wallStep()-1)
	got = finish(e.Pending.Reveal(), codeAt(u.Seed, step))
	if want = r.m.Finish(id, step, create); got == nil && want == nil {
		r.good = append(r.good, "second step")
	}
	return got, want
}
