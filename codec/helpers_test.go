package codec

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A sample is a record with everything that the tests of all records need.
type sample struct {
	name    string
	space   string
	key     string
	record  any // the type itself, not a pointer
	value   []byte
	decode  func(key, value []byte) (any, error)
	encode  func(record any, key string) []byte
	version byte
	fields  []any // as a MessagePack decoder reads them, the header left out
}

func digest(first byte) (d [32]byte) {
	for i := range d {
		d[i] = first + byte(i)
	}
	return d
}

// anyOf makes decoders of different types alike.
func anyOf[T any](v T, err error) (any, error) { return v, err }

var (
	sampleAttributes = mustAttributes(map[string]any{
		"ip": "192.0.2.7", "agent": "Mozilla/5.0 (X11; Linux x86_64)", "n": 300, "x": nil,
	})
	sampleMap = map[string]any{"ip": "192.0.2.7", "agent": "Mozilla/5.0 (X11; Linux x86_64)", "n": int64(300), "x": nil}

	sampleOwner = Owner{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9}
	sampleTime  = int64(1_760_000_000_000)

	sampleSession = Session{
		Key: sampleKey(1), UserID: madeUser, Family: sampleKey(2).OwnID(), SecretHash: digest(1), Epoch: 3,
		Flags: SessionPersistent | 0x80, Methods: 0x0102,
		ActiveUntil: 1_760_086_400_000, IdleUntil: 1_760_001_296_000, AbsoluteUntil: 1_767_776_000_000,
		AuthTime: 1_759_999_999_999, LastUsedAt: 1_760_000_000_001,
		Attributes: sampleAttributes,
	}
	sampleSessionAlone = Session{
		Key: sampleKey(3), UserID: madeUser, SecretHash: digest(1), Epoch: 3,
		ActiveUntil: 1_760_086_400_000, IdleUntil: 1_761_000_000_000, AbsoluteUntil: Never,
		AuthTime: sampleTime, LastUsedAt: sampleTime,
	}
	sampleSessionImported = Session{
		Key: sampleKey(4), UserID: "auth0|5f7c8ec7c33c6c004bbafe82", SecretHash: digest(1), Epoch: 1<<32 - 1,
		ActiveUntil: sampleTime + MaxOffset, IdleUntil: sampleTime, AbsoluteUntil: sampleTime,
		AuthTime: sampleTime - MaxOffset, LastUsedAt: sampleTime + 1, Attributes: sampleAttributes,
	}
	sampleFamily = Family{
		Key: sampleKey(2), UserID: madeUser, Session: sampleKey(1).OwnID(), FamilyHash: digest(2), Current: digest(40),
		Previous: digest(80), Epoch: 3, Flags: SessionPersistent, Methods: 0x8001, Generation: 7,
		IdleUntil: 1_762_592_000_000, AbsoluteUntil: 1_767_776_000_000, AuthTime: 1_759_000_000_000,
		RotatedAt: 1_760_003_600_000, RevokedAt: 1_760_003_600_500, Attributes: sampleAttributes,
		ForeignRun: 2, Repeats: 70_000, Nonce: [16]byte([]byte("0123456789abcdef")), KeyID: "2026-11", Client: [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
	}
	sampleFamilyFresh = Family{
		Key: sampleKey(5), UserID: madeUser, Session: sampleKey(1).OwnID(), FamilyHash: digest(2), Current: digest(40), Epoch: 3,
		IdleUntil: 1_762_592_000_000, AbsoluteUntil: 1_767_776_000_000, AuthTime: sampleTime, RotatedAt: sampleTime, RevokedAt: Never,
	}
	sampleOneTime = OneTimeToken{
		Key: sampleKey(6), UserID: madeUser,
		Purpose: "password-reset", SecretHash: digest(120), Epoch: 1 << 31, Flags: 4,
		ExpiresAt: 1_760_003_600_000, CredentialVersion: 1<<63 - 5, Data: []byte("new@example.com\x00\xff"),
	}
	sampleFactor = Factor{
		Key: sampleKey(7), UserID: madeUser, Epoch: 3, Flags: 2, Type: 1, Counter: 58_666_666, ExpiresAt: Never, UsedAt: sampleTime + 500,
		Name: "Phone №2", Secret: "$sealed$2026-11$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v",
	}
	sampleFactorCodes = Factor{
		Key: sampleKey(8), UserID: "auth0|5f7c8ec7c33c6c004bbafe82", Hash: digest(9), Epoch: 1, Type: 2, ExpiresAt: sampleTime + 900_000, UsedAt: sampleTime,
		Codes: slices.Concat(digestBytes(10), digestBytes(20)),
	}
	samplePasskey = Factor{
		Key: sampleKey(9), UserID: madeUser, Hash: digest(11), Epoch: 1, Flags: 3, Type: 3, Counter: 7, ExpiresAt: Never, UsedAt: sampleTime + 1,
		Name: "Key", Passkey: (&Passkey{Spent: 1 << 62, AAGUID: [16]byte{1, 2}, CredentialID: digestBytes(12), PublicKey: digestBytes(13), Transports: "internal,hybrid"}).Append(nil),
	}
	sampleEvent = Event{
		Key: MakeOwnedKey(sampleOwner, NewEventID(sampleTime, 1, 2, [2]byte{3, 4})), UserID: madeUser, Kind: 12, Actor: 1, Methods: 0x8001,
		Count: 3, Last: sampleTime + 60_000, Subject: sampleKey(1).OwnID(), Client: [16]byte{10: 0xff, 11: 0xff, 12: 192, 14: 2, 15: 7}, Detail: "email",
	}
	sampleEventIPv6 = Event{
		Key: sampleEvent.Key, UserID: "auth0|5f7c8ec7c33c6c004bbafe82", Kind: 21, Count: 1, Last: sampleTime, Client: [16]byte{0x20, 1, 0xd, 0xb8, 15: 1},
	}
	sampleOutboxEntry = OutboxEntry{Position: 1 << 40, Kind: 5, Actor: 2, Event: sampleEvent.Key, UserID: madeUser}
	sampleOutboxHead  = OutboxHead{First: 3, Next: 1 << 50, Consumers: 2}
	sampleDevice      = Device{
		Key: sampleKey(7), UserID: madeUser, SecretHash: digest(130), Epoch: 3, Flags: 4,
		LastUsedAt: 1_760_086_400_000, ExpiresAt: 1_775_638_400_000, TrustedUntil: 1_762_678_400_000, Attributes: sampleAttributes,
	}
	sampleAPIKey = APIKey{
		Key: sampleKey(7), UserID: madeUser, Name: "nightly backup №2", Scopes: []string{"backup:read", "files"},
		SecretHash: digest(150), Epoch: 9, Flags: 1, ExpiresAt: 1_767_776_000_000, LastUsedAt: 1_760_003_600_000,
	}
	sampleUser = User{
		ID: "usr_01j9zk3m4n5p6q7r8s9t0v1w2y", CreatedAt: 1_760_000_000_000, UpdatedAt: 1_760_000_000_500,
		CredentialVersion: 4, DisabledAt: 1_760_000_000_400, DisabledReason: "abuse, ticket №7",
		PasswordHash:      "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
		PasswordChangedAt: 1_760_000_000_300, HashClass: 2, Flags: 9,
		Identities: []Identity{
			{Provider: "email", Key: "ada@example.com", Identifier: "Ada@Example.com", LinkedAt: 1_760_000_000_000},
			{Provider: "github", Key: "583231", Identifier: "583231", LinkedAt: 1_760_000_000_200},
		},
		Entries: []IndexEntry{
			{Name: "nick", Value: mustIndexValue("ada"), Unique: true},
			{Name: "age", Value: mustIndexValue(int64(36))},
		},
		Attributes: sampleAttributes,
	}
	sampleUserRoles = User{ID: "u", CreatedAt: 1, Roles: []string{"admin", "support"}}
	sampleUserGuest = User{ID: "g", CreatedAt: 1, GuestSeenAt: 1_760_000_000_000}

	sampleUserGuestRoles = User{ID: "g", CreatedAt: 1, GuestSeenAt: -1, Roles: []string{"trial"}}

	sampleFormat       = Format{Application: "snib", Version: 2, MinReader: 2, CreatedAt: 1_760_000_000_000, Unicode: "15.0.0"}
	sampleState        = State{Epoch: 1, Floor: 1_760_000_000_000, Declarations: 12}
	sampleStateKeys    = State{Epoch: 1, Floor: 1_760_000_000_000, Declarations: 12, Keys: 7, Sealed: 1}
	sampleDeclarations = Declarations{
		Indexes:   []Index{{Name: "age"}, {Name: "nick", Unique: true, Fold: true}},
		Providers: []Provider{{"email", "email"}, {"username", "username"}},
		Version:   12,
	}
	sampleDeclarationsOwned = Declarations{
		Providers: []Provider{{"email", "email"}}, Version: 13, Owned: []string{"Memberships", "notes"},
	}
	sampleInvitation = Invitation{
		Key: sampleKey(9), SecretHash: [32]byte{1, 2, 31: 3}, Epoch: 7, ExpiresAt: 1_760_000_000_000, Provider: "email",
		Folded: "ada@example.com", Identifier: "Ada@example.com", Roles: []string{"billing", "support"}, Attributes: sampleSession.Attributes,
	}
	sampleLeaving  = Leaving{ID: madeUser, LeftAt: 1_760_000_000_000, Buckets: []string{"Memberships", "notes"}}
	sampleOwnerKey = OwnerKey{Key: digest(200)}
	sampleLease    = Lease{Holder: [16]byte{1, 2, 3, 15: 16}, Until: 1_760_000_000_000}
	sampleOwned    = OwnedSpaces{Names: []string{"one_time_tokens", "passkeys2", "refresh_families", "sessions"}}
	sampleSealKeys = SealKeys{Keys: []SealKey{{ID: "2026-11", Canary: digest(210), Uses: 1}, {ID: "k", Canary: digest(220)}}, Version: 7}
	sampleMoving   = Moving{Export: [16]byte{1, 2, 3, 15: 16}, Frames: 1 << 40}
	sampleRef      = UserRef{UserID: "usr_01j9zk3m4n5p6q7r8s9t0v1w2y"}
)

// samples returns one record of every kind, and the least one of those that
// have optional parts.
func samples() []sample {
	identity := string(AppendPair(nil, "email", "ada@example.com"))
	unique := string(AppendUniqueKey(nil, "nick", mustIndexValue("ada")))
	list := []sample{
		sessionSample("session", sampleSession), sessionSample("session_alone", sampleSessionAlone),
		sessionSample("session_imported", sampleSessionImported), sessionSample("session_least", Session{}),
		familySample("family", sampleFamily), familySample("family_fresh", sampleFamilyFresh), familySample("family_least", Family{}),
		oneTimeSample("one_time_token", sampleOneTime), oneTimeSample("one_time_token_least", OneTimeToken{}),
		factorSample("factor", sampleFactor), factorSample("factor_codes", sampleFactorCodes), factorSample("factor_least", Factor{}), factorSample("factor_passkey", samplePasskey),
		outboxSample("outbox_entry", sampleOutboxEntry), outboxSample("outbox_entry_least", OutboxEntry{}),
		{
			name: "outbox_head", space: SpaceOutbox, key: "\xff\xff\xff\xff\xff\xff\xff\xff", record: sampleOutboxHead,
			decode: func(k, v []byte) (any, error) {
				if n, ok := ParsePosition(k); !ok || n != OutboxHeadKey {
					return OutboxHead{}, ErrCorrupt
				}
				return anyOf(DecodeOutboxHead(v))
			},
			encode: func(r any, _ string) []byte { x := r.(OutboxHead); return x.Append(nil) },
			fields: []any{uint64(3), uint64(1 << 50), uint32(2)},
		},
		{
			name: "cursor", space: SpaceCursors, key: "mail", record: Cursor{Position: 1 << 60},
			decode: func(k, v []byte) (any, error) { return anyOf(DecodeCursor(k, v)) },
			encode: func(r any, key string) []byte { x := r.(Cursor); return x.Append(nil, key) },
			fields: []any{uint64(1 << 60)},
		},
		deviceSample("device", sampleDevice), deviceSample("device_least", Device{}),
		apiKeySample("api_key", sampleAPIKey), apiKeySample("api_key_least", APIKey{ExpiresAt: Never, LastUsedAt: Never}),
		userSample("user", sampleUser), userSample("user_roles", sampleUserRoles), userSample("user_guest", sampleUserGuest), userSample("user_guest_roles", sampleUserGuestRoles), userSample("user_least", User{ID: "u"}),
		userSample("user_verified", User{ID: "u", Identities: []Identity{
			{Provider: "username", Key: "ada", Identifier: "Ada", LinkedAt: 1_760_000_000_000},
			{Provider: "email", Key: "a@x", Identifier: "A@x", LinkedAt: 1_760_000_000_000, VerifiedAt: 1_760_000_000_500},
		}}),
		refSample("user_ref_identity", SpaceIdentities, identity), refSample("user_ref_attribute", SpaceAttributes, unique),
		metaSample("format", KeyFormat, sampleFormat, func(r any) []byte { x := r.(Format); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeFormat(v)) },
			"snib", uint64(2), uint64(2), int64(1_760_000_000_000), "15.0.0"),
		metaSample("state", KeyState, sampleState, func(r any) []byte { x := r.(State); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeState(v)) },
			uint32(1), int64(1_760_000_000_000), uint64(12)),
		metaSample("state_keys", KeyState, sampleStateKeys, func(r any) []byte { x := r.(State); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeState(v)) },
			uint32(1), int64(1_760_000_000_000), uint64(12), uint64(7), uint64(1)),
		metaSample("declarations", KeyDeclarations, sampleDeclarations, func(r any) []byte { x := r.(Declarations); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) },
			[]any{[]any{"age", false, false}, []any{"nick", true, true}}, []any{[]any{"email", "email"}, []any{"username", "username"}}, uint64(12)),
		metaSample("declarations_least", KeyDeclarations, Declarations{Version: 1}, func(r any) []byte { x := r.(Declarations); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) }, []any{}, []any{}, uint64(1)),
		metaSample("declarations_owned", KeyDeclarations, sampleDeclarationsOwned, func(r any) []byte { x := r.(Declarations); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) },
			[]any{}, []any{[]any{"email", "email"}}, uint64(13), []any{"Memberships", "notes"}),
		invitationSample("invitation", sampleInvitation), invitationSample("invitation_least", Invitation{}),
		leavingSample("leaving", sampleLeaving), leavingSample("leaving_imported", Leaving{ID: "u 1|~", Buckets: []string{strings.Repeat("b", 64)}}),
		metaSample("owner_key", KeyOwners, sampleOwnerKey, func(r any) []byte { x := r.(OwnerKey); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeOwnerKey(v)) }, sampleOwnerKey.Key[:]),
		metaSample("seal_keys", KeySealKeys, sampleSealKeys, func(r any) []byte { x := r.(SealKeys); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeSealKeys(v)) },
			[]any{[]any{"2026-11", sampleSealKeys.Keys[0].Canary[:], uint64(1)}, []any{"k", sampleSealKeys.Keys[1].Canary[:], uint64(0)}}, uint64(7)),
		metaSample("moving", KeyMoving, sampleMoving, func(r any) []byte { x := r.(Moving); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeMoving(v)) }, sampleMoving.Export[:], uint64(1<<40)),
		metaSample("owned_spaces", KeyOwnedSpaces, sampleOwned, func(r any) []byte { x := r.(OwnedSpaces); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeOwnedSpaces(v)) },
			[]any{"one_time_tokens", "passkeys2", "refresh_families", "sessions"}),
		metaSample("lease", KeySweepLease, sampleLease, func(r any) []byte { x := r.(Lease); return x.Append(nil, KeySweepLease) },
			func(v []byte) (any, error) { return anyOf(DecodeLease(KeySweepLease, v)) }, sampleLease.Holder[:], int64(1_760_000_000_000)),
		metaSample("owned_spaces_least", KeyOwnedSpaces, OwnedSpaces{}, func(r any) []byte { x := r.(OwnedSpaces); return x.Append(nil) },
			func(v []byte) (any, error) { return anyOf(DecodeOwnedSpaces(v)) }, []any{}),
	}
	list = append(list, eventSamples()...)
	for i := range list {
		list[i].version = 1
		if slices.Contains([]string{SpaceSessions, SpaceFamilies, SpaceOneTime, SpaceDevices, SpaceAPIKeys, SpaceFactors, SpaceEvents}, list[i].space) || list[i].key == KeyState {
			list[i].version = 2
		}
		list[i].value = list[i].encode(list[i].record, list[i].key)
	}
	return list
}

