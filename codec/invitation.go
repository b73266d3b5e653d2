package codec

// Invitation is a record of the space invitations. It belongs to no user: the owner
// in its key is that of an identity. Times are Unix milliseconds.
//
//	offset  9  c4 20   SecretHash
//	       43  ce + 4  Epoch
//	       48  d3 + 8  ExpiresAt
//	       57  text Provider, text Folded, text Identifier,
//	           dc + 2 + Roles, each a text, Attributes
type Invitation struct {
	Key        OwnedKey // not in the value; its time is that of the creation
	SecretHash [32]byte // of the token's secret
	Epoch      uint32   // epoch of the file when it was made
	ExpiresAt  int64
	Provider   string
	Folded     string   // the identifier folded, as when it was made
	Identifier string   // as it was given
	Roles      []string // strictly ascending; may be nil
	Attributes string   // as AppendAttributes made them; "" is no attributes
}

var invitationLayout = layout{seed(SpaceInvitations), 1, 8}

// Append appends the value of r to dst.
func (r *Invitation) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, invitationLayout)
	dst = appendBinary(dst, string(r.SecretHash[:]))
	dst = appendUint32(dst, r.Epoch)
	dst = appendInt64(dst, r.ExpiresAt)
	dst = appendText(appendText(appendText(dst, r.Provider), r.Folded), r.Identifier)
	dst = appendNames(dst, r.Roles)
	dst = appendAttributes(dst, r.Attributes)
	return seal(dst, start, invitationLayout, r.Key[:])
}

// DecodeInvitation decodes the value under a key of the space invitations. Errors
// are ErrCorrupt and ErrNewer.
func DecodeInvitation(key, value []byte) (Invitation, error) {
	own, ok := ParseOwnedKey(key)
	if !ok {
		return Invitation{}, errStructure
	}
	extra, err := open(invitationLayout, key, value)
	if err != nil {
		return Invitation{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(key, value, offFields, len(value))
	out := Invitation{Key: own}
	copy(out.SecretHash[:], r.fixed(hashBytes))
	out.Epoch, out.ExpiresAt = r.uint32(), r.int64()
	out.Provider, out.Folded, out.Identifier = t.at(r.text()), t.at(r.text()), t.at(r.text())
	out.Roles = r.names(t)
	out.Attributes = t.attributes(r.attributes())
	if !r.finish(extra) {
		return Invitation{}, errStructure
	}
	return out, nil
}
