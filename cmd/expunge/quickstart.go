package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/bench"
	"github.com/expunge-db/expunge/engine"
)

func (a *app) quickstartCmd() *cobra.Command {
	var dir string
	var interactions int64
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Make a small shop, delete 1 % of its users, and show that they are gone",
		Long: `Generate a small shop, import it into a new store, delete 1 % of its users, and search the bytes of the store's
file for their IDs before and after. It takes a few seconds, needs no setup and touches nothing outside of one
folder, which stays for you to try other commands on.`,
		Example: `  expunge quickstart
  expunge quickstart --dir try --interactions 5000000`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			c := bench.Config{Users: 10_000, Items: 2_000, Interactions: interactions, Seed: 1}
			if interactions < 1 {
				return usagef("--interactions is %d; give 1 or more", interactions)
			}
			if err := c.Validate(); err != nil {
				return usage(err)
			}
			q, err := a.newQuickstart(c, dir)
			if err != nil {
				return err
			}
			if err := q.run(ctx); err != nil {
				if ctx.Err() != nil {
					err = errStopped
				}
				return nextStep(err, "What was made so far is in %s; remove it and run quickstart again.", q.dir)
			}
			return q.conclude()
		}),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the folder to work in, made if it is missing; a new temporary one if none is given")
	must(cmd.MarkFlagDirname("dir"))
	cmd.Flags().Int64Var(&interactions, "interactions", 500_000, "number of interactions")
	must(cmd.RegisterFlagCompletionFunc("interactions", cobra.NoFileCompletions))
	return cmd
}

// quickstart is one run of the command. Its CSV files, which hold the IDs, are kept apart from the store's file.
type quickstart struct {
	*app
	config bench.Config
	dir    string
	input  string // folder
	list   string // the deletion list

	out quickstartJSON
}

type quickstartJSON struct {
	Dir         string    `json:"dir"`
	Store       string    `json:"store"`
	List        string    `json:"list"`
	Generated   generated `json:"generated"`
	Imports     []jobJSON `json:"imports"`
	ListedUsers int       `json:"listedUsers"`
	FoundBefore int       `json:"idsFoundInFileBefore"`
	FoundAfter  int       `json:"idsFoundInFileAfter"`
	BytesBefore int64     `json:"storeBytesBefore"`
	BytesAfter  int64     `json:"storeBytesAfter"`
	Deletion    jobJSON   `json:"deletion"`
	Sound       bool      `json:"checkFoundNothing"`
}

const quickstartGroup = "shop"

