// Package phc makes and verifies password hashes.
//
// There is one stored syntax, and verification knows nothing else. Strings of
// other systems are converted to it once, by [Import], under the name of the
// system that made them. A [Hasher] makes hashes with Argon2id, verifies all
// schemes below, and bounds how many computations run at once.
//
// # Stored syntax
//
// A stored string follows the PHC string format. In ABNF, where literals are
// case-sensitive:
//
//	hash    = scheme "$" salt "$" key
//	        / "$app$x-" label "$" base64
//	scheme  = argon2 "$v=19$m=" number ",t=" number ",p=" number form
//	        / scrypt "$ln=" number ",r=" number ",p=" number form
//	        / pbkdf2 "$i=" number form
//	        / bcrypt "$cost=" number form
//	        / phpass "$ln=" number form
//	        / shacrypt "$rounds=" number form
//	argon2  = "$argon2id" / "$argon2i" / "$argon2id-sha256-hex"
//	        / "$argon2id-" digest
//	digest  = "md5" / "sha1" / "sha256" / "sha512" / "salt-md5" / "salt-sha1"
//	        / "hmac-md5" / "hmac-sha1" / "hmac-sha256" / "hmac-sha512"
//	        / "twice-sha1" / "hex-twice-md5"
//	scrypt  = "$scrypt" / "$scrypt-aes256-ctr"
//	pbkdf2  = "$pbkdf2-sha1" / "$pbkdf2-sha256" / "$pbkdf2-sha512"
//	bcrypt  = "$bcrypt" / "$bcrypt-sha256-hex" / "$bcrypt-sha256-b64"
//	        / "$bcrypt-hmac-sha256" / "$bcrypt-wp-sha384"
//	phpass  = "$phpass-md5" / "$phpass-sha512"
//	shacrypt = "$sha256-crypt" / "$sha512-crypt"
//	form    = [ ",pw=raw" / ",pw=both" ] [ ",pepper=" label ]
//	label   = 1*32(%x61-7A / DIGIT / "-")
//	number  = "0" / (%x31-39 *DIGIT)
//	salt    = base64
//	key     = base64
//	base64  = 1*(ALPHA / DIGIT / "+" / "/")
//
// base64 is RFC 4648's with its standard alphabet, no padding, and spare bits
// zero. Parameters stand in the order shown, all of them, each once. A string
// has at most 1,024 bytes, a salt 1 to 256 and a key 16 to 128. So each hash has
// exactly one spelling.
//
// The parameters, and the values that are malformed because the algorithm does
// not define them:
//
//	m, t, p    Argon2 version 19 (RFC 9106): memory in KiB, passes, lanes.
//	           p is 1 to 255, t at least 1, m at least 8p.
//	ln, r, p   scrypt (RFC 7914): log2 of N, block size, parallelism. All are
//	           at least 1.
//	i          PBKDF2 (RFC 8018) with HMAC and the digest named: iterations, at
//	           least 1.
//	cost       bcrypt: log2 of the rounds, 4 to 31. The salt has 16 bytes and
//	           the key 23, here in base64 as above and not bcrypt's own.
//	ln         phpass: log2 of the rounds, 7 to 30. The salt is the text of 8
//	           characters; the key has 16 bytes of MD5, or 32 of SHA-512.
//	rounds     SHA-crypt (Drepper, 2007), 1,000 to 999,999,999. The salt is the
//	           text of 1 to 16 characters; the key has the 32 or 64 bytes of
//	           the digest in their own order and not crypt's.
//
// The input to all of them is the password in the form that pw names, in UTF-8:
//
//	(absent)   its NFKC form. Only these are ours, when the scheme is Argon2id.
//	raw        as it came in
//	both       not known which. As it came in first, then in NFKC if that
//	           differs; both are always computed, so that the time does not
//	           tell which of the two has matched.
//
// Where there is a pepper, its text follows the password in either form; the
// string has its name only, and [Config.Peppers] the text.
//
// bcrypt reads 72 bytes of its input. Four schemes hash the password first,
// so that all of it counts; H is SHA-256:
//
//	bcrypt               the password
//	bcrypt-sha256-hex    H(password) in 64 hexadecimal digits, lower case
//	bcrypt-sha256-b64    H(password) in 44 characters of padded base64
//	bcrypt-hmac-sha256   HMAC-H(salt, password) in 44 characters of padded
//	                     base64; the HMAC's key is the salt in the 22
//	                     characters of bcrypt's own base64
//	bcrypt-wp-sha384     HMAC-SHA384("wp-sha384", password without white space
//	                     at its ends) in 64 characters of base64
//	argon2id-sha256-hex  as bcrypt-sha256-hex, and then Argon2id
//
// scrypt-aes256-ctr is Firebase's: scrypt makes 32 bytes, and the key of the
// string is the keystream of AES-256 with them, in counter mode from zero.
//
// phpass and SHA-crypt hash the password in each round. Passwords of more than
// 1,024 and 512 bytes never match their hashes.
//
// # Digests that are too weak
//
// A digest that costs nothing to guess is never stored. "argon2id-" with the
// name of a digest is Argon2id over the bytes of that digest; of its salt, the
// first 16 bytes are drawn at import and the rest is the digest's own, s below.
// H is the function that ends the name:
//
//	md5, sha1, sha256, sha512  H(password ‖ s)
//	salt-md5, salt-sha1        H(s ‖ password)
//	hmac-…                     HMAC-H(s, password)
//	hex-twice-md5              H(H(password) in hexadecimal digits ‖ s)
//	twice-sha1                 H(H(password))
//
// # The application's own
//
// "$app$" holds an import of the application under a name of its own, which
// begins with "x-", and its text of 1 to [MaxAppText] bytes. [Config.Verifier]
// verifies it.
//
// # Limits
//
// [Limits] are checked when a string is parsed, before anything is computed or
// allocated on its behalf. Besides memory and work, PBKDF2 has at most 5,000,000
// iterations, times the number of digests that make up the key, bcrypt at most
// cost 16, phpass at most 2^20 rounds and SHA-crypt at most 1,000,000. A
// parameter that the algorithm does not define is [ErrMalformed]; one that is
// too expensive is [ErrLimits].
//
// An import is also refused if a verification would take longer than
// [Config.ImportTime], by an estimate: the parameters times the time of a unit
// of work on this machine, measured once on short samples.
//
// # Sources
//
// The name of a source tells apart strings that systems compute differently. It
// narrows nothing: a string that names its own format can be read under every
// name, because systems change their ways and keep their tables. Salts that are
// text become the bytes of that text, even if they look hexadecimal. PBKDF2
// keys are cut to their first digest, which is all that a guess needs too.
//
// The names:
//
//	lucia-0.1    salt:hexkey                  scrypt ln=14 r=8 p=1   raw
//	lucia-1, -2  salt:hexkey                  scrypt ln=14 r=8 p=1   both
//	lucia-3      salt:hexkey                  scrypt ln=14 r=16 p=1  NFKC
//	better-auth  salt:hexkey                  scrypt ln=14 r=16 p=1  NFKC
//	django       md5$salt$hex, sha1$salt$hex  argon2id-salt-…        both
//	             32 hexadecimal digits        argon2id-md5           both
//	             !…                           no password: ""
//	werkzeug     md5$salt$hex, sha1$salt$hex  argon2id-hmac-…        both
//	meteor       $2b$…                        bcrypt-sha256-hex      both
//	             $argon2id$…                  argon2id-sha256-hex    both
//	aspnet       base64 of version 2 and 3    pbkdf2-…               both
//	wordpress    32 hexadecimal digits        argon2id-md5           both
//	joomla       hex:salt                     argon2id-md5           both
//	vbulletin    hex:salt                     argon2id-hex-twice-md5 both
//	oscommerce   hex:salt                     argon2id-salt-md5      both
//	md5 … sha512 hexadecimal digits           argon2id-…             both
//	passlib, bcrypt, argon2                   nothing of their own
//
// Formats that are read under each name, and without one:
//
//	$argon2id$v=19$…, $argon2i$…              the same               both
//	$2a$…, $2b$…, $2y$…                       bcrypt                 both
//	$wp$2y$…  (WordPress)                     bcrypt-wp-sha384       both
//	$P$…, $H$…  (WordPress, phpBB)            phpass-md5             both
//	$S$…  (Drupal)                            phpass-sha512          both
//	$5$…, $6$…                                sha256-, sha512-crypt  both
//	$scrypt$ln=…, n=…                         scrypt                 both
//	$pbkdf2$…, $pbkdf2-sha1$, -sha256$, -sha512$, with the iterations alone or
//	as i=…,l=… or f=…,w=…,l=…                 pbkdf2-…               both
//	$bcrypt-sha256$v=2,…                      bcrypt-hmac-sha256     both
//	$bcrypt-sha256$2b,…                       bcrypt-sha256-b64      both
//	pbkdf2_sha256$i$salt$key, pbkdf2_sha1     pbkdf2-…               both
//	argon2$argon2id$…, argon2$argon2i$…       the same               both
//	bcrypt_sha256$$2b$…                       bcrypt-sha256-hex      both
//	bcrypt$$2b$…                              bcrypt                 both
//	scrypt$N$salt$r$p$key                     scrypt                 both
//	pbkdf2:digest:i$salt$hexkey               pbkdf2-…               both
//	scrypt:N:r:p$salt$hexkey                  scrypt                 both
//	sha256$salt$hex, sha512$salt$hex          argon2id-hmac-…        both
//	s2:salt:hexkey                            scrypt ln=14 r=16 p=1  NFKC
//	$fbscrypt$v=1,n=…,r=…,p=…,ss=…,sk=…$salt$hash, Firebase with the project's
//	separator and signer key; $firescrypt$…   scrypt-aes256-ctr      both
//	:pbkdf2:digest:i:length:salt:key          pbkdf2-…               both
//	AQAAAA…  (ASP.NET, version 3)             pbkdf2-…               both
//	{pbkdf2}…, {scrypt}…  (Spring)            pbkdf2-…, scrypt       both
//	{PBKDF2-SHA256}…, {PKCS5S2}…              pbkdf2-…               both
//	{SHA}, {SSHA}, {MD5}, {SMD5}, {SHA256}, {SSHA256}, {SHA512}, {SSHA512}
//	                                          argon2id-…             both
//	*hex  (MySQL)                             argon2id-twice-sha1    both
//
// and one of these in an envelope: {bcrypt}, {BLF-CRYPT}, {argon2}, {ARGON2ID},
// {CRYPT}, {SHA512-CRYPT} and their like, or 1|, 2|, 3| of Nextcloud.
//
// salt:hexkey, hex:salt, md5$… and sha1$… without a name are [ErrAmbiguous]: a
// guess would lock people out. "!" is read for django only.
//
// # What is not protected
//
// Passwords and derived keys stay in the program's memory until the garbage
// collector reuses it. A stolen hash can be tried offline at the cost of its
// class. Users whose hash is of another class than the current one can be told
// from unknown users by time, until they have logged in once.
package phc
