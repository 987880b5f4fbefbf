package engine

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/expunge-db/expunge/store"
)

// TestEndImports: an import that could not be rolled back when it failed keeps nobody from deleting users and datasets.
func TestEndImports(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	e, err := Open(ctx, filepath.Join(dir, "test.expunge"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	d := itemsDataset(t, e)
	stick := func() {
		t.Helper()
		im, err := e.store.BeginImport(ctx, "g", Items, store.ImportFull)
		if err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(ctx)
		end()
		if err := im.Abort(ended); err == nil {
			t.Fatal("the import was rolled back")
		}
	}
	stick()
	list := filepath.Join(dir, "list.csv")
	if err := os.WriteFile(list, []byte("USER_ID\nann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Delete(ctx, NewDataDeletionJob{Group: "g", Source: list}); err != nil {
		t.Error(err)
	}
	stick()
	if err := e.DeleteDataset(ctx, d.ARN); err != nil {
		t.Error(err)
	}
	report, err := e.Check(ctx)
	if err != nil || len(report.Problems) > 0 {
		t.Error(err, report.Problems)
	}
}
