package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) scanCmd() *cobra.Command {
	var o scanning
	var dataset string
	cmd := &cobra.Command{
		Use:   "scan --store FILE --group NAME --dataset TYPE",
		Short: "Write the rows of a dataset as CSV",
		Long: `Write the rows of a dataset to stdout as CSV: a header, then the rows, with the schema's columns in their order.
Numbers are in their shortest exact form, empty cells are nulls. With --json it is one JSON object a line.
The rows of a user lie side by side. It only reads.`,
		Example: `  expunge scan --store shop.expunge --group shop --dataset interactions > interactions.csv
  expunge scan --store shop.expunge --group shop --dataset interactions --user u1234
  expunge scan --store shop.expunge --group shop --dataset items --limit 10 --json`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) (err error) {
			if o.dataset, err = parseDataset(dataset); err != nil {
				return err
			}
			if o.byUser && o.dataset == engine.Items {
				return usagef("--user doesn't go with --dataset items, whose rows belong to no user")
			}
			if o.limit < 0 {
				return usagef("--limit is %d; give 1 or more, or leave it out for all rows", o.limit)
			}
			return a.read(ctx, func(e *engine.Engine) error { return a.scan(ctx, e, o) })
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &o.group, true, "the dataset group")
	datasetFlag(cmd, &dataset)
	cmd.Flags().StringVar(&o.user, "user", "", "only rows of this USER_ID")
	must(cmd.RegisterFlagCompletionFunc("user", cobra.NoFileCompletions))
	cmd.Flags().Int64Var(&o.limit, "limit", 0, "at most so many rows; 0 for all")
	must(cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions))
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { o.byUser = cmd.Flags().Changed("user") }
	return cmd
}

type scanning struct {
	group   string
	dataset engine.DatasetType
	user    string
	byUser  bool
	limit   int64 // 0 for all
}

func (a *app) scan(ctx context.Context, e *engine.Engine, o scanning) error {
	sn, err := e.Snapshot(ctx, o.group, o.dataset)
	if err != nil {
		return a.groupError(err)
	}
	defer sn.Release()
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	var w rowWriter = newCSVRows(out)
	if a.json {
		w = newJSONRows(out)
	}
	if err := w.begin(sn.Schema(o.dataset)); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	if err := writeRows(ctx, sn, o, w); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

func writeRows(ctx context.Context, sn *engine.Snapshot, o scanning, w rowWriter) error {
	left := o.limit
	write := func(rec arrow.Record) error {
		n := rec.NumRows()
		if o.limit > 0 {
			n = min(n, left)
			left -= n
		}
		if err := w.rows(rec, int(n)); err != nil {
			return fmt.Errorf("write rows: %w", err)
		}
		return nil
	}
	if o.byUser {
		rec, err := sn.UserRows(ctx, o.dataset, o.user)
		if rec == nil || err != nil {
			return err
		}
		defer rec.Release()
		return write(rec)
	}
	for rec, err := range sn.Scan(ctx, o.dataset) {
		if err != nil {
			return err
		}
		err = write(rec)
		rec.Release()
		if err != nil || o.limit > 0 && left == 0 {
			return err
		}
	}
	return nil
}
