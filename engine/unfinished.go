package engine

import "context"

// UnfinishedJobs returns the jobs of all kinds that are PENDING or IN_PROGRESS, in the order of creation. It doesn't read
// the others.
func (e *Engine) UnfinishedJobs(ctx context.Context) ([]Job, error) { return e.unfinished(ctx) }
