package phc

import (
	"encoding/base64"
	"encoding/hex"
	"math/bits"
	"strconv"
	"strings"
)

// The readers below take the text after a format's prefix, already known to be
// visible ASCII of at most 1 KiB, and take it apart. Lengths, ranges and limits
// are checked by their caller, alike for all.
//
// Systems other than Lucia and its kin hash the password as it came in, from
// any browser and keyboard. It may come in composed differently here, so the
// form of theirs is formBoth.
type reader = func(rest string) (Parsed, error)

// split cuts s into exactly n pieces.
func split(s, sep string, n int) ([]string, error) {
	parts := strings.Split(s, sep)
	if len(parts) != n {
		return nil, malformed("number of fields")
	}
	return parts, nil
}

// fromText is for salts that are used as they are written.
func fromText(text, _ string) ([]byte, error) { return []byte(text), nil }

// fromHex reads hexadecimal digits of either case.
func fromHex(text, what string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, malformed(what)
	}
	return b, nil
}

// fromPadded64 reads Django's base64, which is padded.
func fromPadded64(text, what string) ([]byte, error) {
	return decode(base64.StdEncoding.Strict(), text, what)
}

// fromLoose64 reads base64 with or without padding, with the alphabet's last
// two characters in any of the spellings in use: + and /, . and /, - and _.
func fromLoose64(text, what string) ([]byte, error) {
	if len(text)%4 == 0 {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "="), "=")
	}
	return decode(strict64, loose64(text), what)
}

func loose64(text string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.', '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, text)
}

// noPassword reads the mark of a user without a password.
func noPassword(string) (Parsed, error) { return Parsed{}, nil }

// readPHC reads hashes written as in the stored syntax, where the form of the
// password is not said: passlib's scrypt, and Argon2 everywhere. Some pad.
func readPHC(sch *scheme) reader {
	return func(rest string) (Parsed, error) {
		if strings.Contains(rest, "pw=") || strings.Contains(rest, "pepper=") {
			return Parsed{}, malformed("unknown parameter")
		}
		fields := strings.Split(rest, "$")
		for i := max(0, len(fields)-2); i < len(fields); i++ {
			if len(fields[i])%4 == 0 {
				fields[i] = strings.TrimSuffix(strings.TrimSuffix(fields[i], "="), "=")
			}
		}
		p, err := sch.parse(strings.Join(fields, "$"))
		p.form = formBoth
		return p, err
	}
}

// readArgon2 reads "v=19$m=…,t=…,p=…$salt$key". Version 16, also written by
// leaving it out, is another function, which x/crypto does not have.
func readArgon2(sch *scheme) reader {
	read := readPHC(sch)
	return func(rest string) (Parsed, error) {
		if strings.HasPrefix(rest, "v=16$") || strings.HasPrefix(rest, "m=") {
			return Parsed{}, unsupported("Argon2 version 16")
		}
		return read(rest)
	}
}

// readCryptScrypt reads "ln=…,r=…,p=…$salt$key", where n= and, in Kratos, an ln
// that is no logarithm stand for N.
func readCryptScrypt(rest string) (Parsed, error) {
	name, after, _ := strings.Cut(rest, "=")
	digits, tail, _ := strings.Cut(after, ",")
	n, err := number(digits, "N")
	if err != nil {
		return Parsed{}, err
	}
	if name == "n" || name == "ln" && n > 30 {
		if bits.OnesCount64(n) != 1 {
			return Parsed{}, malformed("N is not a power of two")
		}
		rest = "ln=" + strconv.Itoa(bits.TrailingZeros64(n)) + "," + tail
	}
	return readPHC(scryptKey)(rest)
}

// readPBKDF2 reads "iterations$salt$key", where the first can be a list that
// names them i or w, along with the digest f and the length l.
func readPBKDF2(sch *scheme, fromSalt, fromKey decoder) reader {
	return func(rest string) (Parsed, error) {
		parts, err := split(rest, "$", 3)
		if err != nil {
			return Parsed{}, err
		}
		params, err := readPBKDF2Params(sch, parts[0])
		if err != nil {
			return Parsed{}, err
		}
		p := Parsed{scheme: params.scheme, form: formBoth, n: [3]uint64{params.iterations}}
		if p, err = p.with(parts[1], fromSalt, parts[2], fromKey); err != nil {
			return Parsed{}, err
		}
		if params.length != 0 && params.length != uint64(len(p.key)) {
			return Parsed{}, malformed("length of the key")
		}
		return p, nil
	}
}

type pbkdf2Params struct {
	scheme             *scheme
	iterations, length uint64
}

func readPBKDF2Params(sch *scheme, text string) (pbkdf2Params, error) {
	p := pbkdf2Params{scheme: sch}
	if !strings.Contains(text, "=") {
		n, err := number(text, "iterations")
		p.iterations = n
		return p, err
	}
	for _, param := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(param, "=")
		var err error
		switch name {
		case "i", "w":
			p.iterations, err = number(value, "iterations")
		case "l":
			p.length, err = number(value, "length")
		case "f":
			p.scheme, err = pbkdf2Of(value)
		default:
			err = malformed("unknown parameter")
		}
		if err != nil {
			return pbkdf2Params{}, err
		}
	}
	return p, nil
}

// pbkdf2Of returns the scheme with the digest named, in any case.
func pbkdf2Of(digest string) (*scheme, error) {
	switch strings.ToLower(digest) {
	case "sha1":
		return pbkdf2SHA1, nil
	case "sha256":
		return pbkdf2SHA256, nil
	case "sha512":
		return pbkdf2SHA512, nil
	}
	return nil, unsupported("PBKDF2 with another digest than SHA-1, SHA-256 and SHA-512")
}

