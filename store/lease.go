package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// leaseTable holds the snapshots that are open.
type leaseTable struct {
	mu    sync.Mutex
	held  map[*Snapshot]struct{} // guarded by mu
	ended chan struct{}          // guarded by mu; closed and renewed when a lease ends
}

func (t *leaseTable) init() {
	t.held = make(map[*Snapshot]struct{})
	t.ended = make(chan struct{})
}

func (t *leaseTable) end(sn *Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.held[sn]; !ok {
		return
	}
	delete(t.held, sn)
	close(t.ended)
	t.ended = make(chan struct{})
}

// leaseEpochs is what was held at one moment.
type leaseEpochs struct {
	newest uint64
	oldest map[uint32]uint64 // of each group that a lease is on
	all    []uint64          // of all leases
}

// of returns the least epoch that a lease on a group is on, or newest if none is older.
func (l leaseEpochs) of(group uint32) uint64 {
	if epoch, ok := l.oldest[group]; ok {
		return min(epoch, l.newest)
	}
	return l.newest
}

// anyIn reports whether a lease is on an epoch in [from, to).
func (l leaseEpochs) anyIn(from, to uint64) bool {
	return slices.ContainsFunc(l.all, func(epoch uint64) bool { return from <= epoch && epoch < to })
}

// epochs reads the table for all groups at once; newest is an epoch that was committed. That no lease on a group is older
// than what the result says of it stays true, since those taken later are on newest or after it.
func (t *leaseTable) epochs(newest uint64) leaseEpochs {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := leaseEpochs{newest: newest, oldest: make(map[uint32]uint64)}
	for sn := range t.held {
		if epoch, ok := l.oldest[sn.group]; !ok || sn.epoch < epoch {
			l.oldest[sn.group] = sn.epoch
		}
		l.all = append(l.all, sn.epoch)
	}
	return l
}

// drain waits until no lease is held.
func (t *leaseTable) drain(ctx context.Context) error {
	for {
		t.mu.Lock()
		n, ended := len(t.held), t.ended
		t.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("close store: %d %w: release them first: %w", n, ErrLeased, ctx.Err())
		}
	}
}

// Leases says how many snapshots are open and since when the oldest is.
type Leases struct {
	Open   int
	Oldest time.Time // zero if none is open
}

// Leases returns the snapshots of a group, by its ID, that are older than an epoch; see [Tx.Epoch].
func (s *Store) Leases(group uint32, before uint64) Leases {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	var l Leases
	for sn := range s.leases.held {
		if sn.group != group || sn.epoch >= before {
			continue
		}
		if l.Open++; l.Oldest.IsZero() || sn.since.Before(l.Oldest) {
			l.Oldest = sn.since
		}
	}
	return l
}

// LeaseEnded returns a channel that is closed when the next snapshot is released.
func (s *Store) LeaseEnded() <-chan struct{} {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	return s.leases.ended
}
