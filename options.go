package snib

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/phc"
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

	// LockTimeout bounds how long Open waits for another process, or another
	// DB of this one, that has the file open. Default 5 s; negative: do not
	// wait.
	LockTimeout time.Duration

	// BusyTimeout bounds how long a write waits for its turn before it fails
	// with ErrBusy. Default 10 s; negative: as long as ctx allows.
	BusyTimeout time.Duration

	// MaxSize bounds the file, in bytes; a write that would make it larger
	// fails with ErrFull. Default: no bound; at least 1 MiB. Open only.
	MaxSize int64

	// Roles are the roles that can be granted, and those that must keep
	// a holder. [DB.Roles] grants them.
	Roles RolePolicy

	// Throttle is how guessing of passwords is slowed down.
	Throttle ThrottlePolicy

	// BeforeAuth is called by AuthenticateUser and LogIn before any look-up,
	// alike for known and unknown identities, with the identifier as it is
	// compared, or "" for one that is no text of 1–256 bytes. ChangePassword
	// and Reauthenticate call it with the primary identity, and for a user whom
	// Repair has left without one with the provider "" and the id of the user.
	// An error ends the call and is returned. It is where a program asks for a
	// captcha.
	BeforeAuth func(ctx context.Context, a Attempt) error

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

// Attempt is a password about to be tried, for Options.BeforeAuth.
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

	// InsecureOff switches throttling off: for a program that no stranger
	// reaches, and for tests that fail on purpose.
	InsecureOff bool
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

// Hard bounds per user. They make every cascade one transaction.
const (
	MaxIdentities    = records.MaxIdentities    // 16 of one user
	MaxSessions      = records.MaxSessions      // 1,000 of one user
	MaxRefreshTokens = records.MaxFamilies      // 100 families of one user
	MaxOneTimeTokens = records.MaxOneTimeTokens // 32 live ones of one user
	MaxDevices       = records.MaxDevices       // 20 known ones of one user
	MaxAPIKeys       = records.MaxAPIKeys       // 50 live ones of one user

	MaxOneTimeTokensPerPurpose = records.MaxOneTimePerPurpose               // 3 live ones of one user and purpose
	OneTimeTokenInterval       = records.OneTimeInterval * time.Millisecond // 60 s between two of one user and purpose
)

// settings are Options with the defaults filled in and everything checked.
type settings struct {
	Options
	hasher        *phc.Hasher
	keysAsTheyAre bool // Options.Keys are verified, and none becomes the current one
}

// Defaults and bounds that more than one field has, or that need a name.
const (
	day                = 24 * time.Hour
	defaultLockTimeout = 5 * time.Second
	defaultBusyTimeout = 10 * time.Second
	maxLife            = 30 * 365 * day // a record can name times of the next 34 years
	maxGrace           = 5 * time.Minute
	maxKnownDevice     = 400 * day
	maxDeclared        = 64 // providers, and indexes
)

func (o *Options) settings() (*settings, error) {
	s := &settings{}
	if o != nil {
		s.Options = *o
	}
	s.VouchesFor = maps.Clone(s.VouchesFor)
	s.Providers, s.Indexes = maps.Clone(s.Providers), slices.Clone(s.Indexes)
	s.Keys, s.Owned, s.Outbox = slices.Clone(s.Keys), slices.Clone(s.Owned), slices.Clone(s.Outbox)
	s.Passwords.Names = slices.Clone(s.Passwords.Names)
	s.fillDefaults()
	if err := s.checkPolicies(); err != nil {
		return nil, err
	}
	if err := s.checkDeclarations(); err != nil {
		return nil, err
	}
	hasher, err := phc.NewHasher(s.hasherConfig())
	if err != nil {
		return nil, hasherError(err)
	}
	s.hasher = hasher
	return s, nil
}

func (s *settings) hasherConfig() phc.Config {
	p := s.Passwords
	return phc.Config{
		Params: phc.Params{MemoryKiB: p.MemoryKiB, Time: p.Time, Parallelism: p.Parallelism},
		Limits: phc.Limits{MemoryBytes: p.MaxHashMemory},
		Memory: p.GateMemory,
		Queue:  p.Queue,
		Wait:   p.QueueTime,
		Rand:   s.Rand,

		ImportTime: p.MaxImportTime,
		Peppers:    p.ForeignPeppers,
		Verifier:   p.ForeignVerifier,
	}
}

