package engine

import (
	"context"
	"fmt"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/store"
)

// Verify says what to verify.
type Verify struct {
	// Group and Absent name a dataset group, by name or ARN, and a list of users, in the form that a deletion job reads, who
	// must not be in it. Without them only the store is verified. Group may be "" in a store of one group.
	Group, Absent string
	// Progress, which may be nil, is called with the number of IDs that were read.
	Progress func(ids int64)
}

// Finding is a place where something of a listed user is, or a page that doesn't read as zeros. It says where, and never
// whose or what.
type Finding = store.Finding

// VerifyReport says what was looked at, and what was found.
type VerifyReport struct {
	Check CheckReport
	store.VerifyReport
	// Unfinished is the number of jobs that aren't COMPLETED or FAILED. While there are some, free pages can hold bytes, and
	// what they are to delete is found.
	Unfinished int
}

// Clean reports whether nothing was found: the store is sound, no listed user is in it, and every page that it doesn't use
// reads as zeros. The last holds at rest: while jobs are under way or the engine is open for writing, such pages can hold what
// is no residue of deleted users, and Check.Problems and Found say the rest.
func (r *VerifyReport) Clean() bool {
	return len(r.Check.Problems) == 0 && r.Found == 0 && r.DirtyPages == 0 && !r.DirtyTail
}

// What is looked for in one pass over the file: so many IDs, or IDs of so many bytes if that is less. It bounds the memory.
const (
	verifyBatch = 256 << 10
	verifyBytes = 16 << 20
)

// Verify checks the store, looks at every page that it doesn't use, and looks for listed users in the dictionaries, in
// the indexes of all blocks, and in the raw bytes of the file. It changes nothing. The error is for a verification that
// couldn't be made, and for a bad list (an *[InputError]).
func (e *Engine) Verify(ctx context.Context, v Verify) (report VerifyReport, err error) {
	if report.Check, err = e.Check(ctx); err != nil {
		return report, err
	}
	open, err := e.unfinished(ctx)
	if err != nil {
		return report, err
	}
	report.Unfinished = len(open)
	if err := e.store.VerifyFree(ctx, &report.VerifyReport); err != nil {
		return report, err
	}
	if v.Absent == "" {
		return report, nil
	}
	group, err := e.onlyGroup(ctx, v.Group)
	if err != nil {
		return report, err
	}
	var some ingest.IDs
	flush := func() error {
		if some.Len() == 0 {
			return nil
		}
		err := e.store.VerifyAbsent(ctx, group, some.Len(), some.At, &report.VerifyReport)
		some.Reset()
		return mapError(err)
	}
	read := int64(0)
	err = e.eachBatch(ctx, v.Absent, func(ids *ingest.IDs) error {
		for i := range ids.Len() {
			some.Append(ids.At(i))
		}
		if read += int64(ids.Len()); v.Progress != nil {
			v.Progress(read)
		}
		if some.Len() < verifyBatch && len(some.Data) < verifyBytes {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return report, err
}

// onlyGroup returns the name of a group, or of the store's only one.
func (e *Engine) onlyGroup(ctx context.Context, nameOrARN string) (string, error) {
	if nameOrARN != "" {
		return e.groupName(nameOrARN), nil
	}
	var groups []store.Group
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		groups, err = tx.Groups()
		return err
	})
	if err != nil {
		return "", err
	}
	if len(groups) != 1 {
		return "", ofKind(ErrInvalid, fmt.Errorf("the store has %d dataset groups: name one", len(groups)))
	}
	return groups[0].Name, nil
}