func attributesOf(raw string) map[string]any {
	if raw == "" {
		return map[string]any{}
	}
	return map[string]any{"ip": "192.0.2.7", "agent": "Mozilla/5.0 (X11; Linux x86_64)", "n": uint16(300), "x": nil}
}

func sessionSample(name string, s Session) sample {
	made := s.Key.Time()
	fixed := packed(s.SecretHash, s.Epoch, s.Flags, s.Methods,
		offset(made, s.ActiveUntil), offset(made, s.IdleUntil), offset(made, s.AbsoluteUntil), offset(s.AuthTime, made), offset(made, s.LastUsedAt))
	return sample{
		name: name, space: SpaceSessions, key: string(s.Key[:]), record: s,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeSession(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Session); return x.Append(nil) },
		fields: []any{fixed, userOf(s.UserID), present(s.Family[:]), attributesOf(s.Attributes)},
	}
}

func familySample(name string, f Family) sample {
	made := f.Key.Time()
	fixed := packed(f.FamilyHash, f.Epoch, f.Flags, f.Methods, f.Current, f.Generation,
		offset(made, f.IdleUntil), offset(made, f.AbsoluteUntil), offset(f.AuthTime, made), offset(made, f.RotatedAt), offset(made, f.RevokedAt), f.ForeignRun)
	return sample{
		name: name, space: SpaceFamilies, key: string(f.Key[:]), record: f,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeFamily(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Family); return x.Append(nil) },
		fields: []any{fixed, userOf(f.UserID), present(f.Session[:]), present(f.Previous[:]),
			attributesOf(f.Attributes), f.Repeats, present(f.Nonce[:]), f.KeyID, present(f.Client[:])},
	}
}

