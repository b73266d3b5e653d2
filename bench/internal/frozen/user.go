package frozen

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
)

// User is a record of the space users under its ID, with one identity and no
// indexed attribute.
type User struct {
	ID                                                  string
	CreatedAt, UpdatedAt, DisabledAt, PasswordChangedAt int64
	CredentialVersion                                   uint64
	PasswordHash, Provider, Key, Identifier             string
	LinkedAt                                            int64
	Attributes                                          string // encoded
}

const userFields = 12

// Encode returns the value of the record.
func (u *User) Encode() []byte {
	b := begin(userFields, 160+len(u.PasswordHash)+len(u.Provider)+len(u.Key)+len(u.Identifier)+len(u.Attributes)+len(u.ID))
	b = appendUint(appendTimes(b, u.CreatedAt, u.UpdatedAt), u.CredentialVersion)
	b = appendTimes(b, u.DisabledAt, u.PasswordChangedAt)
	b = appendUint(appendUint(b, 0), 0)               // class of the hash, id of the pepper
	b = appendText(appendText(b, u.PasswordHash), "") // no reason of disabling
	b = append(b, markArray16, 0, 1, markTuple|4)
	b = appendTimes(appendText(appendText(appendText(b, u.Provider), u.Key), u.Identifier), u.LinkedAt)
	b = append(append(b, markArray16, 0, 0), u.Attributes...)
	return seal(b, seedUsers, u.ID)
}

// DecodeUser verifies and decodes a value, but for the attributes, which it
// copies. It makes one allocation.
func DecodeUser(key, value []byte) (u User, err error) {
	r, err := open(seedUsers, key, value, userFields)
	if err != nil {
		return u, err
	}
	u.CreatedAt, u.UpdatedAt, u.CredentialVersion = r.time(), r.time(), r.uint()
	u.DisabledAt, u.PasswordChangedAt = r.time(), r.time()
	r.uint()
	r.uint()
	from := r.off
	hash, _ := r.text(), r.text()
	one := r.take(markArray16, 2)
	r.take(markTuple|4, 0)
	provider, folded, given := r.text(), r.text(), r.text()
	u.LinkedAt = r.time()
	none := r.take(markArray16, 2)
	if r.bad || one[1] != 1 || none[1] != 0 || r.off >= len(value) {
		return User{}, ErrDamaged
	}
	t := copyText(key, value, from)
	u.ID, u.PasswordHash, u.Provider, u.Key, u.Identifier = t.id(), t.at(hash), t.at(provider), t.at(folded), t.at(given)
	u.Attributes = t.at(span{r.off, len(value)})
	return u, nil
}

// EncodeAttributes encodes those of the harness's users: strings of up to 31
// bytes, booleans and whole seconds, under short names.
func EncodeAttributes(m map[string]any) (string, error) {
	b := []byte{markMap | byte(len(m))}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b = append(append(b, markText5|byte(len(name))), name...)
		switch v := m[name].(type) {
		case string:
			b = append(append(b, markText5|byte(len(v))), v...)
		case bool:
			mark := byte(markFalse)
			if v {
				mark = markTrue
			}
			b = append(b, mark)
		case time.Time:
			b = binary.BigEndian.AppendUint32(append(b, markTime32, 0xff), uint32(v.Unix()))
		default:
			return "", fmt.Errorf("attribute %s: no encoding of %T", name, v)
		}
	}
	return string(b), nil
}
