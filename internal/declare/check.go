package declare

import (
	"fmt"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// Fault returns the first fault of a program's declarations, and the option that has
// it. Of d it looks at providers and indexes.
func Fault(d codec.Declarations, owned, outbox []string) (option string, f fold.Fault) {
	for _, check := range []func() (string, fold.Fault){
		func() (string, fold.Fault) { return providersFault(d.Providers) },
		func() (string, fold.Fault) { return ownedFault(owned) },
		func() (string, fold.Fault) { return indexesFault(d.Indexes) },
		func() (string, fold.Fault) { return outboxFault(outbox) },
	} {
		if option, f = check(); f.Found() {
			return option, f
		}
	}
	return "", fold.Fault{}
}

func providersFault(providers []codec.Provider) (string, fold.Fault) {
	const option = "Options.Providers"
	if len(providers) > records.MaxDeclared {
		return option, tooMany
	}
	for _, p := range providers {
		if fold.Provider(p.Name).Found() {
			return option, fold.Fault{Code: fold.Malformed, Reason: "must have names of 1–64 of [A-Za-z0-9._:-]"}
		}
		if !slices.Contains([]string{fold.Exact, fold.Email, fold.Username}, p.Rule) {
			return option + "[" + p.Name + "]", fold.Fault{Code: fold.Unsupported, Reason: "must be one of the rules of this package"}
		}
	}
	return "", fold.Fault{}
}

func ownedFault(names []string) (string, fold.Fault) {
	const option = "Options.Owned"
	if len(names) > records.MaxDeclared {
		return option, tooMany
	}
	for i, name := range names {
		here := fmt.Sprintf("%s[%d]", option, i)
		if f := fold.PlainText(name, codec.MaxBucketName); f.Found() {
			return here, f
		}
		switch {
		case name == records.Bucket:
			return here, fold.Fault{Code: fold.NotAllowed, Reason: "is the bucket of the accounts"}
		case slices.Contains(names[:i], name):
			return option, fold.Fault{Code: fold.Taken, Reason: "must name each bucket once"}
		}
	}
	return "", fold.Fault{}
}

func indexesFault(indexes []codec.Index) (string, fold.Fault) {
	const option = "Options.Indexes"
	if len(indexes) > records.MaxDeclared {
		return option, tooMany
	}
	for i, x := range indexes {
		if f := fold.PlainText(x.Name, codec.MaxAttributeName); f.Found() {
			return fmt.Sprintf("%s[%d].Name", option, i), f
		}
		if slices.ContainsFunc(indexes[:i], func(before codec.Index) bool { return before.Name == x.Name }) {
			return option, fold.Fault{Code: fold.Taken, Reason: "must name each attribute once"}
		}
	}
	return "", fold.Fault{}
}

func outboxFault(names []string) (string, fold.Fault) {
	const option = "Options.Outbox"
	if len(names) > records.MaxConsumers {
		return option, fold.Fault{Code: fold.TooMany, Reason: "must be at most 8", Max: records.MaxConsumers}
	}
	for i, name := range names {
		switch {
		case !fold.Name(name):
			return option, fold.Fault{Code: fold.Malformed, Reason: "must be 1–32 of [a-z0-9_-]"}
		case slices.Contains(names[:i], name):
			return option, fold.Fault{Code: fold.Taken, Reason: "must name each consumer once"}
		}
	}
	return "", fold.Fault{}
}

var tooMany = fold.Fault{Code: fold.TooMany, Reason: "must be at most 64", Max: records.MaxDeclared}
