package phc

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A Foreign is a hash of another system, as a string or taken apart.
type Foreign struct {
	// Source is one of [Sources] or a name of the application's own, which
	// begins with [AppPrefix]. It tells apart strings that two systems read
	// differently, and narrows nothing: strings that name their own format can
	// be read under every name but the application's own.
	Source string

	Text string // of at most 1,024 bytes; "" if there is a Key
	Key  *Key   // for systems that keep the parts in columns

	// Pepper names one of [Config.Peppers] that followed the password when it
	// was hashed. "" is no pepper.
	Pepper string
}

// Import converts a hash string of another system to the stored syntax, under
// the limits that verifying it will have. source is one of [Sources], or "" if
// the string names its own format. Nothing is computed. The result is "", and
// no error, for the "!" by which the source django marks a user without a
// password.
//
// The error is [ErrUnknownSource]; [ErrAmbiguous] for strings which different
// systems compute differently, without a source that says which; [ErrWeak] for
// a digest that only [Hasher.Import] can take in; [ErrUnsupported],
// [ErrMalformed] or [ErrLimits]. [Parse] accepts the result under the same
// limits.
func Import(source, foreign string, l Limits) (Hash, error) {
	return store(convert(Foreign{Source: source, Text: foreign}, l))
}

// Convert is [Import] for hashes that do not fit one string, and checks the
// needs of verification against h: a pepper, a verifier, and time. The further
// errors are [ErrMissing], and [ErrSlow] above Config.ImportTime.
func (h *Hasher) Convert(f Foreign) (Hash, error) { return store(h.convert(f)) }

// Import is [Hasher.Convert], and takes digests in that are too weak to be
// stored: it hashes them as if they were passwords, waiting at the gate for its
// turn. The result is old, which may be "", if that was made from the same digest
// with the current parameters. The error can also be [ErrBusy], the context's, or
// one of Config.Rand.
func (h *Hasher) Import(ctx context.Context, f Foreign, old Hash) (Hash, error) {
	p, err := h.convert(f)
	if err != nil || !p.bare {
		return store(p, err)
	}
	salt, err := h.newSalt()
	if err != nil {
		return "", err
	}
	leave, err := h.gate.enter(ctx, h.weight(&h.current))
	if err != nil {
		return "", err
	}
	defer leave()
	if o, err := Parse(string(old), h.limits); err == nil && o.scheme == p.scheme {
		if again, err := store(h.wrap(p, o.salt), nil); err == nil && again == old {
			return old, nil
		}
	}
	return store(h.wrap(p, salt), nil)
}

// store returns the stored syntax of the result of convert.
func store(p Parsed, err error) (Hash, error) {
	switch {
	case err != nil:
		return "", err
	case p.scheme == nil: // there is no password
		return "", nil
	case p.bare:
		return "", ErrWeak
	}
	return Hash(p.String()), nil
}

func (h *Hasher) convert(f Foreign) (Parsed, error) {
	p, err := convert(f, h.limits)
	if err != nil || p.scheme == nil {
		return Parsed{}, err
	}
	if err := h.lacks(&p); err != nil {
		return Parsed{}, err
	}
	if p.bare {
		return p, nil
	}
	if cost := p.Cost(); h.importTime > 0 && cost > h.importTime {
		return Parsed{}, &hashError{ErrSlow, fmt.Sprintf("about %v, more than %v", cost.Round(100*time.Millisecond), h.importTime)}
	}
	return p, nil
}

// convert reads f. The zero Parsed, without an error, is that of no password.
func convert(f Foreign, l Limits) (Parsed, error) {
	p, err := f.read(l)
	if err != nil || p.scheme == nil {
		return Parsed{}, err
	}
	if p.pepper = f.Pepper; p.pepper != "" && (!validLabel(p.pepper) || p.scheme == appScheme) {
		return Parsed{}, malformed("pepper")
	}
	if block := p.scheme.block; block != 0 && len(p.key) > block {
		// A guess needs the first block only; so do we.
		p.key = p.key[:block]
	}
	if p.bare {
		return p, nil // checked by weakParsed, with room for the salt that wrap adds
	}
	if err := p.check(l); err != nil {
		return Parsed{}, err
	}
	return p, nil
}

func (f Foreign) read(l Limits) (Parsed, error) {
	switch {
	case f.Key != nil && f.Text != "":
		return Parsed{}, malformed("both a string and a key")
	case strings.HasPrefix(f.Source, AppPrefix):
		return appParsed(f.Source, []byte(f.Text))
	}
	formats, ok := formatsOf(f.Source)
	if !ok {
		return Parsed{}, ErrUnknownSource
	}
	if f.Key != nil {
		return f.Key.parsed()
	}
	if err := plain(f.Text); err != nil {
		return Parsed{}, err
	}
	return read(formats, f.Text)
}

func read(formats []format, foreign string) (Parsed, error) {
	for _, f := range formats {
		rest, ok := strings.CutPrefix(foreign, f.prefix)
		if !ok {
			continue
		}
		p, err := f.read(rest)
		if err != nil && f.prefix == "" {
			if kind := kindOf(foreign); kind != "" {
				return Parsed{}, unsupported(kind)
			}
		}
		return p, err
	}
	return Parsed{}, unread(foreign)
}
