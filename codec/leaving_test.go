package codec

import (
	"strings"
	"testing"
)

// TestBucketsHaveOneForm: names of buckets rise, are not empty and not long, in
// all records that have them, and so do roles of an invitation; a tombstone without a bucket says nothing.
func TestBucketsHaveOneForm(t *testing.T) {
	for name, buckets := range map[string][]string{
		"falling": {"b", "a"}, "twice": {"a", "a"}, "empty": {"", "a"}, "long": {strings.Repeat("a", MaxBucketName+1)}, "none": {},
	} {
		l := Leaving{ID: "u", Buckets: buckets}
		refused(t, leavingSample(name, l), []byte("u"), l.Append(nil), name)
		if i := (Invitation{Roles: buckets}); name != "none" {
			refused(t, invitationSample(name, i), i.Key[:], i.Append(nil), name)
		}
		d := Declarations{Version: 1, Owned: buckets}
		value := d.Append(nil)
		s := metaSample(name, KeyDeclarations, d, nil, func(v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) })
		if name == "none" { // the encoder leaves it out
			s.value = value
			value = s.counted(s.with(markArray16, 0, 0), s.count()+1)
		}
		refused(t, s, nil, value, name)
	}
}
