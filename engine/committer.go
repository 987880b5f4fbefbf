package engine

import (
	"context"
	"sync"

	"github.com/expunge-db/expunge/store"
)

// putsPerCommit is how many calls share a commit at most. It bounds the transaction.
const putsPerCommit = 1024

// committer appends to the store's journal. Calls that come while it commits share the next commit.
type committer struct {
	e        *Engine
	requests chan *putRequest // without a buffer: whoever has sent one gets an answer
	stopping chan struct{}
	stopOnce sync.Once
	running  sync.WaitGroup

	// hold is held while it commits, and by a deletion from the last look at the journal to the commit that makes its
	// users invisible: a row of theirs that is put in between would outlive both.
	hold sync.Mutex
}

type putRequest struct {
	put  *store.Put
	done chan error // with room for the answer
}

func newCommitter(e *Engine) *committer {
	return &committer{e: e, requests: make(chan *putRequest), stopping: make(chan struct{})}
}

// start runs the committer until stop.
func (c *committer) start() { c.running.Go(c.run) }

// stop ends the committer once it has answered what it took. Later calls of put fail.
func (c *committer) stop() {
	c.stopOnce.Do(func() { close(c.stopping) })
	c.running.Wait()
}

// put returns when the rows are durable. If ctx ends first they may be or not.
func (c *committer) put(ctx context.Context, p *store.Put) error {
	r := &putRequest{put: p, done: make(chan error, 1)}
	select {
	case c.requests <- r:
	case <-c.stopping:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *committer) run() {
	for {
		var batch []*putRequest
		select {
		case r := <-c.requests:
			batch = append(batch, r)
		case <-c.stopping:
			return
		}
		for more := true; more && len(batch) < putsPerCommit; {
			select {
			case r := <-c.requests:
				batch = append(batch, r)
			default:
				more = false
			}
		}
		c.commit(batch)
	}
}

// commit stores a batch and answers each of its calls.
func (c *committer) commit(batch []*putRequest) {
	c.hold.Lock()
	defer c.hold.Unlock()
	failed := make([]error, len(batch))
	leftOut := 0
	err := c.e.store.Update(context.Background(), func(tx *store.Tx) error {
		for i, r := range batch {
			n, err := tx.Put(r.put)
			failed[i] = err // of this call alone: nothing was changed
			leftOut += n
		}
		return nil
	})
	for i, r := range batch {
		if err != nil {
			r.done <- err
		} else {
			r.done <- failed[i]
		}
	}
	if leftOut > 0 {
		c.e.log.Info("left out rows of users who are suppressed", "rows", leftOut)
	}
	if err == nil {
		c.e.folder.wake()
	}
}
