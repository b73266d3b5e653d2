package codec

// UserRef leads from a key to a user: a record of the spaces identities and
// attributes (there only under unique keys).
//
//	offset 9  text UserID
type UserRef struct{ UserID string }

func userRefLayout(space string) layout { return layout{seedOf(space), 1, 1} }

// Append appends the value of r under a key of a space to dst.
func (r *UserRef) Append(dst []byte, space string, key []byte) []byte {
	start, l := len(dst), userRefLayout(space)
	dst = begin(dst, l)
	dst = appendText(dst, r.UserID)
	return seal(dst, start, l, key)
}

// DecodeUserRef decodes the value under a key of a space. Errors are
// ErrCorrupt and ErrNewer.
func DecodeUserRef(space string, key, value []byte) (UserRef, error) {
	extra, err := open(userRefLayout(space), key, value)
	if err != nil {
		return UserRef{}, err
	}
	r := reader{value: value, off: offFields}
	user := r.text()
	if !r.finish(extra) {
		return UserRef{}, errStructure
	}
	return UserRef{UserID: string(value[user.from:user.to])}, nil
}
