package phc

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// conversions pins what foreign strings become. password is in clear where the
// hash is a real one, to be verified; the other fields then say who made it.
var conversions = []struct {
	name     string
	sources  []string
	foreign  string
	want     Hash
	password string
}{
	// passlib's documentation
	{"passlib bcrypt-sha256 v1", []string{"passlib", ""},
		"$bcrypt-sha256$2a,8$UE3dIZ.0I6XZtA/LdMrrle$Ag04/5zYu./12.OSqInXZnJ.WZoh1ua",
		"$bcrypt-sha256-b64$cost=8,pw=both$WG5fKbA2K8ZbvCBNfOttng$Ci26B71awAB34AQUsKpZbpLAYbqj3wc", "password"},
	// the reference implementation of Argon2
	{"argon2i", []string{"argon2", "passlib", ""},
		"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
		"$argon2i$v=19$m=256,t=2,p=1,pw=both$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password"},
	{"django argon2id", []string{"django", ""},
		"argon2$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=256,t=2,p=1,pw=both$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
	// RFC 7914, written as Werkzeug does
	{"werkzeug scrypt", []string{"werkzeug", ""},
		"scrypt:16384:8:1$SodiumChloride$7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
		"$scrypt$ln=14,r=8,p=1,pw=both$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw", "pleaseletmein"},
	// Python's hashlib, written as passlib, Django and Werkzeug do
	{"passlib pbkdf2", []string{"passlib", ""},
		"$pbkdf2$1000$.vv8/f7/AAECAwQFBgcICQ$0u0dVdWbGrsFMNeA9Y2YMUZcAWA",
		"$pbkdf2-sha1$i=1000,pw=both$+vv8/f7/AAECAwQFBgcICQ$0u0dVdWbGrsFMNeA9Y2YMUZcAWA", "pässwörd-1"},
	{"passlib pbkdf2-sha512", []string{"passlib", ""},
		"$pbkdf2-sha512$500$.vv8/f7/AAECAwQFBgcICQ$neHC.FM6jxY3./N/oLkHfNUa/wQ0aQLRJEC26NqhiChItvomvgKYUGIdRGTxdsgF488uOLLDS/XjZGLPaAn/Zw",
		"$pbkdf2-sha512$i=500,pw=both$+vv8/f7/AAECAwQFBgcICQ$neHC+FM6jxY3+/N/oLkHfNUa/wQ0aQLRJEC26NqhiChItvomvgKYUGIdRGTxdsgF488uOLLDS/XjZGLPaAn/Zw", "pässwörd-1"},
	{"passlib scrypt", []string{"passlib", ""},
		"$scrypt$ln=10,r=8,p=1$+vv8/f7/AAECAwQFBgcICQ$MKvP51+MJliddi46GCrV5EblctK8DxgNIu/Uc82CHlQ",
		"$scrypt$ln=10,r=8,p=1,pw=both$+vv8/f7/AAECAwQFBgcICQ$MKvP51+MJliddi46GCrV5EblctK8DxgNIu/Uc82CHlQ", "pässwörd-1"},
	{"django scrypt", []string{"django", ""},
		"scrypt$1024$seasalt2$8$5$2Bem3deR0CwZeTS3G0ocU8kct74X4HBIwdDZN289YRdJk9zV/3Q7cV1xfn0aq6Sf5ujX8cMzn5Ld7OdPhhR7nQ==",
		"$scrypt$ln=10,r=8,p=5,pw=both$c2Vhc2FsdDI$2Bem3deR0CwZeTS3G0ocU8kct74X4HBIwdDZN289YRdJk9zV/3Q7cV1xfn0aq6Sf5ujX8cMzn5Ld7OdPhhR7nQ", "pässwörd-1"},
	{"werkzeug pbkdf2 sha1", []string{"werkzeug", ""},
		"pbkdf2:sha1:1000$q8Zk2w$d093e6e2b56f916440e6a38e14b121d22727d9cd",
		"$pbkdf2-sha1$i=1000,pw=both$cThaazJ3$0JPm4rVvkWRA5qOOFLEh0icn2c0", "pässwörd-1"},
	{"werkzeug pbkdf2 sha256", []string{"werkzeug", ""},
		"pbkdf2:sha256:1000$q8Zk2w$10a2d11e3837bac1ea6de8af8b6cbe3865398ff210916af653829bb686510f97",
		"$pbkdf2-sha256$i=1000,pw=both$cThaazJ3$EKLRHjg3usHqbeivi2y+OGU5j/IQkWr2U4KbtoZRD5c", "pässwörd-1"},
	{"werkzeug pbkdf2 sha512", []string{"werkzeug", ""},
		"pbkdf2:sha512:1000$q8Zk2w$8199b537496c14a4d4b3aac6f93575b051fbe2dd4d94b2a6b7a9eff0593e2c95c3dfea29d73293e720c0073111029b1cc6a8983e167657605a488ac66cddb6e2",
		"$pbkdf2-sha512$i=1000,pw=both$cThaazJ3$gZm1N0lsFKTUs6rG+TV1sFH74t1NlLKmt6nv8Fk+LJXD3+op1zKT5yDABzERApscxqiYPhZ2V2BaSIrGbN224g", "pässwörd-1"},
	// the same bcrypt hash in three wrappings, and its variants; passlib made it
	{"bcrypt 2b", []string{"bcrypt", "passlib", ""}, "$2b$06$" + bcryptSample, bcryptStored, "pässwörd-1"},
	{"bcrypt 2a", []string{"bcrypt", "passlib", ""}, "$2a$06$" + bcryptSample, bcryptStored, "pässwörd-1"},
	{"bcrypt 2y", []string{"bcrypt", "passlib", ""}, "$2y$06$" + bcryptSample, bcryptStored, "pässwörd-1"},
	{"django bcrypt", []string{"django", ""}, "bcrypt$$2b$06$" + bcryptSample, bcryptStored, "pässwörd-1"},
	{"bcrypt with spare bits", []string{"bcrypt"}, "$2b$06$" + strings.Replace(bcryptSample, "Bu5V", "Bv5V", 1), bcryptStored, "pässwörd-1"},
	// no password
	{"django unusable", []string{"django"}, "!0mFrUaL4qLDRoVYoR1fHyEbf3xLLkYmLsSzLWNCf", "", ""},
	// what each Lucia means by its strings
	{"lucia 0.1", []string{"lucia-0.1"}, luciaTwo, "$scrypt$ln=14,r=8,p=1,pw=raw$MDEyMzQ1Njc$" + luciaStored, ""},
	{"lucia 1 and 2", []string{"lucia-1", "lucia-2"}, luciaTwo, "$scrypt$ln=14,r=8,p=1,pw=both$MDEyMzQ1Njc$" + luciaStored, ""},
	{"lucia s2", []string{"lucia-1", "lucia-2", "lucia-3", ""}, "s2:" + luciaTwo, "$scrypt$ln=14,r=16,p=1$MDEyMzQ1Njc$" + luciaStored, ""},
	{"lucia 3", []string{"lucia-3", "better-auth"}, luciaTwo, "$scrypt$ln=14,r=16,p=1$MDEyMzQ1Njc$" + luciaStored, ""},
}

const (
	bcryptSample = "jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu"
	bcryptStored = "$bcrypt$cost=6,pw=both$lYT2LdwpdeY+Hk7vi8cxDw$7X5mXT1wb7rzOe85T+lqXfhw9xEnfaw"
)

var (
	luciaTwo    = "01234567:" + strings.Repeat("0a", 64)
	luciaStored = Hash(strict64.EncodeToString([]byte(strings.Repeat("\n", 64))))
)

func TestImportConverts(t *testing.T) {
	h, _ := newHasher(t, Config{})
	for _, tt := range conversions {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, source := range tt.sources {
				if got := imported(t, source, tt.foreign); got != tt.want {
					t.Errorf("source %q: got\n%q, want\n%q", source, got, tt.want)
				}
			}
			if tt.password == "" {
				return
			}
			if ok, err := h.Verify(t.Context(), tt.want, tt.password); !ok || err != nil {
				t.Errorf("Verify = %v, %v", ok, err)
			}
			if ok, err := h.Verify(t.Context(), tt.want, tt.password+"!"); ok || err != nil {
				t.Errorf("wrong password: Verify = %v, %v", ok, err)
			}
		})
	}
}

