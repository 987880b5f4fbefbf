package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// layers waits until the group's Interactions dataset has at most n layers.
func layers(t *testing.T, e *engine.Engine, n int) {
	t.Helper()
	for {
		st := must[engine.Stats](t)(e.Stats(t.Context()))
		have := 0
		for _, d := range st.Groups[0].Datasets {
			if d.Dataset.Type == engine.Interactions {
				have = len(d.Dataset.Layers)
			}
		}
		if have <= n {
			return
		}
		time.Sleep(time.Millisecond) // the test's deadline ends it
	}
}

// TestLayersAreMerged imports many small files while a snapshot is open, and deletes in between: the layers become one by
// themselves, readers see no difference, and what was deleted is off the disk.
func TestLayersAreMerged(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	createGroup(t, e, "g", testSchemas)
	const files, users = 12, 30
	user := func(n int) string { return fmt.Sprintf("USER-%08d-ID", n) }
	for file := range files {
		var text strings.Builder
		text.WriteString("USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n")
		for u := range users {
			fmt.Fprintf(&text, "%s,item-%d,view,,%d\n", user(u), (u+file)%7, 1000*file+u)
		}
		importText(t, e, "g", engine.Interactions, engine.ImportIncremental, text.String())
		if file == files/2 {
			job := deleteUsers(t, e, "g", user(3))
			if *job.NumDeleted != files/2+1 {
				t.Errorf("%d rows deleted", *job.NumDeleted)
			}
		}
	}
	before := scan(t, e, "g", engine.Interactions)
	if want := files*users - (files/2 + 1); len(before) != want {
		t.Fatalf("%d rows, want %d", len(before), want)
	}
	layers(t, e, 1)
	sameRows(t, "after the merge", scan(t, e, "g", engine.Interactions), before)
	mustCheck(t, e)
	job := deleteUsers(t, e, "g", user(5), user(7))
	if *job.NumDeleted != 2*files {
		t.Errorf("%d rows deleted after the merge", *job.NumDeleted)
	}
	mustCheck(t, e)
	for _, u := range []int{5, 7} {
		if inFolder(t, path, user(u)) {
			t.Errorf("user %d is still on the disk", u)
		}
	}
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
