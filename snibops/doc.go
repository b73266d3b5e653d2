// Package snibops has the verbs of an operator on a [snib.DB] (find a user, end
// sessions, reset a second factor, import, back up, compact, check), and serves them
// on a socket, so that they work on the file of a program that runs. The command
// snib is made of it; an administrator's tool of the program's own can be, too.
//
// # In the program
//
//	db, err := snib.Open(path, nil)
//	…
//	ops, err := snibops.Listen(db, path, nil)
//	if err != nil {
//		return err
//	}
//	defer ops.Close() // before db
//
// The database must lie in a folder that only its owner can write, as /var/lib/app
// of a systemd StateDirectory is: chmod go-w.
//
// # In the tool
//
// [Dial] connects to the program. Where none has the file open, [snib.Open] opens
// it, and [Local] runs the same code over a pipe in memory. A verb is a constant
// with its types:
//
//	client, err := snibops.Dial(ctx, path, nil)
//	if errors.Is(err, snibops.ErrNotServed) {
//		db, err := snib.Open(path, nil)
//		…
//		client = snibops.Local(db, nil)
//	}
//	user, err := snibops.VerbUserDisable.Do(ctx, client, snibops.DisableArgs{User: "ada@example.com"}, nil)
//
// Errors are those that snib would have returned in the same process, for
// errors.Is and errors.As. Every change is made with [snib.AsOperator], so its event
// has the actor "operator", and [Options.Logger] gets a line with the uid and the
// name of the client. [VerbUserEndSessions] with the id of one session, [VerbImport]
// and the verbs on the file write no event, as their methods do.
//
// Identifiers, attributes, names of devices and keys are text of strangers. Print
// them with [Quote], and put them through [CSVField] into a CSV.
//
// # What is served to whom
//
// Nothing that the owner of the file could not do without the program: a peer must
// run as the same user as the program, or as root. The socket has mode 0600 from
// its first moment, in a folder that no other user can write or replace. On Linux
// both ends ask the kernel for the user of the other (SO_PEERCRED) before they
// send or read a byte. On macOS and the BSDs the standard library has no call for
// that: there the modes of socket and folder, and at the client the owner of the
// socket, stand alone. Windows has neither: the access list of the folder decides.
// An attacker who runs code as that user, or as root, can do anything.
//
// A client sends nothing to a socket, or to a program, of a user other than its own
// or the owner of the database file. So root can look after the file of a service,
// and a socket that somebody else has put there gets nothing.
//
// No password, hash of one, seed, or token leaves, but for the link of
// [VerbUserResetLink], which is asked for by that name, and a backup or the data of
// [VerbRecords], which are the file. What is sealed under [snib.Options.Keys] stays sealed in it.
//
// [VerbRepair] works on a file alone ([ErrFileOnly]).
//
// # Bounds
//
// At most 8 connections; one verb after the other on each; frames of at most 1 MiB;
// 5 s for the handshake, 2 minutes between two requests or two rows of an import
// ([ErrStalled]). To end a verb, a client closes its connection, which the end of ctx
// does; a frame that comes while a verb without an input runs ends it, too.
//
// Lists are read in pages of short transactions, none of which is open while an
// item is sent, so a pager that stops holds a connection, for 10 minutes, and
// nothing of the database. [VerbBackup], [VerbRecords] and [VerbUserExport] hold a snapshot while they send, which
// lets the file grow: they end if 10 s pass within one write, or if the client
// has made the server wait 30 s longer than the data takes at 1 MiB a second.
// A panic in a verb is [ErrServerFailed] there, and the program goes on.
//
// # Protocol
//
// A frame is four bytes of length, big endian, of the rest; one byte of kind; and
// JSON, or for kind D bytes as they are.
//
//	client                              server
//	H {"protocol":2,"name":"grace"}     H Info, or X fault
//	R {"verb":"users","args":{…}}
//	L ImportRow …, E (of an import)     I item, D data, P Progress …
//	                                    O result, or X {"codes":["user_not_found"],"text":…}
//
// A version of the protocol only gains verbs, and fields of results. Another one is
// refused in the handshake.
package snibops