func oneTimeSample(name string, o OneTimeToken) sample {
	fixed := packed(o.SecretHash, o.Epoch, o.Flags, offset(o.Key.Time(), o.ExpiresAt), o.CredentialVersion)
	return sample{
		name: name, space: SpaceOneTime, key: string(o.Key[:]), record: o,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeOneTimeToken(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(OneTimeToken); return x.Append(nil) },
		fields: []any{fixed, userOf(o.UserID), o.Purpose, append([]byte{}, o.Data...)},
	}
}

func factorSample(name string, x Factor) sample {
	made := x.Key.Time()
	fixed := packed(x.Hash, x.Epoch, x.Flags, x.Type, x.Counter, offset(made, x.ExpiresAt), offset(made, x.UsedAt))
	s := sample{
		name: name, space: SpaceFactors, key: string(x.Key[:]), record: x,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeFactor(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Factor); return x.Append(nil) },
		fields: []any{fixed, userOf(x.UserID), x.Name, x.Secret, append([]byte{}, x.Codes...)},
	}
	if x.Passkey != nil {
		s.fields = append(s.fields, x.Passkey)
	}
	return s
}

func digestBytes(n byte) []byte { d := digest(n); return d[:] }

func outboxSample(name string, o OutboxEntry) sample {
	return sample{
		name: name, space: SpaceOutbox, key: string(binary.BigEndian.AppendUint64(nil, o.Position)), record: o,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeOutboxEntry(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(OutboxEntry); return x.Append(nil) },
		fields: []any{packed(o.Kind, o.Actor, o.Event), o.UserID},
	}
}

