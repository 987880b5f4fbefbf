package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Step is what [Run] does next.
type Step struct {
	Dataset Config
	Name    string // such as "generate" or "delete 1 %"
	Run     int    // of Runs, from 1
	Runs    int
}

// Run measures, and calls progress, when not nil, before each step. Every result of the engine is compared with
// what the generator says must be there; if one is different, the error is [ErrWrongResult]. When ctx ends, Run
// stops. Whatever it made in rc.Dir is gone when it returns. The result holds what was measured up to an error.
//
// Measurements are of this process: nothing else should run in it meanwhile. Before each run the memory that was
// used before is given back to the system, as if the process were a new one.
func Run(ctx context.Context, rc RunConfig, progress func(Step)) (res Result, err error) {
	if err := rc.Validate(); err != nil {
		return res, err
	}
	rc = rc.withDefaults()
	if rc.Dir != "" {
		if err := os.MkdirAll(rc.Dir, 0o755); err != nil {
			return res, fmt.Errorf("create folder to work in: %w", err)
		}
	}
	dir, err := os.MkdirTemp(rc.Dir, "expunge-bench-")
	if err != nil {
		return res, fmt.Errorf("create folder to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	res.Started = time.Now().UTC().Truncate(time.Second)
	res.Conditions = conditions(dir, rc)
	for _, c := range rc.Datasets {
		b := &bed{rc: rc, c: c, res: &res, dir: filepath.Join(dir, "dataset"), progress: progress}
		if err := b.run(ctx); err != nil {
			return res, fmt.Errorf("%d interactions: %w", c.Interactions, err)
		}
		if err := os.RemoveAll(b.dir); err != nil {
			return res, err
		}
	}
	return res, nil
}

// bed is where one dataset is measured.
type bed struct {
	rc       RunConfig
	c        Config
	res      *Result
	dir      string
	progress func(Step)

	files   Files
	lists   []list
	readers []int
	expect  expectation
}

// list is a deletion list to measure.
type list struct {
	label, title string
	users        int // of the dataset; 0 for the list of unknown IDs
	path         string
}

func (b *bed) run(ctx context.Context) error {
	if err := b.generate(ctx); err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	if err := b.newBase(ctx); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	scenarios := map[Scenario]func(context.Context) error{
		// newBase imports the dataset in any case, and has measured it.
		ScenarioScan:           b.scan,
		ScenarioUser:           b.oneUser,
		ScenarioDelete:         b.deletions,
		ScenarioScanTombstones: b.scanTombstones,
		ScenarioScanDelete:     b.scanDelete,
		ScenarioDaily:          b.daily,
	}
	for _, s := range Scenarios() {
		if run := scenarios[s]; run != nil && slices.Contains(b.rc.Scenarios, s) {
			if err := run(ctx); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
	}
	return nil
}

// generate writes the input and finds out what must be read.
func (b *bed) generate(ctx context.Context) (err error) {
	b.step("generate", 1, 1)
	if b.files, err = Generate(ctx, b.c, b.dir, nil); err != nil {
		return err
	}
	percent := func(p int) int { return max(1, b.c.Users*p/100) }
	b.lists = []list{
		{label: "100", title: fmt.Sprint(min(100, b.c.Users), " users"), users: min(100, b.c.Users)},
		{label: "1pct", title: "1 % of the users", users: percent(1)},
		{label: "10pct", title: "10 % of the users", users: percent(10)},
		{label: "unknown", title: formatCount(float64(b.rc.Unknown)) + " unknown IDs"},
	}
	var lengths []int
	for i := range b.lists {
		l := &b.lists[i]
		l.path = filepath.Join(b.dir, "list-"+l.label+".csv")
		lengths = append(lengths, l.users)
		c, n := b.c, l.users
		if n == 0 {
			// Users of another seed have other IDs.
			c, n = Config{Seed: b.c.Seed + 1, Users: b.rc.Unknown}, b.rc.Unknown
		}
		if err := writeList(l.path, c, n); err != nil {
			return err
		}
	}
	b.readers = b.c.someUsers(b.rc.Reads)
	if b.expect, err = b.c.expect(ctx, lengths, b.readers); err != nil {
		return err
	}
	for i, l := range b.lists {
		b.res.Remaining = append(b.res.Remaining, Remaining{b.c, l.users, b.expect.remaining[i]})
	}
	return nil
}

func writeList(path string, c Config, n int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return c.WriteList(f, n)
}

func (b *bed) step(name string, run, runs int) {
	if b.progress != nil {
		b.progress(Step{b.c, name, run, runs})
	}
}

// wants says whether a scenario is to be run.
func (b *bed) wants(s Scenario) bool { return slices.Contains(b.rc.Scenarios, s) }

// add adds a sample to a measurement.
func (b *bed) add(name string, s Scenario, title string, sample Sample) {
	for i := range b.res.Measurements {
		if m := &b.res.Measurements[i]; m.Name == name && m.Dataset == b.c {
			m.Samples = append(m.Samples, sample)
			return
		}
	}
	b.res.Measurements = append(b.res.Measurements, Measurement{Name: name, Scenario: s, Title: title, Dataset: b.c, Samples: []Sample{sample}})
}