// readBcrypt reads the text after "$2": the variant, two digits of cost, and 22
// characters of salt with 31 of key. Variants a, b and y are one computation
// for the passwords that come here; x had a fault that is not reproduced.
func readBcrypt(sch *scheme) reader {
	return func(rest string) (Parsed, error) {
		variant, rest, _ := strings.Cut(rest, "$")
		switch variant {
		case "a", "b", "y":
		case "", "x":
			return Parsed{}, unsupported("bcrypt $2" + variant + "$")
		default:
			return Parsed{}, malformed("variant of bcrypt")
		}
		cost, text, _ := strings.Cut(rest, "$")
		if len(cost) != 2 || len(text) != 53 {
			return Parsed{}, malformed("length")
		}
		return bcryptParsed(sch, strings.TrimPrefix(cost, "0"), text[:22], text[22:], bcryptText)
	}
}

// readPasslibBcrypt reads "cost$salt$key". The salt's spare bits must be zero
// because its text, and not the bytes, is the key of the HMAC.
func readPasslibBcrypt(sch *scheme) reader {
	return func(rest string) (Parsed, error) {
		parts, err := split(rest, "$", 3)
		if err != nil {
			return Parsed{}, err
		}
		return bcryptParsed(sch, parts[0], parts[1], parts[2], bcryptText.Strict())
	}
}

// bcryptParsed decodes the three parts of a bcrypt hash, the salt as in salts.
func bcryptParsed(sch *scheme, cost, salt, key string, salts *base64.Encoding) (Parsed, error) {
	p := Parsed{scheme: sch, form: formBoth}
	var err error
	if p.n[0], err = number(cost, "cost"); err != nil {
		return Parsed{}, err
	}
	in := func(enc *base64.Encoding) decoder {
		return func(text, what string) ([]byte, error) { return decode(enc, text, what) }
	}
	return p.with(salt, in(salts), key, in(bcryptText.Strict()))
}

// readDjangoScrypt reads "N$salt$r$p$key".
func readDjangoScrypt(rest string) (Parsed, error) {
	parts, err := split(rest, "$", 5)
	if err != nil {
		return Parsed{}, err
	}
	p, err := scryptParsed(parts[0], parts[2], parts[3])
	if err != nil {
		return Parsed{}, err
	}
	return p.with(parts[1], fromText, parts[4], fromPadded64)
}

// readWerkzeugScrypt reads "N:r:p$salt$hexkey".
func readWerkzeugScrypt(rest string) (Parsed, error) {
	parts, err := split(rest, "$", 3)
	if err != nil {
		return Parsed{}, err
	}
	params, err := split(parts[0], ":", 3)
	if err != nil {
		return Parsed{}, err
	}
	p, err := scryptParsed(params[0], params[1], params[2])
	if err != nil {
		return Parsed{}, err
	}
	return p.with(parts[1], fromText, parts[2], fromHex)
}

// scryptParsed begins a Parsed with N, of which the stored syntax has the
// logarithm, r and p.
func scryptParsed(n, r, p string) (Parsed, error) {
	parsed := Parsed{scheme: scryptKey, form: formBoth}
	for i, digits := range []string{n, r, p} {
		var err error
		if parsed.n[i], err = number(digits, "scrypt parameter"); err != nil {
			return Parsed{}, err
		}
	}
	if bits.OnesCount64(parsed.n[0]) != 1 {
		return Parsed{}, malformed("N is not a power of two")
	}
	parsed.n[0] = uint64(bits.TrailingZeros64(parsed.n[0]))
	return parsed, nil
}

// luciaKey is the length of every key that Lucia and Better Auth make.
const luciaKey = 64

// readLucia reads "salt:hexkey" with N=16384 and p=1. The salt is the text as
// it stands, also where it is hexadecimal.
func readLucia(r uint64, f form) reader {
	return func(rest string) (Parsed, error) {
		parts, err := split(rest, ":", 2)
		if err != nil {
			return Parsed{}, err
		}
		p := Parsed{scheme: scryptKey, n: [3]uint64{14, r, 1}, form: f}
		if p, err = p.with(parts[0], fromText, parts[1], fromHex); err != nil {
			return Parsed{}, err
		}
		if len(p.key) != luciaKey {
			return Parsed{}, malformed("length of the key")
		}
		return p, nil
	}
}

// refuseAmbiguous is for strings that the systems named read differently.
func refuseAmbiguous(systems string) reader {
	return func(string) (Parsed, error) {
		return Parsed{}, &hashError{ErrAmbiguous, systems}
	}
}

// refuseBare is the last format of the source without a name. Two parts are
// Lucia or Better Auth, with r=8 or r=16, over the password raw or in NFKC, or
// a digest and its salt in this order or that; to guess would be to import
// hashes that refuse their owners.
func refuseBare(rest string) (Parsed, error) {
	if _, err := readLucia(8, formRaw)(rest); err == nil {
		return Parsed{}, &hashError{ErrAmbiguous, "a version of lucia, or better-auth"}
	}
	text, _, two := strings.Cut(rest, ":")
	if b, err := fromHex(text, ""); err == nil && two && len(b) == 16 {
		return Parsed{}, &hashError{ErrAmbiguous, "joomla, vbulletin or oscommerce"}
	}
	return Parsed{}, unread(rest)
}
