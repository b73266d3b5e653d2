package phc

import (
	"encoding/base64"
	"encoding/hex"
	"math/bits"
	"strings"
)

// The readers below take what follows a format's prefix, already known to be
// visible ASCII of at most 1 KiB, and take it apart. Lengths, ranges and limits
// are checked by their caller, alike for all.
//
// Systems other than Lucia and its kin hash the password as it came in, from
// whatever browser and keyboard that was. It may come in composed differently
// here, so the form of theirs is formBoth.
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

// fromDotted64 reads passlib's base64, which has a dot for the plus sign.
func fromDotted64(text, what string) ([]byte, error) {
	return decode(strict64, strings.ReplaceAll(text, ".", "+"), what)
}

// noPassword reads the mark of a user who has none.
func noPassword(string) (Parsed, error) { return Parsed{}, nil }

// readPHC reads what is written as in the stored syntax, where the form of the
// password is not said: passlib's scrypt, and Argon2 everywhere.
func readPHC(sch *scheme) reader {
	return func(rest string) (Parsed, error) {
		p, err := sch.parse(rest)
		if err != nil {
			return Parsed{}, err
		}
		if p.form != formNFKC {
			return Parsed{}, malformed("unknown parameter")
		}
		p.form = formBoth
		return p, nil
	}
}

// readArgon2 reads "v=19$m=…,t=…,p=…$salt$key". Version 16, also written by
// leaving it out, is another function, which x/crypto does not have.
func readArgon2(sch *scheme) reader {
	read := readPHC(sch)
	return func(rest string) (Parsed, error) {
		if strings.HasPrefix(rest, "v=16$") || strings.HasPrefix(rest, "m=") {
			return Parsed{}, ErrUnsupported
		}
		return read(rest)
	}
}

// readPBKDF2 reads "iterations$salt$key".
func readPBKDF2(sch *scheme, fromSalt, fromKey decoder) reader {
	return func(rest string) (Parsed, error) {
		parts, err := split(rest, "$", 3)
		if err != nil {
			return Parsed{}, err
		}
		p := Parsed{scheme: sch, form: formBoth}
		if p.n[0], err = number(parts[0], "iterations"); err != nil {
			return Parsed{}, err
		}
		return p.with(parts[1], fromSalt, parts[2], fromKey)
	}
}

// readBcrypt reads what follows "$2": the variant, two digits of cost, and 22
// characters of salt with 31 of key. Variants a, b and y are one computation
// for the passwords that come here; x had a fault that is not reproduced.
func readBcrypt(sch *scheme) reader {
	return func(rest string) (Parsed, error) {
		variant, rest, _ := strings.Cut(rest, "$")
		switch variant {
		case "a", "b", "y":
		case "", "x":
			return Parsed{}, ErrUnsupported
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

// refuseTwoParts is the last format of the source without a name. Two parts
// are Lucia or Better Auth, with r=8 or r=16, over the password raw or in NFKC;
// to guess would be to import hashes that refuse their owners.
func refuseTwoParts(rest string) (Parsed, error) {
	if _, err := readLucia(8, formRaw)(rest); err == nil {
		return Parsed{}, ErrAmbiguous
	}
	return Parsed{}, unread(rest)
}
