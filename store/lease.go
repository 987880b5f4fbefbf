package store

import (
	"context"
	"fmt"
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

// oldest returns the least epoch that a lease is on, or newest, an epoch that was committed, if none is older. That no
// lease is older than the result stays true, since those taken later are on newest or after it.
func (t *leaseTable) oldest(newest uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	least := newest
	for sn := range t.held {
		least = min(least, sn.epoch)
	}
	return least
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

// Leases returns the snapshots older than an epoch; see [Tx.Epoch].
func (s *Store) Leases(before uint64) Leases {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	var l Leases
	for sn := range s.leases.held {
		if sn.epoch >= before {
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
