package snib

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
	"github.com/snibdb/snib/internal/token"
)

// DeviceID names a known device of a user: "dev_" and 32 characters, as of SessionID.
type DeviceID string

// MaxDevices is how many known devices a user may have: 20.
const MaxDevices = records.MaxDevices

// Device is a browser or another client from which a user has logged in, as it
// was when it was read.
type Device struct {
	ID     DeviceID // public
	UserID UserID   // its owner

	// Token is the secret text for the device, and is there only where
	// Remember or Trust has just made it. Keep it on the device in the place of
	// the one that it had for this user.
	Token Token

	CreatedAt    time.Time // when it was first remembered
	LastUsedAt   time.Time // of the last log-in, to the day
	ExpiresAt    time.Time // known before this
	TrustedUntil time.Time // stands for a second factor before this; zero: it does not

	attributes string
}

// Attributes returns those of the session with which the device was last used,
// to the day: its address and user agent, say. A private copy, never nil.
func (d Device) Attributes() Attributes { return decodeAttributes(d.attributes) }

// Format implements fmt.Formatter, without the attributes.
func (d Device) Format(f fmt.State, verb rune) {
	type plain Device
	d.attributes = ""
	printed(f, verb, plain(d))
}

// Bounds of trust.
const (
	defaultTrust = 30 * day
	maxTrust     = 90 * day
)

// deviceFailures is how many wrong passwords in a row make a device a stranger.
const deviceFailures = 10

// Devices remembers the devices from which users have logged in. Transactions: see [Tx].
//
// A log-in whose context has the device's token ([WithDevice]) is throttled by
// the failures of the device alone: guesses of strangers at the account neither
// slow it down nor close it. After 10 failures of its own in a row the device is
// a stranger, and the next log-in from there gets a new one. The token is
// no session, no [Proof], and no factor unless Trust says so.
//
// A device is known until [SessionPolicy].KnownDevice after its last log-in. A
// user has at most 20; one more evicts the one that was not used for longest.
// All of them end when the password is set, changed or removed, a second factor
// added or removed, the user disabled, or all sessions revoked, even if these calls keep sessions, and by
// EndEverything, ResetClock and Restore. A log-out ends none: the device cookie
// tells the owner from strangers at the next log-in.
//
// The design is OWASP's "Slow Down Online Guessing Attacks with Device Cookies".
// snibhttp keeps the token in a cookie.
type Devices struct{ at handle }

// Devices returns the methods on known devices, a transaction each.
func (db *DB) Devices() Devices { return Devices{handle{db: db}} }

// Devices returns the methods on known devices in this transaction.
func (tx *Tx) Devices() Devices { return Devices{handle{db: tx.db, tx: tx}} }

// Remember makes the device on which an active session was just made a known
// device of its user. If ctx carries the token of one, it stays, its use is
// written once a day at most, and there is no Token. Otherwise it returns a new
// one with its Token, this once. Call it after each log-in that the user wants
// remembered; a browser that is lent is not to be.
//
// With a negative [SessionPolicy].KnownDevice it does nothing and returns the
// zero Device. ErrInvalidSession, ErrUserDisabled; ErrInvalidInput (Proof) for a
// Session that no method returned.
func (o Devices) Remember(ctx context.Context, s Session) (Device, error) {
	return result(ctx, "remember device", o.at.updateIfNeeded, func(tx *Tx) (Device, error) {
		if tx.db.o.Sessions.KnownDevice < 0 {
			return Device{}, nil
		}
		p, err := tx.proven(s)
		if err != nil {
			return Device{}, err
		}
		d, err := tx.deviceOf(ctx, &p)
		if err != nil {
			return Device{}, err
		}
		every := min(records.DeviceUseEvery, tx.db.o.Sessions.KnownDevice.Milliseconds()/2)
		if !d.renewed && tx.rec.Now-d.LastUsedAt < every {
			return tx.newDevice(&d.Device), nil
		}
		kind := records.EventKind(0)
		if d.renewed {
			kind = records.EventDeviceRemembered
		}
		return tx.putDevice(&d, s, kind)
	})
}

