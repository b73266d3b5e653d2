package snib_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestUpdateUserAttributesChangesOnlyTheGivenKeys(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{
		"kept": "as it is", "text": "old", "gone": 1,
	}}))(t)
	when := time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.FixedZone("x", 3600))

	got := must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{
		"text": "", "int": 0, "bool": false, "null": nil, "gone": snib.Unset,
		"float": 1.5, "bytes": []byte{0, 255}, "time": when, "list": []string{"a", "b"},
		"map": map[string]any{"deep": int8(-3)}, "big": uint64(math.MaxInt64),
	}))(t)
	want := snib.Attributes{
		"kept": "as it is", "text": "", "int": int64(0), "bool": false, "null": nil,
		"float": 1.5, "bytes": []byte{0, 255}, "time": when.UTC(), "list": []any{"a", "b"},
		"map": map[string]any{"deep": int64(-3)}, "big": int64(math.MaxInt64),
	}
	if !reflect.DeepEqual(got.Attributes(), want) {
		t.Errorf("returned\n%v, want\n%v", got.Attributes(), want)
	}
	if read := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(read, got) {
		t.Errorf("read back\n%v, returned\n%v", read, got)
	}
	// The copy is the caller's.
	got.Attributes()["kept"] = "changed"
	if got.Attributes()["kept"] != "as it is" {
		t.Error("the user's attributes can be changed from outside")
	}
	if s, ok := snib.Attr[string](got.Attributes(), "null"); ok || s != "" {
		t.Errorf("Attr of a null is %q, %t", s, ok)
	}
}

func TestUpdateUserAttributesRefusesByNameWhatIsOutOfBounds(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	many := snib.Attributes{}
	for i := range 65 {
		many[fmt.Sprint("k", i)] = i
	}
	var deep any = "x"
	for range 9 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		a     snib.Attributes
		field string
	}{
		"65 keys":         {many, "Attributes"},
		"long name":       {snib.Attributes{strings.Repeat("n", 65): 1}, "Attributes"},
		"empty name":      {snib.Attributes{"": 1}, "Attributes"},
		"too large":       {snib.Attributes{"big": strings.Repeat("x", 64<<10)}, "Attributes"},
		"too deep":        {snib.Attributes{"deep": deep}, "Attributes[deep]"},
		"NaN":             {snib.Attributes{"nan": math.NaN()}, "Attributes[nan]"},
		"uint64":          {snib.Attributes{"u": uint64(math.MaxInt64) + 1}, "Attributes[u]"},
		"channel":         {snib.Attributes{"c": make(chan int)}, "Attributes[c]"},
		"struct":          {snib.Attributes{"s": struct{ X int }{1}}, "Attributes[s]"},
		"invalid UTF-8":   {snib.Attributes{"t": "\xff"}, "Attributes[t]"},
		"nested Unset":    {snib.Attributes{"m": map[string]any{"k": snib.Unset}}, "Attributes[m]"},
		"invalid name":    {snib.Attributes{"a\x00b": 1}, "Attributes"},
		"non-string keys": {snib.Attributes{"m": map[int]string{1: "x"}}, "Attributes[m]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.UpdateUserAttributes(ctx, u.ID, c.a)
			wantField(t, err, c.field)
		})
	}
	if got := must(db.GetUser(ctx, u.ID))(t); len(got.Attributes()) != 0 {
		t.Errorf("something was written: %v", got.Attributes())
	}
}

