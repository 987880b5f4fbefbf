package engine_test

import (
	"context"
	"testing"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/store"
)

// TestStaleStage: what a job that is over couldn't drop goes when the engine is opened.
func TestStaleStage(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	mustClose(t, e)

	s := must[*store.Store](t)(store.Open(ctx, path, store.Options{}))
	at := func(int) []byte { return []byte(secret + "-1") }
	for _, job := range []uint64{1, 7000, 7001} {
		if err := s.StageUsers(ctx, "g", job, 0, 1, at, func(*store.Tx, store.Staged) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if !inFolder(t, path, secret) {
		t.Fatal("the staged ID isn't in the file")
	}
	e = open(t, path, engine.Options{})
	deleteUsers(t, e, "g", "nobody") // comes after the first erase
	if inFolder(t, path, secret) {
		t.Error("the staged ID is still in the store's folder")
	}
}
