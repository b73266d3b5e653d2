// Package snib keeps the accounts of a program in one file: users, the
// identities and passwords by which they log in, their sessions, refresh
// tokens, one-time tokens and known devices. There is no server and no SQL; the file is a
// bbolt database, what a method writes is one transaction, and rows of the
// application's own can be in it.
//
// # Concepts
//
// A [User] has an id that never changes, up to sixteen identities (none of a
// guest, after a [DB.Repair] that had to take the last, or when another has proven it), at most one password, and
// [Attributes]. An [Identity] is a provider and an
// identifier, "email" and an address, say; the first is the primary. Attributes
// declared in [Options].Indexes can be looked up, and be unique.
//
// A [Session] is one log-in on one device. Its bearer presents a [Token]. It
// is active, then idle (no longer valid, still extensible), then dead:
//
//	log-in ──active──▶ ──idle──▶ dead        defaults: 24 h, 14 days
//	   └────────────absolute──────▶ dead     90 days, whatever is renewed
//
// [DB.ExtendSession] gives the same token later deadlines, [DB.RenewSession] a
// new token. Before an action that a stolen session must not do,
// [DB.Reauthenticate] asks for the password again and gives a new token, whose
// Session.AuthenticatedAt is now.
//
// A [RefreshToken] is for native clients that keep one long-lived secret per
// device: each [DB.Refresh] gives the next token and a new, short session. The
// token used last gets the same answer again for 30 s, and later another one in
// the place of an answer that was lost. Any other spent token tells that it was
// copied, and ends the family.
//
// A [OneTimeToken] is what is mailed to a user: it is accepted once. [Identities]
// says how to sign users up by it and verify addresses, [Codes] are digits for the
// same end.
//
// A [Device] is a browser from which a user has logged in before. Guesses of
// strangers at the user's password do not keep it out, and it is no log-in by itself.
// An [APIKey] lets a program act for a user, within scopes, until the time that
// it was made for. It is never taken for a session.
//
// A user may have roles, which are names without meaning to the library:
// [DB.Roles] grants them, [User].Roles has them.
// A user can have second factors, kept by [DB.Factors]: codes of an authenticator
// program, and recovery codes. Then [DB.LogIn] and all else that makes sessions
// stop at a [SecondFactorError], and [Factors.FinishLogIn] goes on with a code.
//
// [Events] are the history of a user, and a queue for mail that must not get lost.
// [Logins] is the list of a user's devices, [DB.ExportUser] all that the file
// knows of a user.
//
// Each user has a credential version, which starts at a random number and rises
// when the password is set or removed, the user disabled or enabled, an
// identity moved or unlinked, a second factor added or removed, or all sessions or
// refresh tokens are revoked. A [User] holds the version as of its read. Given to [DB.CreateSession] or
// [DB.CreateRefreshToken] as [Proof], it is refused once the version has
// changed: no session comes of old credentials. [DB.LogIn] and
// [DB.ChangePassword] see to that themselves. A used [OneTimeToken] and an active
// [Session] are proofs too.
//
// Users change their own ways in by [DB.ChangePassword] and
// [DB.ChangeCredentials], which give their session another token, so that a
// stolen one is worth nothing; [DB.Reauthenticate] asks for the password before
// that.
//
// # Guarantees
//
// A call that returned nil is on the disk (fdatasync) and seen by every call
// that begins later, in every goroutine: a session that was ended, a user who
// was deleted or disabled, is refused by the very next request. A call that
// returned an error has changed nothing, with three exceptions: after
// [ErrUnknown], a failed sync, which closes the DB, the change may be there or
// not; [ErrRefreshTokenReused] says that the family was ended; a [DB.Sweep]
// that fails has removed what it has.
//
// Every cascade is one transaction: deleting a user removes identities, index
// entries, sessions and tokens with the user or not at all, whatever happens in
// between. That is why there are bounds on how many of each a user may have.
//
// Tokens and passwords are never in the file in a form from which they could
// be used. Validation never writes; nor does anything that a stranger can call,
// except that the first reuse of a refresh token revokes its family.
//
// Time never goes back while a program runs, nor behind the last minute of
// commits when it starts again: what was dead stays dead when the clock of the
// machine is set back. See [File.ResetClock].
//
// Every record has a checksum. A call that meets damage returns [ErrCorrupt]; a
// damaged key or page may make a record look absent until [DB.Check] finds it.
// A page as it was before a write that the disk has lost is sound in itself:
// it can hide a session or bring back one that has ended, and nothing tells.
// Damage never shows another account's data and never makes a wrong secret
// good. [DB.DisableUser] and [DB.DeleteUser] remove sessions and tokens that
// cannot be read like all others, so damage of a record keeps none alive. A
// damaged meta page takes back the last commit, as if it had not been.
// [DB.Repair] restores the invariants from what records tell, [RepairFile] does
// so for a file that Open refuses; for the rest there is a backup. Repair keeps
// the bytes that it drops in quarantine, in the file, until their user is
// deleted or a [DB.Sweep] removes them after 30 days.
//
// # Copies
//
// [File.Backup] and [File.BackupFile] copy the file while it is in use, and
// [Restore] puts a copy back, with no session or token in it alive.
// [File.CompactTo] makes a file without what was deleted, [File.Compact] in the
// place of the file, while it is in use.
//
// # When a call fails
//
// But for the exceptions above, an error says that nothing was written:
//
//   - [ErrBusy], the end of ctx: try again. [ErrFull]: make room; revocations
//     and deletes still succeed, other writes succeed again with room.
//   - [ErrUnknown]: do not repeat the call blindly. The DB has closed itself:
//     Close it, Open the file again, look what is there.
//   - [ErrClosed] without a Close: another call had ErrUnknown, met damage that
//     leaves nothing to go on with, or found the file gone ([ErrFileGone]).
//     Close and Open.
//   - [ErrCorrupt]: Check tells how much is damaged; then Repair, or Restore.
//   - Any other error of the system, at a commit: nothing was written, and a
//     later call may succeed.
//
// # Transactions
//
// [DB.Update] and [DB.View] run a closure on a [Tx], which has the methods of
// DB without the context. [Tx.Bolt] is the bbolt transaction underneath, for
// buckets of the application's own; with [New] the application keeps its own
// bbolt handle, and [DB.Join] works inside a transaction that it began. Rows in
// buckets of Options.Owned, or in tables of another engine, go with their user. No
// method of Tx hashes a password, as that takes long: call [DB.HashPassword]
// before.
//
// Concurrent writers share a commit, so a closure may have to run more than
// once and should set its results anew at each run. Methods of DB called
// inside a closure on the same goroutine would wait for themselves and return
// [ErrNested].
//
// # Limits
//
// One process at a time has a file open ([ErrLocked]). A user has at most 16
// identities, 64 attributes in 64 KiB, 1,000 sessions and 100 refresh tokens; a
// new session or refresh token ends the one that would end first. Of 3 one-time
// tokens of a purpose and 32 in all none is ended: one more is refused
// ([ErrOneTimeTokenLimit]). Passwords have 8 code points to 1,024 bytes. A transaction writes at
// most 4,000 records and 1 MiB of this package's.
//
// Log-ins are throttled: see [ThrottlePolicy], and tell the client by
// [WithClient]. This package does not send mail, and is no OAuth client.
//
// # Several programs
//
// [OpenStore] opens the accounts in a store that several programs have open at
// once, on an [Engine] of another module. The guarantees hold between them: what
// one has revoked is refused by the next call of any other. Time is the store's.
// Give all of them the same Options.Keys, Indexes and Providers; see
// [File.Redeclare]. What needs a file is [ErrUnsupported].
//
// # What is not protected
//
// Somebody with a copy of the file reads identifiers, attributes, session
// attributes and times in clear, and can try passwords offline at the cost of
// their hash: argon2id for those set here, whatever the other system used for
// imported ones until their first log-in, unless the hashes are sealed (see
// Options.Keys) and the key is not with the copy. Tokens are of no use to them. Deleted
// and replaced values stay in free pages of the file, and in its copies, until
// they are overwritten.
//
// Somebody who can write the file can do anything; the checksums are against
// accidents. Putting an older copy in its place brings back what was ended
// since: use [Restore], or call [DB.EndEverything] then.
//
// Ids are public. They tell when a record was made, to the millisecond, and ids
// of one user's sessions and tokens begin alike; without the file, an id cannot
// be tested against a user id. A user whose hash was imported, or made before
// Options.Passwords was changed, answers a log-in in that hash's time, which
// tells a stranger that the account exists: see [DB.AuthenticateUser].
// Look-alike identifiers are different identifiers.
//
// docs/SECURITY.md goes through who may attack, what they get, and which test
// shows it.
package snib