func TestUniqueAttributeIsTakenAndFreedByNull(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}})
	ada, bob := email(t, db, "ada@example.com"), email(t, db, "bob@example.com")
	must(db.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"nick": "The  Countess", "team": 1}))(t)

	before := must(db.GetUser(ctx, bob.ID))(t)
	_, err := db.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"nick": "the countess", "team": 1})
	wantErr(t, err, snib.ErrAttributeTaken)
	if e, ok := errors.AsType[*snib.AttributeTakenError](err); !ok || e.Name != "nick" {
		t.Errorf("the error names %v", e)
	}
	if got := must(db.GetUser(ctx, bob.ID))(t); !reflect.DeepEqual(got, before) {
		t.Errorf("a refused update changed the user")
	}
	if got := must(db.GetUserByAttribute(ctx, "nick", "THE COUNTESS"))(t); got.ID != ada.ID {
		t.Errorf("found %s", got.ID)
	}
	if nick := must(db.GetUser(ctx, ada.ID))(t).Attributes()["nick"]; nick != "The  Countess" {
		t.Errorf("the stored spelling is %q", nick)
	}

	must(db.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"nick": nil}))(t)
	must(db.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"nick": "the countess", "team": 1.0}))(t)
	if got := must(db.GetUserByAttribute(ctx, "nick", "The Countess"))(t); got.ID != bob.ID {
		t.Errorf("found %s", got.ID)
	}
	_, err = db.GetUserByAttribute(ctx, "nick", nil)
	wantErr(t, err, snib.ErrUserNotFound)
	_, err = db.GetUserByAttribute(ctx, "team", 1)
	wantField(t, err, "Name")
	if got := ids(t, db.ListUsersByAttribute(ctx, "team", 1, snib.ListOptions{})); len(got) != 2 {
		t.Errorf("team 1 is %v, want both (1.0 is 1)", got)
	}
}

func TestListUsersByAttributePages(t *testing.T) {
	db := snibtest.NewDB(t, declare(snib.Index{Name: "team"}, snib.Index{Name: "nick", Unique: true}))
	// Ids given out of order, so that the order of the list is not that of
	// creation, and one that is the beginning of others.
	var want []snib.UserID
	err := db.Update(ctx, func(tx *snib.Tx) error {
		want = want[:0]
		for i := range 320 {
			id := snib.UserID(fmt.Sprint("u", (i*7)%320))
			if i%16 != 0 {
				want = append(want, id)
			}
			_, err := tx.ImportUser(snib.UserImport{ID: id, Provider: "x", Identifier: fmt.Sprint(i),
				Attributes: snib.Attributes{"team": min(1, i%16), "nick": i}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	for _, o := range []snib.ListOptions{{}, {Limit: 1}, {Limit: 256}, {Limit: 257}, {Limit: 1000}, {After: "u1"}, {After: "u1", Limit: 3},
		{After: want[256]}, {After: want[len(want)-1]}, {After: "zzz"}, {After: "u2000"}, {Limit: -1}} {
		expect := want
		i, found := slices.BinarySearch(want, o.After)
		if found {
			i++
		}
		if expect = expect[i:]; o.Limit > 0 {
			expect = expect[:min(o.Limit, len(expect))]
		}
		got := ids(t, db.ListUsersByAttribute(ctx, "team", 1, o))
		if !slices.Equal(got, expect) {
			t.Errorf("%+v: %d users, want %d", o, len(got), len(expect))
		}
		var inside []snib.UserID
		if err := db.View(ctx, func(tx *snib.Tx) error {
			inside = ids(t, tx.ListUsersByAttribute("team", 1, o))
			return nil
		}); err != nil || !slices.Equal(inside, expect) {
			t.Errorf("%+v in a View: %d users, %v", o, len(inside), err)
		}
	}
	one := must(db.GetUserByAttribute(ctx, "nick", 5))(t).ID
	for after, n := range map[snib.UserID]int{"": 1, "u": 1, one: 0, one + "0": 0} {
		if got := ids(t, db.ListUsersByAttribute(ctx, "nick", 5, snib.ListOptions{After: after})); len(got) != n {
			t.Errorf("unique, after %q: %v", after, got)
		}
	}
}

func TestGetUserByAttributeOfWhatIsNotIndexed(t *testing.T) {
	db := snibtest.NewDB(t, declare(snib.Index{Name: "nick", Unique: true, Fold: true}, snib.Index{Name: "team", Fold: true}))
	for i, a := range []snib.Attributes{nil, {"nick": nil}, {"nick": ""}, {"nick": "   "}, {"nick": "\u3000 "}, {"nick": nil, "team": nil}, {"team": ""}} {
		for j := range 2 { // none of them collides
			must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i, j), Attributes: a}))(t)
		}
	}
	for _, value := range []any{nil, "", " "} {
		_, err := db.GetUserByAttribute(ctx, "nick", value)
		wantErr(t, err, snib.ErrUserNotFound)
		if got := team(t, db, value); len(got) != 0 {
			t.Errorf("%q is found at %v", value, got)
		}
	}
}

// Values that are one, and values that are not, by the index.
func TestIndexTellsTypesApart(t *testing.T) {
	db := snibtest.NewDB(t, declare(snib.Index{Name: "key", Unique: true}, snib.Index{Name: "team"}))
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	values := []any{
		1, "1", []byte("1"), true, false, 1.5, -1, 0, " ", []byte{}, when, when.Add(1), when.Unix(), "true", "a", "A", "a\x01",
		[]byte{0}, []byte{0, 0}, []byte{0, 255}, 1e300, -1e300, int64(1) << 62, when.Format(time.RFC3339Nano),
	}
	for i, v := range values {
		u := with(t, db, fmt.Sprint(i), "key", v)
		if got := must(db.GetUserByAttribute(ctx, "key", v))(t); got.ID != u.ID {
			t.Errorf("%#v finds the user of another value", v)
		}
	}
	for same, as := range map[any]any{1.0: 1, int8(1): 1, uint64(1): 1, float32(1.5): 1.5, math.Copysign(0, -1): 0, when.In(time.FixedZone("x", 60)): when} {
		a, b := must(db.GetUserByAttribute(ctx, "key", same))(t), must(db.GetUserByAttribute(ctx, "key", as))(t)
		if a.ID != b.ID {
			t.Errorf("%#v and %#v are two values", same, as)
		}
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint("again", same), Attributes: snib.Attributes{"key": same}})
		wantErr(t, err, snib.ErrAttributeTaken)
	}
	u := with(t, db, "float", "team", 2.0)
	if got := team(t, db, 2); len(got) != 1 || got[0] != u.ID {
		t.Errorf("2 is found at %v", got)
	}
	if v := must(db.GetUser(ctx, u.ID))(t).Attributes()["team"]; !reflect.DeepEqual(v, 2.0) {
		t.Errorf("the attribute has become %#v", v)
	}
}

