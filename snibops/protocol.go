package snibops

import (
	"time"

	"github.com/snibdb/snib"
)

// Protocol is the version of the protocol. Two programs that speak different
// ones refuse each other at the first frame, with both numbers in the text.
const Protocol = 2

// A Verb is one thing to do: A is its arguments, I an item of its stream and R
// its result, each with None where there is nothing. The text is its name in
// the protocol. [Verb.Do] runs it.
type Verb[A, I, R any] string

// None is for verbs without arguments, items or a result.
type None struct{}

// The verbs on users. UserArgs.User says how a user is named.
const (
	VerbUsers           Verb[UsersArgs, User, UsersResult]            = "users"             // a page; go on with UsersResult.Next
	VerbUserShow        Verb[UserArgs, None, UserDetail]              = "user show"         // with counts of all that hangs on the user
	VerbUserCreate      Verb[CreateArgs, None, User]                  = "user create"       // ErrIdentityTaken, ErrAttributeTaken
	VerbUserDisable     Verb[DisableArgs, None, User]                 = "user disable"      // ErrLastHolder
	VerbUserEnable      Verb[UserArgs, None, User]                    = "user enable"       // ends nothing
	VerbUserDelete      Verb[UserArgs, None, DeleteResult]            = "user delete"       // ErrUserNotFound, unlike DB.DeleteUser; ErrLastHolder
	VerbUserResetLink   Verb[ResetLinkArgs, None, ResetLink]          = "user reset-link"   // the only verb with a secret in its result; ErrOneTimeTokenLimit
	VerbUserLink        Verb[LinkArgs, None, User]                    = "user link"         // ErrIdentityTaken
	VerbUserUnlink      Verb[LinkArgs, None, User]                    = "user unlink"       // the last identity stays
	VerbUserEndSessions Verb[EndSessionsArgs, None, EndSessionsCount] = "user end-sessions" // all, or one by its id
	VerbUserExport      Verb[UserArgs, None, DataResult]              = "user export"       // data: JSON as of DB.ExportUser
)

// The verbs on credentials of a user.
const (
	VerbSessions     Verb[UserArgs, SessionItem, SessionsCount] = "sessions"      // sessions, then families, oldest first
	VerbKeys         Verb[UserArgs, APIKey, None]               = "keys"          // live ones, oldest first
	VerbKeyRevoke    Verb[KeyRevokeArgs, None, None]            = "key revoke"    // an unknown id is no error
	VerbEvents       Verb[EventsArgs, Event, None]              = "events"        // oldest first; with Follow it ends with ctx
	VerbFactorsReset Verb[UserArgs, None, User]                 = "factors reset" // ends every credential but the password
	VerbUnlock       Verb[UserArgs, None, None]                 = "unlock"        // ends the run of failed log-ins
	VerbRoleAdd      Verb[RoleArgs, None, User]                 = "role add"      // one that is there already is no error
	VerbRoleRemove   Verb[RoleArgs, None, User]                 = "role remove"   // ErrLastHolder
	VerbRoleHolders  Verb[HoldersArgs, User, UsersResult]       = "role holders"  // in the order of their ids
)

// The verbs on the file and the program.
const (
	VerbPing    Verb[None, None, Info]                     = "ping"    // the server, its version and file
	VerbStats   Verb[None, None, Stats]                    = "stats"   // of this moment
	VerbCheck   Verb[None, CheckItem, CheckCount]          = "check"   // breaches are items and CheckCount.Found, no error
	VerbRepair  Verb[None, CheckItem, RepairCount]         = "repair"  // ErrFileOnly on a live program
	VerbBackup  Verb[None, None, DataResult]               = "backup"  // data: the file; see Client.BackupFile
	VerbCompact Verb[None, None, CompactResult]            = "compact" // in place; errors.ErrUnsupported on Windows and under New
	VerbReseal  Verb[ResealArgs, None, ResealResult]       = "reseal"  // under the first of Options.Keys; with Progress
	VerbImport  Verb[ImportArgs, ImportedRow, ImportCount] = "import"  // input: ImportRow; see Client.Import; ErrStalled
	VerbRecords Verb[None, None, RecordsResult]            = "records" // data: as of File.Export, for another engine
)

