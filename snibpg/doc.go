// Package snibpg keeps the accounts of snib in PostgreSQL, 13 or later, where
// several programs on several machines share them:
//
//	engine, err := snibpg.Open(ctx, os.Getenv("DATABASE_URL"), nil)
//	…
//	db, err := snib.OpenStore(ctx, engine, &snib.Options{Keys: keys})
//
// Every call of snib has the guarantees that it has on a file. Transactions are
// SERIALIZABLE, and one that lost to another runs again. [Conn] gives the
// program's own rows and the accounts one transaction, [Join] and [Retry] do in
// transactions of the program. One that lost four times runs
// while no other commits; the server ends it if the program then sends nothing for a
// minute (or idle_in_transaction_session_timeout, if that is set).
//
// # The database
//
// The tables lie in a schema of their own, by default "snib", which Open makes if
// the role may. One has the keys and values of a space, as docs/FORMAT.md draws
// them; read them as much as you like, but write through snib. Foreign keys to
// them are not supported: building an index puts another table in their place.
//
// All calls go to the primary. A server in recovery is refused. Name all servers
// in the DSN (host=a,b), so that a fail-over finds the new one. Once an Engine has met
// the new primary, it refuses the old one, which may come back and not know of it.
// Programs that have not are yours to fence off: their reads there are late. A frozen
// server holds a call up for 15 s; then it goes on at another, or is snib.ErrBusy if
// BusyTimeout is over.
//
// # Tables that leave with their user
//
// Options.Owned of snib names tables of the program's in the same database, such as
// "notes" or "app.notes(author)": a column of type text or varchar, user_id unless it
// is named, holds the id of the user. DeleteUser removes up to 10,000 of the
// rows in its commit, in one statement for all tables, and the sweep the others.
// Without a schema a table is one of public, whatever the search path says. The role needs
// SELECT and DELETE on the table, UPDATE for a merge of accounts, and USAGE on its
// schema; triggers run with its rights, so name no table of a role that is not
// trusted. An index on the column keeps deletions apart from other writers.
//
// # Durability
//
// A commit that was acknowledged is on the disk of the primary, also where
// synchronous_commit is off for the role. After a fail-over it is on the new
// primary only if synchronous_standby_names names a standby: without one Open
// warns, or fails with Options.RequireSync. After a fail-over that may have lost
// commits, call EndEverything of snib: revocations and deletes may be among them.
//
// An answer that was lost with its connection is no error: each commit leaves a
// mark, by which it is found again, on the new primary too. Only if no server
// could be reached for 30 seconds is the error snib.ErrUnknown.
//
// # Poolers
//
// PgBouncer works in transaction mode, and in session mode. snibpg notices it and
// prepares no statements then, which costs some of the speed. Nothing outlives a
// transaction on a connection.
package snibpg
