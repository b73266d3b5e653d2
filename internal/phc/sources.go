package phc

import "sync"

// A format is one way in which other systems spell a hash: the strings that
// begin with prefix. read gets the text after it.
type format struct {
	prefix string
	read   reader
}

// A source is a system, or a family of them, by the strings that it alone reads
// in its own way: marked ones, and last, since they have no prefix, bare ones.
// Between the two it reads all strings that name their own format, because
// systems change their ways and keep their tables.
type source struct {
	name   string
	marked []format
	bare   reader // nil if it reads no bare strings
}

// sources returns the whole list, in the order of [Sources]; the first has no
// name. It and its callees are functions, not variables, so that a program
// without imports is not linked with all readers.
func sources() []source {
	return []source{
		{"", saltedAmbiguous(), refuseBare},
		{"lucia-0.1", saltedAmbiguous(), readLucia(8, formRaw)},
		// Lucia 1 and 2 write s2, and read two parts as the hashes of their
		// predecessors: made over the raw password, and from some version on
		// looked up over NFKC, which let those in whose password is the same in
		// both.
		{"lucia-1", saltedAmbiguous(), readLucia(8, formBoth)},
		{"lucia-2", saltedAmbiguous(), readLucia(8, formBoth)},
		// Lucia 3 dropped the mark but not the parameters; two parts mean r=16
		// here.
		{"lucia-3", saltedAmbiguous(), readLucia(16, formNFKC)},
		{"better-auth", saltedAmbiguous(), readLucia(16, formNFKC)},
		{"django", djangoFormats(), readHexDigest("md5")},
		{"werkzeug", werkzeugFormats(), nil},
		{"passlib", saltedAmbiguous(), nil},
		{"bcrypt", saltedAmbiguous(), nil},
		{"argon2", saltedAmbiguous(), nil},
		{"wordpress", saltedAmbiguous(), readHexDigest("md5")},
		{"meteor", meteorFormats(), nil},
		{"aspnet", saltedAmbiguous(), readASPNET},
		{"joomla", saltedAmbiguous(), readDigestSalt("md5")},
		{"vbulletin", saltedAmbiguous(), readDigestSalt("hex-twice-md5")},
		{"oscommerce", saltedAmbiguous(), readDigestSalt("salt-md5")},
		{"md5", saltedAmbiguous(), readHexDigest("md5")},
		{"sha1", saltedAmbiguous(), readHexDigest("sha1")},
		{"sha256", saltedAmbiguous(), readHexDigest("sha256")},
		{"sha512", saltedAmbiguous(), readHexDigest("sha512")},
	}
}

// saltedAmbiguous are the strings that Django and Werkzeug write alike and
// compute differently.
func saltedAmbiguous() []format {
	return []format{
		{"md5$", refuseAmbiguous("django or werkzeug")},
		{"sha1$", refuseAmbiguous("django or werkzeug")},
	}
}

func djangoFormats() []format {
	return []format{
		{"!", noPassword},
		{"md5$", readSaltDigest("salt-md5")},
		{"sha1$", readSaltDigest("salt-sha1")},
	}
}

func werkzeugFormats() []format {
	return []format{
		{"md5$", readSaltDigest("hmac-md5")},
		{"sha1$", readSaltDigest("hmac-sha1")},
	}
}

// Meteor's are over a digest of the password, which their strings do not say.
func meteorFormats() []format {
	return join([]format{
		{"$2", readBcrypt(bcryptSHA256Hex)},
		{"$argon2id$", readArgon2(argon2idSHA256Hex)},
	}, saltedAmbiguous())
}

// common are the strings that name their own format.
func common() []format {
	return join(inner(), []format{
		// One inside of another: Spring, Dovecot, LDAP, Nextcloud.
		{"{bcrypt}", readInner}, {"{BLF-CRYPT}", readInner}, {"{BCRYPT}", readInner},
		{"{argon2}", readInner}, {"{argon2@SpringSecurity_v5_8}", readInner},
		{"{ARGON2}", readInner}, {"{ARGON2I}", readInner}, {"{ARGON2ID}", readInner},
		{"{CRYPT}", readInner}, {"{crypt}", readInner},
		{"{SHA256-CRYPT}", readInner}, {"{SHA512-CRYPT}", readInner},
		{"1|", readInner}, {"2|", readInner}, {"3|", readInner},
		// Spring's own
		{"{pbkdf2}", readSpringPBKDF2(pbkdf2SHA1, 185_000, 8)},
		{"{pbkdf2@SpringSecurity_v5_8}", readSpringPBKDF2(pbkdf2SHA256, 310_000, 16)},
		{"{scrypt}", readSpringScrypt}, {"{scrypt@SpringSecurity_v5_8}", readSpringScrypt},
		// LDAP
		{"{PBKDF2}", readPBKDF2(pbkdf2SHA1, fromLoose64, fromLoose64)},
		{"{PBKDF2-SHA1}", readPBKDF2(pbkdf2SHA1, fromLoose64, fromLoose64)},
		{"{PBKDF2-SHA256}", readPBKDF2(pbkdf2SHA256, fromLoose64, fromLoose64)},
		{"{PBKDF2-SHA512}", readPBKDF2(pbkdf2SHA512, fromLoose64, fromLoose64)},
		{"{PKCS5S2}", readAtlassian},
		{"{MD5}", readLDAP("md5")}, {"{SMD5}", readLDAP("md5")},
		{"{SHA}", readLDAP("sha1")}, {"{SSHA}", readLDAP("sha1")},
		{"{SHA256}", readLDAP("sha256")}, {"{SSHA256}", readLDAP("sha256")},
		{"{SHA512}", readLDAP("sha512")}, {"{SSHA512}", readLDAP("sha512")},
	})
}

