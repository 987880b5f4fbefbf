package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// worker does the work of the jobs; package jobs calls it.
type worker struct{ e *Engine }

// Turn implements [jobs.Worker].
func (w worker) Turn(ctx context.Context, job Job) error {
	unlock, err := w.e.turns.lock(ctx, w.e.groupName(job.GroupARN))
	if err != nil {
		return err
	}
	defer unlock()
	switch job.Kind {
	case jobs.KindImport:
		err = w.e.importTurn(ctx, job)
	case jobs.KindExport:
		err = w.e.exportTurn(ctx, job)
	default:
		err = w.e.deletionTurn(ctx, job)
		w.e.stopBackground()
	}
	if err != nil {
		w.e.endProgress(job.Seq)
	}
	return err
}

// listBatch is how many IDs of a deletion list are read between two commits.
const listBatch = 64 << 10

// checkpoint is where a deletion stands.
type checkpoint struct {
	Position *ingest.Position `json:"position,omitempty"` // of the list; a digest of IDs, so it goes when the list was read
	Batches  uint32           `json:"batches,omitempty"`  // staged in the store
	Failed   bool             `json:"failed,omitempty"`   // before the users were invisible; what was staged is to be dropped

	// Since the commit that made the users invisible:
	Epoch      uint64         `json:"epoch,omitempty"` // of it
	Invisible  time.Time      `json:"invisible,omitzero"`
	Files      *ingest.Digest `json:"files,omitempty"`
	Suppressed bool           `json:"suppressed,omitempty"`
	// Since what was staged is dropped, without which they can't be looked for again: what was looked at before.
	Verified *jobs.Verified `json:"verified,omitempty"`
}

func (c checkpoint) json() json.RawMessage {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // it holds numbers and strings only
	}
	return b
}

func readCheckpoint(job Job) (c checkpoint, err error) {
	if len(job.Checkpoint) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(job.Checkpoint, &c); err != nil {
		return c, &CorruptError{What: "checkpoint of job " + job.Name, Problem: "can't be read", Err: err}
	}
	return c, nil
}

// deletionTurn reads the list and makes its users invisible. Up to the commit that does so nothing that a reader can see
// has changed.
func (e *Engine) deletionTurn(ctx context.Context, job Job) error {
	err := e.readAndDelete(ctx, job)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// What the list held must not stay behind. If the last commit went through after all, the job is released and
	// needs what it staged; the store says which it is.
	return errors.Join(err, e.dropFailed(ctx, job))
}

func (e *Engine) readAndDelete(ctx context.Context, job Job) error {
	group := e.groupName(job.GroupARN)
	cp, err := readCheckpoint(job)
	if err != nil {
		return err
	}
	if cp.Failed { // and the process ended before the job's record said so: begin again
		if err := e.store.DropFailed(ctx, group, job.Seq); err != nil {
			return err
		}
		cp = checkpoint{}
	}
	if cp.Batches == 0 {
		// So that IDs which an import left without rows count as unknown. Not once users were matched: one of them who left
		// the dictionary and came back by an event would not be found.
		if err := e.store.Sweep(ctx, group); err != nil {
			return err
		}
	}
	src, err := e.locations.Source(job.Source, job.RoleARN, ingest.Recursive)
	if err != nil {
		return err
	}
	r, err := openList(ctx, src, cp.Position)
	if err != nil {
		return err
	}
	err = e.stageList(ctx, job, group, r, &cp)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	files := r.Digest()
	e.setProgress(job.Seq, Progress{Step: StepDeleting})
	e.suppressing.Lock()
	defer e.suppressing.Unlock()
	suppressed, err := e.store.Suppress(ctx, group, job.Seq, cp.Batches)
	if err != nil {
		return err
	}
	unknown, repeats, err := e.store.DistinctUnknown(ctx, job.Seq, cp.Batches)
	if err != nil {
		return err
	}
	// Rows that were put before the commit are deleted too: they become layers now, the last of them while no other is put.
	if err := e.fold(ctx, group); err != nil {
		return err
	}
	e.committer.hold.Lock()
	defer e.committer.hold.Unlock()
	if err := e.fold(ctx, group); err != nil {
		return err
	}
	return e.store.Tombstone(ctx, group, job.Seq, cp.Batches, func(tx *store.Tx, del store.Deleted) error {
		_, err := jobs.Modify(jobTx{tx.KV()}, job.Seq, StatusInProgress, now(), func(j *Job) {
			j.Counts.Matched += del.Late
			j.Counts.Duplicate += repeats
			j.Counts.Unknown = unknown - del.Late
			j.Counts.Deleted = make(map[string]int64)
			for t, n := range del.Rows {
				j.Counts.Deleted[string(t)] = n
			}
			j.Checkpoint = checkpoint{
				Batches: cp.Batches, Epoch: del.Epoch, Invisible: now(), Files: &files, Suppressed: suppressed,
			}.json()
			j.Released = true
		})
		return err
	})
}

func openList(ctx context.Context, src ingest.Source, at *ingest.Position) (*ingest.ListReader, error) {
	if at == nil {
		return ingest.NewListReader(ctx, src)
	}
	return ingest.ResumeListReader(ctx, src, *at)
}

