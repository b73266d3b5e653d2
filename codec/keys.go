package codec

import "bytes"

// AppendPair appends a 00 b to dst: a key that sorts by a, then by b. Neither
// may contain a zero byte, and every pair then has its own key. dst grows as
// with append.
func AppendPair(dst []byte, a, b string) []byte {
	dst = append(dst, a...)
	dst = append(dst, 0)
	return append(dst, b...)
}

// SplitPair takes apart a key of AppendPair. The parts share the memory of key.
// ok is false unless key has exactly one zero byte.
func SplitPair(key []byte) (a, b []byte, ok bool) {
	a, b, ok = bytes.Cut(key, []byte{0})
	if !ok || bytes.IndexByte(b, 0) >= 0 {
		return nil, nil, false
	}
	return a, b, true
}

// PairRange returns the range [from, to) of exactly the pairs whose first part
// is a: "u1" does not take in "u10", because the zero byte ends it.
func PairRange(a string) (from, to []byte) {
	from = append([]byte(a), 0)
	to = append([]byte(a), 1)
	return from, to
}

// PairPrefixRange returns the range [from, to) of exactly the pairs whose first
// part is a and whose second one begins with prefix.
func PairPrefixRange(a, prefix string) (from, to []byte) {
	if prefix == "" {
		return PairRange(a)
	}
	from = AppendPair(nil, a, prefix)
	return from, afterPrefix(from)
}

// AppendUniqueKey appends to dst the key of a unique attribute in the space
// attributes: name 00 value, where value was made by AppendIndexValue and name
// has no zero byte.
func AppendUniqueKey(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, 0)
	return append(dst, value...)
}

// AppendEntryKey appends to dst the key of one user's value of an attribute
// that is not unique: name 00 value userID. It needs no separator before the
// user id, because encoded values say themselves where they end. Keys sort by
// name, then by value, then by user id.
func AppendEntryKey(dst []byte, name, value, userID string) []byte {
	return append(AppendUniqueKey(dst, name, value), userID...)
}

// EntryRange returns the range [from, to) of exactly the entries of one value
// of an attribute, of all user ids. A nil to is no upper end.
func EntryRange(name, value string) (from, to []byte) {
	from = AppendUniqueKey(nil, name, value)
	return from, afterPrefix(from)
}

// afterPrefix returns the least key above all that begin with prefix: prefix
// with its last byte raised, or, as ff cannot be, with the last other one
// raised and the rest cut off. It is nil if there is no such key.
func afterPrefix(prefix []byte) []byte {
	n := raisable(prefix)
	if n == 0 {
		return nil
	}
	end := bytes.Clone(prefix[:n])
	end[n-1]++
	return end
}

// raisable returns how long prefix is up to its last byte that is not ff.
func raisable(prefix []byte) int {
	n := len(prefix)
	for n > 0 && prefix[n-1] == 0xff {
		n--
	}
	return n
}

// SplitEntryKey takes apart a key of the space attributes that AppendUniqueKey
// (unique) or AppendEntryKey made. The parts share the memory of key; userID is
// nil if unique. ok is false if no such call makes that key: the name is empty
// or ends nowhere, the value is no encoded value, something follows a unique
// one or no user id follows another.
func SplitEntryKey(key []byte, unique bool) (name, value, userID []byte, ok bool) {
	name, rest, ok := bytes.Cut(key, []byte{0})
	if !ok || len(name) == 0 {
		return nil, nil, nil, false
	}
	n, ok := indexValueLen(rest)
	if !ok || unique != (n == len(rest)) {
		return nil, nil, nil, false
	}
	if unique {
		return name, rest, nil, true
	}
	return name, rest[:n], rest[n:], true
}