// UserArgs name a user by the id, by "provider=identifier", or by an identifier
// of the provider "email" or "username" alone. A text that names two users in
// these ways is ErrInvalidInput (User) with CodeAmbiguous; "id=" before an id
// always names that one. ErrUserNotFound.
type UserArgs struct {
	User string `json:"user"` // see above
}

// UsersArgs choose users. All conditions that are given must hold; none are
// all users. Prefix, Role and an indexed Attribute with Value are looked up,
// and all else is filtered out of what they find, or of all users.
type UsersArgs struct {
	Provider string `json:"provider,omitempty"` // of Prefix; default "email"
	Prefix   string `json:"prefix,omitempty"`   // beginning of an identifier, compared by the provider's rule

	Attribute string `json:"attribute,omitempty"` // name of an attribute of the index; with Value
	Value     any    `json:"value,omitempty"`     // its whole value

	Contains    string `json:"contains,omitempty"`     // part of an identifier or of a text in an attribute, or beginning of an id; case does not count
	Role        string `json:"role,omitempty"`         // has this role
	Disabled    *bool  `json:"disabled,omitempty"`     // is, or is not
	HasPassword *bool  `json:"has_password,omitempty"` // has one, or has none
	HasRole     *bool  `json:"has_role,omitempty"`     // has any role, or has none

	Limit  int    `json:"limit,omitempty"`  // users returned; default 100, at most 10,000
	Scan   int    `json:"scan,omitempty"`   // users looked at; default 20,000, at most 100,000
	Cursor string `json:"cursor,omitempty"` // UsersResult.Next of the call before, with the same conditions
}

// UsersResult ends a list of users.
type UsersResult struct {
	Shown   int    `json:"shown"`          // users returned
	Scanned int    `json:"scanned"`        // users looked at
	Next    string `json:"next,omitempty"` // cursor to go on with; "" at the end of the list
}

// HoldersArgs are for VerbRoleHolders.
type HoldersArgs struct {
	Role   string `json:"role"`             // its holders, disabled ones too
	Limit  int    `json:"limit,omitempty"`  // as UsersArgs.Limit
	Cursor string `json:"cursor,omitempty"` // as UsersArgs.Cursor
}

// CreateArgs are for VerbUserCreate.
type CreateArgs struct {
	Provider   string         `json:"provider"`             // of the primary identity
	Identifier string         `json:"identifier"`           // likewise
	Verified   bool           `json:"verified,omitempty"`   // the operator knows that the person holds it
	Password   string         `json:"password,omitempty"`   // "" for none; read it from a terminal, never from argv
	Roles      []string       `json:"roles,omitempty"`      // granted in the same commit
	Attributes map[string]any `json:"attributes,omitempty"` // numbers without fraction and exponent become int64
}

// DisableArgs are for VerbUserDisable.
type DisableArgs struct {
	User   string `json:"user"`             // as UserArgs.User
	Reason string `json:"reason,omitempty"` // at most 256 bytes, kept with the user
}

// DeleteResult tells the user that is gone.
type DeleteResult struct {
	ID string `json:"id"` // of the user
}

// ResetLinkArgs are for VerbUserResetLink.
type ResetLinkArgs struct {
	User    string   `json:"user"`              // as UserArgs.User
	Purpose string   `json:"purpose,omitempty"` // of the one-time token; default Options.ResetPurpose
	TTL     Duration `json:"ttl,omitempty"`     // default 1 h
	URL     string   `json:"url,omitempty"`     // begins the link; default Options.ResetURL
}

// ResetLink is the result of VerbUserResetLink. It is a secret: show it on a
// terminal, once.
type ResetLink struct {
	UserID    string    `json:"user_id"`        // whose password it lets set
	ID        string    `json:"id"`             // of the token; public
	Token     string    `json:"token"`          // the secret
	Link      string    `json:"link,omitempty"` // the URL with the token behind it; "" without an URL
	Purpose   string    `json:"purpose"`        // of the token
	ExpiresAt time.Time `json:"expires_at"`     // accepted before this
}

// LinkArgs are for VerbUserLink and VerbUserUnlink.
type LinkArgs struct {
	User       string `json:"user"`               // as UserArgs.User
	Provider   string `json:"provider"`           // of the identity
	Identifier string `json:"identifier"`         // likewise
	Verified   bool   `json:"verified,omitempty"` // of link: the operator knows that the person holds it
}

// EndSessionsArgs are for VerbUserEndSessions.
type EndSessionsArgs struct {
	User string `json:"user"`         // as UserArgs.User
	ID   string `json:"id,omitempty"` // of one session or family; "" ends all, and every one-time token
}