func TestIndexedValuesHaveBounds(t *testing.T) {
	o := declare(snib.Index{Name: "key", Unique: true}, snib.Index{Name: "team"}, snib.Index{Name: "fold", Fold: true})
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, o)
	u := nobody(t, db, "ada")
	for _, name := range []string{"key", "team", "fold"} {
		for what, v := range map[string]any{
			"list": []any{"a"}, "map": map[string]any{}, "long text": strings.Repeat("x", 510), "huge text": strings.Repeat("x", 60<<10),
			"zeros": make([]byte, 255), "long bytes": bytes.Repeat([]byte{1}, 510),
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				_, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{name: v, "other": 1})
				wantField(t, err, "Attributes["+name+"]")
				_, err = db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "new", Attributes: snib.Attributes{name: v}})
				wantField(t, err, "Attributes["+name+"]")
			})
		}
	}
	_, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"fold": "a\u2028b"})
	wantField(t, err, "Attributes[fold]")
	if got := must(db.GetUser(ctx, u.ID))(t); len(got.Attributes()) != 0 {
		t.Errorf("something was written: %v", got.Attributes())
	}
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{
		"key": strings.Repeat("x", 509), "team": make([]byte, 254), "free": []any{1}, "long": strings.Repeat("x", 5000),
	}))(t)
	must(db.GetUserByAttribute(ctx, "key", strings.Repeat("x", 509)))(t)
	closeDB(t, db)
	// What users have already may not be indexable either.
	for _, name := range []string{"free", "long"} {
		before := must(os.ReadFile(path))(t)
		_, err := snib.Open(path, snibtest.Fast(declare(snib.Index{Name: name})))
		wantField(t, err, "Attributes["+name+"]")
		if after := must(os.ReadFile(path))(t); !bytes.Equal(after, before) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	snibtest.OpenDB(t, path, nil)
}

