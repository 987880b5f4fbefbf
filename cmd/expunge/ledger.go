package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) ledgerCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Show, check and export the receipts of deletion jobs, or match a list with them",
		Long: `Every COMPLETED deletion job leaves a receipt: what it was asked, what it did, when, and what was checked. The receipts
are a chain, in which each holds the SHA-256 of the one before, so that none can be changed or left out without
changing all digests after it. They hold no user ID; beside them the store keeps keyed hashes of the deleted users.

All of these only read.`,
		Example: `  expunge ledger show --store shop.expunge
  expunge ledger verify --store shop.expunge
  expunge ledger export --store shop.expunge --out receipts.jsonl
  expunge ledger match --store shop.expunge --group shop old-list.csv`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("give one of show, verify, export and match") },
	}
	cmd.FParseErrWhitelist.UnknownFlags = true // so that a missing or unknown one is reported and not its flags
	cmd.AddCommand(a.ledgerShowCmd(), a.ledgerVerifyCmd(), a.ledgerExportCmd(), a.ledgerMatchCmd())
	return cmd
}

func (a *app) ledgerShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show --store FILE", Short: "List the receipts, oldest first",
		Long:    "List the receipts, oldest first. 'expunge job NAME' shows one of them in full.",
		Example: "  expunge ledger show --store shop.expunge\n  expunge ledger show --store shop.expunge --json",
		Args:    cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			return a.read(ctx, func(e *engine.Engine) error { return a.printLedger(ctx, e) })
		}),
	}
	a.storeFlag(cmd)
	return cmd
}

// entryJSON is a receipt as the ledger keeps it, with its digest.
type entryJSON struct {
	Digest  string          `json:"digest"`
	Receipt json.RawMessage `json:"receipt"`
}

func (a *app) printLedger(ctx context.Context, e *engine.Engine) error {
	entries := []entryJSON{}
	rows := [][]string{{"NUMBER", "COMPLETED", "JOB", "GROUP", "USERS", "ROWS", "DIGEST"}}
	for entry, err := range e.Ledger(ctx) {
		if err != nil {
			return err
		}
		entries = append(entries, entryJSON{entry.Digest(), entry.Line})
		rows = append(rows, []string{
			fmt.Sprint(entry.Number), moment(entry.Completed), entry.Name, path.Base(entry.GroupARN),
			count(entry.Counts.Matched), count(entry.NumDeleted), entry.Digest(),
		})
	}
	switch {
	case a.json:
		return a.printJSON(struct {
			Receipts []entryJSON `json:"receipts"`
		}{entries})
	case len(entries) == 0:
		return a.print("No receipts: no deletion job is COMPLETED.\n")
	}
	return a.print(table(rows, "NUMBER", "USERS", "ROWS"))
}

func (a *app) ledgerVerifyCmd() *cobra.Command {
	var file, expect string
	cmd := &cobra.Command{
		Use:   "verify --store FILE | --file EXPORT [--expect DIGEST]",
		Short: "Check that no receipt was changed, put in or left out",
		Long: `Check that the receipts form a chain, that no COMPLETED deletion job is without one, and that the hashes of deleted
users are those that the receipts name. With --file check the chain of an exported ledger; no store is needed.

The chain alone doesn't show that its newest receipts were cut off or changed, or that all of it was made anew. So keep
the head that this prints somewhere else, and give it later as --expect: one of the receipts must have that digest.
The exit status is 1 if anything is wrong.`,
		Example: `  expunge ledger verify --store shop.expunge
  expunge ledger verify --store shop.expunge --expect "$(cat head-of-last-month)"
  expunge ledger verify --file receipts.jsonl`,
		Args: cobra.NoArgs,
	}
	verify := func(ctx context.Context, from func() (engine.LedgerReport, error)) error {
		if cmd.Flags().Changed("expect") {
			if digest, err := hex.DecodeString(expect); err != nil || len(digest) != 32 {
				return usagef("--expect isn't a digest; give the 64 hexadecimal digits of a head")
			}
			expect = strings.ToLower(expect)
		}
		return a.printLedgerReport(from())
	}
	store := a.command(func(ctx context.Context, _ []string) error {
		return verify(ctx, func() (report engine.LedgerReport, err error) {
			err = a.read(ctx, func(e *engine.Engine) error {
				return a.status.during("Checking the ledger", func() (err error) {
					report, err = e.VerifyLedger(ctx, expect)
					return err
				})
			})
			return report, err
		})
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("file") {
			return store(cmd, args)
		}
		a.began = true
		return verify(cmd.Context(), func() (report engine.LedgerReport, err error) {
			f, err := os.Open(file)
			if err != nil {
				return report, nextStep(err, "Check --file.")
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			return engine.VerifyLedgerExport(f, expect)
		})
	}
	a.storeFlag(cmd)
	cmd.Flags().StringVar(&file, "file", "", "check this exported ledger and not that of a store")
	cmd.MarkFlagsMutuallyExclusive("store", "file")
	cmd.Flags().StringVar(&expect, "expect", "", "digest that one of the receipts must have: the head of an earlier check")
	must(cmd.RegisterFlagCompletionFunc("expect", cobra.NoFileCompletions))
	return cmd
}

func (a *app) printLedgerReport(r engine.LedgerReport, err error) error {
	wrong := errors.Is(err, engine.ErrLedger)
	if err != nil && !wrong {
		return err
	}
	if wrong {
		err = nextStep(err, "Compare it with an earlier export: expunge ledger verify --file EXPORT")
	}
	if a.json {
		v := struct {
			Sound    bool   `json:"sound"`
			Receipts uint64 `json:"receipts"`
			Head     string `json:"head"`
			Hashes   int64  `json:"hashes"`
		}{!wrong, r.Receipts, r.Head, r.Hashes}
		return errors.Join(a.printJSON(v), err)
	}
	if wrong {
		return err
	}
	hashes := ""
	if r.Hashes > 0 {
		hashes = "of " + counted(r.Hashes, "deleted user") + ": those that the receipts name"
	}
	return a.print(pairs(
		[2]string{"Ledger", "sound: " + counted(int64(r.Receipts), "receipt")},
		[2]string{"Hashes", hashes},
		[2]string{"Head", r.Head},
	))
}

func (a *app) ledgerExportCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "export --store FILE [--out FILE]", Short: "Write the receipts as lines of JSON",
		Long: `Write the receipts, oldest first, as lines of JSON to stdout or a file. The digest of a receipt is the SHA-256 of its line
without the newline; 'expunge ledger verify --file' checks the chain.`,
		Example: `  expunge ledger export --store shop.expunge
  expunge ledger export --store shop.expunge --out receipts.jsonl`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			return a.read(ctx, func(e *engine.Engine) error {
				if out == "" {
					return exportLedger(ctx, e, a.stdout)
				}
				return writeFile(out, func(w io.Writer) error { return exportLedger(ctx, e, w) })
			})
		}),
	}
	a.storeFlag(cmd)
	cmd.Flags().StringVar(&out, "out", "", "write to this file, and replace it if it is there; stdout if none is given")
	return cmd
}

