package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// Search a store for the users of a list, before and after they are deleted.
func ExampleEngine_Verify() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()

	list := write(dir, "list.csv", "USER_ID\nann\ncyd\n")
	before, err := e.Verify(ctx, engine.Verify{Absent: list})
	fail(err)
	fmt.Println(before.IDs, "IDs, something found:", before.Found > 0)

	_, err = e.Delete(ctx, engine.NewDataDeletionJob{Group: "shop", Source: list})
	fail(err)
	after, err := e.Verify(ctx, engine.Verify{Absent: list})
	fail(err)
	fmt.Println(after.IDs, "IDs, something found:", after.Found > 0)
	// Output:
	// 2 IDs, something found: true
	// 2 IDs, something found: false
}

// Each deletion leaves a receipt. The digest of the newest, kept elsewhere, shows later that none was changed or taken away.
func ExampleEngine_Ledger() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()
	for i, user := range []string{"ann", "cyd"} {
		list := write(dir, "list.csv", "USER_ID\n"+user+"\n")
		_, err := e.Delete(ctx, engine.NewDataDeletionJob{Name: fmt.Sprint("job-", i), Group: "shop", Source: list})
		fail(err)
	}

	var export strings.Builder
	for entry, err := range e.Ledger(ctx) {
		fail(err)
		fmt.Println(entry.Number, entry.Name, entry.NumDeleted, "rows")
		export.Write(append(entry.Line, '\n'))
	}
	report, err := e.VerifyLedger(ctx, "")
	fail(err)
	fmt.Println(report.Receipts, "receipts,", report.Hashes, "hashes of users")

	_, err = engine.VerifyLedgerExport(strings.NewReader(export.String()), report.Head)
	fmt.Println("the export:", err)
	cut := export.String()[:strings.IndexByte(export.String(), '\n')+1]
	_, err = engine.VerifyLedgerExport(strings.NewReader(cut), report.Head)
	fmt.Println("a part of it:", err)
	// Output:
	// 1 job-0 2 rows
	// 2 job-1 1 rows
	// 2 receipts, 2 hashes of users
	// the export: <nil>
	// a part of it: the ledger doesn't hold: no receipt has the expected digest, so it doesn't continue the ledger that had
}

// Find out which job deleted somebody, with a key that isn't in the store.
func ExampleEngine_MatchLedger() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	fail(err)
	defer os.RemoveAll(dir)
	key := []byte("32 random bytes of a key manager") // whoever has it and the store can try IDs out
	e, err := engine.Open(ctx, filepath.Join(dir, "shop.expunge"), engine.Options{IDKey: key})
	fail(err)
	defer e.Close(ctx)
	importShop(ctx, e, dir)
	list := write(dir, "list.csv", "USER_ID\nann\n")
	_, err = e.Delete(ctx, engine.NewDataDeletionJob{Name: "june", Group: "shop", Source: list})
	fail(err)

	asked := write(dir, "asked.csv", "USER_ID\nann\nbob\nzoe\n")
	listed, deleted, by, err := e.MatchLedger(ctx, "shop", asked)
	fail(err)
	fmt.Println(deleted, "of", listed, "was deleted, by", by[0].Receipt.Name)
	// Output: 1 of 3 was deleted, by june
}

// Keep deleted users from coming back with the next import.
func ExampleEngine_SetSuppression() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()
	fail(e.SetSuppression(ctx, "shop", true))
	list := write(dir, "list.csv", "USER_ID\nann\nzoe\n") // zoe isn't there yet
	_, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "shop", Source: list})
	fail(err)

	more := write(dir, "more.csv", "USER_ID,ITEM_ID,TIMESTAMP\nann,book,7\nzoe,lamp,8\ndan,vase,9\n")
	again := engine.NewDatasetImportJob{Group: "shop", Type: engine.Interactions, Source: more, Mode: engine.ImportIncremental}
	job, err := e.Import(ctx, again)
	fail(err)
	fmt.Println(job.Counts.RowsAdded, "added,", job.Counts.RowsSuppressed, "left out")

	back := write(dir, "back.csv", "USER_ID\nzoe\n")
	lifted, err := e.LiftSuppression(ctx, "shop", back)
	fail(err)
	job, err = e.Import(ctx, again)
	fail(err)
	fmt.Println(lifted, "let back:", job.Counts.RowsAdded, "added,", job.Counts.RowsSuppressed, "left out")
	// Output:
	// 1 added, 2 left out
	// 1 let back: 1 added, 1 left out
}

// Copy what is live, while the store is in use.
func ExampleEngine_Backup() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()
	list := write(dir, "list.csv", "USER_ID\nann\n")
	_, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "shop", Source: list})
	fail(err)

	report, err := e.Backup(ctx, filepath.Join(dir, "backup.expunge"))
	fail(err)
	fmt.Println(report.Rows, "rows")
	_, err = e.Backup(ctx, filepath.Join(dir, "backup.expunge"))
	fmt.Println("again:", errors.Is(err, os.ErrExist))
	// Output:
	// 2 rows
	// again: true
}

// A snapshot that a reader forgot to release doesn't hold a deletion for ever.
func ExampleOptions_snapshotMaxAge() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shop")
	fail(err)
	defer os.RemoveAll(dir)
	e, err := engine.Open(ctx, filepath.Join(dir, "shop.expunge"), engine.Options{SnapshotMaxAge: 100 * time.Millisecond})
	fail(err)
	defer e.Close(ctx)
	importShop(ctx, e, dir)

	forgotten, err := e.Snapshot(ctx, "shop")
	fail(err)
	list := write(dir, "list.csv", "USER_ID\nann\n")
	job, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "shop", Source: list})
	fail(err)
	_, err = forgotten.UserRows(ctx, engine.Interactions, "bob")
	fmt.Println(job.Status, errors.Is(err, engine.ErrExpired))
	// Output: COMPLETED true
}
