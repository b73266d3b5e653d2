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
//	scheme  = "$argon2id$v=19$m=" number ",t=" number ",p=" number form
//	        / "$argon2i$v=19$m=" number ",t=" number ",p=" number form
//	        / "$scrypt$ln=" number ",r=" number ",p=" number form
//	        / "$pbkdf2-sha1$i=" number form
//	        / "$pbkdf2-sha256$i=" number form
//	        / "$pbkdf2-sha512$i=" number form
//	        / "$bcrypt$cost=" number form
//	        / "$bcrypt-sha256-hex$cost=" number form
//	        / "$bcrypt-sha256-b64$cost=" number form
//	        / "$bcrypt-hmac-sha256$cost=" number form
//	form    = "" / ",pw=raw" / ",pw=both"
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
// What the parameters mean, and what is malformed because the algorithm does
// not define it:
//
//	m, t, p    Argon2 version 19 (RFC 9106): memory in KiB, passes, lanes.
//	           p is 1 to 255, t at least 1, m at least 8p.
//	ln, r, p   scrypt (RFC 7914): log2 of N, block size, parallelism. All are
//	           at least 1.
//	i          PBKDF2 (RFC 8018) with HMAC and the digest named: iterations, at
//	           least 1.
//	cost       bcrypt: log2 of the rounds, 4 to 31. The salt has 16 bytes and
//	           the key 23, here in base64 as above and not bcrypt's own.
//
// The input to all of them is the password in the form that pw names, in UTF-8:
//
//	(absent)   its NFKC form. Only these are ours, when the scheme is Argon2id.
//	raw        as it came in
//	both       not known which. As it came in first, then in NFKC if that
//	           differs; both are always computed, so that the time does not
//	           tell which of the two has matched.
//
// bcrypt reads 72 bytes of its input. Three schemes hash the password first,
// so that all of it counts; H is SHA-256:
//
//	bcrypt               the password
//	bcrypt-sha256-hex    H(password) in 64 hexadecimal digits, lower case
//	bcrypt-sha256-b64    H(password) in 44 characters of padded base64
//	bcrypt-hmac-sha256   HMAC-H(salt, password) in 44 characters of padded
//	                     base64; the HMAC's key is the salt in the 22
//	                     characters of bcrypt's own base64
//
// # Limits
//
// [Limits] are checked when a string is parsed, before anything is computed or
// allocated on its behalf. Besides memory and work, PBKDF2 has at most 5,000,000
// iterations, times the number of digests that make up the key, and bcrypt at
// most cost 16. A parameter that the algorithm does not define is
// [ErrMalformed]; one that is too expensive is [ErrLimits].
//
// # Sources
//
// What [Import] reads, and what it becomes. Salts that are text become the
// bytes of that text, also where they look hexadecimal.
//
//	lucia-0.1    salt:hexkey                  scrypt ln=14 r=8 p=1   raw
//	lucia-1, -2  s2:salt:hexkey               scrypt ln=14 r=16 p=1  NFKC
//	             salt:hexkey                  scrypt ln=14 r=8 p=1   both
//	lucia-3      salt:hexkey, s2:salt:hexkey  scrypt ln=14 r=16 p=1  NFKC
//	better-auth  salt:hexkey                  scrypt ln=14 r=16 p=1  NFKC
//	django       pbkdf2_sha256$i$salt$key     pbkdf2-sha256          both
//	             pbkdf2_sha1$i$salt$key       pbkdf2-sha1            both
//	             argon2$argon2id$…            argon2id, argon2i      both
//	             bcrypt_sha256$$2b$…          bcrypt-sha256-hex      both
//	             bcrypt$$2b$…                 bcrypt                 both
//	             scrypt$N$salt$r$p$key        scrypt                 both
//	             !…                           no password: ""
//	werkzeug     pbkdf2:digest:i$salt$hexkey  pbkdf2-digest          both
//	             scrypt:N:r:p$salt$hexkey     scrypt                 both
//	passlib      $pbkdf2$i$salt$key           pbkdf2-sha1            both
//	             $pbkdf2-sha256$…, -sha512    the same               both
//	             $scrypt$ln=…                 scrypt                 both
//	             $bcrypt-sha256$v=2,…         bcrypt-hmac-sha256     both
//	             $bcrypt-sha256$2b,…          bcrypt-sha256-b64      both
//	             and those of the next two
//	bcrypt       $2a$…, $2b$…, $2y$…          bcrypt                 both
//	argon2       $argon2id$…, $argon2i$…      the same               both
//
// Without a name, Import reads the strings of all sources but two: salt:hexkey
// is [ErrAmbiguous], because systems that write it compute it differently and a
// guess would lock people out; and "!" is read for django only.
//
// # What is not protected
//
// Passwords and derived keys stay in the program's memory until the garbage
// collector reuses it. A stolen hash can be tried offline at the cost of its
// class. Users whose hash is of another class than the current one can be told
// from unknown users by time, until they have logged in once.
package phc
