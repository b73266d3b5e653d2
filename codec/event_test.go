package codec

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// One event for each set of parts that may be missing.
func eventSamples() []sample {
	single := Event{Key: sampleEvent.Key, UserID: madeUser, Kind: 12, Methods: 1, Count: 1, Last: sampleTime, Client: sampleEvent.Client}
	logIn, older, olderAgain := single, single, sampleEvent
	logIn.Subject = sampleKey(1).OwnID()
	older.Subject = NewOwnID(sampleTime-1, [4]byte{1, 2, 3, 4})
	olderAgain.Subject = older.Subject
	again := single
	again.Count = 2
	return []sample{
		eventSample("event", sampleEvent), eventSample("event_ipv6", sampleEventIPv6), eventSample("event_least", Event{}),
		eventSample("event_log_in", logIn), eventSample("event_older_subject", older),
		eventSample("event_older_subject_several", olderAgain), eventSample("event_several", again),
	}
}

func eventSample(name string, e Event) sample {
	client := present(e.Client[:])
	if bytes.HasPrefix(client, []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff")) {
		client = client[12:]
	}
	fixed := packed(e.Kind, e.Actor, e.Methods)
	if at := e.Key[10:16]; bytes.Equal(e.Subject[:6], at) && !bytes.Equal(e.Subject[:], make([]byte, 10)) {
		fixed = append(fixed, e.Subject[6:]...)
	} else {
		fixed = append(fixed, present(e.Subject[:])...)
	}
	if e.Count != 1 || e.Last != e.Key.Time() {
		fixed = append(fixed, packed(e.Count, offset(e.Key.Time(), e.Last))...)
	}
	return sample{
		name: name, space: SpaceEvents, key: string(e.Key[:]), record: e,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeEvent(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Event); return x.Append(nil) },
		fields: []any{fixed, userOf(e.UserID), client, e.Detail},
	}
}

// The length of the fixed fields tells which there are, so each is written in one
// form only.
func TestEventsHaveOneForm(t *testing.T) {
	shapes := make(map[string]sample)
	for _, s := range samples() {
		if s.space == SpaceEvents {
			shapes[s.name] = s
		}
	}
	fixed := func(s sample, b string) []byte { // in the place of the fixed fields
		v := slices.Concat(s.value[:10], []byte{byte(len(b))}, []byte(b), s.value[11+int(s.value[10]):])
		return reseal(s.space, s.key, v)
	}
	const (
		head   = "\x00\x0c\x00\x00\x01"
		random = "\xf1\xf2\xf3\x01"
		two    = "\x00\x00\x00\x02\x00\x00\x00\x00\x00"
		one    = "\x00\x00\x00\x01\x00\x00\x00\x00\x00"
	)
	s := shapes["event_log_in"]
	at := s.key[10:16]
	zeros, older := strings.Repeat("\x00", 10), "\x00"+at[1:]+random
	for name, v := range map[string]string{
		"a subject with the time of the event":              head + at + random,
		"a subject with the time of the event, and several": head + at + random + two,
		"a subject of zeros":                                head + zeros,
		"a subject of zeros, and several":                   head + zeros + two,
		"one of several":                                    head + one,
		"one of several, with a subject":                    head + random + one,
		"one of several, with an older subject":             head + older + one,
		"a byte too many":                                   head + "\x00",
		"a byte too few":                                    head[:4],
		"no fields":                                         "",
		"longer than all of them":                           head + older + two + "\x00",
		"255 bytes":                                         head + strings.Repeat("x", 250),
	} {
		refused(t, s, []byte(s.key), fixed(s, v), name)
	}
	for name, v := range map[string]string{"": head, "subject": head + random, "older": head + older, "several": head + two, "both": head + random + two, "all": head + older + two} {
		if _, err := DecodeEvent([]byte(s.key), fixed(s, v)); err != nil {
			t.Errorf("%q: %v", name, err) // the tests above are of the form alone
		}
	}

	// All is zero in an event of the time 0: no subject, in any form.
	least := shapes["event_least"]
	refused(t, least, []byte(least.key), fixed(least, "\x00\x00\x00\x00\x00"+"\x00\x00\x00\x00"), "no subject, in the short form")
}

// An event as the version before wrote it is refused, and never read as another.
func TestEventsOfTheVersionBefore(t *testing.T) {
	for _, s := range samples() {
		e, ok := s.record.(Event)
		if !ok {
			continue
		}
		old := slices.Concat([]byte("\xdc\x00\x06\xce\x00\x00\x00\x00\x01\xc4\x18"),
			packed(e.Kind, e.Actor, e.Methods, e.Count, offset(e.Key.Time(), e.Last), e.Subject), s.value[11+int(s.value[10]):])
		refused(t, s, []byte(s.key), reseal(s.space, s.key, old), s.name)
	}
}

// What a log-in by a user with an id made here costs on the disk, by IPv4.
func TestSizeOfALogIn(t *testing.T) {
	for _, s := range samples() {
		if s.name == "event_log_in" && len(s.value) != 46 {
			t.Errorf("%d bytes, want 46", len(s.value))
		}
	}
}
