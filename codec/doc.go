// Package codec turns the records of an account file into bytes and back:
// MessagePack records under a checksum, canonical attributes, and keys that
// sort. It is pure: no input or output, no clock, no randomness. Programs that
// use the library do not need it; tools that read a file without the library
// may. The bytes are promised, the Go API is not: it may change in any release.
//
// # Promises
//
//   - Bytes are frozen per version. The encoding of a value stays the same for
//     ever; golden files in its tests hold that.
//   - A decoder returns the written value or an error, and with an error the
//     zero value: [ErrCorrupt] for anything that this package does not write
//     under that key, [ErrNewer] for a whole record of a later version.
//   - Decoded values are the caller's own. Input may be memory that the engine
//     maps and takes back; it is copied, once, and not changed. All strings of
//     one record share that copy, so keeping one keeps the whole of it. Only
//     views read in place: [SessionView], [FamilyView], [OneTimeView],
//     [DeviceView].
//   - Time and memory are bounded by the length of the input, not by lengths
//     that it claims. No decoder of another library sees bytes that were not
//     checked.
//   - All functions are safe for concurrent use.
//
// # Records
//
// Every value is one MessagePack array, which any decoder reads:
//
//	offset 0  dc nn nn     array16: how many elements follow
//	       3  ce + 4       CRC-32C (Castagnoli) of: the name of the space, 00,
//	                       the key, bytes 0–2 of the value, bytes 8–end
//	       8  1 byte       version of the record, a positive fixint
//	       9  …            fields
//
// The checksum covers the space and the key as well, so that a value in the
// wrong place is as wrong as a damaged one. It finds damage, which bbolt's
// pages do not; it is no protection against an attacker with write access.
//
// A reader verifies the checksum first, then refuses a version above its own
// ([ErrNewer]). Fields are only ever appended. Elements behind the known ones
// come from a newer program and are skipped, and are lost when an older program
// replaces the record; a change that must not be lost so raises the version
// instead, or [Format].MinReader.
//
// Fields have one form each, and a reader accepts no other:
//
//	uint64      cf + 8 bytes, big-endian
//	uint32      ce + 4 bytes
//	int64       d3 + 8 bytes; times are Unix milliseconds, 0 is unset
//	bool        c2 or c3
//	text        d9 + 1, da + 2 or db + 4 bytes of length, the shortest, + UTF-8
//	binary      c4 + 1, c5 + 2 or c6 + 4 bytes of length, the shortest, + bytes
//	optional    c4 n + n bytes that are not all zero, or c4 00 for zeros: absent
//	list        dc + 2 bytes of length + elements; of tuples, each is 90 + number
//	            of parts, then the parts
//	attributes  a map, see below
//
// The types say where their fields are: [Session], [Family], [OneTimeToken],
// [Device], [APIKey], [User], [UserRef], [Format], [State], [Declarations], [OwnerKey],
// [OwnedSpaces].
//
// Append cannot fail. The caller must have checked the fields (lengths, valid
// UTF-8, numbers of list elements), and attributes must come from
// [AppendAttributes]: a record with other ones is written, and is ErrCorrupt
// when it is read.
//
// # Owned records
//
// Records that belong to a user lie under an [OwnedKey]: the [Owner] of the
// user, then an [OwnID] that begins with the time of creation. Their fields of
// fixed width are packed into one byte string, the first element, so that the
// ones that decide about a session lie at fixed offsets, and reading them
// compares a few bytes and calls no decoder. Times there are 5 bytes, relative
// to the time in the key; see [MaxOffset] and [Never]. The second element names
// the user: 16 bytes for an id made by the library, text for any other.
//
// View… verifies a record and reads it in place, without an allocation: enough
// to compare the user and the secret, and to rank by deadlines. Decode copies
// the whole record.
//
// # Attributes
//
// [Canonical] brings a program's values to nine types, [AppendAttributes]
// encodes a map of them and [DecodeAttributes] gives it back. Numbers take
// their shortest form, float64 always cb, texts and containers their shortest,
// times the timestamp extension; names are sorted at every level. Thus equal
// attributes are equal bytes, and [Check] accepts exactly these bytes. See
// [Check] for why nothing else may reach a MessagePack decoder.
//
// # Keys
//
// Keys are ordered bytewise. [MakeOwnedKey] joins an owner and an id,
// [AppendPair] two texts, [AppendUniqueKey] and [AppendEntryKey] the name and
// value of an attribute, where [AppendIndexValue] gives values a form that
// sorts. Distinct tuples have distinct keys, and [Owner.AppendRange],
// [PairRange] and [EntryRange] hold the keys of one tuple and of no other.
package codec
