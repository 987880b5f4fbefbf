package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) deleteCmd() *cobra.Command {
	var o deletion
	cmd := &cobra.Command{
		Use:   "delete --store FILE --group NAME SOURCE",
		Short: "Delete the users on a list",
		Long: `Delete every row of the listed users from the datasets of a group, and off the disk. SOURCE is a CSV file with
the header USER_ID and one ID a line, or a folder of such files (.csv, .csv.gz, .csv.zst) with its subfolders.

The job runs to its end and is then shown. If the list has a problem the job fails and nothing is deleted. Once
the rows are deleted for readers the job can only complete; until then a stopped job has changed nothing that a
reader can see. Stopped with Ctrl-C, or killed, it goes on when the store is next written; the same command with
its --job-name goes on with it as well.`,
		Example: `  expunge delete --store shop.expunge --group shop --dry-run forget.csv
  expunge delete --store shop.expunge --group shop forget.csv
  expunge delete --store shop.expunge --group shop --job-name june --json lists/`,
		Args: oneArg("SOURCE (the list of users)"),
		RunE: a.command(func(ctx context.Context, args []string) error {
			o.source = args[0]
			if o.dryRun {
				return a.dryRun(ctx, o)
			}
			return a.delete(ctx, o)
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &o.group, true, "the dataset group to delete from")
	cmd.Flags().StringVar(&o.name, "job-name", "", "name of the job; one is made if none is given")
	must(cmd.RegisterFlagCompletionFunc("job-name", cobra.NoFileCompletions))
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be deleted and change nothing")
	return cmd
}

type deletion struct {
	group, name, source string
	dryRun              bool
}

func (a *app) delete(ctx context.Context, o deletion) error {
	source, err := location(o.source)
	if err == nil && o.name != "" {
		err = engine.ValidateName("--job-name", o.name)
	}
	if err != nil {
		return err
	}
	var job engine.Job
	err = a.write(ctx, func(e *engine.Engine) error {
		group, err := e.DatasetGroup(ctx, o.group)
		if err != nil {
			return a.groupError(err)
		}
		job.Kind, job.Name, job.GroupARN, job.Source = engine.KindDeletion, o.name, group.ARN, source
		found, attached, err := attach(ctx, e, job)
		if err != nil {
			return err
		}
		job, err = a.runJob(ctx, e, found, attached, func() (engine.Job, error) {
			return e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Name: o.name, Group: o.group, Source: source})
		})
		return err
	})
	return a.endJob(job, err, fmt.Sprintf("expunge delete --store %s --group %s", quote(a.store), quote(o.group)))
}

// endJob prints a job that came to its end, and says how to go on with one that didn't. The job is shown also when
// closing the store failed after it.
func (a *app) endJob(job engine.Job, err error, command string) error {
	if errors.Is(err, errStopped) {
		if job.Seq == 0 {
			return nextStep(errors.New("stopped before the job was created"), "Run the same command again.")
		}
		return nextStep(fmt.Errorf("stopped; %s %s is unfinished and was kept", kindOf(job), job.Name),
			"Go on with it: %s --job-name %s %s", command, quote(job.Name), quote(job.Source))
	}
	var failed *engine.JobError
	if errors.As(err, &failed) {
		if job.Kind == engine.KindDeletion {
			err = nextStep(err, "Nothing was deleted. When that is put right, run it again with another --job-name or none.")
		} else {
			err = nextStep(err, "Nothing was imported. When that is put right, run it again with another --job-name or none.")
		}
		if a.json {
			err = errors.Join(err, a.printJob(job, nil))
		}
		return err
	}
	if job.Status.Terminal() {
		return errors.Join(err, a.printJob(job, nil))
	}
	return err
}

// location returns a source as its job will keep it.
func location(source string) (string, error) {
	if source == "" {
		return "", usagef("SOURCE is empty; give a file or a folder")
	}
	if strings.Contains(source, "://") {
		return source, nil // the engine says what it takes
	}
	abs, err := filepath.Abs(source)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", source, err)
	}
	return abs, nil
}

// dryRunJSON is what --dry-run --json prints.
type dryRunJSON struct {
	DryRun          bool       `json:"dryRun"`
	DatasetGroupARN string     `json:"datasetGroupArn"`
	DataSource      sourceJSON `json:"dataSource"`
	Rows            int64      `json:"rowsToDelete"`
	Counts          dryCounts  `json:"dryRunCounts"`
}

type dryCounts struct {
	Listed    int64                        `json:"listed"`
	Matched   int64                        `json:"matched"`
	Unknown   int64                        `json:"unknown"`
	Duplicate int64                        `json:"duplicate"`
	Rows      map[engine.DatasetType]int64 `json:"rowsToDelete"`
}

func (a *app) dryRun(ctx context.Context, o deletion) error {
	source, err := location(o.source)
	if err != nil {
		return err
	}
	var group engine.DatasetGroup
	var d engine.DryRun
	err = a.read(ctx, func(e *engine.Engine) (err error) {
		if group, err = e.DatasetGroup(ctx, o.group); err != nil {
			return a.groupError(err)
		}
		return a.status.during("Looking for the users", func() (err error) {
			d, err = e.DryRunDeletion(ctx, o.group, source)
			return err
		})
	})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(dryRunJSON{true, group.ARN, sourceJSON{source}, d.NumDeleted(),
			dryCounts{d.Listed, d.Matched, d.Unknown, d.Duplicate, d.Rows}})
	}
	return a.print(pairs(
		[2]string{"Dry run", "nothing was changed"},
		[2]string{"Group", group.Name},
		[2]string{"Source", source},
		[2]string{"List", idsText(d.Listed, d.Matched, d.Unknown, d.Duplicate)},
		[2]string{"Rows", count(d.NumDeleted()) + " would be deleted" + perDataset(d.Rows)},
	))
}
