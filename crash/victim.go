package main

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// A cascade with nothing to remove is no cascade. Each gets a user with several
// records of every kind (leastOf); the census before and after is compared with
// the occasions of docs/INVARIANTS.md.

var (
	fullVictim = operation{name: "a full user", do: (*work).makeFull,
		events: slices.Concat(kinds(snib.EventUserCreated, snib.EventIdentityLinked, snib.EventIdentityLinked), filled)}
	fullGuest = operation{name: "a full guest", do: (*work).makeFullGuest,
		events: slices.Concat(kinds(snib.EventGuestCreated, snib.EventLogIn), filled)}

	filled = kinds(
		snib.EventFactorAdded, snib.EventFactorAdded, snib.EventRecoveryCodesCreated,
		snib.EventLogIn, snib.EventLogIn, snib.EventLogIn, snib.EventLogIn, snib.EventRefreshTokenCreated, snib.EventRefreshTokenCreated,
		snib.EventDeviceRemembered, snib.EventDeviceRemembered, snib.EventTokenCreated, snib.EventTokenCreated,
		snib.EventAPIKeyCreated, snib.EventAPIKeyCreated, snib.EventRoleGranted, snib.EventRoleGranted,
	)
)

// makeFull makes a user with several of everything, in one transaction.
func (w *work) makeFull() error {
	n, a := w.newUser()
	hash, err := w.db.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	n.PasswordHash, a.password = hash, password
	a.identities = append(a.identities, identity{"gitlab", w.name()}, identity{"google", w.name()})
	return w.fillNew(a, func(tx *snib.Tx) (snib.UserID, error) {
		u, err := tx.CreateUser(n)
		for _, x := range a.identities[1:] {
			if err == nil {
				_, err = tx.LinkIdentity(u.ID, x.provider, x.name)
			}
		}
		return u.ID, err
	})
}

// makeFullGuest makes a guest with all that a guest can have.
func (w *work) makeFullGuest() error {
	a, about := &account{guest: true}, w.attributes(w.name())
	return w.fillNew(a, func(tx *snib.Tx) (snib.UserID, error) {
		_, u, err := tx.Identities().CreateGuest(ctx, snib.SessionOptions{})
		if err == nil {
			_, err = tx.UpdateUserAttributes(u.ID, about)
		}
		return u.ID, err
	})
}

// fillNew makes a user and gives it some of every kind.
func (w *work) fillNew(a *account, create func(*snib.Tx) (snib.UserID, error)) error {
	credential := w.name()
	err := w.db.Update(ctx, func(tx *snib.Tx) (err error) {
		a.forget()
		if a.id, err = create(tx); err != nil {
			return err
		}
		for _, fill := range []func(*snib.Tx) error{
			func(tx *snib.Tx) error { return a.fillFactors(tx, w.now, credential) }, a.fillSessions, a.fillTokens, a.fillRows,
			func(tx *snib.Tx) error { return a.quarantine(tx, w.now) },
		} {
			if err := fill(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		w.full = a
		if w.users = append(w.users, a); a.guest {
			w.users = w.users[:len(w.users)-1]
		}
	}
	return err
}

// proof is the user as of now, whose second factor the program has seen.
func (a *account) proof(tx *snib.Tx) (snib.Proof, error) {
	u, err := tx.GetUser(a.id)
	return snib.FactorNotNeeded(u), err
}

// fillFactors gives an authenticator, a passkey, recovery codes, and another
// authenticator that waits. It goes first: a change of factors ends sessions and
// tokens.
func (a *account) fillFactors(tx *snib.Tx, now time.Time, credential string) (err error) {
	if a.begun, err = a.begin(tx); err != nil {
		return err
	}
	if err = a.confirm(tx, now); err != nil {
		return err
	}
	a.phone = a.begun
	if a.passkey, err = a.register(tx, credential); err != nil {
		return err
	}
	if err = a.recover(tx); err != nil {
		return err
	}
	a.begun, err = a.begin(tx)
	return err
}

// recover makes new recovery codes.
func (a *account) recover(tx *snib.Tx) error {
	proof, err := a.proof(tx)
	if err != nil {
		return err
	}
	codes, err := tx.Factors().CreateRecoveryCodes(ctx, proof)
	a.recovery = nil
	for _, c := range codes {
		a.recovery = append(a.recovery, c.Reveal())
	}
	return err
}

// fillSessions gives sessions with and without refresh tokens, and known devices.
func (a *account) fillSessions(tx *snib.Tx) error {
	proof, err := a.proof(tx)
	if err != nil {
		return err
	}
	for range leastOf["session"] - leastOf["refresh token"] {
		s, err := tx.CreateSession(proof, snib.SessionOptions{Attributes: snib.Attributes{"device": "tablet"}})
		if err != nil {
			return err
		}
		a.sessions = append(a.sessions, s)
	}
	for range leastOf["refresh token"] {
		s, r, err := tx.CreateRefreshToken(proof, snib.SessionOptions{})
		if err != nil {
			return err
		}
		a.sessions, a.current = append(a.sessions, s), append(a.current, r.Token.Reveal())
	}
	for i := range leastOf["known device"] {
		d, err := tx.Devices().Remember(ctx, a.sessions[i])
		if err != nil {
			return err
		}
		a.devices = append(a.devices, d.Token.Reveal())
	}
	return nil
}

// fillTokens gives one-time tokens, API keys and roles.
func (a *account) fillTokens(tx *snib.Tx) error {
	for i := range leastOf["one-time token"] {
		l, err := tx.Tokens().Create(ctx, a.id, []string{"reset", "verify"}[i], time.Hour, []byte("data"))
		if err != nil {
			return err
		}
		a.links = append(a.links, l.Token.Reveal())
	}
	for range leastOf["API key"] {
		if _, err := tx.APIKeys().CreateFor(ctx, a.id, newKey); err != nil {
			return err
		}
	}
	for _, role := range []string{"billing", "support"} {
		if _, err := tx.Roles().Grant(ctx, a.id, role); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) fillRows(tx *snib.Tx) error {
	err := putRow(tx, a.id, "of a full user")
	for i := range leastOwned {
		err = errors.Join(err, putOwned(tx, a.id, string(rune('a'+i)), "of a full user"))
	}
	return err
}

// quarantine puts an unreadable session into quarantine, as a repair does.
func (a *account) quarantine(tx *snib.Tx, now time.Time) error {
	b := tx.Bolt().Bucket([]byte(records.Bucket))
	key, err := codec.DecodeOwnerKey(b.Bucket([]byte(codec.SpaceMeta)).Get([]byte(codec.KeyOwners)))
	if err != nil {
		return err
	}
	owner := codec.NewOwners(key.Key).Of(string(a.id))
	lost := append(owner[:], bytes.Repeat([]byte{1}, codec.OwnedKeyBytes-len(owner))...)
	lostRecords, err := b.CreateBucketIfNotExists([]byte(codec.SpaceQuarantine))
	if err != nil {
		return err
	}
	return lostRecords.Put(
		codec.AppendQuarantineKey(nil, owner, codec.SpaceSessions, lost),
		codec.AppendQuarantineValue(nil, now.UnixMilli(), []byte("unreadable")))
}

// victim is the user made full for this operation.
func (w *work) victim() (*account, error) {
	if w.full == nil {
		return nil, errSkip
	}
	return w.full, nil
}
