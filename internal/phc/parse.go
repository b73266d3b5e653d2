package phc

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// A Hash is a password hash in the stored syntax, as [Hasher.Hash] and
// [Import] make it. "" stands for no password: nothing verifies against it.
type Hash string

// Parsed is a hash string taken apart, within the limits it was parsed under.
// The zero value is not a hash. It is read-only and safe to share.
type Parsed struct {
	scheme *scheme
	n      [3]uint64 // the scheme's parameters; those it has not are zero
	form   form
	salt   []byte
	key    []byte
	pepper string // the name of the pepper that follows the password; "" is no pepper
	name   string // appScheme: of the source
	bare   bool   // a digest that was read and not wrapped yet; never stored
}

// strict64 is the base64 of the stored syntax: standard alphabet, no padding,
// spare bits zero. It still skips CR and LF, which is why [visible] comes
// before it.
var strict64 = base64.RawStdEncoding.Strict()

// Parse takes a stored string apart. It accepts exactly one spelling of each
// hash: [Parsed.String] writes an accepted string again byte for byte. It does
// no work on behalf of the string and allocates no more than its length.
//
// The error is [ErrMalformed] or [ErrLimits]. The empty string is malformed:
// that no password is set is for the caller to see first.
func Parse(s string, l Limits) (Parsed, error) {
	if err := plain(s); err != nil {
		return Parsed{}, err
	}
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return Parsed{}, malformed("no scheme")
	}
	name, rest, _ := strings.Cut(rest, "$")
	sch := schemes[name]
	if sch == appScheme {
		return parseApp(rest)
	}
	if sch == nil {
		return Parsed{}, malformed("unknown scheme")
	}
	p, err := sch.parse(rest)
	if err != nil {
		return Parsed{}, err
	}
	if err := p.check(l); err != nil {
		return Parsed{}, err
	}
	return p, nil
}

// plain checks the rules for any string, stored or foreign, before a closer
// look.
func plain(s string) error {
	if len(s) > maxString {
		return malformed("longer than 1024 bytes")
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return malformed("a character that is not visible ASCII")
		}
	}
	return nil
}

// parse reads the text after "$name$": the version if the scheme has one, the
// parameters, the salt and the key. The values are not checked yet.
func (sch *scheme) parse(rest string) (Parsed, error) {
	p := Parsed{scheme: sch}
	fields := strings.Split(rest, "$")
	if sch.version != "" {
		if fields[0] != sch.version {
			return Parsed{}, malformed("version")
		}
		fields = fields[1:]
	}
	if len(fields) != 3 {
		return Parsed{}, malformed("number of fields")
	}
	if err := p.parseParams(fields[0]); err != nil {
		return Parsed{}, err
	}
	return p.with(fields[1], fromStrict64, fields[2], fromStrict64)
}

// parseParams reads "name=number" for each name of the scheme, in its order,
// then the form of the password unless it is the usual one, then the pepper if
// there is one, and nothing else.
func (p *Parsed) parseParams(s string) error {
	names, list := p.scheme.params, strings.Split(s, ",")
	if len(list) < len(names) {
		return malformed("number of parameters")
	}
	if err := p.parseOptional(list[len(names):]); err != nil {
		return err
	}
	for i, name := range names {
		digits, ok := strings.CutPrefix(list[i], name+"=")
		if !ok {
			return malformed("no parameter " + name)
		}
		n, err := number(digits, name)
		if err != nil {
			return err
		}
		p.n[i] = n
	}
	return nil
}

// parseOptional reads the text after the parameters that a scheme always has.
func (p *Parsed) parseOptional(list []string) error {
	if len(list) > 0 && strings.HasPrefix(list[0], "pw=") {
		switch list[0] {
		case formRaw.text():
			p.form = formRaw
		case formBoth.text():
			p.form = formBoth
		default:
			return malformed("unknown form of the password")
		}
		list = list[1:]
	}
	if len(list) > 0 {
		name, ok := strings.CutPrefix(list[0], "pepper=")
		if !ok || !validLabel(name) {
			return malformed("unknown parameter")
		}
		p.pepper, list = name, list[1:]
	}
	if len(list) > 0 {
		return malformed("number of parameters")
	}
	return nil
}

// number reads a decimal number without sign, leading zeros or separators, of
// at most 32 bits. what names it in the error.
func number(digits, what string) (uint64, error) {
	if digits == "" || digits[0] == '0' && digits != "0" {
		return 0, malformed(what)
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, malformed(what)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > maxNumber {
		return 0, beyond(what)
	}
	return n, nil
}

// A decoder turns the text of a salt or a key, which what names, into bytes. The
// text's length is bounded by that of the whole string.
type decoder = func(text, what string) ([]byte, error)

func fromStrict64(text, what string) ([]byte, error) { return decode(strict64, text, what) }

func decode(enc *base64.Encoding, text, what string) ([]byte, error) {
	b, err := enc.DecodeString(text)
	if err != nil {
		return nil, malformed(what)
	}
	return b, nil
}

// with returns p with its salt and key decoded.
func (p Parsed) with(salt string, fromSalt decoder, key string, fromKey decoder) (Parsed, error) {
	var err error
	if p.salt, err = fromSalt(salt, "salt"); err != nil {
		return Parsed{}, err
	}
	if p.key, err = fromKey(key, "key"); err != nil {
		return Parsed{}, err
	}
	return p, nil
}

// check reports whether p may be computed. Every way to a Parsed ends here.
func (p *Parsed) check(l Limits) error {
	if p.scheme == appScheme {
		return nil // parseApp and appParsed have
	}
	if len(p.salt) < minSalt || len(p.salt) > maxSalt {
		return malformed("length of the salt")
	}
	if len(p.key) < minKey || len(p.key) > maxKey {
		return malformed("length of the key")
	}
	return p.scheme.check(p, l)
}

// String returns the stored syntax of p.
func (p Parsed) String() string {
	if p.scheme == appScheme {
		return p.appString()
	}
	var b strings.Builder
	b.WriteString("$" + p.scheme.name + "$")
	if p.scheme.version != "" {
		b.WriteString(p.scheme.version + "$")
	}
	b.WriteString(strings.Join(p.paramTexts(), ","))
	b.WriteString("$" + strict64.EncodeToString(p.salt))
	b.WriteString("$" + strict64.EncodeToString(p.key))
	return b.String()
}

// Class returns the scheme and the parameters, which is all that the time of a
// verification depends on, without salt and key: "scrypt ln=14 r=8 p=1 pw=raw".
func (p Parsed) Class() string {
	if p.scheme == appScheme {
		return "app " + p.name
	}
	return p.scheme.name + " " + strings.Join(p.paramTexts(), " ")
}

func (p *Parsed) paramTexts() []string {
	var list []string
	for i, name := range p.scheme.params {
		list = append(list, name+"="+strconv.FormatUint(p.n[i], 10))
	}
	if p.form != formNFKC {
		list = append(list, p.form.text())
	}
	if p.pepper != "" {
		list = append(list, "pepper="+p.pepper)
	}
	return list
}
