package codec

import "slices"

// APIKey is a record of the space api_keys. Times are Unix milliseconds; see
// [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 2f
//	       11    32 bytes  SecretHash
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    5, after  ExpiresAt
//	       53    5, after  LastUsedAt
//	       58  c4 10 + 16, or text: UserID
//	           text: Name
//	           dc + 2 + Scopes, each a text
type APIKey struct {
	Key        OwnedKey // not in the value; its time is that of the creation
	UserID     string
	Name       string
	Scopes     []string // may be nil
	SecretHash [32]byte // of the token's secret
	Epoch      uint32   // epoch of the file when the key was made
	Flags      uint8    // bit 0: APIKeyWarned; the others are kept
	ExpiresAt  int64    // Never is allowed
	LastUsedAt int64    // Never: not yet
}

// APIKeyWarned is the bit of [APIKey].Flags of a key whose end was announced.
const APIKeyWarned = 1

const (
	offAPIKeyExpires = offOwn
	offAPIKeyUsed    = offAPIKeyExpires + offsetBytes
	offAPIKeyUser    = offAPIKeyUsed + offsetBytes
	scopeBytes       = 2 // the least that one takes
)

// SpaceAPIKeys is the space of API keys, under an [OwnedKey] each.
const SpaceAPIKeys = "api_keys"

var apiKeyLayout = layout{seed(SpaceAPIKeys), ownVersion, 4}

// Append appends the value of r to dst.
func (r *APIKey) Append(dst []byte) []byte {
	n := offAPIKeyUser + len(r.UserID) + len(r.Name) + 2*OwnedKeyBytes
	for _, s := range r.Scopes {
		n += scopeBytes + len(s)
	}
	dst = grow(dst, n)
	start := len(dst)
	dst = appendOwned(dst, apiKeyLayout, offAPIKeyUser, &r.SecretHash, r.Epoch, r.Flags)
	dst = appendAfter(dst, r.Key.Time(), r.ExpiresAt)
	dst = appendAfter(dst, r.Key.Time(), r.LastUsedAt)
	dst = appendUser(dst, r.UserID)
	dst = appendText(dst, r.Name)
	dst = appendList(dst, len(r.Scopes))
	for _, s := range r.Scopes {
		dst = appendText(dst, s)
	}
	return seal(dst, start, apiKeyLayout, r.Key[:])
}

// APIKeyView reads the fields of an API key in place, without an allocation. It
// shares the memory of the value, and is of use only as long as that is.
type APIKeyView struct {
	ownedView
	name, scopes span // scopes: the texts of the list, one behind the other
	count        int  // of scopes
}

// ViewAPIKey verifies the whole record under a key: after it, nothing that the
// view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewAPIKey(key, value []byte) (APIKeyView, error) {
	v, r, extra, err := openOwned(apiKeyLayout, key, value, offAPIKeyUser)
	if err != nil {
		return APIKeyView{}, err
	}
	out := APIKeyView{ownedView: v, name: r.text(), count: r.list(scopeBytes)}
	out.scopes.from = r.off
	for range out.count {
		r.text()
	}
	out.scopes.to = r.off
	if !r.finish(extra) {
		return APIKeyView{}, errStructure
	}
	return out, nil
}

// SecretHash returns [APIKey].SecretHash, to be compared in constant time.
func (v *APIKeyView) SecretHash() [32]byte { return v.hash() }

// ExpiresAt returns [APIKey].ExpiresAt.
func (v *APIKeyView) ExpiresAt() int64 { return v.after(offAPIKeyExpires) }

// LastUsedAt returns [APIKey].LastUsedAt.
func (v *APIKeyView) LastUsedAt() int64 { return v.after(offAPIKeyUsed) }

// Decode fills k with all fields, which are copies: of all texts in one
// allocation, and another if there are scopes.
func (v *APIKeyView) Decode(k *APIKey) {
	user, name, scopes := v.strings(v.name, v.scopes)
	*k = APIKey{
		Key:        v.key,
		UserID:     user,
		Name:       name,
		SecretHash: v.hash(),
		Epoch:      v.Epoch(),
		Flags:      v.Flags(),
		ExpiresAt:  v.ExpiresAt(),
		LastUsedAt: v.LastUsedAt(),
	}
	if v.count == 0 {
		return
	}
	k.Scopes = slices.Grow(k.Scopes, v.count)
	r := reader{value: v.value[:v.scopes.to], off: v.scopes.from}
	for range v.count {
		s := r.text()
		k.Scopes = append(k.Scopes, scopes[s.from-v.scopes.from:s.to-v.scopes.from])
	}
}

// DecodeAPIKey decodes the value of an API key. Errors are ErrCorrupt and
// ErrNewer.
func DecodeAPIKey(key, value []byte) (k APIKey, err error) {
	v, err := ViewAPIKey(key, value)
	if err == nil {
		v.Decode(&k)
	}
	return k, err
}