// stageList reads the list to its end. cp says how far it has come, also after an error.
func (e *Engine) stageList(ctx context.Context, job Job, group string, r *ingest.ListReader, cp *checkpoint) error {
	var ids ingest.IDs
	for {
		p := r.Progress()
		e.setProgress(job.Seq, Progress{Step: StepReading, Done: p.BytesRead, Total: p.BytesTotal, Unit: "bytes"})
		err := r.Read(&ids, listBatch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		position := r.Position()
		next := checkpoint{Position: &position, Batches: cp.Batches + 1}
		err = e.store.StageUsers(ctx, group, job.Seq, cp.Batches, ids.Len(), ids.At, func(tx *store.Tx, st store.Staged) error {
			_, err := jobs.Modify(jobTx{tx.KV()}, job.Seq, StatusInProgress, now(), func(j *Job) {
				j.Counts.Listed += int64(ids.Len())
				j.Counts.Matched += st.Matched
				j.Counts.Unknown += st.Unknown
				j.Counts.Duplicate += st.Duplicate
				j.Checkpoint = next.json()
			})
			return err
		})
		if err != nil {
			return err
		}
		*cp = next
	}
}

// dropFailed removes what a job that is about to fail has staged, off the disk too.
func (e *Engine) dropFailed(ctx context.Context, job Job) error {
	released := false
	err := e.store.Update(ctx, func(tx *store.Tx) error {
		j, err := jobs.GetSeq(jobTx{tx.KV()}, job.Seq)
		if err != nil {
			return err
		}
		if released = j.Released; released {
			return nil
		}
		_, err = jobs.Modify(jobTx{tx.KV()}, job.Seq, StatusInProgress, now(), func(j *Job) {
			j.Checkpoint, j.Counts = checkpoint{Failed: true}.json(), jobs.Counts{}
		})
		return err
	})
	if err != nil || released {
		return err
	}
	if err := e.store.DropFailed(ctx, e.groupName(job.GroupARN), job.Seq); err != nil {
		return err
	}
	_, err = e.store.Scrub(ctx)
	return err
}

// importTurn reads the rows, stores them where nobody sees them, and makes them visible in one commit, by which the job is
// COMPLETED: what the rows replaced leaves the file in the background. An import that was interrupted begins again: what it had stored was removed when the store was opened.
func (e *Engine) importTurn(ctx context.Context, job Job) error {
	group, t := e.groupName(job.GroupARN), e.datasetType(job.DatasetARN)
	if err := e.fold(ctx, group); err != nil { // what was put before is older than what is imported
		return err
	}
	schema, err := e.datasetSchema(ctx, group, t)
	if err != nil {
		return err
	}
	src, err := e.locations.Source(job.Source, job.RoleARN, ingest.FirstLevel)
	if err != nil {
		return err
	}
	r, err := ingest.NewDatasetReader(ctx, src, schema)
	if err != nil {
		return err
	}
	im, err := e.store.BeginImport(ctx, group, t, store.ImportMode(job.Mode))
	if err != nil {
		return errors.Join(err, r.Close())
	}
	if err := e.importRows(ctx, job, r, im); err != nil {
		// Also when the engine is closed meanwhile: then it is quicker now than when the store is opened again.
		clean := context.WithoutCancel(ctx)
		err = errors.Join(err, im.Abort(clean))
		if ctx.Err() == nil {
			_, scrubErr := e.store.Scrub(clean)
			err = errors.Join(err, scrubErr)
		}
		return err
	}
	return e.store.Sweep(ctx, group) // if it fails, the next turn of the group that needs it does it
}

func (e *Engine) importRows(ctx context.Context, job Job, r *ingest.DatasetReader, im *store.Import) error {
	err := e.readRows(ctx, job, r, im)
	rows := r.Progress().Rows
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	progress := func(done int64) {
		e.setProgress(job.Seq, Progress{Step: StepStoring, Done: done, Total: rows, Unit: "rows"})
	}
	progress(0)
	replaced := false
	_, err = im.Finish(ctx, progress, func(tx *store.Tx, res store.ImportResult) error {
		replaced = res.Replaced > 0 || res.Suppressed > 0
		_, err := jobs.Transition(jobTx{tx.KV()}, job.Seq, StatusInProgress, StatusCompleted, now(), func(j *Job) {
			j.Counts.RowsRead, j.Counts.RowsAdded = res.Read, res.Added
			j.Counts.RowsReplaced, j.Counts.RowsDuplicate = res.Replaced, res.Duplicate
			j.Counts.RowsSuppressed = res.Suppressed
		})
		return err
	})
	if err != nil {
		return err
	}
	e.endProgress(job.Seq)
	if replaced {
		e.setReplaced()
	}
	return nil
}

// mostReaders is how many goroutines read one dataset at most: each takes some 10 MB and more.
const mostReaders = 4

// readRows lets several goroutines each parse chunks of the rows and give them to the store.
func (e *Engine) readRows(ctx context.Context, job Job, r *ingest.DatasetReader, im *store.Import) error {
	g, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), mostReaders) {
		rows, to := r.NewParser(), im.NewAppender()
		g.Go(func() error {
			for {
				p := r.Progress()
				e.setProgress(job.Seq, Progress{Step: StepReading, Done: p.BytesRead, Total: p.BytesTotal, Unit: "bytes"})
				rec, chunk, err := rows.Next()
				if err == io.EOF {
					return nil
				}
				if err == nil {
					err = to.Append(chunk, rec)
				}
				if err == nil && r.Err() == nil { // else the rest of the chunk may hold an earlier mistake
					err = ctx.Err()
				}
				if err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	if first := r.Err(); first != nil {
		return first
	}
	return err
}

// datasetSchema returns the schema of a dataset as the reader of its files wants it.
func (e *Engine) datasetSchema(ctx context.Context, group string, t DatasetType) (*ingest.Schema, error) {
	var s store.Schema
	err := e.store.View(ctx, func(tx *store.Tx) error {
		d, err := tx.Dataset(group, t)
		if err != nil {
			return err
		}
		s, err = tx.Schema(d.Schema)
		return err
	})
	if err != nil {
		return nil, err
	}
	schema, err := ingest.ParseSchema([]byte(s.Definition))
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", s.Name, err)
	}
	return schema, nil
}
