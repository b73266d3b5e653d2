package snib

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/snibdb/snib/internal/records"
)

// Options configure a database. nil and the zero value are the defaults, and
// safe. In every field zero is the default; a negative number switches a bound
// or an interval off where that makes sense. Open copies its Options.
type Options struct {
	Sessions  SessionPolicy  // how long sessions live
	Refresh   RefreshPolicy  // how long refresh tokens live
	Passwords PasswordPolicy // the cost of hashing

	// Providers says how identifiers of a provider are compared. nil keeps the
	// file's declaration: in a new file, "email" as [Email] and "username" as
	// [Username]. Non-nil, also empty, replaces it at Open, whole or not at all
	// (see Indexes); if two users then had one identity, Open fails with a
	// [ConflictError] and the file is unchanged. Providers not named here are
	// [Exact]. At most 64.
	Providers map[string]IdentifierRule

	// VouchesFor names, by provider, the domains of addresses for which its word is
	// proof: those that it runs itself, such as "gmail.com", or has verified for a
	// customer. Without it no address of a provider opens an account; see
	// [Identities.ResolveExternal]. Domains are in lower case, and are compared
	// whole.
	VouchesFor map[string][]string

	// Indexes are the attributes by which users can be looked up. nil keeps the
	// file's declaration, non-nil (also empty) replaces it at Open, whole or not
	// at all; if two users have one value of an index that becomes unique, Open
	// fails with a [ConflictError] and the file is unchanged; so it is if a user
	// has a value that cannot be indexed, which is ErrInvalidInput and names
	// both. At most 64.
	//
	// A change takes time by the number of users (a million: under a minute on
	// two busy processors), bounded memory, room for second copies of users and
	// indexes in the file, and for identifiers and values in temporary files
	// beside it, "<name>.sorting-*", mode 0600. Progress reports it as "index".
	// The next Open removes what a crash leaves.
	Indexes []Index

	// Owned names top-level buckets of the program's own whose rows belong to
	// users: a key is the user's id, a zero byte and anything, as [OwnedKey] makes
	// it. The program reads and writes them with [Tx.Bolt]; they go with their
	// user (see [DB.DeleteUser]), [DB.Check] counts those without one, and
	// [DB.ExportUser] has them. A bucket among them is a row with all that is in
	// it.
	//
	// The names are added to those that the file declares, and stay: a program
	// that was not told of a bucket deletes its rows, too. A bucket that does not
	// exist yet is empty. 1–64 bytes of text, not "snib"; at most 64 in a file.
	//
	// In SQLite and PostgreSQL they are tables, of the form [schema.]table[(column)],
	// each part letters, digits, _ and $ or anything in double quotes, taken as
	// written. The column holds the id of the user as text: user_id unless it is
	// named. Give it an index. [OpenStore] refuses a table that is missing or whose
	// rows cannot be removed with their user, and says why; one that is dropped later
	// is empty. Rows that lead to one of the user's by a foreign key
	// without ON DELETE, from a table that is not named, keep the user. See docs/adr/0027-rows-in-tables.md.
	Owned []string

	// Keys are kept apart from the file; what is sealed under them (seeds of second
	// factors, and passwords by PasswordPolicy.Seal) cannot be
	// read from a copy of it. The first is the current one, under which values
	// are sealed; the others open older ones, until [File.Reseal] has retired
	// them. At most 16, made by [NewKey] or [KeyFile].
	//
	// The file knows each key again: Open fails with ErrInvalidInput
	// (Options.Keys) for another secret under an id that it knows. Without a key
	// that is needed Open goes on, and the methods that need it return ErrNoKey.
	// Sealing protects copies, not against an attacker with write access. A key
	// that is lost takes with it what it has sealed: see [File.Reseal].
	Keys []Key

	// Outbox names the consumers of the outbox, 1–32 of [a-z0-9_-], at most 8:
	// see [Events]. nil keeps those of the file, in a new file none. Non-nil,
	// also empty, replaces them at Open: a new one begins with the next event,
	// and one that is not named any more is forgotten. Events wait for the
	// slowest, 30 days and 1,000,000 of them at most.
	Outbox []string

	// SweepEvery is how often a goroutine removes records dead for a day, and rows
	// of deleted users (see [DB.Sweep]), the first time that long after Open. Default 1 h, from 1 s
	// to 30 years; negative: only when Sweep is called. A program that runs for
	// less calls Sweep now and then.
	SweepEvery time.Duration

	// File is how Open treats the file.
	File FileOptions

	// BusyTimeout bounds how long a write waits for its turn before it fails
	// with ErrBusy. Default 10 s; negative: as long as ctx allows.
	BusyTimeout time.Duration

	// Roles are the roles that can be granted, and those that must keep
	// a holder. [DB.Roles] grants them.
	Roles RolePolicy

	// SignUp is the policy of sign-up. [Identities] has the calls that it bounds.
	SignUp SignUpPolicy
	// Factors is the policy of second factors. [DB.Factors] adds them.
	Factors FactorPolicy

	// Throttle is how guessing of passwords is slowed down.
	Throttle ThrottlePolicy

	// Logger receives events that an operator wants to see: a refresh token
	// reused, a clock that disagrees (seen when the file is opened and at
	// each sweep), a sweep that failed or removed something, a stored hash
	// that cannot be used, a check that found something, a repair, a restore,
	// copies, imports, an upgrade, and why the DB closed itself. nil discards.
	// Ids of users, sessions and families are in them, never a token,
	// password, hash or identifier.
	Logger *slog.Logger

	// Progress receives the progress of a long operation, now and then and at
	// the end: see [Progress]. It is called on the goroutine of the call and
	// inside its transaction, so it must be quick, and a method of DB that it
	// calls is ErrNested. nil disables the callback.
	Progress func(Progress)

	// Now is the wall clock; for tests. Default time.Now. Readings before
	// 2000 and after 2199 are those of a clock that was not set, and are not
	// believed. A device without a battery for its clock, that boots for the
	// first time, counts on from 2000 until its clock is set: sessions and
	// tokens that were made before have then expired. Let its set-up wait for
	// the time, or ask to log in once more.
	Now func() time.Time

	// Rand is the source of ids, secrets and salts; for tests. It is read by
	// one goroutine at a time. Default crypto/rand, which the key that
	// derives refresh tokens always comes from.
	Rand io.Reader

	// InsecureNoSync lets commits return before they are durable: a crash of
	// the machine may lose or destroy the file. For tests.
	InsecureNoSync bool
}

