package snib

import (
	"crypto/rand"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/declare"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
)

// settings are Options with the defaults filled in and everything checked.
type settings struct {
	Options
	hasher        *phc.Hasher
	keysAsTheyAre bool // Options.Keys are verified, and the current one stays
}

// Defaults and bounds that more than one field has, or that need a name.
const (
	day                = 24 * time.Hour
	defaultLockTimeout = 5 * time.Second
	defaultBusyTimeout = 10 * time.Second
	maxLife            = 30 * 365 * day // a record can name times of the next 34 years
	maxGrace           = 5 * time.Minute
	maxKnownDevice     = 400 * day
	maxDeclared        = records.MaxDeclared // 64 providers, and indexes
)

func (o *Options) settings() (*settings, error) {
	s := &settings{}
	if o != nil {
		s.Options = *o
	}
	s.VouchesFor = maps.Clone(s.VouchesFor)
	s.Providers, s.Indexes = maps.Clone(s.Providers), slices.Clone(s.Indexes)
	s.Keys, s.Owned, s.Outbox = slices.Clone(s.Keys), slices.Clone(s.Owned), slices.Clone(s.Outbox)
	s.Passwords.Names, s.SignUp.Domains = slices.Clone(s.Passwords.Names), slices.Clone(s.SignUp.Domains)
	s.Factors.AssertsMFA = slices.Clone(s.Factors.AssertsMFA)
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
	fill(&s.File.LockTimeout, defaultLockTimeout)
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

// checkVouches refuses providers that cannot be, and domains that no address could
// match.
func (s *settings) checkVouches() error {
	for _, provider := range s.Factors.AssertsMFA {
		if fault := fold.Provider(provider); fault.Found() {
			return faulty("Options.Factors.AssertsMFA", fault)
		}
	}
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
	for _, check := range []func() error{s.Roles.check, s.SignUp.check, s.checkVouches} {
		if err := check(); err != nil {
			return err
		}
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
	case s.Factors.Require != nil && len(s.Keys) == 0:
		return &InputError{Field: "Options.Factors.Require", Code: CodeNotAllowed, Reason: "needs Options.Keys"}
	case len(s.Factors.AssertsMFA) > maxDeclared:
		return &InputError{Field: "Options.Factors.AssertsMFA", Code: CodeTooMany, Reason: "must be at most 64", Max: maxDeclared}
	case s.Passwords.Seal && len(s.Keys) == 0:
		return &InputError{Field: "Options.Passwords.Seal", Code: CodeNotAllowed, Reason: "needs Options.Keys"}
	case s.File.MaxSize > 0 && s.File.MaxSize < 1<<20:
		return &InputError{Field: "Options.File.MaxSize", Code: CodeOutOfRange, Reason: "must be at least 1 MiB", Min: 1 << 20}
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
	d := s.declare(codec.Declarations{})
	d.Indexes = nil // in their order, by which a fault is named
	for _, x := range s.Indexes {
		d.Indexes = append(d.Indexes, codec.Index(x))
	}
	if option, fault := declare.Fault(d, s.Owned, s.Outbox); fault.Found() {
		return faulty(option, fault)
	}
	return nil
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

// declare returns the declarations of the options, sorted by name, so that equal ones
// are equal bytes; where the options are nil, those of before.
func (o *Options) declare(before codec.Declarations) codec.Declarations {
	out := before
	if o.Indexes != nil {
		out.Indexes = nil
		for _, x := range o.Indexes {
			out.Indexes = append(out.Indexes, codec.Index(x))
		}
		sort.SliceStable(out.Indexes, func(i, j int) bool { return out.Indexes[i].Name < out.Indexes[j].Name })
	}
	if o.Providers != nil {
		out.Providers = nil
		for _, name := range slices.Sorted(maps.Keys(o.Providers)) {
			out.Providers = append(out.Providers, codec.Provider{Name: name, Rule: string(o.Providers[name])})
		}
	}
	// Rows are users' in every program, whichever buckets it knows.
	out.Owned = records.MergeNames(before.Owned, o.Owned)
	return out
}