// Trust does the work of Remember and lets the device stand for a second factor
// at log-ins, for so long: 1 s to 90 days, 0 for 30 days, not beyond its
// ExpiresAt. Call it after a log-in with a second factor, at the wish of its
// user. The device gets a new Token in any case, and the one that it had is
// refused: a copy taken before is not trusted. A log-in by the password alone has
// one factor, AAL1 of NIST SP 800-63B-4, whose 30 days for a session are the
// default here.
//
// Errors are those of Remember; ErrNotFresh for a session of a user with a second
// factor whose log-in is longer than [FreshFor] ago, or was without a factor or by
// a trusted device; ErrInvalidInput (Duration).
func (o Devices) Trust(ctx context.Context, s Session, d time.Duration) (Device, error) {
	if d == 0 {
		d = defaultTrust
	}
	return result(ctx, "trust device", o.at.updateIfNeeded, func(tx *Tx) (Device, error) {
		switch {
		case d < time.Second || d > maxTrust:
			return Device{}, &InputError{Field: "Duration", Code: CodeOutOfRange, Reason: "must be from 1 s to 90 days", Min: int64(time.Second), Max: int64(maxTrust)}
		case tx.db.o.Sessions.KnownDevice < 0:
			return Device{}, nil
		}
		p, err := tx.proven(s)
		if err == nil {
			err = tx.mayTrust(&p)
		}
		if err != nil {
			return Device{}, err
		}
		device, err := tx.deviceOf(ctx, &p)
		if err != nil {
			return Device{}, err
		}
		device.TrustedUntil, device.renewed = clock.After(tx.rec.Now, d), true
		return tx.putDevice(&device, s, records.EventDeviceTrusted)
	})
}

// A remembered device is to be written.
type remembered struct {
	codec.Device                // without a key if it is new
	renewed      bool           // it gets a secret
	replaces     codec.OwnedKey // one that has had all its guesses
}

// deviceOf returns the device that ctx carries for the user of a proof, or a new
// one.
func (tx *Tx) deviceOf(ctx context.Context, p *proven) (remembered, error) {
	out := remembered{Device: codec.Device{UserID: p.user.ID}, renewed: true}
	d, err := tx.rec.KnownDevice(presentedDevices(ctx), p.user.ID)
	switch {
	case errors.Is(err, ErrDeviceNotFound):
		return out, nil
	case err == nil && tx.db.spent(&d):
		out.replaces = d.Key
		return out, nil
	}
	return remembered{Device: d}, err
}

// putDevice writes a device as used by s, now, with its event unless that is 0.
func (tx *Tx) putDevice(d *remembered, s Session, kind records.EventKind) (Device, error) {
	d.LastUsedAt, d.Attributes = tx.rec.Now, s.attributes
	d.ExpiresAt = clock.After(tx.rec.Now, tx.db.o.Sessions.KnownDevice)
	d.TrustedUntil = min(d.TrustedUntil, d.ExpiresAt)
	var secret [32]byte
	if d.renewed {
		var err error
		if secret, err = token.NewSecret(tx.db.o.Rand); err != nil {
			return Device{}, err
		}
		d.SecretHash = token.Device.Hash(secret[:])
	}
	write := tx.rec.PutDevice
	if d.Key == (codec.OwnedKey{}) {
		write = func(new *codec.Device) error { return tx.rec.PutNewDevice(new, d.replaces) }
	}
	err := write(&d.Device)
	if err == nil && kind != 0 {
		err = tx.rec.Note(d.UserID, kind, records.About{Subject: d.Key.OwnID()})
	}
	if err != nil {
		return Device{}, err
	}
	out := tx.newDevice(&d.Device)
	if d.renewed {
		out.Token = newToken(token.Device, d.Key, secret[:])
	}
	return out, nil
}

// newDevice is the public form of a record.
func (tx *Tx) newDevice(d *codec.Device) Device {
	out := Device{
		ID: DeviceID(token.Device.ID(d.Key)), UserID: UserID(d.UserID),
		CreatedAt: clock.Time(d.Key.Time()), LastUsedAt: clock.Time(d.LastUsedAt), ExpiresAt: clock.Time(d.ExpiresAt),
		attributes: d.Attributes,
	}
	if d.TrustedUntil > tx.rec.Now {
		out.TrustedUntil = clock.Time(d.TrustedUntil)
	}
	return out
}

// Current returns the known device of the user whose token ctx carries
// ([WithDevice]), without its Token. It never writes. ErrDeviceNotFound if there
// is none, also after 10 failures in a row.
func (o Devices) Current(ctx context.Context, user UserID) (Device, error) {
	return result(ctx, "get device", o.at.view, func(tx *Tx) (Device, error) {
		d, err := tx.knownDevice(claim{presentedDevices(ctx), string(user)})
		if err != nil {
			return Device{}, err
		}
		return tx.newDevice(&d), nil
	})
}

// A claim to come from a known device of a user.
type claim struct {
	tokens []string
	user   string // "" if there is no such user
}