// inner are the formats that may also stand in an envelope.
func inner() []format {
	return []format{
		{"$argon2id$", readArgon2(argon2id)},
		{"$argon2i$", readArgon2(argon2i)},
		{"$2", readBcrypt(bcryptPlain)},
		{"$wp$2", readBcrypt(bcryptWP)},
		{"$P$", readPhpass(phpassMD5, 16)}, {"$H$", readPhpass(phpassMD5, 16)},
		{"$S$", readPhpass(phpassSHA512, 32)},
		{"$5$", readSHACrypt(sha256Crypt, 32)}, {"$6$", readSHACrypt(sha512Crypt, 64)},
		// passlib and, with named parameters, others
		{"$scrypt$", readCryptScrypt},
		{"$pbkdf2$", readPBKDF2(pbkdf2SHA1, fromLoose64, fromLoose64)},
		{"$pbkdf2-sha1$", readPBKDF2(pbkdf2SHA1, fromLoose64, fromLoose64)},
		{"$pbkdf2-sha256$", readPBKDF2(pbkdf2SHA256, fromLoose64, fromLoose64)},
		{"$pbkdf2-sha512$", readPBKDF2(pbkdf2SHA512, fromLoose64, fromLoose64)},
		{"$bcrypt-sha256$v=2,t=2b,r=", readPasslibBcrypt(bcryptHMACSHA256)},
		{"$bcrypt-sha256$2a,", readPasslibBcrypt(bcryptSHA256B64)},
		{"$bcrypt-sha256$2b,", readPasslibBcrypt(bcryptSHA256B64)},
		// Django
		{"pbkdf2_sha256$", readPBKDF2(pbkdf2SHA256, fromText, fromPadded64)},
		{"pbkdf2_sha1$", readPBKDF2(pbkdf2SHA1, fromText, fromPadded64)},
		{"argon2$argon2id$", readArgon2(argon2id)},
		{"argon2$argon2i$", readArgon2(argon2i)},
		{"bcrypt_sha256$$2", readBcrypt(bcryptSHA256Hex)},
		{"bcrypt$$2", readBcrypt(bcryptPlain)},
		{"scrypt$", readDjangoScrypt},
		// Werkzeug
		{"pbkdf2:sha1:", readPBKDF2(pbkdf2SHA1, fromText, fromHex)},
		{"pbkdf2:sha256:", readPBKDF2(pbkdf2SHA256, fromText, fromHex)},
		{"pbkdf2:sha512:", readPBKDF2(pbkdf2SHA512, fromText, fromHex)},
		{"scrypt:", readWerkzeugScrypt},
		{"sha256$", readSaltDigest("hmac-sha256")}, {"sha512$", readSaltDigest("hmac-sha512")},
		// others
		{"s2:", readLucia(16, formNFKC)},
		{"$fbscrypt$", readFirebase}, {"$firescrypt$", readFirescrypt},
		{":pbkdf2:", readMediaWiki},
		{"AQAAAA", readASPNETv3},
		{"*", readHexDigest("twice-sha1")},
	}
}

// join returns one slice with all formats, sharing memory with no argument.
func join(lists ...[]format) []format {
	var all []format
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// table is the formats of each source, in the order they are tried, and the
// ones that may stand in an envelope. It is made by the first import.
var table struct {
	once  sync.Once
	of    map[string][]format
	inner []format
}

// formatsOf returns the formats of a source, or false if no source has the
// name.
func formatsOf(source string) ([]format, bool) {
	table.once.Do(makeTable)
	formats, ok := table.of[source]
	return formats, ok
}

func makeTable() {
	table.inner, table.of = inner(), make(map[string][]format)
	for _, s := range sources() {
		formats := join(s.marked, common())
		if s.bare != nil {
			formats = append(formats, format{"", s.bare})
		}
		table.of[s.name] = formats
	}
}

// Sources returns the names that [Import] knows, besides "" and those of the
// application.
func Sources() []string {
	var names []string
	for _, s := range sources()[1:] {
		names = append(names, s.name)
	}
	return names
}