// FileOptions are how Open treats the file.
type FileOptions struct {
	// LockTimeout bounds how long Open waits for another process, or another
	// DB of this one, that has the file open. Default 5 s; negative: do not
	// wait.
	LockTimeout time.Duration

	// MaxSize bounds the file, in bytes; a write that would make it larger
	// fails with ErrFull. Default: no bound; at least 1 MiB.
	MaxSize int64
}

// Attempt is a password about to be tried, for ThrottlePolicy.BeforeAuth.
type Attempt struct {
	Provider   string  // as it was given
	Identifier string  // as it is compared
	Client     Address // as [WithClient] was given it; nil if it is not known
}

// Address is a [net/netip.Addr], and that alone is meant. It is an interface
// because a program that does not know its clients need not link net/netip.
type Address interface {
	IsValid() bool  // false for the zero Addr
	As16() [16]byte // IPv4 mapped into IPv6
	String() string // for people
}

// ThrottlePolicy is how guessing of passwords is slowed down. For an account,
// whether it exists or not, five failures in a row are free; each further try
// must wait, 30 s and twice as long each time up to an hour, and after 50
// failures a day. Failures count before the password is verified, survive a
// restart, and fade by one in two days. A session that is given by [WithProof]
// and a known device by [WithDevice] are throttled by their own failures only.
//
// The right password, given to LogIn, AuthenticateUser, ChangePassword or
// Reauthenticate, ends the run: that of the account, or with such a session or
// device that of the session or device. CreateSession and UpdateUserPassword do not: call
// [Throttle.Unlock] after a reset by a one-time token, or the user waits with
// the new password for the failures with the old one.
type ThrottlePolicy struct {
	// Closes reports whether strangers cannot log in any more by password
	// after 100 failures in a row, until [Throttle.Unlock]: true for users who
	// have another way in, after which the program calls it. nil closes nobody;
	// one try a day is left.
	Closes func(User) bool

	// BeforeAuth is called by AuthenticateUser and LogIn before any look-up,
	// alike for known and unknown identities, with the identifier as it is
	// compared, or "" for one that is no text of 1–256 bytes. ChangePassword
	// and Reauthenticate call it with the primary identity, and for a user whom
	// Repair has left without one with the provider "" and the id of the user.
	// An error ends the call and is returned. It is where a program asks for a
	// captcha.
	BeforeAuth func(ctx context.Context, a Attempt) error

	// InsecureOff switches throttling off: for a program that no stranger
	// reaches, and for tests that fail on purpose.
	InsecureOff bool
}

// FactorPolicy says who must have a second factor, and whose word stands for one.
// The zero value asks nobody who has none, and takes no provider's word.
type FactorPolicy struct {
	// Require reports whether a user must have a second factor: one with a role, say.
	// A log-in of such a user without one makes nothing but a [SecondFactorError] with
	// Enrol set, whose Pending leads to the first factor by [Enrolling]. A password
	// alone never does: the authenticator of a thief who has it would shut the owner
	// out. [Factors.Remove] keeps the last factor. nil asks nobody.
	//
	// Sessions and refresh tokens of before the rule, or of before the user came under
	// it, go on to their deadlines; [DB.RevokeUserSessions] ends them. It is called
	// inside transactions: it must be quick and call no method of DB. It needs Keys.
	Require func(User) bool

	// AssertsMFA names the providers whose word for a second factor
	// ([External].SecondFactor) lets a user in without one here. At most 64.
	AssertsMFA []string

	// InsecureClones lets a passkey whose counter has not risen go on, with an event.
	// Otherwise it is refused: two authenticators may hold it (WebAuthn, 6.1.1).
	InsecureClones bool
}

