package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// Receipt says what a COMPLETED deletion job was asked, what it did and when, without any user ID. The receipts of a store
// are its ledger: a chain, in which each holds the SHA-256 of the one before it.
type Receipt = jobs.Receipt

// newReceipt fills in what is known of a released job whose users are gone.
func (e *Engine) newReceipt(ctx context.Context, j Job, cp checkpoint) (Receipt, error) {
	r := Receipt{
		Name: j.Name, ARN: j.ARN, Seq: j.Seq, GroupARN: j.GroupARN, Source: j.Source, Counts: j.Counts, Created: j.Created,
		Invisible: cp.Invisible, Verified: *cp.Verified, Suppressed: cp.Suppressed, Version: Version(),
	}
	if cp.Files != nil {
		r.Files = jobs.SourceFiles(*cp.Files)
	}
	for _, n := range j.Counts.Deleted {
		r.NumDeleted += n
	}
	var err error
	r.Hashes.Count, r.Hashes.SHA256, err = e.store.HashDigest(ctx, j.Seq)
	return r, err
}

// Version returns the version of Expunge in the program, "(devel)" if it was built from a checkout.
var Version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
})

const modulePath = "github.com/expunge-db/expunge"

// Receipt returns the receipt of a COMPLETED deletion job by its name or ARN. Errors: [ErrNotFound], also while the job isn't
// COMPLETED.
func (e *Engine) Receipt(ctx context.Context, nameOrARN string) (found LedgerEntry, err error) {
	job, err := e.DescribeDataDeletionJob(ctx, nameOrARN)
	if err != nil {
		return found, err
	}
	err = e.store.View(ctx, func(tx *store.Tx) error {
		return jobs.Receipts(jobTx{tx.KV()}, 0, func(r Receipt, line []byte) error {
			if r.Seq != job.Seq {
				return nil
			}
			found = LedgerEntry{r, bytes.Clone(line)}
			return jobs.ErrStop
		})
	})
	if err == nil && found.Number == 0 {
		err = ofKind(ErrNotFound, fmt.Errorf("job %s is %s: a job has a receipt when it is %s", job.Name, job.Status, StatusCompleted))
	}
	return found, err
}

// receiptsPerPage is how many receipts one transaction reads.
const receiptsPerPage = 256