func deviceSample(name string, d Device) sample {
	made := d.Key.Time()
	fixed := packed(d.SecretHash, d.Epoch, d.Flags, offset(made, d.LastUsedAt), offset(made, d.ExpiresAt), offset(made, d.TrustedUntil))
	return sample{
		name: name, space: SpaceDevices, key: string(d.Key[:]), record: d,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeDevice(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Device); return x.Append(nil) },
		fields: []any{fixed, userOf(d.UserID), attributesOf(d.Attributes)},
	}
}

func apiKeySample(name string, k APIKey) sample {
	scopes := []any{}
	for _, s := range k.Scopes {
		scopes = append(scopes, s)
	}
	made := k.Key.Time()
	fixed := packed(k.SecretHash, k.Epoch, k.Flags, offset(made, k.ExpiresAt), offset(made, k.LastUsedAt))
	return sample{
		name: name, space: SpaceAPIKeys, key: string(k.Key[:]), record: k,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeAPIKey(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(APIKey); return x.Append(nil) },
		fields: []any{fixed, userOf(k.UserID), k.Name, scopes},
	}
}

// madeUser has the form of the ids that the library makes.
const madeUser = "usr_01j9zk3m4n5p6q7r8s9t0v1w2w"

// sampleKey returns the n-th key of one owner and one millisecond.
func sampleKey(n byte) OwnedKey {
	return MakeOwnedKey(sampleOwner, NewOwnID(sampleTime, [4]byte{0xf1, 0xf2, 0xf3, n}))
}

