package codec

// User is a record of the space users; its key is ID. Times are Unix
// milliseconds, 0 is unset.
//
//	offset  9  d3 + 8  CreatedAt
//	       18  d3 + 8  UpdatedAt
//	       27  cf + 8  CredentialVersion
//	       36  d3 + 8  DisabledAt
//	       45  d3 + 8  PasswordChangedAt
//	       54  cf + 8  HashClass
//	       63  cf + 8  Flags
//	       72  text    PasswordHash, then text DisabledReason,
//	                   dc + 2 + Identities, dc + 2 + Entries, Attributes,
//	                   then dc + 2 + Roles, each a text, if there are any
//	            or the user is a guest, then of a guest d3 + 8 GuestSeenAt
type User struct {
	ID                string // the key; not in the value
	CreatedAt         int64
	UpdatedAt         int64
	CredentialVersion uint64 // 63 random bits at first; raised by one, never set back
	DisabledAt        int64  // 0 is enabled
	DisabledReason    string
	PasswordHash      string // canonical hash string; "" is no password
	PasswordChangedAt int64
	HashClass         uint64       // given no meaning here
	Flags             uint64       // given no meaning here
	Identities        []Identity   // the primary one first; may be nil
	Entries           []IndexEntry // the keys that the record owns in the space attributes
	Attributes        string       // as AppendAttributes made them; "" is no attributes
	Roles             []string     // nil without any
	GuestSeenAt       int64        // 0: no guest
}

// Identity is a way to name a user: 94, text Provider, text Key, text
// Identifier, d3 + 8 LinkedAt; or 95, with d3 + 8 VerifiedAt at the end, which
// is not 0.
type Identity struct {
	Provider   string
	Key        string // the identifier folded, as in the space identities
	Identifier string // as it was given
	LinkedAt   int64
	VerifiedAt int64 // 0 is not verified
}

// IndexEntry is one key of the space attributes: 93, text Name, binary Value,
// c3 or c2 for Unique. A record lists the entries that it owns, so that they
// can be removed even after the rules for making them have changed.
type IndexEntry struct {
	Name   string
	Value  string // the bytes that AppendIndexValue made
	Unique bool   // how the key is formed: AppendUniqueKey or AppendEntryKey
}

const (
	offUserHash   = offFields + 7*9
	identityParts = 4
	identityBytes = 1 + 3*2 + 9 // the least that one takes
	entryParts    = 3
	entryBytes    = 1 + 2*2 + 1
	roleBytes     = 2
)

var userLayout = layout{seed(SpaceUsers), 1, 12}

// Append appends the value of r to dst.
func (r *User) Append(dst []byte) []byte {
	dst = grow(dst, r.size())
	start, l := len(dst), userLayout
	roles, guest := len(r.Roles) > 0 || r.GuestSeenAt != 0, r.GuestSeenAt != 0
	if roles {
		l.fields++
	}
	if guest {
		l.fields++
	}
	dst = begin(dst, l)
	dst = appendInt64(dst, r.CreatedAt)
	dst = appendInt64(dst, r.UpdatedAt)
	dst = appendUint64(dst, r.CredentialVersion)
	dst = appendInt64(dst, r.DisabledAt)
	dst = appendInt64(dst, r.PasswordChangedAt)
	dst = appendUint64(dst, r.HashClass)
	dst = appendUint64(dst, r.Flags)
	dst = appendText(dst, r.PasswordHash)
	dst = appendText(dst, r.DisabledReason)
	dst = appendList(dst, len(r.Identities))
	for i := range r.Identities {
		dst = r.Identities[i].append(dst)
	}
	dst = appendList(dst, len(r.Entries))
	for i := range r.Entries {
		dst = r.Entries[i].append(dst)
	}
	dst = appendAttributes(dst, r.Attributes)
	if roles {
		dst = appendList(dst, len(r.Roles))
		for _, role := range r.Roles {
			dst = appendText(dst, role)
		}
	}
	if guest {
		dst = appendInt64(dst, r.GuestSeenAt)
	}
	return seal(dst, start, l, r.ID)
}

func (x *Identity) append(dst []byte) []byte {
	parts := identityParts
	if x.VerifiedAt != 0 {
		parts++
	}
	dst = appendTuple(dst, parts)
	dst = appendText(dst, x.Provider)
	dst = appendText(dst, x.Key)
	dst = appendText(dst, x.Identifier)
	dst = appendInt64(dst, x.LinkedAt)
	if x.VerifiedAt != 0 {
		dst = appendInt64(dst, x.VerifiedAt)
	}
	return dst
}