func TestGetUserByAttributeOfWhatNobodyCanHaveFindsNobody(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}}})
	for _, v := range []any{strings.Repeat("x", 1<<20), strings.Repeat("\ufdfa", 1<<18), []any{1}, nil, "a\x00b", make(chan int)} {
		_, err := db.GetUserByAttribute(ctx, "nick", v)
		wantErr(t, err, snib.ErrUserNotFound)
		if got := ids(t, db.ListUsersByAttribute(ctx, "nick", v, snib.ListOptions{})); len(got) != 0 {
			t.Errorf("found %v", got)
		}
	}
}

// with creates a user with one attribute. The name is the id too, so that the
// order of users is that of their names.
func with(tb testing.TB, db *snib.DB, name string, key string, value any) snib.User {
	tb.Helper()
	return must(db.ImportUser(ctx, snib.UserImport{ID: snib.UserID(name), Provider: "x", Identifier: name, Attributes: snib.Attributes{key: value}}))(tb)
}

// team lists the users whose attribute "team" has this value.
func team(tb testing.TB, db *snib.DB, value any) []snib.UserID {
	tb.Helper()
	return ids(tb, db.ListUsersByAttribute(ctx, "team", value, snib.ListOptions{}))
}

// The attributes of a session change under its token, and with them those of
// the sessions that come after it.
func TestUpdateSessionAttributes(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	ada, eve := user(t, db, "ada"), user(t, db, "eve")
	o := snib.SessionOptions{Attributes: snib.Attributes{"device": "phone", "room": "hall"}}
	own := must(db.CreateSession(ctx, ada, o))(t)
	born, r, err := db.CreateRefreshToken(ctx, ada, o)
	wantErr(t, err, nil)
	want := snib.Attributes{"device": "phone", "organisation": int64(7)}
	for _, s := range []snib.Session{own, born} {
		got := must(db.UpdateSessionAttributes(ctx, ada.ID, s.ID, snib.Attributes{"organisation": 7, "room": snib.Unset}))(t)
		now := must(db.ValidateSession(ctx, s.Token.Reveal()))(t)
		if !reflect.DeepEqual(got.Attributes(), want) || !reflect.DeepEqual(now.Attributes(), want) || got.IdleUntil != s.IdleUntil || now.AuthenticatedAt != s.AuthenticatedAt {
			t.Errorf("%v, then %v, want %v", got, now, want)
		}
	}
	next, _, err := db.Refresh(ctx, r.Token.Reveal())
	wantErr(t, err, nil)
	renewed := must(db.RenewSession(ctx, own.Token.Reveal()))(t)
	for _, s := range []snib.Session{next, renewed} {
		if !reflect.DeepEqual(s.Attributes(), want) {
			t.Errorf("afterwards %v, want %v", s.Attributes(), want)
		}
	}
	quiet(t, db, func() {
		change := snib.Attributes{"x": 1}
		for name, s := range map[string]struct {
			user snib.UserID
			id   snib.SessionID
		}{
			"of another user": {eve.ID, renewed.ID}, "replaced": {ada.ID, own.ID}, "unknown": {ada.ID, "ses_1"}, "a token": {ada.ID, snib.SessionID(renewed.Token.Reveal())},
		} {
			if _, err := db.UpdateSessionAttributes(ctx, s.user, s.id, change); !errors.Is(err, snib.ErrInvalidSession) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := db.UpdateSessionAttributes(ctx, ada.ID, renewed.ID, snib.Attributes{"x": strings.Repeat("x", 4<<10)})
		wantErr(t, err, snib.ErrInvalidInput)
		clock.Advance(100 * 24 * time.Hour)
		_, err = db.UpdateSessionAttributes(ctx, ada.ID, renewed.ID, change)
		wantErr(t, err, snib.ErrInvalidSession)
	})
}