// What the format says of fixed fields, users and absent bytes, written without
// the package's own functions.

// packed joins fields big-endian.
func packed(fields ...any) (b []byte) {
	for _, f := range fields {
		b = must(binary.Append(b, binary.BigEndian, f))
	}
	return b
}

// offset returns the 5 bytes that count from one time to another.
func offset(from, to int64) [5]byte {
	if to == math.MaxInt64 {
		return [5]byte{0xff, 0xff, 0xff, 0xff, 0xff}
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(to-from))
	return [5]byte(b[3:])
}

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// userOf returns what a MessagePack decoder reads for a user.
func userOf(id string) any {
	if id == madeUser {
		return must(crockford.DecodeString(id[4:]))
	}
	return id
}

// present returns nothing for bytes that are all zero.
func present(b []byte) []byte {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return []byte{}
	}
	return b
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func invitationSample(name string, i Invitation) sample {
	roles := []any{}
	for _, role := range i.Roles {
		roles = append(roles, role)
	}
	return sample{
		name: name, space: SpaceInvitations, key: string(i.Key[:]), record: i,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeInvitation(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Invitation); return x.Append(nil) },
		fields: []any{i.SecretHash[:], i.Epoch, i.ExpiresAt, i.Provider, i.Folded, i.Identifier, roles, attributesOf(i.Attributes)},
	}
}

