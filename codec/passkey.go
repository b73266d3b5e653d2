package codec

import "encoding/binary"

// Passkey is what a factor knows of a WebAuthn credential, in [Factor].Passkey.
// Lengths are two bytes, the highest first.
//
//	offset  0  uint64    Spent
//	        8  16 bytes  AAGUID
//	       24  length, then CredentialID
//	           length, then PublicKey
//	           the rest: Transports
type Passkey struct {
	Spent        uint64 // rises with each challenge that was answered
	AAGUID       [16]byte
	CredentialID []byte
	PublicKey    []byte // COSE_Key, as the authenticator gave it
	Transports   string // names with commas between them
}

const offPasskeyID = 8 + 16

// Append appends p to dst. CredentialID and PublicKey are at most 65,535 bytes.
func (p *Passkey) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, p.Spent)
	dst = append(dst, p.AAGUID[:]...)
	for _, part := range [][]byte{p.CredentialID, p.PublicKey} {
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(part))), part...)
	}
	return append(dst, p.Transports...)
}

// DecodePasskey is the inverse of Append. The slices share the memory of b. The
// error is ErrCorrupt.
func DecodePasskey(b []byte) (p Passkey, err error) {
	if len(b) < offPasskeyID {
		return p, errStructure
	}
	p.Spent, p.AAGUID = binary.BigEndian.Uint64(b), [16]byte(b[8:])
	rest := b[offPasskeyID:]
	for _, part := range []*[]byte{&p.CredentialID, &p.PublicKey} {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return Passkey{}, errStructure
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		*part, rest = rest[2:n:n], rest[n:]
	}
	p.Transports = string(rest)
	return p, nil
}
