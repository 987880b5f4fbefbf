package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// SetSuppression says whether users whom later deletion jobs of a group list, known or not, are kept out of later imports:
// their rows are skipped and counted. They are kept by their hashes under the store's key, never by their IDs. It is off in a
// new group. Switched off, it keeps those who are suppressed, for when it is switched on again. Errors: [ErrNotFound].
func (e *Engine) SetSuppression(ctx context.Context, group string, on bool) error {
	return mapError(e.store.Update(ctx, func(tx *store.Tx) error { return tx.SetSuppression(e.groupName(group), on) }))
}

// Suppression says who is kept out of a group.
type Suppression struct {
	On    bool
	Users int64
	Jobs  []SuppressedBy // in the order of creation
}

// SuppressedBy counts the users whom a job was the first to list.
type SuppressedBy struct {
	Job   string // its name
	Users int64
}

// Suppressed says who is kept out of a group, in numbers. Errors: [ErrNotFound].
func (e *Engine) Suppressed(ctx context.Context, group string) (s Suppression, err error) {
	group = e.groupName(group)
	byJob, err := e.store.Suppressed(ctx, group)
	if err != nil {
		return s, mapError(err)
	}
	err = e.store.View(ctx, func(tx *store.Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		s.On = g.Suppress
		var seqs []uint64
		for seq := range byJob {
			seqs = append(seqs, seq)
		}
		slices.SortFunc(seqs, cmp.Compare)
		for _, seq := range seqs {
			j, err := jobs.GetSeq(jobTx{tx.KV()}, seq)
			if err != nil {
				return err
			}
			s.Jobs = append(s.Jobs, SuppressedBy{j.Name, byJob[seq]})
			s.Users += byJob[seq]
		}
		return nil
	})
	return s, mapError(err)
}

// LiftSuppression lets the users of a list come back into a group by imports, and returns how many of them were kept out. The
// list is in the form that a deletion job reads; a bad line (an *[InputError]) lifts nobody. Errors:
// [ErrNotFound].
func (e *Engine) LiftSuppression(ctx context.Context, group, source string) (lifted int64, err error) {
	if e.runner == nil {
		return 0, ErrReadOnly
	}
	// Read once to find bad lines before anything is changed.
	if err := e.eachBatch(ctx, source, func(*ingest.IDs) error { return nil }); err != nil {
		return 0, err
	}
	err = e.eachBatch(ctx, source, func(ids *ingest.IDs) error {
		e.suppressing.Lock()
		defer e.suppressing.Unlock()
		n, err := e.store.LiftSuppression(ctx, e.groupName(group), ids.Len(), ids.At)
		lifted += n
		return mapError(err)
	})
	return lifted, err
}

// LiftAllSuppression lets everybody come back into a group by imports, and returns how many users were kept out. Errors:
// [ErrNotFound].
func (e *Engine) LiftAllSuppression(ctx context.Context, group string) (int64, error) {
	e.suppressing.Lock()
	defer e.suppressing.Unlock()
	n, err := e.store.LiftAllSuppression(ctx, e.groupName(group))
	return n, mapError(err)
}
