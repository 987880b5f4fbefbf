package engine

import (
	"context"
	"sync"
)

// groupLocks are one lock for each dataset group, which whoever imports into it, deletes from it or changes its
// dictionaries holds. They are by name: a group that comes back under its name has the same.
type groupLocks struct {
	mu    sync.Mutex
	locks map[string]chan struct{} // guarded by mu; each holds one element while it is locked

	freed func() // is called after each unlock: somebody may have passed over what was locked
}

func (l *groupLocks) of(group string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locks == nil {
		l.locks = make(map[string]chan struct{})
	}
	lock := l.locks[group]
	if lock == nil {
		lock = make(chan struct{}, 1)
		l.locks[group] = lock
	}
	return lock
}

// lock waits for the lock of a group, or until ctx ends.
func (l *groupLocks) lock(ctx context.Context, group string) (unlock func(), err error) {
	lock := l.of(group)
	select {
	case lock <- struct{}{}:
		return l.unlocker(lock), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *groupLocks) tryLock(group string) (unlock func(), ok bool) {
	lock := l.of(group)
	select {
	case lock <- struct{}{}:
		return l.unlocker(lock), true
	default:
		return nil, false
	}
}

func (l *groupLocks) unlocker(lock chan struct{}) func() {
	return func() {
		<-lock
		l.freed()
	}
}