func leavingSample(name string, l Leaving) sample {
	buckets := []any{}
	for _, name := range l.Buckets {
		buckets = append(buckets, name)
	}
	return sample{
		name: name, space: SpaceLeaving, key: l.ID, record: l,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeLeaving(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(Leaving); return x.Append(nil) },
		fields: []any{l.LeftAt, buckets},
	}
}

func userSample(name string, u User) sample {
	identities, entries := []any{}, []any{}
	for _, x := range u.Identities {
		parts := []any{x.Provider, x.Key, x.Identifier, x.LinkedAt}
		if x.VerifiedAt != 0 {
			parts = append(parts, x.VerifiedAt)
		}
		identities = append(identities, parts)
	}
	for _, e := range u.Entries {
		entries = append(entries, []any{e.Name, []byte(e.Value), e.Unique})
	}
	var roles []any
	for _, role := range u.Roles {
		roles = append(roles, role)
	}
	s := sample{
		name: name, space: SpaceUsers, key: u.ID, record: u,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeUser(k, v)) },
		encode: func(r any, _ string) []byte { x := r.(User); return x.Append(nil) },
		fields: []any{u.CreatedAt, u.UpdatedAt, u.CredentialVersion, u.DisabledAt, u.PasswordChangedAt,
			u.HashClass, u.Flags, u.PasswordHash, u.DisabledReason, identities, entries, attributesOf(u.Attributes)},
	}
	if u.GuestSeenAt != 0 && roles == nil {
		roles = []any{}
	}
	if roles != nil {
		s.fields = append(s.fields, roles)
	}
	if u.GuestSeenAt != 0 {
		s.fields = append(s.fields, u.GuestSeenAt)
	}
	return s
}

