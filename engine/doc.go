// Package engine deletes users from recommender datasets, off the disk they lie on. It is what an embedder imports: it
// opens a store, imports datasets into it, runs data deletion jobs, and hands the rows out for training.
//
// The names and the life of a job are those of Amazon Personalize's data deletion job: PENDING, IN_PROGRESS, then
// COMPLETED or FAILED. Two things are different, and on purpose: a FAILED job has deleted nothing, and a COMPLETED one
// left no byte of its users in any file of the store's folder. What lies below a file (flash, copy-on-write file
// systems and their snapshots) is outside of a program's reach.
//
// # How a deletion flows
//
// The list is read in batches; what was read so far commits with the job's record, so a killed process goes on from the
// last batch. Then one commit makes all rows of all listed users invisible: the point of no return. The job gives up its
// turn in its group, and one eraser per store rewrites the blocks that held the rows, takes the IDs out of the
// dictionaries, checks that nothing is left, makes the freed pages read as zeros, and completes the job. Where an open
// [Snapshot] still sees the rows, the job waits for it and says so.
//
// # How it is proven
//
// A COMPLETED deletion leaves a [Receipt] in the ledger, a hash chain that [Engine.VerifyLedger] checks, and keyed hashes of
// its users, with which [Engine.MatchLedger] matches a later list. [Engine.Verify] looks for listed users in every structure
// and every byte of the file. [Engine.SetSuppression] keeps deleted users from coming back by imports, and a copy that
// [Engine.Backup] makes has no byte of them.
//
// # What isn't here
//
// The rows themselves are package store's, formats of input are package ingest's, and the life of jobs is package jobs'.
// This package joins them, and is the only one that knows all three.
package engine
