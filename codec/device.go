package codec

// Device is a record of the space devices. Times are Unix milliseconds; see
// [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 34
//	       11    32 bytes  SecretHash
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    5, after  LastUsedAt
//	       53    5, after  ExpiresAt
//	       58    5, after  TrustedUntil
//	       63  c4 10 + 16, or text: UserID
//	           Attributes
type Device struct {
	Key          OwnedKey // not in the value; its time is that of the creation
	UserID       string
	SecretHash   [32]byte // of the token's secret
	Epoch        uint32   // epoch of the file when the device was made
	Flags        uint8    // no flag is defined; kept
	LastUsedAt   int64
	ExpiresAt    int64
	TrustedUntil int64  // the time of the creation: never trusted
	Attributes   string // as AppendAttributes made them; "" is no attributes
}

const (
	offDeviceUsed    = offOwn
	offDeviceExpires = offDeviceUsed + offsetBytes
	offDeviceTrusted = offDeviceExpires + offsetBytes
	offDeviceUser    = offDeviceTrusted + offsetBytes
)

// SpaceDevices is the space of known devices, under an [OwnedKey] each.
const SpaceDevices = "devices"

var deviceLayout = layout{seed(SpaceDevices), ownVersion, 3}

// Append appends the value of r to dst.
func (r *Device) Append(dst []byte) []byte {
	dst = grow(dst, offDeviceUser+len(r.UserID)+len(r.Attributes)+OwnedKeyBytes)
	start := len(dst)
	dst = appendOwned(dst, deviceLayout, offDeviceUser, &r.SecretHash, r.Epoch, r.Flags)
	made := r.Key.Time()
	dst = appendAfter(dst, made, r.LastUsedAt)
	dst = appendAfter(dst, made, r.ExpiresAt)
	dst = appendAfter(dst, made, r.TrustedUntil)
	dst = appendUser(dst, r.UserID)
	dst = appendAttributes(dst, r.Attributes)
	return seal(dst, start, deviceLayout, r.Key[:])
}

// DeviceView reads the fields of a device in place, without an allocation. It
// shares the memory of the value, and is of use only as long as that is.
type DeviceView struct {
	ownedView
	attributes span
}

// ViewDevice verifies the whole record under a key: after it, nothing that the
// view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewDevice(key, value []byte) (DeviceView, error) {
	v, r, extra, err := openOwned(deviceLayout, key, value, offDeviceUser)
	if err != nil {
		return DeviceView{}, err
	}
	attributes := r.attributes()
	if !r.finish(extra) {
		return DeviceView{}, errStructure
	}
	return DeviceView{v, attributes}, nil
}

// SecretHash returns [Device].SecretHash, to be compared in constant time.
func (v *DeviceView) SecretHash() [32]byte { return v.hash() }

// LastUsedAt returns [Device].LastUsedAt.
func (v *DeviceView) LastUsedAt() int64 { return v.after(offDeviceUsed) }

// ExpiresAt returns [Device].ExpiresAt.
func (v *DeviceView) ExpiresAt() int64 { return v.after(offDeviceExpires) }

// TrustedUntil returns [Device].TrustedUntil.
func (v *DeviceView) TrustedUntil() int64 { return v.after(offDeviceTrusted) }

// Decode fills d with all fields, in one allocation. They are copies.
func (v *DeviceView) Decode(d *Device) {
	user, attributes, _ := v.strings(orNone(v.attributes), span{})
	*d = Device{
		Key:          v.key,
		UserID:       user,
		SecretHash:   v.hash(),
		Epoch:        v.Epoch(),
		Flags:        v.Flags(),
		LastUsedAt:   v.LastUsedAt(),
		ExpiresAt:    v.ExpiresAt(),
		TrustedUntil: v.TrustedUntil(),
		Attributes:   attributes,
	}
}

// DecodeDevice decodes the value of a device, in one allocation. Errors are
// ErrCorrupt and ErrNewer.
func DecodeDevice(key, value []byte) (d Device, err error) {
	v, err := ViewDevice(key, value)
	if err == nil {
		v.Decode(&d)
	}
	return d, err
}
