package engine

import (
	"context"

	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// BackupReport says what a backup holds.
type BackupReport = store.BackupReport

// Backup writes a store of its own to dest, which must not exist (fs.ErrExist). It holds the live data of one moment and no
// byte of what was deleted before it, with the jobs, the ledger, and the suppressed users; the engine can be used meanwhile.
// Jobs that were under way go on in the copy when it is opened for writing: a deletion from the beginning of its list.
// A store whose key the caller holds has a backup with the same key, which isn't needed to make it.
//
// A backup is out of reach of later deletions: what they erase stays in it. Delete it, or replay the lists against it.
func (e *Engine) Backup(ctx context.Context, dest string) (BackupReport, error) {
	if e.runner != nil {
		defer e.runner.Wake() // an erasure may have waited for the backup's snapshots
	}
	// What was put and is no layer yet is copied while writers wait: so there should be little of it.
	groups, err := e.store.Journaled(ctx)
	if err != nil {
		return BackupReport{}, err
	}
	for _, g := range groups {
		if err := e.foldNow(ctx, g); err != nil {
			return BackupReport{}, err
		}
	}
	return e.store.Backup(ctx, dest, func(tx *store.Tx) (last uint64, err error) {
		open, err := jobs.Unfinished(jobTx{tx.KV()})
		if err != nil {
			return 0, err
		}
		for _, j := range open {
			if j.Kind == jobs.KindDeletion && j.Status == StatusInProgress {
				if err := restartDeletion(tx, j); err != nil {
					return 0, err
				}
			}
		}
		for _, kind := range []jobs.Kind{jobs.KindDeletion, jobs.KindImport, jobs.KindExport} {
			newest, _, err := jobs.List(jobTx{tx.KV()}, jobs.Filter{Kind: kind}, 0, 1)
			if err != nil {
				return 0, err
			}
			for _, j := range newest {
				last = max(last, j.Seq)
			}
		}
		return last, nil
	})
}

// restartDeletion makes of a job's record in a copy one that fits it. What was invisible isn't there.
func restartDeletion(tx *store.Tx, j Job) error {
	cp, err := readCheckpoint(j)
	if err != nil {
		return err
	}
	_, err = jobs.Modify(jobTx{tx.KV()}, j.Seq, StatusInProgress, now(), func(j *Job) {
		j.StatusReason = ""
		if j.Released {
			cp.Epoch = 0
			j.Checkpoint = cp.json()
			return
		}
		j.Checkpoint, j.Counts = checkpoint{Failed: true}.json(), jobs.Counts{}
	})
	return err
}
