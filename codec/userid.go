package codec

// Ids of users made by the library: a prefix and 26 digits of 16 bytes.
const (
	madePrefix = "usr_"
	madeBytes  = 16
	madeLength = len(madePrefix) + 26
)

// compactUserID returns the 16 bytes of an id made by the library. ok is false
// for any other id, and for one that only looks similar: each id has one form.
func compactUserID(id string) (raw [madeBytes]byte, ok bool) {
	if len(id) != madeLength || id[:len(madePrefix)] != madePrefix {
		return raw, false
	}
	ok = DecodeBase32(raw[:], id[len(madePrefix):])
	return raw, ok
}

// appendUser appends the user of an owned record: binary of 16 bytes for an id
// made by the library, text for any other.
func appendUser(dst []byte, id string) []byte {
	if raw, ok := compactUserID(id); ok {
		return appendBinary(dst, raw[:])
	}
	return appendText(dst, id)
}

// A userRef is where the user of a record stands in its value.
type userRef struct {
	span
	made bool // 16 bytes of an id made by the library
}

// user takes the user of an owned record, the inverse of appendUser.
func (r *reader) user() userRef {
	if rest := r.value[r.off:]; len(rest) > 0 && rest[0] == markBin8 {
		from := r.off + 2
		if r.fixed(madeBytes) == nil {
			return userRef{}
		}
		return userRef{span{from, r.off}, true}
	}
	p := r.text()
	// The bound on the length keeps the conversion on the stack.
	if p.to-p.from == madeLength {
		if _, made := compactUserID(string(r.value[p.from:p.to])); made {
			r.bad = true // it has a shorter form
		}
	}
	return userRef{p, false}
}

// is reports whether the user is id.
func (u userRef) is(value []byte, id string) bool {
	stored := value[u.from:u.to]
	if !u.made {
		return string(stored) == id
	}
	raw, ok := compactUserID(id)
	return ok && [madeBytes]byte(stored) == raw
}

// text returns the id, in buf or in value.
func (u userRef) text(value []byte, buf *[madeLength]byte) []byte {
	stored := value[u.from:u.to]
	if !u.made {
		return stored
	}
	return AppendBase32(append(buf[:0], madePrefix...), stored)
}
