package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/receipt"
)

func (a *app) jobsCmd() *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use:   "jobs --store FILE [--group NAME]",
		Short: "List the jobs, newest first",
		Long:  "List deletion and import jobs, newest first. It only reads: unfinished jobs stay as they are.",
		Example: `  expunge jobs --store shop.expunge
  expunge jobs --store shop.expunge --group shop --json`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			return a.read(ctx, func(e *engine.Engine) error {
				if group != "" {
					if _, err := e.DatasetGroup(ctx, group); err != nil {
						return a.groupError(err)
					}
				}
				jobs, err := allJobs(ctx, e, group)
				if err != nil {
					return err
				}
				return a.printJobs(jobs)
			})
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &group, false, "only jobs of this dataset group")
	return cmd
}

// allJobs returns the jobs of all kinds, newest first.
func allJobs(ctx context.Context, e *engine.Engine, group string) (all []engine.Job, err error) {
	for _, list := range []func(context.Context, engine.ListJobs) ([]engine.Job, bool, error){
		e.ListDataDeletionJobs, e.ListDatasetImportJobs, e.ListDatasetExportJobs,
	} {
		l := engine.ListJobs{Group: group}
		for more := true; more; {
			var page []engine.Job
			if page, more, err = list(ctx, l); err != nil {
				return nil, err
			}
			all = append(all, page...)
			if len(page) > 0 {
				l.After = page[len(page)-1].Seq
			}
		}
	}
	slices.SortFunc(all, func(x, y engine.Job) int { return cmp.Compare(y.Seq, x.Seq) })
	return all, nil
}

func (a *app) printJobs(jobs []engine.Job) error {
	if a.json {
		return a.printJSON(struct {
			Jobs []jobJSON `json:"jobs"`
		}{viewJobs(jobs)})
	}
	if len(jobs) == 0 {
		return a.print("No jobs.\n")
	}
	rows := [][]string{{"CREATED", "JOB", "NAME", "GROUP", "STATUS", "ROWS"}}
	for _, j := range jobs {
		kind, n := "delete", ""
		if j.Kind == engine.KindImport {
			kind = "import " + lower(typeOf(j))
			if j.Status == engine.StatusCompleted {
				n = count(j.Counts.RowsRead)
			}
		}
		if j.Kind == engine.KindExport {
			kind = "export " + lower(typeOf(j))
			if j.Status == engine.StatusCompleted {
				n = count(j.Counts.RowsExported)
			}
		}
		if j.NumDeleted != nil {
			n = count(*j.NumDeleted)
		}
		rows = append(rows, []string{moment(j.Created), kind, j.Name, groupOf(j), string(j.Status), n})
	}
	return a.print(table(rows, "ROWS"))
}

func (a *app) jobCmd() *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:   "job --store FILE NAME|ARN [--html FILE]",
		Short: "Show everything about one job",
		Long: `Show everything about one job, given by its name or ARN. Jobs of different kinds may have the same name;
then the ARN tells them apart. It only reads.

A COMPLETED deletion job has a receipt: the digest of its list, the time of each step, what was checked and overwritten,
and its place in the ledger. --html writes it as one page to print or to file.`,
		Example: `  expunge job --store shop.expunge forget-2024-06
  expunge job --store shop.expunge --json arn:aws:personalize:us-east-1:000000000000:data-deletion-job/forget-2024-06
  expunge job --store shop.expunge --html forget-2024-06.html forget-2024-06`,
		Args: oneArg("the job's name or ARN"),
		RunE: a.command(func(ctx context.Context, args []string) error {
			return a.read(ctx, func(e *engine.Engine) error {
				job, err := a.findJob(ctx, e, args[0])
				if err != nil {
					return err
				}
				entry, err := findReceipt(ctx, e, job)
				if err != nil {
					return err
				}
				if html != "" {
					if entry == nil {
						return nextStep(fmt.Errorf("%s %s is %s and has no receipt", kindOf(job), job.Name, job.Status),
							"Only a deletion job that is %s has one. See which there are: expunge ledger show --store %s", engine.StatusCompleted, quote(a.store))
					}
					err := writeFile(html, func(w io.Writer) error { return receipt.WritePage(w, *entry) })
					if err != nil {
						return err
					}
					a.status.printf("The receipt as a page is %s\n", html)
				}
				return a.printJob(job, entry)
			})
		}),
		ValidArgsFunction: a.fromStore(jobNames),
	}
	a.storeFlag(cmd)
	cmd.Flags().StringVar(&html, "html", "", "write the receipt as a page to this file, and replace it if it is there")
	return cmd
}

// findReceipt returns the receipt of a job, or nil if it has none.
func findReceipt(ctx context.Context, e *engine.Engine, job engine.Job) (*engine.LedgerEntry, error) {
	if job.Kind != engine.KindDeletion || job.Status != engine.StatusCompleted {
		return nil, nil
	}
	entry, err := e.Receipt(ctx, job.ARN)
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	return &entry, nil
}

// findJob looks among the jobs of all kinds.
func (a *app) findJob(ctx context.Context, e *engine.Engine, nameOrARN string) (engine.Job, error) {
	var found []engine.Job
	for _, get := range []func(context.Context, string) (engine.Job, error){
		e.DescribeDataDeletionJob, e.DescribeDatasetImportJob, e.DescribeDatasetExportJob,
	} {
		job, err := get(ctx, nameOrARN)
		switch {
		case err == nil:
			found = append(found, job)
		case !errors.Is(err, engine.ErrNotFound):
			return engine.Job{}, err
		}
	}
	switch len(found) {
	case 0:
		return engine.Job{}, nextStep(fmt.Errorf("there is no job %s", nameOrARN),
			"See which there are: expunge jobs --store %s", quote(a.store))
	case 1:
		return found[0], nil
	}
	var arns []string
	for _, j := range found {
		arns = append(arns, "  "+j.ARN)
	}
	return engine.Job{}, usagef("%s is the name of jobs of several kinds; give the ARN of one of them:\n%s",
		nameOrARN, strings.Join(arns, "\n"))
}
