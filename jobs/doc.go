// Package jobs is the model of deletion and import jobs and their lifecycle: names, ARNs, tags, statuses
// and the transitions between them, the queue that jobs wait in, and the [Runner] that gives them their turns.
//
// It is not the place where rows are deleted or files are read: a [Worker] does that. It is not a database
// either: it works on a [Tx], a small ordered key-value interface that a store's transaction satisfies. That
// is the reason for the interface: a job's state commits in the same transaction as the work it describes,
// so that a process killed at any moment finds a state that is true.
//
// # Lifecycle
//
//	PENDING ──> IN_PROGRESS ──> COMPLETED
//	   └────────────┴─────────> FAILED
//
// Every change is a compare-and-set on the status ([Transition], [Modify]). A COMPLETED or FAILED job is
// final; only its tags can still change.
//
// A FAILED deletion job has deleted nothing. So there is a point of no return, the commit that makes the rows
// invisible, and the worker sets [Job.Released] in that commit. From then on the job can only complete: it
// gives its turn to the next job of its group, and [Worker.Finish] works on it until it is done.
//
// # Queue
//
// Jobs of one dataset group take turns in the order of creation, imports and deletions alike, since both
// change the same data. Groups don't wait for each other. An index of the unfinished jobs, kept in the same
// transactions as the records, spares reading the finished ones, which are never removed.
//
// # What a record holds
//
// No user ID, no value of a row and no part of an input line: counts, positions, names and locations only.
// A record carries a checksum, so that damage is a [*CorruptError] and not another status.
package jobs
