package engine

import (
	"context"
	"errors"
	"time"

	"github.com/expunge-db/expunge/store"
)

// backgroundDelay is how long Finish waits before the next part of what no job waits for, so that jobs come first.
const backgroundDelay = time.Millisecond

// scrubRest is how long the background lets the file be after a scrub, in times of what that took: writers wait for a scrub,
// which looks at the whole file, and where events trickle in there is something to scrub after each fold.
const scrubRest = 20

// background does a part of what no job waits for: it merges layers that imports made, takes what merges and imports
// replaced out of the file, and gives the room back. A deletion ends it: see [Engine.stopBackground].
func (e *Engine) background(ctx context.Context) (again time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.stop = cancel
	e.mu.Unlock()
	// A job that was released before stopBackground could end this is here; one that is released later ends it.
	released, err := e.released(ctx)
	if err == nil && len(released) == 0 {
		again, err = e.tidy(ctx)
	}
	if ctx.Err() != nil || len(released) > 0 {
		return backgroundDelay, nil // what was begun is for Clean, which the job needs
	}
	return again, err
}

// tidy returns when there is more to do; 0 if there isn't.
func (e *Engine) tidy(ctx context.Context) (again time.Duration, err error) {
	swept, err := e.sweep(ctx)
	if err != nil {
		return 0, err
	}
	more, err := e.store.MergeLayers(ctx)
	if err != nil {
		return 0, err
	}
	if replaced := e.takeReplaced(); more || replaced {
		_, waitsFor, err := e.store.Clean(ctx)
		if err != nil || waitsFor > 0 {
			e.setReplaced() // it is called again when a snapshot ends
		}
		if err != nil {
			return 0, err
		}
		e.unscrubbed = true
	}
	if more || swept {
		return backgroundDelay, nil
	}
	if e.unscrubbed {
		if rest := time.Until(e.scrubAgain); rest > 0 {
			return rest, nil
		}
		began := time.Now()
		if _, err := e.store.Scrub(ctx); err != nil {
			return 0, err
		}
		e.unscrubbed, e.scrubAgain = false, time.Now().Add(scrubRest*time.Since(began))
	}
	if more, err = e.store.Trim(ctx); err != nil || !more {
		return 0, err
	}
	return backgroundDelay, nil
}

// sweep lets the IDs that no row refers to leave the dictionaries of all groups. A group waits whose turn is being taken, or
// was when the last process ended: a deletion that has matched users must find them again, should they come back. It reports whether there is more to do once
// what was replaced is out of the file.
func (e *Engine) sweep(ctx context.Context) (again bool, err error) {
	groups, err := e.store.Unswept(ctx)
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		unlock, ok := e.turns.tryLock(g)
		if !ok {
			continue
		}
		swept, err := e.sweepGroup(ctx, g)
		unlock()
		if err != nil {
			return false, err
		}
		again = again || swept
	}
	return again, nil
}

// sweepGroup sweeps a group whose lock the caller holds, unless a deletion has begun.
func (e *Engine) sweepGroup(ctx context.Context, group string) (swept bool, err error) {
	open, err := e.unfinished(ctx)
	if err != nil {
		return false, err
	}
	for _, j := range open {
		if j.Kind == KindDeletion && j.GroupARN == e.groupARN(group) && j.Status == StatusInProgress && !j.Released {
			return false, nil
		}
	}
	if err := e.store.EndImports(ctx, group); err != nil {
		return false, err
	}
	err = e.store.Sweep(ctx, group)
	if errors.Is(err, store.ErrNotFound) { // removed meanwhile
		return false, nil
	}
	if err == nil {
		e.setReplaced()
	}
	return err == nil, err
}

// setReplaced notes that the file holds what an import or a merge replaced.
func (e *Engine) setReplaced() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replaced = true
}

func (e *Engine) takeReplaced() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.replaced
	e.replaced = false
	return was
}

// stopBackground ends what background does right now, since a job waits for Finish.
func (e *Engine) stopBackground() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		e.stop()
	}
}
