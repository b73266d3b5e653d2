package codec

import "strings"

// MaxSpaceName is how many bytes the name of an owned space has at most.
const MaxSpaceName = 64

// OwnedSpaces lists the owned spaces of a file, under KeyOwnedSpaces: those
// with an [OwnedKey] for a key. A program removes a user's records from each of
// them, including the spaces of a later program, which it cannot read.
//
//	offset 9  dc + 2 + Names, each a text
type OwnedSpaces struct {
	// Names are 1–64 of [a-z0-9_] each, strictly ascending, and all of owned
	// spaces. Anything else is damage when it is read.
	Names []string
}

var ownedSpacesLayout = layout{seedMeta(KeyOwnedSpaces), 1, 1}

// Append appends the value of r, whose key is KeyOwnedSpaces, to dst.
func (r *OwnedSpaces) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, ownedSpacesLayout)
	dst = appendList(dst, len(r.Names))
	for _, name := range r.Names {
		dst = appendText(dst, name)
	}
	return seal(dst, start, ownedSpacesLayout, "")
}

// DecodeOwnedSpaces decodes the value under KeyOwnedSpaces. Errors are
// ErrCorrupt and ErrNewer.
func DecodeOwnedSpaces(value []byte) (OwnedSpaces, error) {
	extra, err := open(ownedSpacesLayout, nil, value)
	if err != nil {
		return OwnedSpaces{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(nil, value, offFields, len(value))
	var out OwnedSpaces
	last := ""
	for range r.list(2) {
		name := t.at(r.text())
		if r.bad || name <= last || !ownableSpace(name) {
			return OwnedSpaces{}, errStructure
		}
		out.Names = append(out.Names, name)
		last = name
	}
	if !r.finish(extra) {
		return OwnedSpaces{}, errStructure
	}
	return out, nil
}

// ownableSpace reports whether name can be that of an owned space. A list that
// names the users would have them deleted by the range of another's owner.
func ownableSpace(name string) bool {
	switch name {
	case SpaceMeta, SpaceUsers, SpaceIdentities, SpaceAttributes, SpaceQuarantine, SpaceThrottle, SpaceLeaving, SpaceOutbox, SpaceCursors, SpaceRoles, SpaceInvitations, SpacePasskeys, "shadow": // the last is of trees that are built
		return false
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
	return len(name) <= MaxSpaceName && strings.Trim(name, letters) == ""
}
