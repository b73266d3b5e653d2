package phc

import "strings"

// A format is one way in which other systems spell a hash: those strings that
// begin with prefix. read gets what follows it.
type format struct {
	prefix string
	read   reader
}

// A source is a system, or a family of them, whose strings are known to mean
// one thing. The first format whose prefix fits reads the string.
type source struct {
	name    string
	formats []format
}

// The formats, by the system that writes them.
var (
	argon2Formats = []format{
		{"$argon2id$", readArgon2(argon2id)},
		{"$argon2i$", readArgon2(argon2i)},
	}
	bcryptFormats = []format{
		{"$2", readBcrypt(bcryptPlain)},
	}
	passlibFormats = join(argon2Formats, bcryptFormats, []format{
		{"$scrypt$", readPHC(scryptKey)},
		{"$pbkdf2$", readPBKDF2(pbkdf2SHA1, fromDotted64, fromDotted64)},
		{"$pbkdf2-sha256$", readPBKDF2(pbkdf2SHA256, fromDotted64, fromDotted64)},
		{"$pbkdf2-sha512$", readPBKDF2(pbkdf2SHA512, fromDotted64, fromDotted64)},
		{"$bcrypt-sha256$v=2,t=2b,r=", readPasslibBcrypt(bcryptHMACSHA256)},
		{"$bcrypt-sha256$2a,", readPasslibBcrypt(bcryptSHA256B64)},
		{"$bcrypt-sha256$2b,", readPasslibBcrypt(bcryptSHA256B64)},
	})
	djangoFormats = []format{
		{"pbkdf2_sha256$", readPBKDF2(pbkdf2SHA256, fromText, fromPadded64)},
		{"pbkdf2_sha1$", readPBKDF2(pbkdf2SHA1, fromText, fromPadded64)},
		{"argon2$argon2id$", readArgon2(argon2id)},
		{"argon2$argon2i$", readArgon2(argon2i)},
		{"bcrypt_sha256$$2", readBcrypt(bcryptSHA256Hex)},
		{"bcrypt$$2", readBcrypt(bcryptPlain)},
		{"scrypt$", readDjangoScrypt},
	}
	werkzeugFormats = []format{
		{"pbkdf2:sha1:", readPBKDF2(pbkdf2SHA1, fromText, fromHex)},
		{"pbkdf2:sha256:", readPBKDF2(pbkdf2SHA256, fromText, fromHex)},
		{"pbkdf2:sha512:", readPBKDF2(pbkdf2SHA512, fromText, fromHex)},
		{"scrypt:", readWerkzeugScrypt},
	}
	luciaS2Formats = []format{
		{"s2:", readLucia(16, formNFKC)},
	}
)

// sources is the whole list, in the order of [Sources]; the first has no name.
var sources = []source{
	{"", join(passlibFormats, djangoFormats, werkzeugFormats, luciaS2Formats, []format{{"", refuseTwoParts}})},
	{"lucia-0.1", []format{{"", readLucia(8, formRaw)}}},
	// Lucia 1 and 2 write s2, and read two parts as what their predecessors
	// left behind: made over the raw password, and from some version on looked
	// up over NFKC, which let those in whose password is the same in both.
	{"lucia-1", join(luciaS2Formats, []format{{"", readLucia(8, formBoth)}})},
	{"lucia-2", join(luciaS2Formats, []format{{"", readLucia(8, formBoth)}})},
	// Lucia 3 dropped the mark but not the parameters; two parts mean r=16
	// here. It still reads s2.
	{"lucia-3", join(luciaS2Formats, []format{{"", readLucia(16, formNFKC)}})},
	{"better-auth", []format{{"", readLucia(16, formNFKC)}}},
	{"django", join(djangoFormats, []format{{"!", noPassword}})},
	{"werkzeug", werkzeugFormats},
	{"passlib", passlibFormats},
	{"bcrypt", bcryptFormats},
	{"argon2", argon2Formats},
}

// unsupported are prefixes of kinds that are known, and not read here.
var unsupported = []string{
	"$", "{", "md5$", "sha1$", "sha224$", "sha256$", "sha384$", "sha512$",
	"crypt$", "unsalted_", "plain$", "pbkdf2:", "bcrypt$", "argon2$",
}

// join returns one slice with all formats, sharing memory with none.
func join(lists ...[]format) []format {
	var all []format
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// Sources returns the names that [Import] knows, besides "".
func Sources() []string {
	var names []string
	for _, s := range sources[1:] {
		names = append(names, s.name)
	}
	return names
}

// Import converts a hash string of another system to the stored syntax, under
// the limits that verifying it will have. source is one of [Sources], or "" if
// the string says by itself what it is. Nothing is computed. The result is "",
// and no error, for the "!" by which the source django marks a user without a
// password.
//
// The error is [ErrUnknownSource]; [ErrAmbiguous] for "salt:hexkey" without a
// source, which different systems compute differently; [ErrUnsupported],
// [ErrMalformed] or [ErrLimits]. What it returns, [Parse] accepts under the same
// limits.
func Import(source, foreign string, l Limits) (Hash, error) {
	formats, ok := formatsOf(source)
	if !ok {
		return "", ErrUnknownSource
	}
	if err := plain(foreign); err != nil {
		return "", err
	}
	p, err := read(formats, foreign)
	if err != nil {
		return "", err
	}
	if p.scheme == nil {
		return "", nil
	}
	if err := p.check(l); err != nil {
		return "", err
	}
	return Hash(p.String()), nil
}

func formatsOf(name string) ([]format, bool) {
	for _, s := range sources {
		if s.name == name {
			return s.formats, true
		}
	}
	return nil, false
}

func read(formats []format, foreign string) (Parsed, error) {
	for _, f := range formats {
		if rest, ok := strings.CutPrefix(foreign, f.prefix); ok {
			return f.read(rest)
		}
	}
	return Parsed{}, unread(foreign)
}

// unread says why no format fits.
func unread(foreign string) error {
	for _, prefix := range unsupported {
		if strings.HasPrefix(foreign, prefix) {
			return ErrUnsupported
		}
	}
	return malformed("unknown syntax")
}