// EndSessionsCount tells how many log-ins ended.
type EndSessionsCount struct {
	UserID   string `json:"user_id"`  // whose they were
	Sessions int    `json:"sessions"` // live sessions that ended
	Families int    `json:"families"` // refresh tokens that ended
}

// SessionsCount ends the list of VerbSessions.
type SessionsCount struct {
	UserID   string `json:"user_id"`  // whose they are
	Sessions int    `json:"sessions"` // live sessions
	Families int    `json:"families"` // refresh tokens that can be used
}

// SessionItem is a session or a family.
type SessionItem struct {
	Session *Session `json:"session,omitempty"` // one of the two
	Family  *Family  `json:"family,omitempty"`  // the other
}

// KeyRevokeArgs are for VerbKeyRevoke.
type KeyRevokeArgs struct {
	User string `json:"user,omitempty"` // as UserArgs.User; "" for a key of any user
	ID   string `json:"id"`             // of the key, never its token
}

// EventsArgs are for VerbEvents.
type EventsArgs struct {
	User   string   `json:"user"`             // as UserArgs.User
	Kinds  []string `json:"kinds,omitempty"`  // only these; none are all
	Follow bool     `json:"follow,omitempty"` // go on with new ones, a second late, until ctx ends
}

// RoleArgs are for VerbRoleAdd and VerbRoleRemove.
type RoleArgs struct {
	User string `json:"user"` // as UserArgs.User
	Role string `json:"role"` // 1–32 of [a-z0-9_-]
}

// Info is the result of VerbPing and the server's part of the handshake.
type Info struct {
	Protocol int    `json:"protocol"`       // Protocol of the server
	Library  string `json:"library"`        // version of this module in the server, or "(devel)"
	Program  string `json:"program"`        // path of the server's main package
	PID      int    `json:"pid"`            // of the server
	File     string `json:"file,omitempty"` // path of the database, as far as the server knows
	Live     bool   `json:"live"`           // served by a program through a socket; false of Local
	Actor    string `json:"actor"`          // the name under which the acts of this client are logged
}

// DataResult ends a stream of data.
type DataResult struct {
	Bytes  int64  `json:"bytes"`  // how many there were
	SHA256 string `json:"sha256"` // of them, in hexadecimal
}

// RecordsResult ends the data of VerbRecords: snib.MoveReport, and the sum.
type RecordsResult struct {
	DataResult
	Users   int `json:"users"`    // counted in Records too
	Records int `json:"records"`  // of all kinds
	LeftOut int `json:"left_out"` // one-time tokens, codes and the like, which do not travel
}

// CheckItem is a breach or, of VerbRepair, a repair, or a place with rows of the
// program's own that belong to no user.
type CheckItem struct {
	Problem *Problem `json:"problem,omitempty"` // one of the three
	Repair  *Problem `json:"repair,omitempty"`  // one that was made
	Orphans *Orphans `json:"orphans,omitempty"` // the first 1,000 places
}

// CompactResult is the result of VerbCompact.
type CompactResult struct {
	Before int64 `json:"before"` // bytes of the file
	After  int64 `json:"after"`  // likewise
}

// ResealArgs are for VerbReseal.
type ResealArgs struct {
	Lost []string `json:"lost,omitempty"` // ids of keys that are lost for good: passwords under them are removed
}

// ResealResult is the result of VerbReseal, as snib.ResealReport.
type ResealResult struct {
	Sealed  int            `json:"sealed"`            // values that were sealed anew, or for the first time
	Removed int            `json:"removed"`           // passwords and factors under keys that are lost
	Retired []string       `json:"retired,omitempty"` // ids of keys that nothing in the file needs any more
	Left    map[string]int `json:"left,omitempty"`    // values under other keys, by key id
}

// ImportArgs are for VerbImport.
type ImportArgs struct {
	Update bool `json:"update,omitempty"`  // as snib.ImportOptions.Update
	DryRun bool `json:"dry_run,omitempty"` // as snib.ImportOptions.DryRun
	All    bool `json:"all,omitempty"`     // an item for every row; otherwise for refused ones
}

