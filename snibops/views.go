package snibops

import "time"

// Identity is one way in. Identifiers are text of strangers: print them with
// [Quote], and put them into a CSV with [CSVField].
type Identity struct {
	Provider   string    `json:"provider"`             // "email", "github", …
	Identifier string    `json:"identifier"`           // as it was given
	LinkedAt   time.Time `json:"linked_at,omitzero"`   // when the user got it
	VerifiedAt time.Time `json:"verified_at,omitzero"` // when it was last proven; zero: never
}

// User is a user, without the hash of the password.
type User struct {
	ID                string         `json:"id"`                           // never changes
	Identities        []Identity     `json:"identities"`                   // the first is the primary
	CreatedAt         time.Time      `json:"created_at"`                   // imported users: as imported
	UpdatedAt         time.Time      `json:"updated_at"`                   // of the record
	HasPassword       bool           `json:"has_password"`                 // can log in by one
	PasswordChangedAt time.Time      `json:"password_changed_at,omitzero"` // zero: never had one
	Disabled          bool           `json:"disabled"`                     // shut out
	DisabledAt        time.Time      `json:"disabled_at,omitzero"`         // zero: is not
	DisabledReason    string         `json:"disabled_reason,omitempty"`    // as it was given
	Guest             bool           `json:"guest,omitempty"`              // without identity and password so far
	Roles             []string       `json:"roles,omitempty"`              // ascending
	Attributes        map[string]any `json:"attributes,omitempty"`         // times as RFC 3339, bytes in base64
}

// UserDetail is a user with all that hangs on it, as of one moment.
type UserDetail struct {
	User     User           `json:"user"`               // itself
	Factors  []Factor       `json:"factors,omitempty"`  // confirmed ones, and the recovery codes
	Sessions int            `json:"sessions"`           // live ones
	Families int            `json:"families"`           // refresh tokens that can be used
	Keys     int            `json:"keys"`               // live API keys
	Devices  int            `json:"devices"`            // known devices
	Links    []OneTimeToken `json:"links,omitempty"`    // live one-time tokens
	LastUsed time.Time      `json:"last_used,omitzero"` // of the log-ins that live, as far as it is written
}

// Factor is a second factor, without its seed.
type Factor struct {
	ID         string    `json:"id"`                    // public
	Kind       string    `json:"kind"`                  // of proof
	Name       string    `json:"name,omitempty"`        // as the user calls it
	CreatedAt  time.Time `json:"created_at"`            // when it was begun
	LastUsedAt time.Time `json:"last_used_at,omitzero"` // zero: never
	Left       int       `json:"left,omitempty"`        // recovery codes that are not used yet
}

// OneTimeToken is a live one-time token, without the token and its data.
type OneTimeToken struct {
	ID        string    `json:"id"`         // public
	Purpose   string    `json:"purpose"`    // the action that it authorizes
	CreatedAt time.Time `json:"created_at"` // when it was made
	ExpiresAt time.Time `json:"expires_at"` // accepted before this
}

// Session is a live session, without its token.
type Session struct {
	ID              string         `json:"id"`                      // public
	Family          string         `json:"family,omitempty"`        // that it was born of
	State           string         `json:"state"`                   // active or idle
	CreatedAt       time.Time      `json:"created_at"`              // of this token
	AuthenticatedAt time.Time      `json:"authenticated_at"`        // of the log-in
	LastUsedAt      time.Time      `json:"last_used_at,omitzero"`   // as far as it is written
	ActiveUntil     time.Time      `json:"active_until"`            // valid before this
	IdleUntil       time.Time      `json:"idle_until,omitzero"`     // can come back before this
	AbsoluteUntil   time.Time      `json:"absolute_until,omitzero"` // zero: never ends by itself
	Methods         string         `json:"methods,omitempty"`       // proofs of the log-in, by blanks
	Persistent      bool           `json:"persistent"`              // outlives the browser
	Attributes      map[string]any `json:"attributes,omitempty"`    // address, device, …; of a client
}

