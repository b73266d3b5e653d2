// Package importer moves the users of other systems into a snib database.
//
// [Sources] lists the systems. Readers for Better Auth, PocketBase and Lucia are
// code; Auth0, Clerk, Supabase, Firebase, Keycloak, Kratos, Django and WordPress
// are mapping files, which are data: [ParseMapping] reads one of the user's own
// for any other export in CSV, JSON or JSON Lines. docs/MOVING.md says of each
// source which fields it keeps, and whether it was tried on the output of the real
// program or on a file made after the documentation.
//
// [Open] gives the rows of a source and [Run] imports them: it counts, reports
// collisions with both sides and refused rows by kind, goes on where an earlier
// run was interrupted, and with Update brings later changes.
//
// # Bounds
//
// A row has at most 1 MiB, its JSON nests at most 32 deep. A longer line of
// JSON Lines is a refused row; in CSV and in one JSON document, where the end of a
// bad record is a guess, the fault ends the run, with line and column. Memory does
// not grow with the number of rows: lists in the report are cut, counts are
// exact.
//
// # Hashes
//
// A hash is never dropped. One of an algorithm that the mapping or the library
// does not know makes its row a refused one, by that kind. No report and no error
// shows a hash; reports do show ids and identifiers of rows that collide.
package importer