// knownDevice returns the device by which a claim is true, unless it has guessed
// too often. Its lookups do not depend on the user.
func (tx *Tx) knownDevice(c claim) (codec.Device, error) {
	d, err := tx.rec.KnownDevice(c.tokens, c.user)
	if err == nil && (tx.db.o.Sessions.KnownDevice < 0 || tx.db.spent(&d)) {
		err = ErrDeviceNotFound // also one from before the policy ruled devices out
	}
	if err != nil {
		return codec.Device{}, err
	}
	return d, nil
}

func readsDevices(_ *DB, c claim) (refs []kv.Ref) {
	for _, key := range records.DeviceKeys(c.tokens) {
		refs = append(refs, kv.Ref{Space: records.SpaceDevices, Key: key[:]})
	}
	return refs
}

// deviceFor returns the known device from which a password of a user is tried;
// the zero Device for a stranger.
func (db *DB) deviceFor(ctx context.Context, user string) (codec.Device, error) {
	tokens := presentedDevices(ctx)
	if len(tokens) == 0 {
		return codec.Device{}, nil
	}
	d, err := read(ctx, db, "", readsDevices, (*Tx).knownDevice, claim{tokens, user})
	if errors.Is(err, ErrDeviceNotFound) {
		return codec.Device{}, nil
	}
	return d, err
}

// trusted reports whether a device from which a password was tried may stand for
// a second factor now, under the secret that it had then.
func (tx *Tx) trusted(known *codec.Device) (bool, error) {
	if known.UserID == "" {
		return false, nil
	}
	d, err := tx.rec.Device(known.Key)
	switch {
	case records.DamagedOrMissing(err):
		return false, nil
	case err != nil:
		return false, err
	}
	same := d.UserID == known.UserID && token.Equal(d.SecretHash, known.SecretHash)
	if !same || !tx.rec.DeviceLive(&d) || tx.rec.Now >= d.TrustedUntil || tx.db.spent(&d) {
		return false, nil
	}
	u, err := tx.user(UserID(d.UserID))
	if err != nil {
		return false, err
	}
	all, err := tx.rec.FactorsOf(&u)
	return all.Needed(), err // it stands for none where there is none
}

// mayTrust refuses the proof of a user with a second factor that none has proven
// just now: neither a trusted device nor a stolen session makes another one.
func (tx *Tx) mayTrust(p *proven) error {
	all, err := tx.rec.FactorsOf(&p.user)
	if err == nil && all.Needed() && (p.old(tx.rec.Now) || p.bare(all)) {
		err = ErrNotFresh
	}
	return err
}

// spent reports whether a device has had all its guesses.
func (db *DB) spent(d *codec.Device) bool {
	return db.counts.Failures(db.clock.Latest(), guessesOf(d)...) >= deviceFailures
}

// guessesOf is the name under which the failures of a device count.
func guessesOf(d *codec.Device) []string {
	return []string{throttle.Device, d.UserID, token.Device.ID(d.Key)}
}

// List returns the known devices of the user without their Tokens, oldest
// first: at most 20, an empty list for an unknown user.
func (o Devices) List(ctx context.Context, user UserID) ([]Device, error) {
	return result(ctx, "list devices", o.at.view, func(tx *Tx) (out []Device, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		err = tx.rec.EachDevice(string(user), func(d *codec.Device) { out = append(out, tx.newDevice(d)) })
		return out, err
	})
}

// Revoke makes a device of this user a stranger, by its id. An unknown id and a
// device of another user are no error. ErrInvalidInput (UserID, DeviceID) for a
// text that cannot be an id, such as the token itself.
func (o Devices) Revoke(ctx context.Context, user UserID, id DeviceID) error {
	return during("revoke device", o.at.update(ctx, func(tx *Tx) error {
		key, err := tx.revoking(&user, "DeviceID", token.Device, string(id))
		if err != nil {
			return err
		}
		d, err := tx.rec.Device(key)
		if err != nil || d.UserID != string(user) {
			return unless(ErrDeviceNotFound, err)
		}
		if err := tx.rec.DeleteOwned(records.Devices, key); err != nil {
			return err
		}
		return tx.rec.Note(d.UserID, records.EventDeviceRevoked, records.About{Subject: key.OwnID()})
	}))
}

// RevokeAll makes all devices of the user strangers. ErrUserNotFound.
func (o Devices) RevokeAll(ctx context.Context, user UserID) error {
	return during("revoke devices", o.at.update(ctx, func(tx *Tx) error {
		return tx.endAll(user, records.Devices, func(c *records.Cascade, key codec.OwnedKey, value []byte) (bool, error) {
			v, err := codec.ViewDevice(key[:], value)
			is := err == nil && v.IsUser(string(user))
			if is {
				c.Note(records.EventDeviceRevoked, records.About{Subject: key.OwnID()})
			}
			return is, err
		})
	}))
}
