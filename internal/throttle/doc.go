// Package throttle counts failed guesses in memory that is fixed, by names that
// exist and names that do not alike.
//
// # Accounts
//
// A name is hashed with a key to four cells, and the least of the four counts
// (a count-min sketch): other names can only add to a count, never hide one.
// There are no entries, so a flood of invented names evicts nothing, and whether
// a name has a user leaves no trace. All four cells lie in one block, the unit
// that is stored: one failure changes one small record.
//
// Five failures are free. Each further one waits for [Step]: 30 s, then twice as
// long each time up to an hour; from the 50th on, a day; at the 100th the name
// is closed, if the caller says so. A refused attempt is not counted and
// prolongs nothing. The run of failures ends by a success, which takes the count
// of its own name out of the cells and leaves that of others.
//
// Names share cells, so counts must fade, or the typing errors of years would
// throttle everybody: each cell loses one every [FadeEvery]. That gives a
// guesser one guess in two days; a run of 50 gives one a day anyway, and grows.
//
// The last quarter of the blocks is for names under which only callers with a
// live session, device or pending log-in can fail. A flood of strangers can fill
// the others, from thousands of networks and for hours, and then throttles
// strangers early; it does not reach these.
//
// # Networks
//
// Failures also count in the networks of the client's address: 20 at once and
// two a minute from one IPv4 address, 8 times that from its /24; the same from
// an IPv6 /64, 4 times from its /56 and 16 times from its /48. A network is
// slowed down and never closed.
//
// # Memory
//
// At most 2,048 blocks of 1.3 KB, made when they are first needed, and 512 KiB
// for networks likewise: 3.2 MB.
package throttle
