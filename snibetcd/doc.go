// Package snibetcd keeps the accounts of snib in an etcd v3 cluster, where several
// programs on several machines share them:
//
//	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
//	…
//	engine, err := snibetcd.Open(client, nil)
//	…
//	db, err := snib.OpenStore(ctx, engine, &snib.Options{Keys: keys})
//
// It is for programs that have etcd already and at most a few million users: etcd
// keeps all of its data in memory and on each member, 8 GiB at most. Beyond that,
// and for own rows in the same transaction, there is snibpg.
//
// # Transactions
//
// A transaction reads one revision: its first read asks the quorum, the others any
// member. Its commit is one Txn, which guards all it has read. Ranges are guarded by
// the newest revision in them, and by fences, keys that deletes touch, because a
// range does not show the keys that have left it. A transaction that lost four times takes a
// lock with a lease, which keeps all others from a commit.
//
// A commit that was acknowledged is on a majority of the members. One whose answer
// was lost is found again by a mark of its own.
//
// # Limits
//
// A commit is one request: at most 1.5 MiB ([--max-request-bytes]), which holds all
// operations on accounts. Work that has no bound on a file does not fit: ImportUsers
// takes batches, Redeclare is ErrUnsupported, Repair is ErrTooLarge beyond 2,000
// changes. Own rows cannot be in the transaction.
//
// etcd has no clock. Machines whose clocks differ by more than a minute are refused,
// see snib.OpenStore.
//
// Give the cluster --quota-backend-bytes, and --auto-compaction-retention of an hour
// or more: a transaction that outlives its revision begins anew.
//
// [--max-request-bytes]: https://etcd.io/docs/v3.6/dev-guide/limit/
package snibetcd