// Family is a refresh token that can be used, without the token.
type Family struct {
	ID              string         `json:"id"`                      // public
	Session         string         `json:"session,omitempty"`       // that the last use gave
	CreatedAt       time.Time      `json:"created_at"`              // of the family
	AuthenticatedAt time.Time      `json:"authenticated_at"`        // of the log-in
	RotatedAt       time.Time      `json:"rotated_at,omitzero"`     // of the last use
	IdleUntil       time.Time      `json:"idle_until"`              // can be used before this
	AbsoluteUntil   time.Time      `json:"absolute_until,omitzero"` // zero: never ends by itself
	Methods         string         `json:"methods,omitempty"`       // proofs of the log-in, by blanks
	Persistent      bool           `json:"persistent"`              // outlives the browser
	Rotations       uint64         `json:"rotations"`               // uses so far
	Repeats         uint32         `json:"repeats"`                 // answers given again
	Attributes      map[string]any `json:"attributes,omitempty"`    // address, device, …; of a client
}

// APIKey is a live API key, without the token.
type APIKey struct {
	ID         string    `json:"id"`                    // public
	UserID     string    `json:"user_id"`               // for whom its bearer acts
	Name       string    `json:"name"`                  // for people
	Scopes     []string  `json:"scopes,omitempty"`      // ascending
	CreatedAt  time.Time `json:"created_at"`            // when it was made
	ExpiresAt  time.Time `json:"expires_at,omitzero"`   // zero: never
	LastUsedAt time.Time `json:"last_used_at,omitzero"` // its hour; zero: not known
}

// Event is something that has happened to a user.
type Event struct {
	ID      string    `json:"id"`                // never of another event
	Kind    string    `json:"kind"`              // as snib.EventKind
	At      time.Time `json:"at"`                // of the first, of several
	Count   int       `json:"count"`             // how many alike, in one hour
	Last    time.Time `json:"last"`              // of the last, of several
	Actor   string    `json:"actor"`             // user, operator or library
	Client  string    `json:"client,omitempty"`  // address
	Subject string    `json:"subject,omitempty"` // id of the session, family or token
	Detail  string    `json:"detail,omitempty"`  // see the kinds; may be text of strangers
}

// Problem is a breach of an invariant, or a repair.
type Problem struct {
	Invariant int    `json:"invariant"`    // the number in docs/INVARIANTS.md
	Space     string `json:"space"`        // as in docs/FORMAT.md
	ID        string `json:"id,omitempty"` // of the user, session, family or token
	Text      string `json:"text"`         // the damage, or the repair
	Severity  string `json:"severity"`     // the cost of mending it
}

// Orphans are rows of the program's own that belong to no user.
type Orphans struct {
	Bucket string `json:"bucket"`            // of snib.Options.Owned
	UserID string `json:"user_id,omitempty"` // "" for keys without one
	Rows   int    `json:"rows"`              // how many
}

// CheckCount is the result of VerbCheck: the counts of snib.CheckReport.
type CheckCount struct {
	Users         int            `json:"users"`           // records
	Passwords     int            `json:"passwords"`       // users with one
	Disabled      int            `json:"disabled"`        // disabled users
	Records       map[string]int `json:"records"`         // of users, by space, dead ones too
	Guests        int            `json:"guests"`          // users without identity and password
	Invitations   int            `json:"invitations"`     // that wait, and dead ones until they are swept
	Outbox        int            `json:"outbox"`          // events that wait
	ForeignHashes int            `json:"foreign_hashes"`  // imported, not replaced yet
	SealedHashes  int            `json:"sealed_hashes"`   // under a key
	Newer         int            `json:"newer"`           // records of a later program
	Leaving       int            `json:"leaving"`         // deleted users with rows to remove
	Rows          int            `json:"rows"`            // in the program's own buckets
	OrphanRows    int            `json:"orphan_rows"`     // of them, of no user
	Newest        time.Time      `json:"newest,omitzero"` // latest time in the records
	Found         int            `json:"found"`           // breaches; the first 1,000 were items
}

// RepairCount is the result of VerbRepair: the counts of snib.RepairReport.
type RepairCount struct {
	Before      CheckCount `json:"before"`      // the repair
	Repaired    int        `json:"repaired"`    // repairs; the first 1,000 were items
	Quarantined int        `json:"quarantined"` // values kept in the space quarantine
	NotKept     int        `json:"not_kept"`    // and those for which it had no room
}
