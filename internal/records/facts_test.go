package records

import (
	"reflect"
	"testing"

	"github.com/snibdb/snib/codec"
)

// withheld are the fields of records that no export has, and why.
var withheld = map[string]string{
	"User.ID": "the same in all", "User.PasswordHash": "a secret", "User.HashClass": "the algorithm tells", "User.Flags": "says only that there are second factors",
	"User.PasswordChangedAt": "with the password", "User.CredentialVersion": "a part of proofs",
	"User.Entries": "follows from the attributes", "Identity.Key": "follows from the identifier",
	"Session.Key": "the id", "Session.UserID": "the user", "Session.SecretHash": "a secret", "Session.Epoch": "of the file",
	"Family.Key": "the id", "Family.UserID": "the user", "Family.FamilyHash": "a secret", "Family.Current": "a secret", "Family.Previous": "a secret",
	"Family.Epoch": "of the file", "Family.ForeignRun": "follows from the clients", "Family.Nonce": "a secret", "Family.KeyID": "of the program",
	"Family.Client":    "a hash of a network",
	"OneTimeToken.Key": "the id", "OneTimeToken.UserID": "the user", "OneTimeToken.SecretHash": "a secret", "OneTimeToken.Epoch": "of the file",
	"APIKey.Key": "the id", "APIKey.UserID": "the user", "APIKey.SecretHash": "a secret", "APIKey.Epoch": "of the file", "APIKey.Flags": "reserved",
	"Factor.Key": "the id", "Factor.UserID": "the user", "Factor.Hash": "the credential", "Factor.Epoch": "of the file", "Factor.Flags": "of the authenticator",
	"Factor.Counter": "follows from the last use", "Factor.Secret": "a secret",
	"OneTimeToken.Flags": "reserved", "OneTimeToken.CredentialVersion": "a part of proofs",
	"Event.Key": "the id", "Event.UserID": "the user",
	"Device.Key": "the id", "Device.UserID": "the user", "Device.SecretHash": "a secret", "Device.Epoch": "of the file", "Device.Flags": "reserved",
}

// TestEveryFieldIsExportedOrWithheld: each field is changed alone, and either the
// export changes with it or the field has its reason above.
func TestEveryFieldIsExportedOrWithheld(t *testing.T) {
	key := codec.MakeOwnedKey(codec.Owner{1}, codec.NewOwnID(1_760_000_000_000, [4]byte{1}))
	at, later := key.Time(), key.Time()+5000
	export := func(o Object, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(appendJSON(nil, o))
	}
	used := map[string]bool{}
	each := func(record any, render func(record any) string) {
		typ := reflect.TypeOf(record)
		base := render(record)
		for i := range typ.NumField() {
			changed := reflect.New(typ).Elem()
			changed.Set(reflect.ValueOf(record))
			change(changed.Field(i), at)
			name := typ.Name() + "." + typ.Field(i).Name
			_, reason := withheld[name]
			used[name] = reason
			if exported := render(changed.Interface()) != base; exported == reason {
				t.Errorf("%s: exported %t, withheld %t", name, exported, reason)
			}
		}
	}
	each(codec.Session{Key: key, UserID: "u", ActiveUntil: later, IdleUntil: later, AbsoluteUntil: later, AuthTime: at - 5, LastUsedAt: later}, func(r any) string {
		s := r.(codec.Session)
		return export(Sessions.Rules.facts(key[:], s.Append(nil)))
	})
	each(codec.Family{Key: key, UserID: "u", IdleUntil: later, AbsoluteUntil: later, AuthTime: at - 5, RotatedAt: later, RevokedAt: codec.Never}, func(r any) string {
		f := r.(codec.Family)
		return export(Families.Rules.facts(key[:], f.Append(nil)))
	})
	each(codec.OneTimeToken{Key: key, UserID: "u", ExpiresAt: later}, func(r any) string {
		o := r.(codec.OneTimeToken)
		return export(OneTimeTokens.Rules.facts(key[:], o.Append(nil)))
	})
	each(codec.Event{Key: key, UserID: "u", Kind: uint16(EventLogIn), Actor: uint8(ByLibrary), Count: 2, Last: later}, func(r any) string {
		e := r.(codec.Event)
		return export(Events.Rules.facts(key[:], e.Append(nil)))
	})
	each(codec.Device{Key: key, UserID: "u", LastUsedAt: later, ExpiresAt: later, TrustedUntil: later}, func(r any) string {
		d := r.(codec.Device)
		return export(Devices.Rules.facts(key[:], d.Append(nil)))
	})
	each(codec.APIKey{Key: key, UserID: "u", ExpiresAt: later, LastUsedAt: codec.Never}, func(r any) string {
		k := r.(codec.APIKey)
		return export(APIKeys.Rules.facts(key[:], k.Append(nil)))
	})
	each(codec.Factor{Passkey: (&codec.Passkey{CredentialID: []byte("id")}).Append(nil), Key: key, UserID: "u", ExpiresAt: codec.Never, UsedAt: later}, func(r any) string {
		f := r.(codec.Factor)
		if f.Codes != nil {
			f.Codes = make([]byte, 32)
		}
		return export(Factors.Rules.facts(key[:], f.Append(nil)))
	})
	each(codec.User{ID: "u", CreatedAt: at}, func(r any) string {
		u := r.(codec.User)
		u.ID = "u"
		return export(exportedUser(&u, nil), nil)
	})
	each(codec.Identity{}, func(r any) string {
		return export(exportedUser(&codec.User{Identities: []codec.Identity{r.(codec.Identity)}}, nil), nil)
	})
	for name := range withheld {
		if !used[name] {
			t.Errorf("there is no %s to be withheld", name)
		}
	}
}

// change sets a field to another value that its record can have.
func change(f reflect.Value, at int64) {
	switch v := f.Addr().Interface().(type) {
	case *codec.OwnedKey: // of the caller's key
	case *string:
		*v = "\x81\xa1x\x01" // attributes, and text
	case *[]string:
		*v = []string{"s"}
	case *[]byte:
		*v = []byte("data")
	case *[]codec.Identity:
		*v = []codec.Identity{{Provider: "p"}}
	case *[]codec.IndexEntry:
		*v = []codec.IndexEntry{{Name: "n"}}
	case *int64:
		if *v > at {
			*v = at + 1000
		} else { // of a log-in, which is before the record
			*v = at - 1000
		}
	default:
		if f.Kind() == reflect.Array {
			f.Index(0).SetUint(9)
		} else {
			f.SetUint(1)
		}
	}
}