// hex32 are 32 bytes in hexadecimal digits.
var hex32 = strings.Repeat("0f", 32)

// misreadings are strings that Import must refuse, with the reason.
var misreadings = []struct {
	source, foreign string
	want            error
}{
	{"lucia", luciaTwo, ErrUnknownSource},
	{"Django", "!x", ErrUnknownSource},
	{"", luciaTwo, ErrAmbiguous},
	{"", "", ErrMalformed},
	{"django", "", ErrMalformed},
	{"", "password", ErrMalformed},
	{"", "salt:key", ErrMalformed},
	{"", luciaTwo + ":", ErrMalformed},
	{"", "!0mFrUaL4qLDRoVYoR1fHyEbf3xLLkYmLsSzLWNCf", ErrMalformed}, // means nothing but in Django
	{"passlib", "!", ErrMalformed},
	// Lucia
	{"lucia-3", luciaTwo + "00", ErrMalformed},
	{"lucia-3", luciaTwo[:len(luciaTwo)-2], ErrMalformed},
	{"lucia-3", luciaTwo[:len(luciaTwo)-1] + "g", ErrMalformed},
	{"lucia-3", ":" + luciaTwo[9:], ErrMalformed},
	{"lucia-3", luciaTwo + "\n", ErrMalformed},
	{"lucia-3", "s3:" + luciaTwo, ErrMalformed},
	// kinds that are known and not read
	{"", "$y$j9T$salt$hash", ErrUnsupported},
	{"", "$6$salt$hash", ErrMalformed},
	{"", "{SSHA}abc", ErrMalformed},
	{"", "{SSHA512}" + key32, ErrMalformed},
	{"", "md5$salt$0123", ErrAmbiguous},
	{"", "sha1$salt$" + hex32[:40], ErrAmbiguous},
	{"passlib", "sha1$salt$" + hex32[:40], ErrAmbiguous},
	{"", hex32[:32] + ":salt", ErrAmbiguous},
	{"", hex32[:32], ErrMalformed},
	{"lucia-3", "$y$j9T$salt$hash", ErrUnsupported},
	{"md5", "$1$salt$hash", ErrUnsupported},
	// digests, which have to be hashed
	{"md5", hex32[:32], ErrWeak},
	{"md5", hex32[:40], ErrMalformed},
	{"md5", "", ErrMalformed},
	{"sha1", hex32[:40], ErrWeak},
	{"sha512", hex32 + hex32, ErrWeak},
	{"django", "md5$salt$" + hex32[:32], ErrWeak},
	{"django", "sha1$$" + hex32[:40], ErrWeak},
	{"django", hex32[:32], ErrWeak},
	{"joomla", hex32[:32] + ":salt", ErrWeak},
	{"joomla", hex32[:32] + ":" + strings.Repeat("s", 241), ErrMalformed},
	{"", "{SSHA}" + key32, ErrWeak},
	{"", "{SHA}" + key32[:24], ErrMalformed},
	{"", "*" + hex32[:40], ErrWeak},
	{"", "*" + hex32[:38], ErrMalformed},
	// blocks of bytes
	{"aspnet", "", ErrMalformed},
	{"aspnet", "AAAA", ErrMalformed},
	{"aspnet", "Ag==", ErrUnsupported},
	{"aspnet", "AQAAAAM" + strings.Repeat("A", 77), ErrMalformed},
	{"", "AQAAAAIAAYagAAAAEA==", ErrMalformed},
	{"", "AQAAAAIAAYag/////wABAgMEBQYHCAkKCwwNDg9jISkPlhuGShwLDok/Jf4wvb8nO9niw6yfjlKFMSfHmw==", ErrMalformed},
	{"", "AQAAAAL/////AAAAEAABAgMEBQYHCAkKCwwNDg9jISkPlhuGShwLDok/Jf4wvb8nO9niw6yfjlKFMSfHmw==", ErrLimits},
	{"", "{pbkdf2}" + hex32, ErrMalformed},
	{"", "{scrypt}$1f0801$c2FsdA==$" + key32, ErrLimits},
	{"", "{scrypt}$100801$c2FsdA==", ErrMalformed},
	{"", "{CRYPT}{CRYPT}$2b$06$" + bcryptSample, ErrUnsupported}, // envelopes hold no envelopes
	{"", "{bcrypt}plain", ErrMalformed},
	{"", "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=" + key16 + "$c2FsdA==$" + key32, ErrMalformed},
	{"", "$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk=" + key32 + "$c2FsdA==$" + key32, ErrMalformed},
	{"", "$fbscrypt$v=1,n=31,r=8,p=1,ss=Bw==,sk=" + key32 + "$c2FsdA==$" + key32, ErrLimits},
	{"", "$firescrypt$ln=14,r=8$c2FsdA==$" + key32 + "$Bw==$" + key32, ErrMalformed},
	// crypt
	{"", "$P$BwaTCA7.pe3iK4N5vYE99XcgumdoIK", ErrMalformed},
	{"", "$P$BwaTCA7.pe3iK4N5vYE99XcgumdoIK0x", ErrMalformed},
	{"", "$P$!waTCA7.pe3iK4N5vYE99XcgumdoIK0", ErrMalformed},
	{"", "$P$JwaTCA7.pe3iK4N5vYE99XcgumdoIK0", ErrLimits}, // 2^21
	{"", "$P$", ErrMalformed},
	{"", "$6$rounds=1000001$salt$" + strings.Repeat("a", 86), ErrLimits},
	{"", "$6$rounds=999$salt$" + strings.Repeat("a", 86), ErrMalformed},
	{"", "$6$rounds=$salt$" + strings.Repeat("a", 86), ErrMalformed},
	{"", "$6$$" + strings.Repeat("a", 86), ErrMalformed},
	{"", "$6$salt$" + strings.Repeat("a", 85), ErrMalformed},
	{"", "$6$saltsaltsaltsalts$" + strings.Repeat("a", 86), ErrMalformed},
	// the application's own
	{"x-", "text", ErrMalformed},
	{"x-A", "text", ErrMalformed},
	{"x-a", "", ErrMalformed},
	{"x-a", strings.Repeat("a", MaxAppText+1), ErrMalformed},
	{"", "$argon2d$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16, ErrUnsupported},
	{"argon2", "$argon2id$v=16$m=8,t=1,p=1$" + salt16 + "$" + key16, ErrUnsupported},
	{"argon2", "$argon2i$m=8,t=1,p=1$" + salt16 + "$" + key16, ErrUnsupported},
	{"django", "argon2$argon2d$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16, ErrUnsupported},
	{"bcrypt", "$2x$06$" + bcryptSample, ErrUnsupported},
	{"bcrypt", "$2$06$" + bcryptSample, ErrUnsupported},
	{"werkzeug", "pbkdf2:sha224:1000$salt$" + hex32, ErrUnsupported},
	{"werkzeug", "sha256$salt$" + hex32, ErrWeak},
	{"", "$pbkdf2-sha256$i=1000,l=31$" + salt16 + "$" + key32, ErrMalformed},
	{"", "$pbkdf2-sha256$i=1000,x=1$" + salt16 + "$" + key32, ErrMalformed},
	{"", "$pbkdf2$f=SHA224,w=1000,l=32$" + salt16 + "$" + key32, ErrUnsupported},
	{"", "$pbkdf2-sha256$l=32$" + salt16 + "$" + key32, ErrMalformed},
	{"", "$scrypt$n=1000,r=8,p=1$" + salt16 + "$" + key32, ErrMalformed},
	{"passlib", "$bcrypt-sha256$v=3,t=2b,r=6$" + salt16, ErrUnsupported},
	// Argon2 and passlib's scrypt
	{"argon2", "$argon2id$v=19$m=8,t=1,p=1,pw=raw$" + salt16 + "$" + key16, ErrMalformed},
	{"passlib", "$scrypt$ln=10,r=8,p=1,pw=both$" + salt16 + "$" + key16, ErrMalformed},
	{"argon2", "$argon2id$v=19$m=8,t=0,p=1$" + salt16 + "$" + key16, ErrMalformed},
	{"argon2", "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt16 + "$" + key16, ErrLimits},
	// bcrypt
	{"bcrypt", "$2b$6$" + bcryptSample, ErrMalformed},
	{"bcrypt", "$2b$06$" + bcryptSample + "u", ErrMalformed},
	{"bcrypt", "$2b$06$" + bcryptSample[1:], ErrMalformed},
	{"bcrypt", "$2b$06$" + bcryptSample[:52] + "v", ErrMalformed}, // spare bits of the key
	{"bcrypt", "$2b$06", ErrMalformed},
	{"bcrypt", "$2c$06$" + bcryptSample, ErrMalformed},
	{"bcrypt", "$2b$00$" + bcryptSample, ErrMalformed},
	{"bcrypt", "$2b$03$" + bcryptSample, ErrMalformed},
	{"bcrypt", "$2b$32$" + bcryptSample, ErrMalformed},
	{"bcrypt", "$2b$-1$" + bcryptSample, ErrMalformed},
	{"bcrypt", "$2b$17$" + bcryptSample, ErrLimits},
	{"bcrypt", "$2b$31$" + bcryptSample, ErrLimits},
	{"django", "bcrypt_sha256$$2b$31$" + bcryptSample, ErrLimits},
	{"passlib", "$bcrypt-sha256$v=2,t=2b,r=31$g37VPP/lSpTTvVcy6pwKlO$gR3MjKiXyX0LMJ1qfkHEk.IMuL1F9q6", ErrLimits},
	{"passlib", "$bcrypt-sha256$v=2,t=2b,r=06$g37VPP/lSpTTvVcy6pwKlO$gR3MjKiXyX0LMJ1qfkHEk.IMuL1F9q6", ErrMalformed},
	{"passlib", "$bcrypt-sha256$v=2,t=2b,r=6$g37VPP/lSpTTvVcy6pwKlP$gR3MjKiXyX0LMJ1qfkHEk.IMuL1F9q6", ErrMalformed},
	{"passlib", "$bcrypt-sha256$v=2,t=2b,r=6$g37VPP/lSpTTvVcy6pwKlO", ErrMalformed},
	// PBKDF2
	{"django", "pbkdf2_sha256$5000001$salt$beDL07+lwd9sdQYLxyJ4/9KV4rpI3B3ZBp7SoPq0P/o=", ErrLimits},
	{"django", "pbkdf2_sha256$0$salt$beDL07+lwd9sdQYLxyJ4/9KV4rpI3B3ZBp7SoPq0P/o=", ErrMalformed},
	{"django", "pbkdf2_sha256$010$salt$beDL07+lwd9sdQYLxyJ4/9KV4rpI3B3ZBp7SoPq0P/o=", ErrMalformed},
	{"django", "pbkdf2_sha256$10$$beDL07+lwd9sdQYLxyJ4/9KV4rpI3B3ZBp7SoPq0P/o=", ErrMalformed},
	{"django", "pbkdf2_sha256$10$salt$beDL07+lwd9sdQYLxyJ4/9KV4rpI3B3ZBp7SoPq0P/o", ErrMalformed},
	{"django", "pbkdf2_sha256$10$salt$", ErrMalformed},
	{"django", "pbkdf2_sha256$10$salt", ErrMalformed},
	{"passlib", "$pbkdf2-sha256$10$$" + key32, ErrMalformed},
	{"passlib", "$pbkdf2-sha256$10$" + salt16 + "$" + key32 + "==", ErrMalformed},
	{"werkzeug", "pbkdf2:sha256:1000$salt$" + hex32 + "0", ErrMalformed},
	{"werkzeug", "pbkdf2:sha256:1000$salt$", ErrMalformed},
	{"werkzeug", "pbkdf2:sha256:99999999$salt$" + hex32, ErrLimits},
	// scrypt
	{"django", "scrypt$1023$salt$8$1$" + "AAAAAAAAAAAAAAAAAAAAAA==", ErrMalformed},
	{"django", "scrypt$1536$salt$8$1$" + "AAAAAAAAAAAAAAAAAAAAAA==", ErrMalformed},
	{"django", "scrypt$0$salt$8$1$" + "AAAAAAAAAAAAAAAAAAAAAA==", ErrMalformed},
	{"django", "scrypt$1$salt$8$1$" + "AAAAAAAAAAAAAAAAAAAAAA==", ErrMalformed},
	{"django", "scrypt$1024$salt$8$" + "AAAAAAAAAAAAAAAAAAAAAA==", ErrMalformed},
	{"django", "scrypt$1048576$salt$8$1$" + "AAAAAAAAAAAAAAAAAAAAAA==", ErrLimits},
	{"werkzeug", "scrypt:1023:8:1$salt$" + hex32, ErrMalformed},
	{"werkzeug", "scrypt:1536:8:1$salt$" + hex32, ErrMalformed},
	{"werkzeug", "scrypt:1024:8$salt$" + hex32, ErrMalformed},
	{"werkzeug", "scrypt:1024:0:1$salt$" + hex32, ErrMalformed},
	{"werkzeug", "scrypt:1024:1073741824:1$salt$" + hex32, ErrLimits},
	{"werkzeug", "scrypt:4294967296:8:1$salt$" + hex32, ErrLimits},
	// lengths
	{"werkzeug", "scrypt:1024:8:1$" + strings.Repeat("s", 257) + "$" + hex32, ErrMalformed},
	{"werkzeug", "scrypt:1024:8:1$salt$" + hex32[:30], ErrMalformed},
	{"werkzeug", "scrypt:1024:8:1$salt$" + strings.Repeat("0f", 129), ErrMalformed},
	{"werkzeug", "scrypt:1024:8:1$sält$" + hex32, ErrMalformed},
	{"werkzeug", "scrypt:1024:8:1$salt$" + strings.Repeat("0f", 1<<19), ErrMalformed},
}

func TestImportRefuses(t *testing.T) {
	for _, tt := range misreadings {
		hash, err := Import(tt.source, tt.foreign, Limits{})
		if hash != "" || !errors.Is(err, tt.want) {
			t.Errorf("Import(%q, %.80q) = %q, %v, want %v", tt.source, tt.foreign, hash, err, tt.want)
		}
	}
}

func TestImportObeysLimits(t *testing.T) {
	l := Limits{MemoryBytes: 8 << 20}
	if _, err := Import("lucia-3", luciaTwo, l); !errors.Is(err, ErrLimits) {
		t.Errorf("Import under 8 MiB = %v, want %v", err, ErrLimits)
	}
	hash, err := Import("lucia-3", luciaTwo, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(string(hash), l); !errors.Is(err, ErrLimits) {
		t.Errorf("Parse under 8 MiB = %v, want %v", err, ErrLimits)
	}
}

func TestSources(t *testing.T) {
	want := []string{"lucia-0.1", "lucia-1", "lucia-2", "lucia-3", "better-auth",
		"django", "werkzeug", "passlib", "bcrypt", "argon2", "wordpress", "meteor", "aspnet",
		"joomla", "vbulletin", "oscommerce", "md5", "sha1", "sha256", "sha512"}
	if got := Sources(); !slices.Equal(got, want) {
		t.Errorf("Sources() = %q, want %q", got, want)
	}
}

// TestFormatsAreReachable makes sure that no format stands behind one whose
// prefix swallows its strings, but for those that a source reads in its own way.
func TestFormatsAreReachable(t *testing.T) {
	for _, s := range sources() {
		formats, _ := formatsOf(s.name)
		for i, f := range formats[len(s.marked):] {
			for _, earlier := range formats[len(s.marked):][:i] {
				if strings.HasPrefix(f.prefix, earlier.prefix) {
					t.Errorf("source %q: %q is never tried because of %q", s.name, f.prefix, earlier.prefix)
				}
			}
		}
	}
}
