package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/bench"
)

// benching is what the command bench is asked for.
type benching struct {
	interactions         []int64
	users                []int
	items                int
	scenarios            []string
	run                  bench.RunConfig
	htmlFile, cpuProfile string
}

func (a *app) benchCmd() *cobra.Command {
	var b benching
	var names []string
	for _, s := range bench.Scenarios() {
		names = append(names, string(s))
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure imports, deletions and scans on a synthetic dataset",
		Long: `Make a synthetic dataset, measure what Expunge does with it, and compare every result with what the generator says
must be left. The output is that of Go's benchmarks, so benchstat reads it. --html writes a page with charts.`,
		Example: `  expunge bench --interactions 1000000 --scenario import,scan
  expunge bench --interactions 1000000,10000000 --runs 3 --html report.html
  expunge bench --interactions 10000000,10000000,10000000 --users 200000,2000000,200
  expunge bench --interactions 10000000 --scenario daily --imports-per-day 200`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error { return a.bench(ctx, b) }),
	}
	f := cmd.Flags()
	f.Int64SliceVar(&b.interactions, "interactions", []int64{1_000_000}, "sizes of the datasets, measured one after the other")
	f.IntSliceVar(&b.users, "users", nil, "number of users, one for each dataset; one for 50 interactions by default")
	f.IntVar(&b.items, "items", 50_000, "number of items")
	f.StringSliceVar(&b.scenarios, "scenario", nil, "what to measure; all by default")
	f.IntVar(&b.run.Runs, "runs", 5, "how often each is measured")
	f.StringVar(&b.run.Dir, "dir", "", "the folder to work in; what is made there is removed; that for temporary files by default")
	f.IntVar(&b.run.ImportsPerDay, "imports-per-day", 1, "how many imports the events of a day of the scenario daily come in")
	f.BoolVar(&b.run.Cold, "cold", false, "drop the files from the page cache before each run")
	f.StringVar(&b.htmlFile, "html", "", "write a page with charts to this file")
	f.StringVar(&b.cpuProfile, "cpuprofile", "", "write a CPU profile to this file")
	must(cmd.RegisterFlagCompletionFunc("scenario", fixed(names...)))
	must(cmd.MarkFlagDirname("dir"))
	return cmd
}

func (a *app) bench(ctx context.Context, b benching) (err error) {
	if len(b.users) > 0 && len(b.users) != len(b.interactions) {
		return usage(fmt.Errorf("--users has %d numbers and --interactions %d: give one for each dataset", len(b.users), len(b.interactions)))
	}
	for i, n := range b.interactions {
		users := int(max(n/50, 1))
		if len(b.users) > 0 {
			users = b.users[i]
		}
		b.run.Datasets = append(b.run.Datasets, bench.Config{Users: users, Items: b.items, Interactions: n})
	}
	for _, s := range b.scenarios {
		b.run.Scenarios = append(b.run.Scenarios, bench.Scenario(s))
	}
	if err := b.run.Validate(); err != nil {
		return usage(err)
	}
	if b.cpuProfile != "" {
		f, err := os.Create(b.cpuProfile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	result, err := bench.Run(ctx, b.run, func(s bench.Step) {
		a.status.show(progress{label: fmt.Sprintf("%s interactions, %s", count(s.Dataset.Interactions), s.Name), done: int64(s.Run), total: int64(s.Runs), unit: "runs"})
	})
	a.status.clear()
	if err != nil {
		return err
	}
	if b.htmlFile != "" {
		if err := writeFile(b.htmlFile, result.WriteHTML); err != nil {
			return err
		}
		a.status.printf("The page with charts is %s\n", b.htmlFile)
	}
	if a.json {
		return result.WriteJSON(a.stdout)
	}
	return result.WriteText(a.stdout)
}
