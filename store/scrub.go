package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/expunge-db/expunge/store/internal/pages"
)

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
	return s.ScrubThen(ctx, func(*Tx, ScrubReport) error { return nil })
}

// ScrubThen is [Store.Scrub] with a transaction right after it, which is what moves the second meta page: the commit before
// it is what bbolt falls back to if the newest meta page is damaged, and is one after the scrub too.
func (s *Store) ScrubThen(ctx context.Context, fn func(*Tx, ScrubReport) error) (ScrubReport, error) {
	report, err := s.scrub(ctx, nil)
	if err != nil {
		return report, fmt.Errorf("scrub: %w", err)
	}
	if err := s.Update(ctx, func(tx *Tx) error { return fn(tx, report) }); err != nil {
		return report, fmt.Errorf("scrub: %w", err)
	}
	return report, nil
}

// scrubAtRest is the scrub of a store that is closed right after: it makes the pages zeros that Scrub's own commits
// freed too, and gives more of the free room back to the file system than a job would wait for. And it walks over all pages:
// who closes a store without an error has one that opens again.
func (s *Store) scrubAtRest(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := s.Scrub(ctx); err != nil {
		return err
	}
	if _, err := s.scrub(ctx, func(int64) int64 { return math.MaxInt64 }); err != nil {
		return err
	}
	s.writer.Lock() // no commit may happen meanwhile
	defer s.writer.Unlock()
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.db == nil {
		return s.down
	}
	_, err := checkPages(s.file)
	return err
}

// Trim gives some of the free room in the file back to the file system if it is more than a quarter of what is in use,
// and reports whether there may be more to give. The quarter stays: commits will want it, and fresh room costs more.
func (s *Store) Trim(ctx context.Context) (more bool, err error) {
	const step = 16 << 20 // writers wait for it
	allocated, _, err := s.FileSize()
	if err != nil {
		return false, err
	}
	excess := func(used int64) int64 { return allocated - used - used/4 }
	if used := s.used.Load(); used > 0 && excess(used) <= 0 {
		return false, nil // and there is no need to read the freelist for it
	}
	report, err := s.scrub(ctx, func(used int64) int64 {
		more = excess(used) > step
		return min(excess(used), step)
	})
	if err != nil {
		return false, fmt.Errorf("trim: %w", err)
	}
	return more && report.BytesPunched > 0, nil
}

// scrub begins and ends a transaction in which no page that is free can be needed. Without trim it commits it; else it
// rolls it back, and trim says, from the bytes of pages in use, how many of the free ones to give back.
func (s *Store) scrub(ctx context.Context, trim func(used int64) int64) (report ScrubReport, err error) {
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
	b, err := s.beginAlone()
	if err != nil {
		return report, err
	}
	report, err = s.zeroFree(b, trim)
	if err != nil || trim != nil {
		return report, errors.Join(err, b.Rollback())
	}
	return report, s.commitLocked(&Tx{s: s, b: b})
}

// beginAlone starts a write transaction while no read transaction is open. The caller holds writer.
func (s *Store) beginAlone() (_ *bolt.Tx, err error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.db == nil {
		return nil, s.down
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	return s.begin(true)
}

// zeroFree zeroes the pages that are free in b, a write transaction that began behind the gate and changed nothing yet,
// and in the freelist on the disk as well. Both began as what the walk at opening found; there is none here, since its cost
// goes with the store's size. trim is that of scrub.
func (s *Store) zeroFree(b *bolt.Tx, trim func(used int64) int64) (report ScrubReport, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	info, err := s.file.Stat()
	if err != nil {
		return report, err
	}
	meta, err := pages.ReadMeta(s.file, info.Size())
	if err != nil {
		return report, pageError(err)
	}
	free, err := pages.FreePages(s.file, info.Size(), meta)
	if err != nil {
		return report, pageError(err)
	}
	dirty := free
	if !s.unsure {
		if dirty, err = pages.Dirty(s.file, meta.PageSize, free); err != nil {
			return report, err
		}
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
	if s.unsure {
		whole := uint64(info.Size())/uint64(meta.PageSize) - uint64(meta.HighWater)
		dirty = append(slices.Clone(dirty), pages.Run{First: meta.HighWater, Pages: whole})
	}
	s.unsure = true
	zeroed, err := pages.Zero(s.file, meta.PageSize, dirty)
	if err != nil {
		return report, fullDisk(err)
	}
	tail, err := pages.ZeroTail(s.file, meta.PageSize, meta.HighWater)
	if err != nil {
		return report, fullDisk(err)
	}
	s.unsure = false
	report = ScrubReport{
		PagesFree: int64(pages.CountPages(free)), PagesZeroed: zeroed.Pages + tail.Pages,
		BytesWritten: zeroed.BytesWritten + tail.BytesWritten, BytesPunched: zeroed.BytesPunched + tail.BytesPunched,
		Method: zeroed.Method,
	}
	if report.Method == "none" {
		report.Method = tail.Method
	}
	used := int64(uint64(meta.HighWater)-pages.CountPages(free)) * int64(meta.PageSize)
	s.used.Store(used)
	if trim == nil {
		return report, nil
	}
	if most := trim(used); most > 0 {
		punched, err := pages.Trim(s.file, meta.PageSize, free, most)
		report.BytesPunched += punched
		return report, err
	}
	return report, nil
}