// newQuickstart chooses the folder. It refuses one in which anything would be replaced.
func (a *app) newQuickstart(c bench.Config, dir string) (*quickstart, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "expunge-quickstart-")
		if err != nil {
			return nil, fmt.Errorf("make temporary folder: %w; give one with --dir", err)
		}
		dir = made
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w; give another one with --dir", err)
	}
	q := &quickstart{app: a, config: c, dir: dir, input: filepath.Join(dir, "input")}
	q.list = filepath.Join(q.input, "forget.csv")
	a.store = filepath.Join(dir, "shop.expunge")
	for _, path := range []string{a.store, q.input} {
		if _, err := os.Lstat(path); err == nil {
			return nil, usagef("%s is there already, perhaps from an earlier quickstart; give another --dir, or none", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	q.out.Dir, q.out.Store, q.out.List = dir, a.store, q.list
	return q, nil
}

// say prints a line of the story, unless the result is to be JSON.
func (q *quickstart) say(format string, args ...any) error {
	if q.json {
		return nil
	}
	return q.print(fmt.Sprintf(format, args...))
}

func (q *quickstart) run(ctx context.Context) (err error) {
	if err := q.say("Everything is in %s\n\n", q.dir); err != nil {
		return err
	}
	if q.out.Generated, err = q.generate(ctx, q.config, q.input); err != nil {
		return err
	}
	g := q.out.Generated
	err = q.say("1. Made a shop: %s, %s, %s (%s of CSV).\n", counted(g.Users.Rows, "user"), counted(g.Items.Rows, "item"),
		counted(g.Interactions.Rows, "interaction"), size(g.Users.Bytes+g.Items.Bytes+g.Interactions.Bytes))
	if err != nil {
		return err
	}
	if err := q.importAll(ctx); err != nil {
		return err
	}
	return q.forget(ctx)
}

func (q *quickstart) importAll(ctx context.Context) error {
	g := q.out.Generated
	for _, d := range []struct {
		of  engine.DatasetType
		csv generatedFile
	}{{engine.Users, g.Users}, {engine.Items, g.Items}, {engine.Interactions, g.Interactions}} {
		job, err := q.importJob(ctx, importing{
			group: quickstartGroup, dataset: d.of, source: d.csv.File, schema: d.csv.Schema,
			mode: engine.ImportFull, name: "quickstart-" + lower(d.of),
		})
		if err != nil {
			return err
		}
		q.out.Imports = append(q.out.Imports, viewJob(job))
	}
	allocated, err := q.storeSize(ctx)
	q.out.BytesBefore = allocated
	if err != nil {
		return err
	}
	return q.say("2. Imported it into the store %s (%s).\n", q.store, size(allocated))
}

// forget deletes the users, and looks for their IDs in the file before and after. The store is closed for that: what is
// searched is what lies on the disk.
func (q *quickstart) forget(ctx context.Context) error {
	n := q.config.Users / 100
	ids, err := q.config.DeletionList(n)
	if err != nil {
		return err
	}
	search, err := newPatterns(slices.Collect(ids))
	if err != nil {
		return err
	}
	if err := q.writeList(n); err != nil {
		return err
	}
	q.out.ListedUsers = n
	if err := q.say("3. Wrote a list of %s to delete: %s\n", counted(int64(n), "user"), q.list); err != nil {
		return err
	}
	if q.out.FoundBefore, err = search.foundIn(ctx, q.store); err != nil {
		return err
	}
	if err := q.say("4. Searched the bytes of the store's file: %d of %d IDs are in it.\n", q.out.FoundBefore, n); err != nil {
		return err
	}
	var job engine.Job
	err = q.write(ctx, func(e *engine.Engine) (err error) {
		job, err = q.runJob(ctx, e, engine.Job{}, false, func() (engine.Job, error) {
			return e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Name: "quickstart", Group: quickstartGroup, Source: q.list})
		})
		return err
	})
	if err != nil {
		return err
	}
	q.out.Deletion = viewJob(job)
	if err := q.say("5. Deleted them: %s rows%s, in %d ms.\n", count(*job.NumDeleted), perDataset(job.Counts.Deleted),
		job.Updated.Sub(job.Created).Milliseconds()); err != nil {
		return err
	}
	if q.out.FoundAfter, err = search.foundIn(ctx, q.store); err != nil {
		return err
	}
	if err := q.say("6. Searched the file again: %d of %d IDs are in it.\n", q.out.FoundAfter, n); err != nil {
		return err
	}
	return q.checkStore(ctx)
}

func (q *quickstart) checkStore(ctx context.Context) error {
	err := q.read(ctx, func(e *engine.Engine) error {
		report, err := e.Check(ctx)
		q.out.Sound = len(report.Problems) == 0
		return errors.Join(err, errors.Join(report.Problems...))
	})
	if err != nil {
		return err
	}
	if q.out.BytesAfter, err = q.storeSize(ctx); err != nil {
		return err
	}
	return q.say("7. Checked the whole store: it is sound (%s).\n", size(q.out.BytesAfter))
}

func (q *quickstart) storeSize(ctx context.Context) (allocated int64, err error) {
	err = q.read(ctx, func(e *engine.Engine) error {
		st, err := e.Stats(ctx)
		allocated = st.Allocated
		return err
	})
	return allocated, err
}

func (q *quickstart) writeList(n int) (err error) {
	f, err := os.OpenFile(q.list, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return q.config.WriteList(f, n)
}

// conclude prints the document, or what to try next, and fails if an ID was left.
func (q *quickstart) conclude() error {
	if q.json {
		if err := q.printJSON(q.out); err != nil {
			return err
		}
	} else if err := q.next(); err != nil {
		return err
	}
	if q.out.FoundBefore != q.out.ListedUsers || q.out.FoundAfter != 0 {
		return errors.New("the search did not find what it should have; please report this")
	}
	return nil
}

func (q *quickstart) next() error {
	store := quote(q.store)
	return q.say(`
The CSV files in %s still hold the IDs: Expunge changes no files but the store.

Try next (go install ./cmd/expunge puts expunge on the PATH of Go's programs):
  expunge stat  --store %s
  expunge scan  --store %s --group shop --dataset interactions --limit 5
  expunge jobs  --store %s
  expunge delete --store %s --group shop --dry-run %s
`, q.input, store, store, store, store, quote(q.list))
}