// hasherError names the field of PasswordPolicy that the hasher refused.
func hasherError(err error) error {
	text := strings.NewReplacer("Limits.MemoryBytes", "MaxHashMemory", "Limits.Work", "2,097,152", "phc: Peppers", "phc: ForeignPeppers").Replace(err.Error())
	field, reason, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, "phc: "), "Params."), " ")
	return &InputError{Field: "Options.Passwords." + field, Code: CodeOutOfRange, Reason: reason}
}

func (s *settings) fillDefaults() {
	fill(&s.Sessions.Active, day)
	fill(&s.Sessions.Idle, 14*day)
	fill(&s.Sessions.Absolute, 90*day)
	fill(&s.Sessions.ExtendEvery, time.Hour)
	fill(&s.Sessions.MaxPerUser, MaxSessions)
	fill(&s.Sessions.KnownDevice, 180*day)
	fill(&s.Refresh.Idle, 30*day)
	fill(&s.Refresh.Absolute, 90*day)
	fill(&s.Refresh.Session, time.Hour)
	fill(&s.Refresh.Grace, 30*time.Second)
	fill(&s.Refresh.MaxPerUser, MaxRefreshTokens)
	fill(&s.Passwords.MinLength, phc.MinPassword)
	fill(&s.Passwords.MemoryKiB, phc.Default.MemoryKiB)
	fill(&s.Passwords.Time, phc.Default.Time)
	fill(&s.Passwords.Parallelism, phc.Default.Parallelism)
	fill(&s.SweepEvery, time.Hour)
	fill(&s.LockTimeout, defaultLockTimeout)
	fill(&s.BusyTimeout, defaultBusyTimeout)
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Rand == nil {
		s.Rand = rand.Reader
	} else {
		s.Rand = &lockedReader{r: s.Rand}
	}
}

