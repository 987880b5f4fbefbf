package console

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/store"
)

// statsCache keeps what was counted last. Counting goes with the size of the store, and every page that is open asks for
// it: so it takes a twentieth of the time at most, however many ask.
type statsCache struct {
	mu   sync.Mutex // held while counting
	last Overview
	next time.Time // not counted again before
}

const (
	countedFor = time.Second // at least
	countShare = 20
)

// overview returns what the store holds, as it was a moment ago.
func (c *Console) overview(ctx context.Context) (Overview, error) {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	start := time.Now()
	if start.Before(c.stats.next) {
		return c.stats.last, nil
	}
	st, err := c.e.Stats(ctx)
	if err != nil {
		return Overview{}, err
	}
	took := time.Since(start)
	c.stats.last = viewStats(st, start)
	c.stats.next = start.Add(took + max(countedFor, countShare*took))
	return c.stats.last, nil
}

// datasetTypes are all types, in the order in which they are shown.
var datasetTypes = []engine.DatasetType{engine.Users, engine.Items, engine.Interactions}

func viewStats(st engine.Stats, at time.Time) Overview {
	o := Overview{Groups: []Group{}, Allocated: st.Allocated, Counted: at.UTC()}
	for _, gs := range st.Groups {
		g := Group{Name: gs.Group.Name, Users: gs.Users, Items: gs.Items, Datasets: []Dataset{}}
		slices.SortFunc(gs.Datasets, func(a, b store.DatasetStats) int {
			return cmp.Compare(slices.Index(datasetTypes, a.Dataset.Type), slices.Index(datasetTypes, b.Dataset.Type))
		})
		for _, d := range gs.Datasets {
			g.Datasets = append(g.Datasets, Dataset{
				Name: d.Dataset.Name, Type: strings.ToLower(string(d.Dataset.Type)), Rows: d.Rows, Leaving: d.Dead, Bytes: d.Bytes,
			})
		}
		o.Groups = append(o.Groups, g)
	}
	return o
}

// lister lists jobs of one kind, newest first.
type lister func(ctx context.Context, l engine.ListJobs) ([]engine.Job, bool, error)

// listers are the engine's lists of jobs: those of all kinds are numbered together, so one page is the newest of them all.
func (c *Console) listers() []lister {
	return []lister{c.e.ListDataDeletionJobs, c.e.ListDatasetImportJobs, c.e.ListDatasetExportJobs}
}

// describeJob returns a job by the kind in its ARN and its name.
func (c *Console) describeJob(ctx context.Context, kind, name string) (engine.Job, error) {
	switch engine.JobKind(kind) {
	case engine.KindDeletion:
		return c.e.DescribeDataDeletionJob(ctx, name)
	case engine.KindImport:
		return c.e.DescribeDatasetImportJob(ctx, name)
	case engine.KindExport:
		return c.e.DescribeDatasetExportJob(ctx, name)
	}
	return engine.Job{}, engine.ErrNotFound
}

// jobsPerPage is how many jobs a page shows.
const jobsPerPage = 25

// jobs returns the jobs of a group, or of all if it is "", older than a job, or the newest if before is 0.
func (c *Console) jobs(ctx context.Context, group string, before uint64) (JobPage, error) {
	var all []engine.Job
	more := false
	for _, list := range c.listers() {
		page, moreOf, err := list(ctx, engine.ListJobs{Group: group, After: before, Limit: jobsPerPage})
		if err != nil {
			return JobPage{}, err
		}
		all, more = append(all, page...), more || moreOf
	}
	slices.SortFunc(all, func(a, b engine.Job) int { return cmp.Compare(b.Seq, a.Seq) })
	if len(all) > jobsPerPage {
		all, more = all[:jobsPerPage], true
	}
	p := JobPage{Jobs: []Job{}}
	for _, j := range all {
		v := c.viewJob(j)
		p.Jobs, p.UnderWay = append(p.Jobs, v), p.UnderWay || v.UnderWay
	}
	if more && len(all) > 0 {
		p.Next = all[len(all)-1].Seq
	}
	return p, nil
}
