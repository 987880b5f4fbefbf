package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// TestRemoveCrash: what was removed right before a crash leaves the disk once the store is open again, not only when it is
// closed.
func TestRemoveCrash(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g")) // nothing goes while it is open
	for _, d := range must[[]engine.Dataset](t)(e.Datasets(ctx, "g")) {
		if err := e.DeleteDataset(ctx, d.ARN); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.DeleteDatasetGroup(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	crashed := storePath(t)
	if err := os.WriteFile(crashed, readFile(t, path), 0o600); err != nil {
		t.Fatal(err)
	}
	sn.Release()
	if !inFolder(t, crashed, "user-01") {
		t.Fatalf("%s holds nothing of what was removed", filepath.Base(crashed))
	}
	again := open(t, crashed, engine.Options{})
	eventually(t, "nothing of it is in the file", func() bool { return !inFolder(t, crashed, "user-01") })
	mustCheck(t, again)
}