// Ledger yields the receipts, oldest first, each with the line of JSON that its digest is of; the line is the caller's.
// After an error nothing more is yielded.
func (e *Engine) Ledger(ctx context.Context) iter.Seq2[LedgerEntry, error] {
	return func(yield func(LedgerEntry, error) bool) {
		after := uint64(0)
		for {
			var page []LedgerEntry
			err := e.store.View(ctx, func(tx *store.Tx) error {
				return jobs.Receipts(jobTx{tx.KV()}, after, func(r Receipt, line []byte) error {
					page = append(page, LedgerEntry{Receipt: r, Line: bytes.Clone(line)})
					if len(page) == receiptsPerPage {
						return jobs.ErrStop
					}
					return nil
				})
			})
			if err != nil {
				yield(LedgerEntry{}, err)
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
			if len(page) < receiptsPerPage {
				return
			}
			after = page[len(page)-1].Number
		}
	}
}

// LedgerEntry is a receipt of the ledger.
type LedgerEntry struct {
	Receipt
	Line []byte // as the ledger keeps and exports it, without a newline
}

// Digest returns the SHA-256 of the entry, in hex. The receipt after it has it as Previous.
func (e LedgerEntry) Digest() string { return jobs.Digest(e.Line) }

// LedgerReport says what a check of a ledger looked at.
type LedgerReport struct {
	Receipts uint64 // in the chain
	Head     string // digest of the newest; "" if there is none. Keep it elsewhere: a ledger that was cut off has another
	Hashes   int64  // of users, compared with the digests in the receipts
}

// ErrLedger says that a ledger is damaged, or isn't the expected one.
var ErrLedger = errors.New("the ledger doesn't hold")

// VerifyLedger checks that the receipts form a chain, that no COMPLETED deletion job is without one, and that the hashes
// beside them are those that they name. If expect isn't "", one of the receipts must have that digest: the head of an
// earlier check. Nothing comes after the newest receipt, so only a digest that is kept elsewhere shows that it was changed,
// or that the whole chain was made anew. Errors: [ErrLedger], whose text says what is wrong.
func (e *Engine) VerifyLedger(ctx context.Context, expect string) (LedgerReport, error) {
	completed, err := e.completedDeletions(ctx) // before the receipts are read, so that theirs are there
	if err != nil {
		return LedgerReport{}, err
	}
	var chain jobs.Chain
	var report LedgerReport
	found := expect == ""
	for entry, err := range e.Ledger(ctx) {
		if err != nil {
			return report, ledgerError(err)
		}
		if err := chain.Add(entry.Receipt, entry.Line); err != nil {
			return report, fmt.Errorf("%w: %w", ErrLedger, err)
		}
		found = found || chain.Head == expect
		n, digest, err := e.store.HashDigest(ctx, entry.Seq)
		if err != nil {
			return report, ledgerError(err)
		}
		if n != entry.Hashes.Count || digest != entry.Hashes.SHA256 {
			return report, fmt.Errorf("%w: the hashes of users beside receipt %d aren't those that it names", ErrLedger, entry.Number)
		}
		report = LedgerReport{Receipts: chain.Count, Head: chain.Head, Hashes: report.Hashes + n}
	}
	if chain.Count < completed {
		return report, fmt.Errorf("%w: %d deletion jobs are %s and there are %d receipts", ErrLedger, completed, StatusCompleted, chain.Count)
	}
	if !found {
		return report, errNotContinued
	}
	return report, nil
}

// ledgerError makes an [ErrLedger] of damage.
func ledgerError(err error) error {
	var receipt *jobs.CorruptError
	var hashes *CorruptError
	if errors.As(err, &receipt) || errors.As(err, &hashes) {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return err
}

var errNotContinued = fmt.Errorf("%w: no receipt has the expected digest, so it doesn't continue the ledger that had", ErrLedger)

// completedDeletions counts the deletion jobs that must have a receipt.
func (e *Engine) completedDeletions(ctx context.Context) (n uint64, err error) {
	l := ListJobs{Limit: receiptsPerPage}
	for more := true; more; {
		var page []Job
		if page, more, err = e.ListDataDeletionJobs(ctx, l); err != nil {
			return 0, err
		}
		for _, j := range page {
			l.After = j.Seq
			if j.Status == StatusCompleted {
				n++
			}
		}
	}
	return n, nil
}

// VerifyLedgerExport checks the chain of an exported ledger, a receipt a line; see [Engine.VerifyLedger]. The hashes aren't
// in it. Errors: [ErrLedger].
func VerifyLedgerExport(r io.Reader, expect string) (LedgerReport, error) {
	var chain jobs.Chain
	found := expect == ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		receipt, err := jobs.ParseReceipt(lines.Bytes())
		if err == nil {
			err = chain.Add(receipt, lines.Bytes())
		}
		if err != nil {
			return LedgerReport{}, fmt.Errorf("%w: line %d: %w", ErrLedger, n, err)
		}
		found = found || chain.Head == expect
	}
	if err := lines.Err(); err != nil {
		return LedgerReport{}, fmt.Errorf("read ledger: %w", err)
	}
	if !found {
		return LedgerReport{}, errNotContinued
	}
	return LedgerReport{Receipts: chain.Count, Head: chain.Head}, nil
}

// LedgerMatch says how many users of a list a deletion job matched.
type LedgerMatch struct {
	Receipt Receipt
	Users   int64
}

// MatchLedger matches a list of users against what was deleted from a group, and returns how many IDs it read, how many of
// them some job had deleted, and the jobs, oldest first. An ID that is there twice counts twice. The list is in the form
// that a deletion job reads. Errors: [ErrNotFound] if there never was such a group; [ErrKey] if the engine was opened without
// the key that the caller holds; an *[InputError] for a bad list.
func (e *Engine) MatchLedger(ctx context.Context, group, source string) (listed, deleted int64, by []LedgerMatch, err error) {
	group = e.groupName(group)
	for entry, err := range e.Ledger(ctx) {
		if err != nil {
			return 0, 0, nil, err
		}
		if entry.GroupARN == e.groupARN(group) {
			by = append(by, LedgerMatch{Receipt: entry.Receipt})
		}
	}
	if len(by) == 0 {
		if _, err := e.DatasetGroup(ctx, group); err != nil {
			return 0, 0, nil, err
		}
	}
	err = e.eachBatch(ctx, source, func(ids *ingest.IDs) error {
		hashes, err := e.store.HashIDs(group, ids.Len(), ids.At)
		if err != nil {
			return err
		}
		listed += int64(len(hashes))
		lines := make(map[store.IDHash]int64, len(hashes))
		for _, h := range hashes {
			lines[h]++
		}
		hit := make(map[store.IDHash]bool)
		for i := range by {
			err := e.store.EachHash(ctx, by[i].Receipt.Seq, func(of []store.IDHash) error {
				for _, h := range of {
					if n := lines[h]; n > 0 {
						hit[h] = true
						by[i].Users += n
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		for h := range hit {
			deleted += lines[h]
		}
		return nil
	})
	by = slices.DeleteFunc(by, func(m LedgerMatch) bool { return m.Users == 0 })
	return listed, deleted, by, err
}

// eachBatch reads a deletion list.
func (e *Engine) eachBatch(ctx context.Context, source string, fn func(*ingest.IDs) error) error {
	src, err := e.locations.Source(source, "", ingest.Recursive)
	if err != nil {
		return ofKind(ErrInvalid, err)
	}
	r, err := ingest.NewListReader(ctx, src)
	if err != nil {
		return err
	}
	var ids ingest.IDs
	for {
		err := r.Read(&ids, listBatch)
		if err == io.EOF {
			return r.Close()
		}
		if err == nil {
			err = fn(&ids)
		}
		if err != nil {
			return errors.Join(err, r.Close())
		}
	}
}
