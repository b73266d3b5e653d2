package phc

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
)

// Readers of systems that wrap the hashes of others, or write them as one block
// of bytes.

// readInner reads the content of an envelope, which is never another envelope.
func readInner(rest string) (Parsed, error) { return read(table.inner, rest) }

// readSpringPBKDF2 reads the hexadecimal digits of salt and key.
func readSpringPBKDF2(sch *scheme, iterations uint64, salt int) reader {
	return func(rest string) (Parsed, error) {
		b, err := fromHex(rest, "key")
		if err != nil {
			return Parsed{}, err
		}
		return cutSalt(Parsed{scheme: sch, form: formBoth, n: [3]uint64{iterations}}, b, salt, 32)
	}
}

// cutSalt returns p with the salt that b begins with, and the key of size bytes
// that is the rest.
func cutSalt(p Parsed, b []byte, salt, size int) (Parsed, error) {
	if len(b) != salt+size {
		return Parsed{}, malformed("length of salt and key")
	}
	p.salt, p.key = b[:salt], b[salt:]
	return p, nil
}

// readSpringScrypt reads "$params$salt$key", where params are the logarithm of
// N, r and p in one hexadecimal number.
func readSpringScrypt(rest string) (Parsed, error) {
	parts, err := split(rest, "$", 4)
	if err != nil {
		return Parsed{}, err
	}
	n, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || parts[0] != "" {
		return Parsed{}, malformed("scrypt parameter")
	}
	p := Parsed{scheme: scryptKey, form: formBoth, n: [3]uint64{n >> 16, n >> 8 & 0xff, n & 0xff}}
	return p.with(parts[2], fromLoose64, parts[3], fromLoose64)
}

// readAtlassian reads the base64 of 16 bytes of salt and 32 of key.
func readAtlassian(rest string) (Parsed, error) {
	b, err := fromLoose64(rest, "key")
	if err != nil {
		return Parsed{}, err
	}
	return cutSalt(Parsed{scheme: pbkdf2SHA1, form: formBoth, n: [3]uint64{10_000}}, b, 16, 32)
}

// readMediaWiki reads "digest:iterations:length:salt:key".
func readMediaWiki(rest string) (Parsed, error) {
	parts, err := split(rest, ":", 5)
	if err != nil {
		return Parsed{}, err
	}
	sch, err := pbkdf2Of(parts[0])
	if err != nil {
		return Parsed{}, err
	}
	return readPBKDF2(sch, fromLoose64, fromLoose64)("i=" + parts[1] + ",l=" + parts[2] + "$" + parts[3] + "$" + parts[4])
}

// readASPNET reads the base64 of either version of ASP.NET Identity's block.
// Version 2 is a zero byte, 16 of salt and 32 of key, for 1,000 rounds.
func readASPNET(rest string) (Parsed, error) {
	b, err := decode(base64.StdEncoding.Strict(), rest, "base64")
	if err != nil {
		return Parsed{}, err
	}
	if len(b) == 0 {
		return Parsed{}, malformed("length")
	}
	switch b[0] {
	case 0:
		return cutSalt(Parsed{scheme: pbkdf2SHA1, form: formBoth, n: [3]uint64{1000}}, b[1:], 16, 32)
	case 1:
		return aspNETv3(b)
	}
	return Parsed{}, unsupported("ASP.NET Identity of another version")
}

// readASPNETv3 reads version 3, which its first characters mark well enough.
func readASPNETv3(rest string) (Parsed, error) { return readASPNET("AQAAAA" + rest) }

// aspNETv3 reads 1, the digest, the iterations, the length of the salt, each in
// four bytes, the salt and the key.
func aspNETv3(b []byte) (Parsed, error) {
	if len(b) < 13 {
		return Parsed{}, malformed("length")
	}
	digests := []*scheme{pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512}
	digest, rounds := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	salt, rest := binary.BigEndian.Uint32(b[9:]), b[13:]
	if digest >= uint32(len(digests)) {
		return Parsed{}, malformed("digest")
	}
	if uint64(salt) > uint64(len(rest)) {
		return Parsed{}, malformed("length of the salt")
	}
	return Parsed{
		scheme: digests[digest], form: formBoth, n: [3]uint64{uint64(rounds)},
		salt: rest[:salt], key: rest[salt:],
	}, nil
}

// readFirebase reads "v=1,n=…,r=…,p=…,ss=…,sk=…$salt$hash": the logarithm of N,
// r and p, the salt separator and the signer key of the project. r is the
// export's rounds and n its memory cost; p is neither.
func readFirebase(rest string) (Parsed, error) {
	parts, err := split(rest, "$", 3)
	if err != nil {
		return Parsed{}, err
	}
	list := strings.Split(parts[0], ",")
	if len(list) != 6 {
		return Parsed{}, malformed("number of parameters")
	}
	var values [6]string
	for i, name := range []string{"v", "n", "r", "p", "ss", "sk"} {
		var ok bool
		if values[i], ok = strings.CutPrefix(list[i], name+"="); !ok {
			return Parsed{}, malformed("no parameter " + name)
		}
	}
	if values[0] != "1" {
		return Parsed{}, malformed("version")
	}
	return firebaseParsed(values[1:4], parts[1], values[4], values[5], parts[2])
}

// readFirescrypt reads Kratos's "ln=…,r=…,p=…$salt$hash$separator$signerkey".
func readFirescrypt(rest string) (Parsed, error) {
	parts, err := split(rest, "$", 5)
	if err != nil {
		return Parsed{}, err
	}
	list := strings.Split(parts[0], ",")
	if len(list) != 3 {
		return Parsed{}, malformed("number of parameters")
	}
	for i, name := range scryptCTR.params {
		var ok bool
		if list[i], ok = strings.CutPrefix(list[i], name+"="); !ok {
			return Parsed{}, malformed("no parameter " + name)
		}
	}
	return firebaseParsed(list, parts[1], parts[3], parts[4], parts[2])
}

// firebaseParsed takes the signer key off the hash, see [scryptCTR].
func firebaseParsed(params []string, salt, separator, signer, hash string) (Parsed, error) {
	p := Parsed{scheme: scryptCTR, form: formBoth}
	for i, digits := range params {
		var err error
		if p.n[i], err = number(digits, "scrypt parameter"); err != nil {
			return Parsed{}, err
		}
	}
	p, err := p.with(salt, fromLoose64, hash, fromLoose64)
	if err != nil {
		return Parsed{}, err
	}
	suffix, err := fromLoose64(separator, "salt separator")
	if err != nil {
		return Parsed{}, err
	}
	key, err := fromLoose64(signer, "signer key")
	if err != nil {
		return Parsed{}, err
	}
	if len(key) != len(p.key) {
		return Parsed{}, malformed("length of the key")
	}
	p.salt = append(p.salt, suffix...)
	subtle.XORBytes(p.key, p.key, key)
	return p, nil
}
