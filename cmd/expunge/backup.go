package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) backupCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup --store FILE DEST",
		Short: "Copy what is live into a new store",
		Long: `Write a store of its own to DEST, which must not exist: the live rows, the jobs, the ledger and the suppressed users.
No byte of what was deleted is in it, as it would be in a copy of the file that was made while the store was in use.
The store is only read, and its key isn't needed. Jobs that were under way go on in the copy when it is first written.

A backup is out of reach of later deletions. Delete it when it is old, or run the lists against it. One that is killed
leaves a file whose name begins with a dot and ends in .partial: delete it, or back up to the same DEST again.`,
		Example: "  expunge backup --store shop.expunge shop-2026-11.expunge",
		Args:    oneArg("DEST (the file to write)"),
		RunE: a.command(func(ctx context.Context, args []string) error {
			var report engine.BackupReport
			err := a.read(ctx, func(e *engine.Engine) error {
				return a.status.during("Backing up", func() (err error) {
					report, err = e.Backup(ctx, args[0])
					return err
				})
			})
			if errors.Is(err, fs.ErrNotExist) && a.storeExists() {
				return nextStep(err, "Make the folder of DEST first, or give another one.")
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(struct {
					Path     string `json:"path"`
					Datasets int    `json:"datasets"`
					Rows     int64  `json:"rows"`
					Bytes    int64  `json:"bytes"`
				}{args[0], report.Datasets, report.Rows, report.Bytes})
			}
			return a.print(fmt.Sprintf("%s: %s, %s, %s\n", args[0], counted(int64(report.Datasets), "dataset"), counted(report.Rows, "row"), size(report.Bytes)))
		}),
	}
	a.storeFlag(cmd)
	return cmd
}