func exportLedger(ctx context.Context, e *engine.Engine, to io.Writer) error {
	w := bufio.NewWriter(to)
	for entry, err := range e.Ledger(ctx) {
		if err != nil {
			return err
		}
		if _, err := w.Write(append(entry.Line, '\n')); err != nil {
			return fmt.Errorf("write ledger: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

func (a *app) ledgerMatchCmd() *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use: "match --store FILE --group NAME LIST", Short: "Say how many users of a list were deleted, and by which jobs",
		Long: `Say how many users of a list deletion jobs of a group had found and deleted, and which jobs, by the hashes that the store
keeps. The list is a CSV file with the header USER_ID, or a folder of them. An ID that is listed twice counts twice. A
user who was deleted can have come back since: 'expunge verify --absent' says who is there now.`,
		Example: "  expunge ledger match --store shop.expunge --group shop list.csv",
		Args:    oneArg("LIST (the list of users)"),
		RunE: a.command(func(ctx context.Context, args []string) error {
			var m ledgerMatch
			err := a.read(ctx, func(e *engine.Engine) error {
				return a.status.during("Matching", func() (err error) {
					m.listed, m.deleted, m.by, err = e.MatchLedger(ctx, group, args[0])
					return err
				})
			})
			if errors.Is(err, engine.ErrKey) {
				return a.openError(err)
			}
			if err != nil {
				return a.groupError(err)
			}
			return a.printMatch(m)
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &group, true, "the dataset group that the list is about")
	return cmd
}

type ledgerMatch struct {
	listed, deleted int64
	by              []engine.LedgerMatch
}

func (a *app) printMatch(m ledgerMatch) error {
	type job struct {
		Number    uint64      `json:"number"`
		JobName   string      `json:"jobName"`
		ARN       string      `json:"dataDeletionJobArn"`
		Completed json.Number `json:"completedDateTime"`
		Users     int64       `json:"users"`
	}
	jobs := []job{}
	rows := [][]string{{"NUMBER", "COMPLETED", "JOB", "USERS"}}
	for _, by := range m.by {
		r := by.Receipt
		jobs = append(jobs, job{r.Number, r.Name, r.ARN, epoch(r.Completed), by.Users})
		rows = append(rows, []string{fmt.Sprint(r.Number), moment(r.Completed), r.Name, count(by.Users)})
	}
	if a.json {
		return a.printJSON(struct {
			Listed  int64 `json:"listed"`
			Deleted int64 `json:"deleted"`
			Jobs    []job `json:"jobs"`
		}{m.listed, m.deleted, jobs})
	}
	text := fmt.Sprintf("%s on the list, %s deleted by %s.\n", counted(m.listed, "ID"), count(m.deleted), counted(int64(len(jobs)), "job"))
	if len(jobs) > 0 {
		text += table(rows, "NUMBER", "USERS")
	}
	return a.print(text)
}