func (e *IndexEntry) append(dst []byte) []byte {
	dst = appendTuple(dst, entryParts)
	dst = appendText(dst, e.Name)
	dst = appendBinary(dst, e.Value)
	return appendBool(dst, e.Unique)
}

// size is a little more than Append needs, the key of seal included.
func (r *User) size() int {
	n := offUserHash + len(r.PasswordHash) + len(r.DisabledReason) + len(r.Attributes) + len(r.ID) + 32
	for i := range r.Identities {
		x := &r.Identities[i]
		n += identityBytes + 2*9 + len(x.Provider) + len(x.Key) + len(x.Identifier)
	}
	for i := range r.Entries {
		n += entryBytes + 6 + len(r.Entries[i].Name) + len(r.Entries[i].Value)
	}
	for _, role := range r.Roles {
		n += roleBytes + len(role)
	}
	return n
}

// DecodeUser decodes the value of a user, with at most four allocations: the
// strings and the three lists. Errors are ErrCorrupt and ErrNewer.
func DecodeUser(key, value []byte) (User, error) {
	var u User
	err := u.Decode(key, value)
	return u, err
}

// Decode is DecodeUser into u, whose lists but Roles it uses again if they are
// long enough. After an error u is zero but for them.
func (u *User) Decode(key, value []byte) error {
	identities, entries := u.Identities[:0], u.Entries[:0]
	*u = User{Identities: identities, Entries: entries}
	extra, err := open(userLayout, key, value)
	if err != nil {
		return err
	}
	r := reader{value: value, off: offFields}
	*u = User{
		CreatedAt:         r.int64(),
		UpdatedAt:         r.int64(),
		CredentialVersion: r.uint64(),
		DisabledAt:        r.int64(),
		PasswordChangedAt: r.int64(),
		HashClass:         r.uint64(),
		Flags:             r.uint64(),
	}
	if r.bad {
		*u = User{Identities: identities, Entries: entries}
		return errStructure
	}
	// Copied before the rest is known to be good, because the lists hold
	// strings. The checksum has matched, so that this is hardly ever in vain.
	t := copyText(key, value, r.off, len(value))
	u.ID = t.id()
	u.PasswordHash, u.DisabledReason = t.at(r.text()), t.at(r.text())
	u.Identities = r.identities(t, identities)
	u.Entries = r.entries(t, entries)
	u.Attributes = t.attributes(r.attributes())
	if extra > 0 {
		u.Roles = r.roles(t, extra > 1)
		extra--
	}
	if extra > 0 {
		u.GuestSeenAt = r.int64()
		extra--
		r.bad = r.bad || extra == 0 && u.GuestSeenAt == 0 // not as Append writes it
	}
	if !r.finish(extra) {
		*u = User{Identities: identities, Entries: entries}
		return errStructure
	}
	return nil
}

// resize returns a list of n elements in the memory of spare if that is
// enough; nil stays nil at zero.
func resize[T any](spare []T, n int) []T {
	if n > cap(spare) {
		return make([]T, n)
	}
	return spare[:n]
}

func (r *reader) identities(t text, spare []Identity) []Identity {
	out := resize(spare, r.list(identityBytes))
	for i := range out {
		verified := r.longer(identityParts)
		out[i] = Identity{
			Provider:   t.at(r.text()),
			Key:        t.at(r.text()),
			Identifier: t.at(r.text()),
			LinkedAt:   r.int64(),
		}
		if verified {
			out[i].VerifiedAt = r.int64()
			r.bad = r.bad || out[i].VerifiedAt == 0 // not as Append writes it
		}
	}
	return out
}

// roles takes the list of a user with roles. Of others it is only written, empty,
// before the fields behind it.
func (r *reader) roles(t text, mayBeEmpty bool) []string {
	out := make([]string, r.list(roleBytes))
	for i := range out {
		out[i] = t.at(r.text())
	}
	if len(out) == 0 {
		r.bad = r.bad || !mayBeEmpty
		return nil
	}
	return out
}

func (r *reader) entries(t text, spare []IndexEntry) []IndexEntry {
	out := resize(spare, r.list(entryBytes))
	for i := range out {
		r.tuple(entryParts)
		out[i] = IndexEntry{
			Name:   t.at(r.text()),
			Value:  t.at(r.binary()),
			Unique: r.bool(),
		}
	}
	return out
}
