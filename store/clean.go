package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/expunge-db/expunge/store/internal/pages"
)

// cleaner remembers what earlier calls of Clean left to do because of open snapshots.
type cleaner struct {
	mu sync.Mutex // held during Clean: there is one at a time
	// marks say that what was made invisible up to the epoch before is out of all live blocks since the epoch after.
	marks []cleanMark
	done  uint64
}

type cleanMark struct{ before, after uint64 }

// Clean removes what no snapshot can see from the live pages of the file: replaced layers, dead rows, IDs that left the
// dictionaries. It returns the epoch up to which that is finished, the rest being held by older snapshots, and the epoch
// before which a snapshot has to be to hold it. [Store.Scrub] then makes the bytes unreadable. Each of its transactions
// leaves a valid store, so it can be interrupted and called again at any time.
func (s *Store) Clean(ctx context.Context) (done, waitsFor uint64, err error) {
	if s.opts.ReadOnly {
		return 0, 0, ErrReadOnly
	}
	s.cleaner.mu.Lock()
	defer s.cleaner.mu.Unlock()
	if err := s.rollbackMerges(ctx); err != nil {
		return 0, 0, err
	}
	var mark cleanMark
	epoch := func(to *uint64) error {
		return s.View(ctx, func(tx *Tx) error {
			*to = tx.Epoch()
			return nil
		})
	}
	if err := epoch(&mark.before); err != nil {
		return 0, 0, err
	}
	if err := s.dropGarbage(ctx, s.leases.oldest(mark.before)); err != nil { // there is no need to compact it
		return 0, 0, err
	}
	if _, err := s.compact(ctx); err != nil {
		return 0, 0, err
	}
	if err := epoch(&mark.after); err != nil {
		return 0, 0, err
	}
	s.cleaner.marks = append(s.cleaner.marks, mark)

	// Asked once, for all steps: an ID must not be purged on the word of a newer answer than the one that left its rows
	// alone. It stays true, since leases only end and new ones are not on an epoch before mark.after.
	oldest := s.leases.oldest(mark.after)
	if err := s.dropGarbage(ctx, oldest); err != nil {
		return 0, 0, err
	}
	if err := s.purge(ctx, min(mark.before, oldest), oldest); err != nil {
		return 0, 0, err
	}
	if _, err := s.reclaim(ctx, oldest); err != nil {
		return 0, 0, err
	}
	left := s.cleaner.marks[:0]
	for _, m := range s.cleaner.marks {
		if m.after <= oldest {
			s.cleaner.done = max(s.cleaner.done, m.before)
		} else {
			left = append(left, m)
			waitsFor = max(waitsFor, m.after)
		}
	}
	s.cleaner.marks = left
	return s.cleaner.done, waitsFor, nil
}

// ScrubReport says what a scrub did.
type ScrubReport struct {
	PagesFree    int64  `json:"pagesFree"`    // free pages looked at
	PagesZeroed  int64  `json:"pagesZeroed"`  // of them, those that held bytes
	BytesWritten int64  `json:"bytesWritten"` // overwritten with zeros
	BytesPunched int64  `json:"bytesPunched"` // given back to the file system
	Method       string `json:"method"`       // none, write, punch or write+punch
}

// Scrub makes every page that the newest commit doesn't use, and the tail of the file, read as zeros on the disk, and
// moves both meta pages past that state. Readers wait only until those that are under way have ended; writers wait until
// it is done.
func (s *Store) Scrub(ctx context.Context) (ScrubReport, error) {
	report, err := s.scrub(ctx, true)
	if err != nil {
		return report, fmt.Errorf("scrub: %w", err)
	}
	// The commit before this one is still what bbolt falls back to if this one's meta page is damaged.
	if err := s.Update(ctx, func(*Tx) error { return nil }); err != nil {
		return report, fmt.Errorf("scrub: %w", err)
	}
	return report, nil
}

// scrubAtRest is the scrub of a store that is closed right after: it makes the pages zeros that Scrub's own commits
// freed too, and gives more of the free room back to the file system than a job would wait for.
func (s *Store) scrubAtRest(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := s.Scrub(ctx); err != nil {
		return err
	}
	_, err := s.scrub(ctx, false)
	return err
}

func (s *Store) scrub(ctx context.Context, commit bool) (report ScrubReport, err error) {
	if err := ctx.Err(); err != nil {
		return report, err
	}
	if s.opts.ReadOnly {
		return report, ErrReadOnly
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	// Beginning a write transaction while no read transaction is open turns pages that a reader could still need into
	// free ones. Readers that come after it see the newest commit, which uses none of them.
	s.gate.Lock()
	if s.db == nil {
		defer s.gate.Unlock()
		return report, s.down
	}
	b, err := s.db.Begin(true)
	s.gate.Unlock()
	if err != nil {
		return report, err
	}
	report, err = s.zeroFree(b, !commit)
	if err != nil || !commit {
		return report, errors.Join(err, b.Rollback())
	}
	return report, s.commitLocked(&Tx{s: s, b: b})
}

// zeroFree zeroes the pages that are free in b, a write transaction that began behind the gate and changed nothing yet,
// and that the walk over the pages doesn't reach either. With trim it gives long runs of them back.
func (s *Store) zeroFree(b *bolt.Tx, trim bool) (report ScrubReport, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return report, err
	}
	meta, err := pages.ReadMeta(s.file, info.Size())
	if err != nil {
		return report, pageError(err)
	}
	st, err := pages.Walk(s.file, info.Size(), meta)
	if err != nil {
		return report, pageError(err)
	}
	dirty, err := pages.Dirty(s.file, meta.PageSize, st.Free)
	if err != nil {
		return report, err
	}
	for _, r := range dirty {
		for id := r.First; id < r.End(); id++ {
			p, err := b.Page(int(id))
			if err != nil {
				return report, err
			}
			if p == nil || p.Type != "free" {
				return report, &CorruptError{What: fmt.Sprintf("page %d", id), Problem: "the freelist in memory and the one on the disk differ"}
			}
		}
	}
	zeroed, err := pages.Zero(s.file, meta.PageSize, dirty)
	if err != nil {
		return report, fullDisk(err)
	}
	tail, err := pages.ZeroTail(s.file, meta.PageSize, meta.HighWater)
	if err != nil {
		return report, fullDisk(err)
	}
	report = ScrubReport{
		PagesFree: int64(pages.CountPages(st.Free)), PagesZeroed: zeroed.Pages + tail.Pages,
		BytesWritten: zeroed.BytesWritten + tail.BytesWritten, BytesPunched: zeroed.BytesPunched + tail.BytesPunched,
		Method: zeroed.Method,
	}
	if report.Method == "none" {
		report.Method = tail.Method
	}
	if trim {
		if _, err := pages.Trim(s.file, meta.PageSize, st.Free); err != nil {
			return report, err
		}
	}
	return report, nil
}

// FileSize returns the bytes that the file takes on the disk, and its length.
func (s *Store) FileSize() (allocated, length int64, err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.db == nil {
		return 0, 0, s.down
	}
	info, err := s.file.Stat()
	if err != nil {
		return 0, 0, err
	}
	return allocatedBytes(info), info.Size(), nil
}
