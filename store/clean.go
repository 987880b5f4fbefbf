package store

import (
	"context"
	"sync"
)

// cleaner remembers what earlier calls of Clean left to do because of open snapshots.
type cleaner struct {
	mu sync.Mutex // held during Clean: there is one at a time
	// marks say that what was made invisible up to the epoch before is out of all live blocks since the epoch after. Both
	// ascend. They are kept for the snapshots that are open and those to come: see keepMarks.
	marks       []cleanMark
	reclaimFrom []byte // the retired block that the next batch of a compaction looks at first
}

type cleanMark struct{ before, after uint64 }

// Cleaned says how far a call of [Store.Clean] came. Groups are named by their IDs.
type Cleaned struct {
	done uint64                // for the groups that wait for nothing
	held map[uint32]cleanedFor // the others
}

type cleanedFor struct{ done, waitsFor uint64 }

// Done returns the epoch up to which what was made invisible in a group is gone, the rest being held by older snapshots.
func (c Cleaned) Done(group uint32) uint64 {
	if h, ok := c.held[group]; ok {
		return h.done
	}
	return c.done
}

// WaitsFor returns the epoch before which a snapshot of a group has to be to hold the rest, 0 if there is none.
func (c Cleaned) WaitsFor(group uint32) uint64 { return c.held[group].waitsFor }

// Waits reports whether any group waits for a snapshot.
func (c Cleaned) Waits() bool { return len(c.held) > 0 }

// Clean removes what no snapshot can see from the live pages of the file: replaced layers, dead rows, IDs that left the
// dictionaries and their sessions. A snapshot holds what is of its own group only. [Store.Scrub] then makes the bytes
// unreadable. Each of its transactions leaves a valid store, so it can be interrupted and called again at any time.
func (s *Store) Clean(ctx context.Context) (Cleaned, error) {
	if s.opts.ReadOnly {
		return Cleaned{}, ErrReadOnly
	}
	s.cleaner.mu.Lock()
	defer s.cleaner.mu.Unlock()
	if err := s.rollbackMerges(ctx); err != nil {
		return Cleaned{}, err
	}
	var mark cleanMark
	epoch := func(to *uint64) error {
		return s.View(ctx, func(tx *Tx) error {
			*to = tx.Epoch()
			return nil
		})
	}
	if err := epoch(&mark.before); err != nil {
		return Cleaned{}, err
	}
	if err := s.dropGarbage(ctx, s.leases.epochs(mark.before)); err != nil { // there is no need to compact it
		return Cleaned{}, err
	}
	if _, err := s.compact(ctx); err != nil {
		return Cleaned{}, err
	}
	if err := epoch(&mark.after); err != nil {
		return Cleaned{}, err
	}
	// While a snapshot holds what is to go this is called again and again: a mark that says no more than the last isn't kept.
	if n := len(s.cleaner.marks); n == 0 || s.cleaner.marks[n-1].before < mark.before {
		s.cleaner.marks = append(s.cleaner.marks, mark)
	}

	// Asked once, for all groups and steps: an ID must not be purged on the word of a newer answer than the one that left its
	// rows alone. It stays true of each group, since leases only end and new ones are not on an epoch before mark.after.
	oldest := s.leases.epochs(mark.after)
	if err := s.dropGarbage(ctx, oldest); err != nil {
		return Cleaned{}, err
	}
	if err := s.purgeSessions(ctx); err != nil { // while it is known who leaves
		return Cleaned{}, err
	}
	if err := s.purge(ctx, mark.before, oldest); err != nil {
		return Cleaned{}, err
	}
	if _, err := s.reclaim(ctx, oldest); err != nil {
		return Cleaned{}, err
	}
	if err := s.dropRemoved(ctx); err != nil {
		return Cleaned{}, err
	}
	cleaned := s.cleaner.cleaned(oldest)
	s.cleaner.keepMarks(oldest)
	return cleaned, nil
}

// cleaned says how far each group is. The last mark holds for all groups but those with a lease from before it.
func (c *cleaner) cleaned(oldest leaseEpochs) Cleaned {
	last := c.marks[len(c.marks)-1]
	out := Cleaned{done: last.before, held: make(map[uint32]cleanedFor)}
	for group, epoch := range oldest.oldest {
		if epoch >= last.after {
			continue
		}
		h := cleanedFor{waitsFor: last.after}
		for _, m := range c.marks {
			if m.after <= epoch {
				h.done = m.before
			}
		}
		out.held[group] = h
	}
	return out
}

// keepMarks keeps the last mark, which is the one for snapshots taken from now on until there is another, and for each that
// is open the last mark that isn't after it. So what was done for a group stays done: its oldest snapshot is later one of
// these.
func (c *cleaner) keepMarks(oldest leaseEpochs) {
	kept := c.marks[:0]
	for i, m := range c.marks {
		if i == len(c.marks)-1 || oldest.anyIn(m.after, c.marks[i+1].after) {
			kept = append(kept, m)
		}
	}
	c.marks = kept
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
