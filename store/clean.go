package store

import (
	"context"
	"sync"
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
// dictionaries and their sessions. It returns the epoch up to which that is finished, the rest being held by older snapshots, and the epoch
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
	// While a snapshot holds what is to go this is called again and again: a mark that says no more than the last isn't kept.
	if n := len(s.cleaner.marks); n == 0 || s.cleaner.marks[n-1].before < mark.before {
		s.cleaner.marks = append(s.cleaner.marks, mark)
	}

	// Asked once, for all steps: an ID must not be purged on the word of a newer answer than the one that left its rows
	// alone. It stays true, since leases only end and new ones are not on an epoch before mark.after.
	oldest := s.leases.oldest(mark.after)
	if err := s.dropGarbage(ctx, oldest); err != nil {
		return 0, 0, err
	}
	if err := s.purgeSessions(ctx); err != nil { // while it is known who leaves
		return 0, 0, err
	}
	if err := s.purge(ctx, min(mark.before, oldest), oldest); err != nil {
		return 0, 0, err
	}
	if _, err := s.reclaim(ctx, oldest); err != nil {
		return 0, 0, err
	}
	if err := s.dropRemoved(ctx); err != nil {
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