// ImportRow is one line of an import: fields as of snib.UserImport.
type ImportRow struct {
	ID         string     `json:"id,omitempty"`         // kept; "" makes one
	Provider   string     `json:"provider"`             // of the primary identity
	Identifier string     `json:"identifier"`           // likewise
	LinkedAt   time.Time  `json:"linked_at,omitzero"`   // zero: now
	VerifiedAt time.Time  `json:"verified_at,omitzero"` // zero: not verified
	Others     []Identity `json:"others,omitempty"`     // at most 15

	PasswordHash   string       `json:"password_hash,omitempty"`   // as the other system stored it
	PasswordSource string       `json:"password_source,omitempty"` // the system, where the hash does not tell
	PasswordKey    *PasswordKey `json:"password_key,omitempty"`    // the hash in parts, instead
	PasswordPepper string       `json:"password_pepper,omitempty"` // id of the pepper

	Roles             []string       `json:"roles,omitempty"`              // of a new user
	Attributes        map[string]any `json:"attributes,omitempty"`         // numbers as in CreateArgs
	Disabled          bool           `json:"disabled,omitempty"`           // stays so
	DisabledReason    string         `json:"disabled_reason,omitempty"`    // at most 256 bytes
	CreatedAt         time.Time      `json:"created_at,omitzero"`          // zero: now
	PasswordChangedAt time.Time      `json:"password_changed_at,omitzero"` // zero: CreatedAt
	Row               int            `json:"row,omitempty"`                // 0: one more than the row before
}

// PasswordKey is a hash in parts, as snib.PasswordKey: Salt and Key in base64.
type PasswordKey struct {
	Scheme     string `json:"scheme"`               // pbkdf2-sha256, scrypt, argon2id, …
	Iterations uint64 `json:"iterations,omitempty"` // of PBKDF2; of argon2, the passes
	N          uint64 `json:"n,omitempty"`          // of scrypt
	R          uint64 `json:"r,omitempty"`          // of scrypt
	P          uint64 `json:"p,omitempty"`          // of scrypt; of argon2, the lanes
	MemoryKiB  uint64 `json:"memory_kib,omitempty"` // of argon2
	Salt       []byte `json:"salt"`                 // the bytes that were hashed
	Key        []byte `json:"key"`                  // the derived key
}

// ImportedRow is the outcome of one row, as snib.ImportedRow.
type ImportedRow struct {
	Row       int    `json:"row"`                  // its number, from 1; the line of an import by lines
	ID        string `json:"id,omitempty"`         // of the user; of a refused row, as it was given
	Outcome   string `json:"outcome"`              // imported, updated, unchanged, kept or refused
	Reason    string `json:"reason,omitempty"`     // of a refusal
	Holder    string `json:"holder,omitempty"`     // the user with whom it collides
	HolderRow int    `json:"holder_row,omitempty"` // the row of that user

	Codes     []string         `json:"codes,omitempty"`     // of a refusal: see Err
	Input     *snib.InputError `json:"input,omitempty"`     // likewise
	Attribute string           `json:"attribute,omitempty"` // likewise: the unique one that another user has
}

// Err is why the row was refused, for errors.Is and errors.As as
// snib.ImportedRow.Err; nil if it was not.
func (r ImportedRow) Err() error {
	if r.Outcome != snib.RowRefused.String() {
		return nil
	}
	return fault{Codes: r.Codes, Text: r.Reason, Input: r.Input, Attribute: r.Attribute}.err()
}

// ImportCount is the result of VerbImport, as snib.ImportReport. Its counts are
// of rows whose batches are committed.
type ImportCount struct {
	Rows       int            `json:"rows"`              // all; the sum of the next five
	Imported   int            `json:"imported"`          // new users
	Updated    int            `json:"updated"`           // users replaced, with Update
	Unchanged  int            `json:"unchanged"`         // users who are here as in the row
	Kept       int            `json:"kept"`              // users who have changed here since
	Refused    int            `json:"refused"`           // rows that cannot be users
	Collisions int            `json:"collisions"`        // of them, for what another user has
	Reasons    map[string]int `json:"reasons,omitempty"` // of them, by text; from the 101st on under ""
}

// Progress is how far a verb that runs long has come, as snib.Progress.
type Progress struct {
	Op    string `json:"op"`              // "check", "reseal", "import", …
	Done  int64  `json:"done"`            // records, rows or bytes, by Op
	Total int64  `json:"total,omitempty"` // once it is known
}

// Duration is a time.Duration that is text in JSON: "1h30m".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}
