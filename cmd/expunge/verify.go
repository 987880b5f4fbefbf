package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) verifyCmd() *cobra.Command {
	var v engine.Verify
	cmd := &cobra.Command{
		Use:   "verify --store FILE [--absent LIST [--group NAME]]",
		Short: "Show that users are gone, and that what isn't used reads as zeros",
		Long: `Check the whole store, look at every page that it doesn't use, and with --absent look for each user of a list in
the dictionary, in the index of every block, and in the raw bytes of the file. IDs of less than 8 bytes are too
short to be searched in raw bytes; the other two find them. Bytes that are part of another user's ID, of an item's,
or of a living row are counted apart. An ID that is also a whole word in the name of a job or dataset, in a tag, a path
or a schema is found there.

The exit status is 1 if anything is found. The file stays the same, byte for byte.`,
		Example: `  expunge verify --store shop.expunge
  expunge verify --store shop.expunge --group shop --absent forget.csv`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			if v.Group != "" && v.Absent == "" {
				return usagef("--group is for the list of --absent, which is missing")
			}
			var report engine.VerifyReport
			v.Progress = func(ids int64) { a.status.show(progress{label: "Verifying, " + counted(ids, "ID") + " read"}) }
			err := a.read(ctx, func(e *engine.Engine) error {
				return a.status.during("Verifying the store", func() (err error) {
					report, err = e.Verify(ctx, v)
					return err
				})
			})
			if errors.Is(err, engine.ErrNotFound) {
				return a.groupError(err)
			}
			if err != nil {
				return err
			}
			return a.printVerify(report, v.Absent != "")
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &v.Group, false, "the dataset group that the list is about; needed if there are several")
	cmd.Flags().StringVar(&v.Absent, "absent", "", "a list of users who must not be there: a CSV file, or a folder of them")
	must(cmd.MarkFlagFilename("absent", "csv", "gz", "zst"))
	return cmd
}

type verifyJSON struct {
	Clean          bool             `json:"clean"`
	UnfinishedJobs int              `json:"unfinishedJobs"`
	Check          checkJSON        `json:"check"`
	FreePages      int64            `json:"freePages"`
	DirtyPages     int64            `json:"freePagesNotZero"`
	DirtyTail      bool             `json:"endNotZero"`
	IDs            int64            `json:"ids"`
	Searched       int64            `json:"idsSearchedInBytes"`
	Entries        int64            `json:"dictionaryEntries"`
	Blocks         int64            `json:"blockIndexes"`
	Bytes          int64            `json:"bytes"`
	Living         int64            `json:"insideOtherValues"`
	Found          int64            `json:"found"`
	Named          int64            `json:"foundInNames"`
	Findings       []engine.Finding `json:"findings"`
}

func (a *app) printVerify(r engine.VerifyReport, list bool) error {
	found := int(r.Found)
	if r.DirtyPages > 0 || r.DirtyTail {
		found++
	}
	found += len(r.Check.Problems)
	if a.json {
		v := verifyJSON{
			Clean: r.Clean(), UnfinishedJobs: r.Unfinished, Check: viewCheck(r.Check), FreePages: r.FreePages, DirtyPages: r.DirtyPages,
			DirtyTail: r.DirtyTail, IDs: r.IDs, Searched: r.Searched, Entries: r.Entries, Blocks: r.Blocks, Bytes: r.Bytes,
			Living: r.Living, Found: r.Found, Named: r.Named, Findings: append([]engine.Finding{}, r.Findings...),
		}
		if err := a.printJSON(v); err != nil {
			return err
		}
	} else if err := a.print(verifyText(r, list)); err != nil {
		return err
	}
	if r.Clean() {
		return nil
	}
	err := fmt.Errorf("verification failed: %s", counted(int64(found), "finding"))
	switch {
	case len(r.Check.Problems) > 0:
		return nextStep(err, "The store is damaged. Restore it from a backup, or import and delete again into a new store.")
	case r.Unfinished > 0:
		return nextStep(err, "There are unfinished jobs: let them end, and verify again. See them: expunge jobs --store %s", quote(a.store))
	case r.Found > 0 && r.Found == r.Named:
		return nextStep(err, "No data of the users is there: an ID is a word in a name, a tag, a path or a schema. Leave it out of the list to verify the others.")
	case r.Found > 0:
		return nextStep(err, "Delete the users of the list, and verify again.")
	}
	return nextStep(err, "The store wasn't closed, or was written by another program. Any command that writes it puts that right when it ends.")
}

func verifyText(r engine.VerifyReport, list bool) string {
	var b strings.Builder
	for _, p := range r.Check.Problems {
		fmt.Fprintln(&b, p)
	}
	for _, f := range r.Findings {
		where := ""
		if f.Offset >= 0 {
			where = fmt.Sprintf("byte %d: ", f.Offset)
		}
		fmt.Fprintf(&b, "%s%s\n", where, f.What)
	}
	if more := r.Found - int64(len(r.Findings)); more > 0 {
		fmt.Fprintf(&b, "and %s more\n", count(more))
	}
	sound, free := "sound", "all zeros"
	if len(r.Check.Problems) > 0 {
		sound = counted(int64(len(r.Check.Problems)), "problem")
	}
	if r.DirtyPages > 0 {
		free = count(r.DirtyPages) + " of them not zeros"
	}
	if r.DirtyTail {
		free += ", and bytes behind the last page"
	}
	rows := [][2]string{
		{"Store", fmt.Sprintf("%s: %s, %s, %s, %s", sound, counted(r.Check.Pages, "page run"), counted(r.Check.Blocks, "block"),
			counted(r.Check.Rows, "row"), counted(r.Check.IDs, "ID"))},
		{"Unused", counted(r.FreePages, "page") + ": " + free},
	}
	if list {
		result := "none of them is there"
		if r.Found > 0 {
			result = fmt.Sprintf("found at %s", counted(r.Found, "place"))
		}
		rows = append(rows,
			[2]string{"List", counted(r.IDs, "ID") + ": " + result},
			[2]string{"Looked at", fmt.Sprintf("%s in the dictionary, the indexes of %s", counted(r.Entries, "user"), counted(r.Blocks, "block"))},
			[2]string{"Bytes", fmt.Sprintf("%s searched for %s; %s too short to be searched", size(r.Bytes), counted(r.Searched, "ID"), count(r.IDs-r.Searched))},
			[2]string{"Elsewhere", fmt.Sprintf("%s inside values that belong to others", counted(r.Living, "more place"))})
	}
	if r.Unfinished > 0 {
		rows = append(rows, [2]string{"Jobs", counted(int64(r.Unfinished), "unfinished job")})
	}
	return b.String() + pairs(rows...)
}
