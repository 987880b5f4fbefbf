package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// importTheirs makes group h, with users theirs-0 to theirs-8, who have 3 events each.
func importTheirs(t *testing.T, e *engine.Engine) {
	t.Helper()
	createGroup(t, e, "h", testSchemas)
	importTheirRows(t, e)
}

func importTheirRows(t *testing.T, e *engine.Engine) {
	t.Helper()
	users, events := "USER_ID,AGE,CITY\n", eventHeader
	for u := range 9 {
		id := fmt.Sprint("theirs-", u)
		users += id + ",7,Oslo\n"
		for k := range 3 {
			_, line := event(id, fmt.Sprint("thing-", (u+k)%4), 10*u+k)
			events += line
		}
	}
	importText(t, e, "h", engine.Users, engine.ImportFull, users)
	importText(t, e, "h", engine.Interactions, engine.ImportFull, events)
}

// TestSnapshotHoldsItsGroupOnly: a deletion waits for snapshots of its own group, and says so of them alone; a snapshot of
// another group reads on while it ends.
func TestSnapshotHoldsItsGroupOnly(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	importTheirs(t, e)
	before := allRows(t, e)
	theirs := must[*engine.Snapshot](t)(e.Snapshot(ctx, "h"))
	checkTheirs := func(when string) {
		t.Helper()
		for _, typ := range allTypes {
			sameRows(t, when+": "+string(typ), collect(t, theirs.Scan(ctx, typ)), before["h/"+string(typ)])
		}
	}

	if job := deleteUsers(t, e, "g", "user-01"); *job.NumDeleted != 11 {
		t.Errorf("deleted %d rows", *job.NumDeleted)
	}
	if inFolder(t, path, "user-01") {
		t.Error("the deleted user is on the disk")
	}
	checkTheirs("after a deletion in the other group")

	// Both groups have a snapshot now, and a deletion that waits for it.
	ours := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	const one = "waiting for an open snapshot that still sees the data, since 20"
	saysOne := func(j engine.Job) bool { return strings.Contains(j.StatusReason, one) }
	held := create(t, e, "h", "theirs-1")
	waitFor(t, e, held, "said that it waits for one snapshot", saysOne)
	second := create(t, e, "g", "user-02")
	waitFor(t, e, second, "said that it waits for one snapshot", saysOne)
	checkTheirs("while both wait")
	ours.Release()
	if job := must[engine.Job](t)(e.Wait(ctx, second)); *job.NumDeleted != 11 {
		t.Errorf("deleted %d rows", *job.NumDeleted)
	}
	if inFolder(t, path, "user-02") {
		t.Error("the second deleted user is on the disk")
	}
	if now := must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, held.Name)); now.Status != engine.StatusInProgress || !saysOne(now) {
		t.Errorf("the held job is %s: %s", now.Status, now.StatusReason)
	}

	// A full import replaces what the snapshot sees, and a compaction of the other group goes on.
	importTheirRows(t, e)
	_, line := event("user-03", "item-01", 99)
	importText(t, e, "g", engine.Interactions, engine.ImportIncremental, eventHeader+line)
	if job := deleteUsers(t, e, "g", "user-03"); *job.NumDeleted != 12 || inFolder(t, path, "user-03") {
		t.Errorf("the third job: %+v", job)
	}
	checkTheirs("after a full import")
	mustCheck(t, e)

	theirs.Release()
	if job := must[engine.Job](t)(e.Wait(ctx, held)); *job.NumDeleted != 4 {
		t.Errorf("deleted %d rows of the held job, want 4", *job.NumDeleted)
	}
	want := without(before["g/INTERACTIONS"], "user-01", "user-02", "user-03")
	sameRows(t, "at the end", scan(t, e, "g", engine.Interactions), want)
	mustCheck(t, e)
}

// TestSnapshotOfRemovedGroup: a snapshot of a group that was removed isn't one of the next group of that name.
func TestSnapshotOfRemovedGroup(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importTheirs(t, e)
	old := must[*engine.Snapshot](t)(e.Snapshot(ctx, "h"))
	held := create(t, e, "h", "theirs-0")
	waitFor(t, e, held, "waited", isWaiting)
	if err := e.DeleteDatasetGroup(ctx, "h"); err == nil {
		t.Error("a group was removed whose deletion waits")
	}
	old.Release()
	must[engine.Job](t)(e.Wait(ctx, held))

	before := allRows(t, e)
	old = must[*engine.Snapshot](t)(e.Snapshot(ctx, "h"))
	for _, d := range must[[]engine.Dataset](t)(e.Datasets(ctx, "h")) {
		if err := e.DeleteDataset(ctx, d.ARN); err != nil {
			t.Fatal(err)
		}
		if err := e.DeleteSchema(ctx, d.SchemaARN); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.DeleteDatasetGroup(ctx, "h"); err != nil {
		t.Fatal(err)
	}
	createGroup(t, e, "h", testSchemas)
	importText(t, e, "h", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nnext-1,1,Rome\nnext-2,2,Rome\n")
	if job := deleteUsers(t, e, "h", "next-1", "theirs-1"); *job.NumDeleted != 1 || inFolder(t, path, "next-1") {
		t.Errorf("job %+v", job)
	}
	for _, typ := range allTypes {
		sameRows(t, "the old snapshot: "+string(typ), collect(t, old.Scan(ctx, typ)), before["h/"+string(typ)])
	}
	if !inFolder(t, path, "theirs-1") {
		t.Error("what the old snapshot sees is off the disk")
	}
	old.Release()
	eventually(t, "what was removed is off the disk", func() bool { return !inFolder(t, path, "theirs-") })
	mustCheck(t, e)
}
