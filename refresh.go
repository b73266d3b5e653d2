package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/credentials"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
	"github.com/snibdb/snib/internal/throttle"
	"github.com/snibdb/snib/internal/token"
)

// Refresh uses a refresh token: it returns the next one and a new session,
// both with their Tokens, and ends the session that the last use gave.
//
// The token before the current one, the parent, is answered too, as an answer
// can be lost and two tabs can ask at once. Within Options.Refresh.Grace of its
// use it gives the same refresh token and session again, in another process if
// both have the current one of Options.Keys. After that, or if it cannot give
// them, it replaces them by new ones, and the ones that it replaces end; but if
// they are known to have been used (the refresh token was presented, or the
// session accepted by a method that takes its token, in this process), two hold
// the parent, and that is reuse.
//
// Reuse is any other token of the family: one from before the parent, one that
// was replaced; and a third generation in a row that was given to one client
// network and again to another (see [WithClient]). The family and its session
// are ended, durably, and Refresh returns [ReuseError]
// (ErrRefreshTokenReused), also for every later token of the family until its
// absolute deadline. All else is ErrInvalidRefreshToken and writes nothing.
//
// An ErrBusy, ErrClosed, ErrFull or ErrUnknown says nothing about the token:
// the client must keep it and try again.
func (db *DB) Refresh(ctx context.Context, text string) (Session, RefreshToken, error) {
	client := clientNetwork(ctx)
	ahead := ownerOf(token.Family, len(credentials.Secret{}), text, records.SpaceFamilies, records.SpaceSessions, records.SpaceEvents)
	out, err := result(ctx, "refresh", db.aheadIfNeeded(ahead), func(tx *Tx) (answer, error) {
		return tx.refresh(text, client)
	})
	switch {
	case err != nil:
	case out.reused != nil:
		db.tally.reuses.Add(1)
		db.o.Logger.Warn("snib: a refresh token was reused, its family is revoked", "family", out.reused.ID, "user", out.reused.UserID)
		err = during("refresh", out.reused)
	case out.again:
		db.given.Repeated(out.before, out.after)
	default:
		db.given.Expect(out.before, out.after)
	}
	return out.session, out.refresh, err
}

// clientNetwork returns the network of the client; nil for one that is not known
// or whose address is not its own, such as that of one of two proxies.
func clientNetwork(ctx context.Context) []byte {
	if addr := clientOf(ctx); addr != nil {
		if a := throttle.Address(addr.As16()); a.Public() {
			return []byte(a.Network())
		}
	}
	return nil
}

// An answer is an outcome of Refresh.
type answer struct {
	pair
	before, after codec.OwnedKey // the session of the family
	again         bool           // the answer of an earlier use
	reused        *ReuseError    // committed
}

// refresh has the rules decide.
func (tx *Tx) refresh(text string, client []byte) (answer, error) {
	a, err := tx.refreshRules().Refresh(text, client)
	if e, ok := errors.AsType[*credentials.ReusedError](err); ok {
		reused := &ReuseError{ID: RefreshTokenID(token.Family.ID(e.Family)), UserID: UserID(e.User)}
		if tx.rec.Written {
			// The revocation must be committed: the error waits outside.
			return answer{reused: reused}, nil
		}
		return answer{}, reused
	}
	if err != nil {
		return answer{}, err
	}
	return answer{pair: tx.publicPair(&a.Pair), before: a.Before, after: a.After, again: a.Again}, nil
}

// textKey returns the key of texts that are verified without a record: the
// process's own, or on a store of several programs that of Options.Keys.
func (tx *Tx) textKey() []byte {
	if tx.db.shared {
		if k, err := tx.rec.CurrentKey(); err == nil {
			shared := k.Subkey(seal.LabelTexts)
			return shared[:]
		}
	}
	return tx.db.processKey[:]
}
