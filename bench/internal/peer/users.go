package peer

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"
)

// Password is the password of every user of the harness.
const Password = "correct horse battery staple"

// Parameters of hashing: snib's defaults, for every contender.
const (
	HashMemoryKiB = 19456
	HashTime      = 2
	HashLanes     = 1
)

// Hash is argon2id with the parameters of the harness.
func Hash(password string) []byte {
	return argon2.IDKey([]byte(password), salt, HashTime, HashMemoryKiB, HashLanes, 32)
}

var salt = []byte("0123456789abcdef")

// passwordHash is a hash of Password, once computed: hashing for each user
// would take the hours that filling must not.
const (
	passwordKey  = "gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0"
	passwordHash = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + passwordKey
)

// PasswordHashOf returns the PHC string of a password, for the test that the
// constant is right.
func PasswordHashOf(password string) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", HashMemoryKiB, HashTime, HashLanes,
		b.EncodeToString(salt), b.EncodeToString(Hash(password)))
}

// Users returns users 0 to n-1, the same in every run.
func Users(n int) []User { return MoreUsers("u", 0, n) }

// userID has the form of ids that snib makes, in the order of the numbers: it
// keeps those in 16 bytes, and ids of other forms as they are.
func userID(series string, number int) string {
	var raw [16]byte
	copy(raw[:8], series)
	binary.BigEndian.PutUint64(raw[8:], uint64(number))
	return "usr_" + ordered.EncodeToString(raw[:])
}

// MoreUsers returns n users that are those of no other series, of up to eight
// bytes.
func MoreUsers(series string, from, n int) []User {
	list := make([]User, n)
	for i := range list {
		id := from + i
		list[i] = User{
			ID:           userID(series, id),
			Identifier:   fmt.Sprintf("%s%d@example.com", series, id),
			PasswordHash: passwordHash,
			Attributes: map[string]any{
				"name": fmt.Sprintf("User Number %d", id), "plan": "standard", "locale": "en-GB",
				"newsletter": id%3 == 0, "since": time.Unix(1_700_000_000+int64(id), 0).UTC(),
			},
		}
	}
	return list
}