// fill sets *field to its default where it is zero.
func fill[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// checkVouches refuses domains that no address could match.
func (s *settings) checkVouches() error {
	for provider, domains := range s.VouchesFor {
		if fault := fold.Provider(provider); fault.Found() {
			return faulty("Options.VouchesFor", fault)
		}
		for _, d := range domains {
			if d == "" || strings.ContainsAny(d, "@ ") || d != strings.ToLower(d) {
				return &InputError{Field: "Options.VouchesFor", Code: CodeMalformed, Reason: "must have domains in lower case"}
			}
		}
	}
	return nil
}

// vouches reports whether a provider's word is good for an address: for its
// domain and no part of it.
func (s *settings) vouches(provider, address string) bool {
	at := strings.LastIndexByte(address, '@')
	return at >= 0 && slices.Contains(s.VouchesFor[provider], address[at+1:])
}

func (s *settings) checkPolicies() error {
	if err := s.Roles.check(); err != nil {
		return err
	}
	if err := s.checkVouches(); err != nil {
		return err
	}
	for _, d := range []struct {
		field     string
		value     time.Duration
		min, max  time.Duration
		noneBelow bool // negative switches it off
	}{
		{"Sessions.Active", s.Sessions.Active, time.Second, maxLife, false},
		{"Sessions.Idle", s.Sessions.Idle, 0, maxLife, true},
		{"Sessions.Absolute", s.Sessions.Absolute, time.Second, maxLife, true},
		{"Sessions.ExtendEvery", s.Sessions.ExtendEvery, 0, maxLife, true},
		{"Sessions.KnownDevice", s.Sessions.KnownDevice, time.Second, maxKnownDevice, true},
		{"Refresh.Idle", s.Refresh.Idle, time.Second, maxLife, false},
		{"Refresh.Absolute", s.Refresh.Absolute, time.Second, maxLife, true},
		{"Refresh.Session", s.Refresh.Session, time.Second, maxLife, false},
		{"Refresh.Grace", s.Refresh.Grace, 0, maxGrace, true},
		{"SweepEvery", s.SweepEvery, time.Second, maxLife, true},
	} {
		if d.value < 0 && d.noneBelow {
			continue
		}
		if d.value < d.min || d.value > d.max {
			return &InputError{
				Field: "Options." + d.field, Code: CodeOutOfRange, Min: int64(d.min), Max: int64(d.max),
				Reason: "must be from " + d.min.String() + " to " + d.max.String(),
			}
		}
	}
	switch {
	case s.Passwords.MinLength < phc.MinPassword || s.Passwords.MinLength > 64:
		return &InputError{Field: "Options.Passwords.MinLength", Code: CodeOutOfRange, Reason: "must be from 8 to 64", Min: phc.MinPassword, Max: 64}
	case s.Sessions.MaxPerUser < 1 || s.Sessions.MaxPerUser > MaxSessions:
		return &InputError{Field: "Options.Sessions.MaxPerUser", Code: CodeOutOfRange, Reason: "must be from 1 to 1000", Min: 1, Max: MaxSessions}
	case s.Refresh.MaxPerUser < 1 || s.Refresh.MaxPerUser > MaxRefreshTokens:
		return &InputError{Field: "Options.Refresh.MaxPerUser", Code: CodeOutOfRange, Reason: "must be from 1 to 100", Min: 1, Max: MaxRefreshTokens}
	case s.Passwords.Seal && len(s.Keys) == 0:
		return &InputError{Field: "Options.Passwords.Seal", Code: CodeNotAllowed, Reason: "needs Options.Keys"}
	case s.MaxSize > 0 && s.MaxSize < 1<<20:
		return &InputError{Field: "Options.MaxSize", Code: CodeOutOfRange, Reason: "must be at least 1 MiB", Min: 1 << 20}
	}
	switch {
	case len(s.Keys) == 0:
		return nil
	case s.Keys[0].source == nil:
		return &InputError{Field: "Options.Keys", Code: CodeRequired, Reason: "must be made by NewKey or KeyFile"}
	}
	return s.Keys[0].source.check(s.Keys)
}

func (s *settings) checkDeclarations() error {
	if len(s.Providers) > maxDeclared {
		return &InputError{Field: "Options.Providers", Code: CodeTooMany, Reason: "must be at most 64", Max: maxDeclared}
	}
	for name, rule := range s.Providers {
		if fold.Provider(name).Found() {
			return &InputError{Field: "Options.Providers", Code: CodeMalformed, Reason: "must have names of 1–64 of [A-Za-z0-9._:-]"}
		}
		if !rule.valid() {
			return &InputError{Field: "Options.Providers[" + name + "]", Code: CodeUnsupported, Reason: "must be one of the rules of this package"}
		}
	}
	if err := s.checkOwned(); err != nil {
		return err
	}
	if len(s.Indexes) > maxDeclared {
		return &InputError{Field: "Options.Indexes", Code: CodeTooMany, Reason: "must be at most 64", Max: maxDeclared}
	}
	seen := make(map[string]bool)
	for i, x := range s.Indexes {
		if fault := fold.PlainText(x.Name, codec.MaxAttributeName); fault.Found() {
			return faulty(fmt.Sprintf("Options.Indexes[%d].Name", i), fault)
		}
		if seen[x.Name] {
			return &InputError{Field: "Options.Indexes", Code: CodeTaken, Reason: "must name each attribute once"}
		}
		seen[x.Name] = true
	}
	return checkOutbox(s.Outbox)
}

// lockedReader makes a caller's Rand safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

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

	// Username is the profile UsernameCaseMapped of RFC 8265, which ignores
	// case and width, without @ / \ and colon.
	Username IdentifierRule = "username"
)

func (r IdentifierRule) valid() bool { return r == Exact || r == Email || r == Username }

// told returns the callback by which the engine reports the progress of op.
func (s *settings) told(op string) func(done, total int64) {
	if s.Progress == nil {
		return nil
	}
	return func(done, total int64) { s.Progress(Progress{Op: op, Done: done, Total: total}) }
}

// Progress is how far something that runs long has come.
type Progress struct {
	Op    string // "check", "repair", "index", "import", "upgrade", "reseal", "backup", "compact" or "restore"
	Done  int64  // records of a check, repair or reseal, users and entries of an index, rows of an import, trees of an upgrade, else bytes
	Total int64  // likewise, once it is known; of "compact" it is a bound
}
