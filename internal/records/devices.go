package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/token"
)

// Devices is the kind of known devices.
var Devices = &Kind{
	Title: "known device", Space: SpaceDevices, Token: token.Device,
	Most: MaxDevices, Bound: func(*Config) int { return MaxDevices },
	Invariant: 18,
	Ends:      PasswordChanges | PasswordReset | UserDisabled | SessionsRevoked | EpochRaised | FactorsChange | FactorsReset,
	UsedOnce:  true,
	Merge:     MergeEnds,
	Missing:   ErrDeviceNotFound,
	Life:      deviceLife,
	Rules:     deviceRules{},
}

// MaxDevices bounds those of one user.
const MaxDevices = 20

// ErrDeviceNotFound: there is no such record.
var ErrDeviceNotFound error = &missing{"device not found"}

func deviceLife(key, value []byte) (Life, error) {
	v, err := codec.ViewDevice(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.ExpiresAt(), Kept: v.ExpiresAt(), Newest: v.LastUsedAt()}, nil
}

// deviceRules are the Rules of Devices.
type deviceRules struct{}

func (deviceRules) facts(key, value []byte) (Object, error) {
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

// check sees that a device is trusted for no longer than it is known.
func (deviceRules) check(tx *Tx, c inspector, m member, value []byte) error {
	d, err := codec.DecodeDevice(m.raw, value)
	if err != nil {
		return tx.Damaged(SpaceDevices, err)
	}
	if d.TrustedUntil <= d.ExpiresAt {
		return nil
	}
	c.mendable(m, m.Invariant, "is trusted for longer than it is known")
	d.TrustedUntil = d.ExpiresAt
	return c.put(m, d.Append(nil))
}

// MaxPresentedDevices is how many devices a client can present at once: each is
// a lookup. It is as many users as share a browser.
const MaxPresentedDevices = 5

// DeviceUseEvery is how often the use of a device is written, in milliseconds.
const DeviceUseEvery = 24 * 3600 * 1000

// Device returns the device under key, live or dead, or ErrDeviceNotFound.
func (tx *Tx) Device(key codec.OwnedKey) (codec.Device, error) {
	return OwnedRecord(tx, Devices, key, codec.DecodeDevice)
}

// DeviceLive reports whether a device is known.
func (tx *Tx) DeviceLive(d *codec.Device) bool {
	return d.Epoch == tx.State.Epoch && tx.Now < d.ExpiresAt
}

// DeviceKeys returns the keys that KnownDevice looks up.
func DeviceKeys(texts []string) (keys []codec.OwnedKey) {
	var secret [32]byte
	for _, text := range texts[:min(len(texts), MaxPresentedDevices)] {
		if key, ok := token.Device.Parse(text, secret[:]); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// KnownDevice returns the live device of a user among those that a client
// presents, or ErrDeviceNotFound. It does the same work for every user, and for
// "", who has none: all of the texts are hashed, looked up and compared. A
// record that cannot be read is no device, and keeps its user out of nothing.
func (tx *Tx) KnownDevice(texts []string, userID string) (known codec.Device, err error) {
	err = ErrDeviceNotFound
	for _, text := range texts[:min(len(texts), MaxPresentedDevices)] {
		var secret [32]byte
		key, ok := token.Device.Parse(text, secret[:])
		if !ok {
			continue
		}
		hash := token.Device.Hash(secret[:])
		d, failed := tx.Device(key)
		switch {
		case errors.Is(failed, ErrDeviceNotFound), unreadable(failed):
		case failed != nil:
			return codec.Device{}, failed
		case token.Equal(hash, d.SecretHash) && d.UserID == userID && tx.DeviceLive(&d):
			known, err = d, nil
		}
	}
	return known, err
}

// PutDevice writes a device.
func (tx *Tx) PutDevice(d *codec.Device) error { return tx.PutOwned(Devices, d.Key, d.Append(nil)) }

// PutNewDevice gives a device a key and writes it in the place of another one
// (zero: none). It evicts those least recently used above the bound.
func (tx *Tx) PutNewDevice(d *codec.Device, replaced codec.OwnedKey) (err error) {
	d.Epoch = tx.State.Epoch
	if d.Key, err = tx.NewKey(Devices, d.UserID); err != nil {
		return err
	}
	ended, err := tx.Evicted(Devices, d.UserID, replaced)
	if err != nil {
		return err
	}
	if replaced != (codec.OwnedKey{}) {
		ended = append(ended, replaced)
	}
	if err := tx.DeleteOwned(Devices, ended...); err != nil {
		return err
	}
	return tx.PutDevice(d)
}

// EachDevice visits the live devices of a user, by age.
func (tx *Tx) EachDevice(userID string, visit func(d *codec.Device)) error {
	return tx.ScanOwner(SpaceDevices, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		d, err := codec.DecodeDevice(key[:], value)
		if err != nil {
			return tx.Damaged(SpaceDevices, err)
		}
		if d.UserID == userID && tx.DeviceLive(&d) {
			visit(&d)
		}
		return nil
	})
}
