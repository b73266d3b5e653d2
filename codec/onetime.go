package codec

import "bytes"

// OneTimeToken is a record of the space one_time_tokens; its key is ID. Times
// are Unix milliseconds.
//
//	offset  9  c4 20 + 32  SecretHash
//	       43  cf + 8      Epoch
//	       52  d3 + 8      CreatedAt
//	       61  d3 + 8      ExpiresAt
//	       70  d9 + n      UserID, then d9 + n Purpose, then c4 + n Data
type OneTimeToken struct {
	ID         string // the key; not in the value
	UserID     string
	Purpose    string
	SecretHash [32]byte // what is stored of the token's secret
	Epoch      uint64   // epoch of the file when the token was made
	CreatedAt  int64
	ExpiresAt  int64
	Data       []byte // the application's, opaque; nil if there is none
}

const (
	oneTimeFields  = 7
	offOneTimeUser = offFields + 2 + digestBytes + 3*9
)

// Append appends the value of r to dst.
func (r *OneTimeToken) Append(dst []byte) []byte {
	dst = grow(dst, offOneTimeUser+len(r.UserID)+len(r.Purpose)+len(r.Data)+len(r.ID)+16)
	start := len(dst)
	dst = begin(dst, oneTimeFields)
	dst = appendDigest(dst, &r.SecretHash)
	dst = appendUint64(dst, r.Epoch)
	dst = appendInt64(dst, r.CreatedAt)
	dst = appendInt64(dst, r.ExpiresAt)
	dst = appendText(dst, r.UserID)
	dst = appendText(dst, r.Purpose)
	dst = appendBinary(dst, r.Data)
	return seal(dst, start, seedOneTime, r.ID)
}

// DecodeOneTimeToken decodes the value of a one-time token, with two
// allocations: the strings, and the data if there is any. Errors are
// ErrCorrupt and ErrNewer.
func DecodeOneTimeToken(key, value []byte) (OneTimeToken, error) {
	extra, err := open(seedOneTime, key, value, oneTimeFields)
	if err != nil {
		return OneTimeToken{}, err
	}
	r := reader{value: value, off: offFields}
	o := OneTimeToken{
		SecretHash: r.digest(),
		Epoch:      r.uint64(),
		CreatedAt:  r.int64(),
		ExpiresAt:  r.int64(),
	}
	user, purpose, data := r.text(), r.text(), r.binary()
	if !r.finish(extra) {
		return OneTimeToken{}, errStructure
	}
	t := copyText(key, value, user.from, purpose.to)
	o.ID, o.UserID, o.Purpose = t.id(), t.at(user), t.at(purpose)
	if data.from < data.to {
		o.Data = bytes.Clone(value[data.from:data.to])
	}
	return o, nil
}
