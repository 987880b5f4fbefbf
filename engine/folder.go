package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/expunge-db/expunge/store"
)

const (
	// foldDelay is how long rows that were put wait for others before they become a layer, which costs some commits.
	foldDelay = 200 * time.Millisecond
	// foldRetry is how long the folder waits after an error, such as of a full disk.
	foldRetry = 5 * time.Second
)

// folder makes layers of the rows that were put. It leaves a group alone that somebody holds the lock of: when that ends it
// wakes the folder.
type folder struct {
	e       *Engine
	signal  chan struct{} // holds one signal at most
	cancel  context.CancelFunc
	ctx     context.Context // of all that it does: it ends with stop
	running sync.WaitGroup
}

func newFolder(e *Engine) *folder {
	f := &folder{e: e, signal: make(chan struct{}, 1)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// start runs the folder until stop. What an earlier process left is folded soon.
func (f *folder) start() {
	f.wake()
	f.running.Go(f.run)
}

func (f *folder) stop() {
	f.cancel()
	f.running.Wait()
}

// wake tells the folder that there may be something to fold.
func (f *folder) wake() {
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

func (f *folder) run() {
	for {
		select {
		case <-f.signal:
		case <-f.ctx.Done():
			return
		}
		if !f.sleep(foldDelay) {
			return
		}
		if err := f.foldGroups(f.ctx); err != nil && f.ctx.Err() == nil {
			f.e.log.Warn("cannot make a layer of the rows that were put", "error", err, "retry_in", foldRetry)
			if !f.sleep(foldRetry) {
				return
			}
			f.wake()
		}
	}
}

func (f *folder) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

func (f *folder) foldGroups(ctx context.Context) error {
	groups, err := f.e.store.Journaled(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range groups { // one with damage doesn't keep the others from being seen
		errs = append(errs, f.e.foldNow(ctx, g))
	}
	if len(groups) > 0 {
		f.e.runner.Wake() // there may be layers to merge
	}
	return errors.Join(errs...)
}

// foldNow is fold unless somebody holds the group's lock, or the store is read-only.
func (e *Engine) foldNow(ctx context.Context, group string) error {
	if e.folder == nil {
		return nil
	}
	unlock, ok := e.turns.tryLock(group)
	if !ok {
		return nil
	}
	defer unlock()
	return e.fold(ctx, group)
}

// fold makes layers of all rows that were put into a group so far; not of those that are put meanwhile, which could go on for
// ever. The caller holds the group's lock.
func (e *Engine) fold(ctx context.Context, group string) error {
	if err := e.store.EndImports(ctx, group); err != nil {
		return err
	}
	for _, t := range []DatasetType{Users, Items, Interactions} {
		last, err := e.store.LastPut(ctx, group, t)
		var all store.FoldResult
		for more := err == nil; more; {
			var res store.FoldResult
			if res, more, err = e.store.Fold(ctx, group, t); err == nil {
				all.Add(res)
				more = more && res.Last < last
			}
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) { // there is no such dataset, or not any more
			return err
		}
		if all.Replaced > 0 || all.Suppressed > 0 || all.Forgotten > 0 {
			e.setReplaced()
		}
		if all.Suppressed > 0 || all.Dropped > 0 {
			e.log.Info("rows that were put were left out", "dataset", e.datasetARN(group, t), "suppressed", all.Suppressed, "waited_too_long", all.Dropped)
		}
	}
	return nil
}
