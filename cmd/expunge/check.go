package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) checkCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check --store FILE",
		Short: "Look for damage in a store",
		Long: `Read the whole store and look for every inconsistency: damaged pages and values, and structures that contradict
each other. The exit status is 1 if there is any. It only reads.`,
		Example: "  expunge check --store shop.expunge\n  expunge check --store shop.expunge --json",
		Args:    cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			var report engine.CheckReport
			err := a.read(ctx, func(e *engine.Engine) error {
				return a.status.during("Checking the store", func() (err error) {
					report, err = e.Check(ctx)
					return err
				})
			})
			var damage *engine.CorruptError
			if errors.As(err, &damage) { // a store too damaged to be opened, or to be checked to the end
				report.Problems = append(report.Problems, err)
			} else if err != nil {
				return err
			}
			return a.printCheck(report)
		}),
	}
	a.storeFlag(cmd)
	return cmd
}

type checkJSON struct {
	Sound    bool     `json:"sound"`
	PageRuns int64    `json:"pageRuns"`
	Blocks   int64    `json:"blocks"`
	Rows     int64    `json:"rows"`
	IDs      int64    `json:"ids"`
	Problems []string `json:"problems"`
}

func viewCheck(r engine.CheckReport) checkJSON {
	v := checkJSON{len(r.Problems) == 0, r.Pages, r.Blocks, r.Rows, r.IDs, []string{}}
	for _, p := range r.Problems {
		v.Problems = append(v.Problems, p.Error())
	}
	return v
}

// printCheck prints what was found, and returns an error if that is anything.
func (a *app) printCheck(r engine.CheckReport) error {
	v := viewCheck(r)
	var err error
	switch {
	case a.json:
		err = a.printJSON(v)
	case v.Sound:
		err = a.print(fmt.Sprintf("The store is sound: %s, %s, %s and %s were checked.\n",
			counted(v.PageRuns, "page run"), counted(v.Blocks, "block"), counted(v.Rows, "row"), counted(v.IDs, "ID")))
	default:
		err = a.print(strings.Join(v.Problems, "\n") + "\n")
	}
	if v.Sound || err != nil {
		return err
	}
	return nextStep(fmt.Errorf("the store is damaged: %s", counted(int64(len(v.Problems)), "problem")),
		"Restore it from a backup, or import and delete again into a new store.")
}
