package declare

import (
	"fmt"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// many are n names.
func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("name", i))
	}
	return names
}

// TestFault: each bound from both sides, and the option that is named.
func TestFault(t *testing.T) {
	providers := func(names []string, rule string) (d codec.Declarations) {
		for _, name := range names {
			d.Providers = append(d.Providers, codec.Provider{Name: name, Rule: rule})
		}
		return d
	}
	indexes := func(names ...string) (d codec.Declarations) {
		for _, name := range names {
			d.Indexes = append(d.Indexes, codec.Index{Name: name})
		}
		return d
	}
	var empty codec.Declarations
	for _, c := range []struct {
		d             codec.Declarations
		owned, outbox []string
		want          string
	}{
		{empty, nil, nil, " "},
		{providers(many(64), fold.Email), many(64), many(8), " "},
		{indexes(many(64)...), nil, nil, " "},
		{providers(many(65), fold.Email), nil, nil, "Options.Providers too_many"},
		{providers([]string{"a b"}, fold.Email), nil, nil, "Options.Providers malformed"},
		{providers([]string{"a"}, "rot13"), nil, nil, "Options.Providers[a] unsupported"},
		{indexes(many(65)...), nil, nil, "Options.Indexes too_many"},
		{indexes("a", ""), nil, nil, "Options.Indexes[1].Name required"},
		{indexes("a", "b", "a"), nil, nil, "Options.Indexes taken"},
		{empty, many(65), nil, "Options.Owned too_many"},
		{empty, []string{"a", ""}, nil, "Options.Owned[1] required"},
		{empty, []string{records.Bucket}, nil, "Options.Owned[0] not_allowed"},
		{empty, []string{"a", "a"}, nil, "Options.Owned taken"},
		{empty, nil, many(9), "Options.Outbox too_many"},
		{empty, nil, []string{"A"}, "Options.Outbox malformed"},
		{empty, nil, []string{"a", "a"}, "Options.Outbox taken"},
	} {
		if option, f := Fault(c.d, c.owned, c.outbox); option+" "+f.Code != c.want || f.Code == fold.TooMany && f.Max == 0 {
			t.Errorf("%v, %v, %v: %s %+v, want %s", c.d, c.owned, c.outbox, option, f, c.want)
		}
	}
}
