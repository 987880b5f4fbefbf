package console

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// sweep erases the lists that no unfinished job needs, and watches over the others. The folder is ours alone, so nothing
// comes into it meanwhile.
func (c *Console) sweep() error {
	left, err := c.folder.lists()
	if err != nil || len(left) == 0 {
		return err
	}
	needed := make(map[string]engine.Job)
	l := engine.ListJobs{}
	for more := true; more; {
		var jobs []engine.Job
		if jobs, more, err = c.e.ListDataDeletionJobs(c.ctx, l); err != nil {
			return err
		}
		for _, j := range jobs {
			l.After = j.Seq
			// The names are random: they tell lists apart in a folder that was moved, too.
			if name := filepath.Base(j.Source); needsList(j) && slices.Contains(left, name) {
				needed[name] = j
			}
		}
	}
	erased := 0
	for _, name := range left {
		if j, ok := needed[name]; ok {
			c.watch(j, name)
			continue
		}
		if err := c.folder.erase(name); err != nil {
			return err
		}
		erased++
	}
	c.log.Info("lists that an earlier process left", "erased", erased, "needed", len(needed))
	return nil
}

// needsList reports whether a deletion job may still read its list: one that is released has its users from the store.
func needsList(j engine.Job) bool { return !j.Released && !j.Status.Terminal() }

// watchEvery is how often a watch looks at its job. The engine tells when a job is over, but that is later than when it no
// longer needs its list, which should be gone when the job is COMPLETED.
const watchEvery = 100 * time.Millisecond

// watch erases a list as soon as its job doesn't need it any more. In a console that is closing it does nothing: the next
// one finds the list.
func (c *Console) watch(job engine.Job, list string) {
	c.start(func(ctx context.Context) {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			now, err := c.e.DescribeDataDeletionJob(ctx, job.ARN)
			if errors.Is(err, engine.ErrClosed) || ctx.Err() != nil {
				return
			}
			if err == nil && !needsList(now) && c.eraseList(list) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// start runs a task that Close waits for, unless the console is closed.
func (c *Console) start(task func(ctx context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.tasks.Go(func() { task(c.ctx) })
	}
}

// eraseList erases a list, and keeps in mind whether it could: the page tells of those that are still there.
func (c *Console) eraseList(name string) bool {
	err := c.folder.erase(name)
	c.mu.Lock()
	_, known := c.stuck[name]
	if err == nil {
		delete(c.stuck, name)
	} else {
		c.stuck[name] = struct{}{}
	}
	c.mu.Unlock()
	if err != nil && !known {
		c.log.Error("an uploaded list can't be erased", "err", err)
	}
	return err == nil
}

// notErased is how many lists should be gone and aren't.
func (c *Console) notErased() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.stuck)
}