// SessionPolicy bounds the life of sessions. Deadlines are written into a
// session when it is made, extended or renewed; the absolute one stays as it
// was made. A changed policy reaches a session then. [AAL1], [AAL2], [AAL3] and
// [Desktop] return policies.
type SessionPolicy struct {
	// Active is how long a session is valid without being extended or
	// renewed. Default 24 h, at least 1 s. As an extension is written only
	// every ExtendEvery, a session in use can end ExtendEvery earlier after
	// its last use: with Active 30 min and Idle negative, after 15. For a
	// time-out that holds from each use, set ExtendEvery to a minute, or
	// negative.
	Active time.Duration

	// Idle is how long after that it can still be extended or renewed.
	// Default 14 days; negative: not at all.
	Idle time.Duration

	// Absolute is how long after the log-in all its sessions end, renewed or
	// not. Default 90 days; negative: never.
	Absolute time.Duration

	// ExtendEvery is how often ExtendSession writes at most, for one
	// session: default 1 h, or half of Active if that is less; negative: each
	// time.
	ExtendEvery time.Duration

	// MaxPerUser is how many a user may have, 1–1,000. Default 1,000. One
	// more ends a dead one first, else the one with the earliest deadline.
	MaxPerUser int

	// KnownDevice is how long after its last log-in a device is known
	// ([Devices]). Default 180 days, which is our choice: OWASP's text on device
	// cookies names no number. 1 s to 400 days, the longest life of a cookie
	// (RFC 6265bis); negative: devices are not remembered, and none that was
	// remembered before is known or trusted.
	KnownDevice time.Duration
}

// RefreshPolicy bounds the life of refresh tokens and of the sessions born of
// them. Deadlines are written into a family when it is made or refreshed; the
// absolute one stays as it was made.
type RefreshPolicy struct {
	// Idle is how long a refresh token can be used. Default 30 days, at
	// least 1 s.
	Idle time.Duration

	// Absolute is how long after the log-in the family ends. Default 90
	// days; negative: never.
	Absolute time.Duration

	// Session is the life of a session born of a family, which has no idle
	// state and is replaced by Refresh. Default 1 h, at least 1 s.
	Session time.Duration

	// Grace is how long after a use the used token gives the same answer again,
	// for lost responses and parallel tabs. Only the clock counts: a restart
	// does not begin it anew. Later the token replaces an answer that is not
	// known to be used, see [DB.Refresh]. Default 30 s, at most 5 min; negative:
	// no grace.
	Grace time.Duration

	// MaxPerUser is how many families a user may have, 1–100. Default 100.
	// One more ends an expired one first, else the one with the earliest idle
	// deadline. Families that were revoked for reuse are not counted and not
	// ended by it; the 20 newest are remembered until their absolute deadline.
	MaxPerUser int
}

// Index declares an attribute by which users can be found.
type Index struct {
	// Name of the attribute, 1–64 bytes. At most one Index per name.
	Name string

	// Unique lets no two users have one value. Null and absent values and the
	// empty text are not indexed: they never collide and find no user.
	Unique bool

	// Fold compares text as nicknames are compared (RFC 8266: case and width
	// folded, spaces collapsed). The stored attribute keeps its spelling;
	// text that the profile refuses is ErrInvalidInput, text that folds to
	// nothing is not indexed.
	Fold bool
}

// Hard bounds per user, as [MaxDevices] is. They make every cascade one transaction.
const (
	MaxIdentities    = records.MaxIdentities // 16 of one user
	MaxSessions      = records.MaxSessions   // 1,000 of one user
	MaxRefreshTokens = records.MaxFamilies   // 100 families of one user
)

// An IdentifierRule says which identifiers of a provider are the same. The
// record keeps the spelling; send mail to the stored identifier, never to what
// a form contained.
type IdentifierRule string

// The rules. Look-alikes differ under each of them: Cyrillic "аdmin" is another
// Username than Latin "admin".
const (
	// Exact compares bytes: 1–256 of valid UTF-8 without control characters.
	Exact IdentifierRule = "exact"

	// Email takes a Mailbox of RFC 5321, at most 254 bytes of ASCII, and
	// ignores its case; nothing else, no dots, no plus signs. The local part is
	// atoms between dots, at most 64 bytes and not quoted. The domain is labels
	// between dots, without a trailing one, or an address literal:
	// "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]". A local part may begin with
	// "-": put "--" before addresses in a mailer's arguments.
	//
	// Convert domains with other letters to ASCII first ("xn--…", as
	// golang.org/x/net/idna does), at sign-up and log-in alike. Local parts
	// with other letters (RFC 6531) are refused: few mailers reach them, and
	// look-alikes would be accounts.
	Email IdentifierRule = "email"

	// Username is UsernameCaseMapped of RFC 8265, which ignores case and width:
	// no spaces, no @ / \ and colon. "Grace Hopper" is an attribute: Index.Fold.
	Username IdentifierRule = "username"
)