func refSample(name, space, key string) sample {
	return sample{
		name: name, space: space, key: key, record: sampleRef,
		decode: func(k, v []byte) (any, error) { return anyOf(DecodeUserRef(space, k, v)) },
		encode: func(r any, key string) []byte { x := r.(UserRef); return x.Append(nil, space, []byte(key)) },
		fields: []any{sampleRef.UserID},
	}
}

func metaSample(name, key string, record any, encode func(any) []byte, decode func([]byte) (any, error), fields ...any) sample {
	return sample{
		name: name, space: SpaceMeta, key: key, record: record, fields: fields,
		decode: func(_, v []byte) (any, error) { return decode(v) },
		encode: func(r any, _ string) []byte { return encode(r) },
	}
}

// reseal puts the right checksum into a value that a test has changed, by the
// words of the format and not by the package's own function.
func reseal(space, key string, value []byte) []byte {
	var covered strings.Builder
	covered.WriteString(space)
	covered.WriteByte(0)
	covered.WriteString(key)
	covered.Write(value[0:3])
	covered.Write(value[8:])
	crc := crc32.Checksum([]byte(covered.String()), crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(value[4:8], crc)
	return value
}

// with returns a copy of value with more elements behind it and a right
// checksum.
func (s sample) with(elements ...byte) []byte {
	v := append(append([]byte{}, s.value...), elements...)
	return v
}

// counted sets the number of elements and the checksum of a value.
func (s sample) counted(value []byte, n int) []byte {
	binary.BigEndian.PutUint16(value[1:3], uint16(n))
	return reseal(s.space, s.key, value)
}

// count is the number of elements of the record as it was written.
func (s sample) count() int { return int(binary.BigEndian.Uint16(s.value[1:3])) }

func mustAttributes(m map[string]any) string {
	b, err := AppendAttributes(nil, m, Bounds{})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func mustIndexValue(v any) string {
	b, err := AppendIndexValue(nil, v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// same compares decoded values; times by what they are, not only by instant.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

func show(v any) string {
	if tm, ok := v.(time.Time); ok {
		return fmt.Sprintf("%v (%#v)", tm, tm)
	}
	s := fmt.Sprintf("%#v", v)
	return s[:min(len(s), 4000)]
}

// isZero reports whether a decoder returned nothing but its type.
func isZero(v any) bool { return reflect.ValueOf(v).IsZero() }
