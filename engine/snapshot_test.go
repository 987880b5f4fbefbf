package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/expunge-db/expunge/engine"
)

func create(t testing.TB, e *engine.Engine, group string, ids ...string) engine.Job {
	t.Helper()
	n := engine.NewDataDeletionJob{Group: group, Source: listFile(t, ids...)}
	return must[engine.Job](t)(e.CreateDataDeletionJob(context.Background(), n))
}

func isWaiting(j engine.Job) bool {
	return strings.Contains(j.StatusReason, "snapshot") || j.Status.Terminal()
}

func without(rows []string, users ...string) []string {
	return slices.DeleteFunc(slices.Clone(rows), func(row string) bool {
		id, _, _ := strings.Cut(row, "\x1f")
		return slices.Contains(users, id)
	})
}

// event is a row of interactions as appendRow writes it, and as a line of a CSV file.
func event(user, item string, time int) (row, line string) {
	return fmt.Sprintf("%s\x1f%s\x1fview\x1f1\x1f%d", user, item, time), fmt.Sprintf("%s,%s,view,1,%d\n", user, item, time)
}

const eventHeader = "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n"

func TestSnapshotDuringDeletion(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	before := allRows(t, e)
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))

	first := create(t, e, "g", "user-01", "user-02")
	now := waitFor(t, e, first, "waited for the snapshot", isWaiting)
	if now.Status != engine.StatusInProgress || now.NumDeleted != nil {
		t.Fatalf("job %+v", now)
	}
	checkOld := func(when string) {
		t.Helper()
		for _, typ := range allTypes {
			want := before["g/"+string(typ)]
			sameRows(t, when+": "+string(typ)+" of the snapshot", collect(t, sn.Scan(ctx, typ)), want)
			if sn.Rows(typ) != int64(len(want)) {
				t.Errorf("%s: the snapshot counts %d rows of %s, want %d", when, sn.Rows(typ), typ, len(want))
			}
		}
		rec := must[arrow.Record](t)(sn.UserRows(ctx, engine.Interactions, "user-01"))
		if rec == nil {
			t.Errorf("%s: the snapshot lost a user", when)
		}
	}
	checkOld("after the first deletion")
	newEvents := without(before["g/INTERACTIONS"], "user-01", "user-02")
	sameRows(t, "new reader", scan(t, e, "g", engine.Interactions), newEvents)
	sameRows(t, "new reader", scan(t, e, "g", engine.Users), without(before["g/USERS"], "user-01", "user-02"))
	if rec := must[arrow.Record](t)(e.UserRows(ctx, "g", engine.Interactions, "user-01")); rec != nil {
		t.Error("a new reader finds a deleted user")
	}

	// Later jobs of the group go on.
	row, line := event("new-user", "item-01", 1)
	importText(t, e, "g", engine.Interactions, engine.ImportIncremental, eventHeader+line)
	newEvents = append(newEvents, row)
	slices.Sort(newEvents)
	sameRows(t, "after an import", scan(t, e, "g", engine.Interactions), newEvents)
	second := create(t, e, "g", "user-03")
	if now := waitFor(t, e, first, "waited", isWaiting); !strings.Contains(now.StatusReason, "waiting for an open snapshot that still sees the data, since 20") {
		t.Errorf("the first job is %s", now.StatusReason)
	}
	third := create(t, e, "g", "nobody") // of no rows, but it comes later
	if now := waitFor(t, e, third, "waited", isWaiting); now.Status != engine.StatusInProgress {
		t.Errorf("the third job is %s before the first", now.Status)
	}
	checkOld("after all deletions")
	newEvents = without(newEvents, "user-03")
	sameRows(t, "after the second deletion", scan(t, e, "g", engine.Interactions), newEvents)
	if !inFolder(t, path, "user-01") {
		t.Error("the rows that the snapshot sees are off the disk")
	}
	another := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	fourth := create(t, e, "g", "user-04")
	const two = "waiting for 2 open snapshots that still see the data, the oldest of them since 20"
	waitFor(t, e, fourth, "said for how many it waits", func(j engine.Job) bool { return strings.Contains(j.StatusReason, two) })
	another.Release()
	newEvents = without(newEvents, "user-04")

	sn.Release()
	var ended []engine.Job
	for _, job := range []engine.Job{first, second, third, fourth} {
		ended = append(ended, must[engine.Job](t)(e.Wait(ctx, job)))
	}
	for i, want := range []int64{22, 11, 0, 11} {
		if *ended[i].NumDeleted != want {
			t.Errorf("job %d deleted %d rows, want %d", i+1, *ended[i].NumDeleted, want)
		}
		if i > 0 && ended[i].Updated.Before(ended[i-1].Updated) {
			t.Errorf("job %d was completed before the one before it", i+1)
		}
	}
	for _, id := range []string{"user-01", "user-02", "user-03", "nobody"} {
		if inFolder(t, path, id) {
			t.Errorf("%s is still on the disk", id)
		}
	}
	sameRows(t, "at the end", scan(t, e, "g", engine.Interactions), newEvents)
}

// TestSnapshotAfterDeletion: a snapshot that began after a deletion doesn't hold it, even while an older one holds a
// later deletion.
func TestSnapshotAfterDeletion(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	old := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	first := create(t, e, "g", "user-01")
	waitFor(t, e, first, "waited", isWaiting)
	newer := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	second := create(t, e, "g", "user-02")
	waitFor(t, e, second, "waited", isWaiting)
	old.Release()
	must[engine.Job](t)(e.Wait(ctx, first))
	if now := must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, second.Name)); now.Status != engine.StatusInProgress {
		t.Errorf("the second job is %s with a snapshot open that sees its rows", now.Status)
	}
	if n := newer.Rows(engine.Users); n != 49 {
		t.Errorf("the newer snapshot has %d users, want 49", n)
	}
	newer.Release()
	newer.Release() // does nothing
	for rec, err := range newer.Scan(ctx, engine.Interactions) {
		if rec != nil || !errors.Is(err, engine.ErrReleased) {
			t.Errorf("a scan of a released snapshot: %v, %v", rec, err)
		}
	}
	if rec, err := newer.UserRows(ctx, engine.Users, "user-05"); rec != nil || !errors.Is(err, engine.ErrReleased) {
		t.Errorf("rows of a released snapshot: %v, %v", rec, err)
	}
	must[engine.Job](t)(e.Wait(ctx, second))
}

// TestSnapshotAcrossFullImport: what a FULL import replaced stays for the snapshot, and a deletion after it covers it too.
func TestSnapshotAcrossFullImport(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	before := scan(t, e, "g", engine.Interactions)
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	row, line := event("user-07", "item-01", 5)
	importText(t, e, "g", engine.Interactions, engine.ImportFull, eventHeader+line)
	sameRows(t, "new rows", scan(t, e, "g", engine.Interactions), []string{row})
	sameRows(t, "snapshot", collect(t, sn.Scan(ctx, engine.Interactions)), before)
	job := create(t, e, "g", "user-07")
	if now := waitFor(t, e, job, "waited", isWaiting); now.Status.Terminal() {
		t.Errorf("job %+v", now)
	}
	sameRows(t, "snapshot", collect(t, sn.Scan(ctx, engine.Interactions)), before)
	sn.Release()
	if job := must[engine.Job](t)(e.Wait(ctx, job)); *job.NumDeleted != 2 {
		t.Errorf("deleted %d rows, want 2: one user and one event", *job.NumDeleted)
	}
	if inFolder(t, path, "user-07") {
		t.Error("the deleted user is still on the disk")
	}
}

func TestLeavingALoopReleases(t *testing.T) {
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	for rec, err := range e.Scan(context.Background(), "g", engine.Interactions) {
		if err != nil {
			t.Fatal(err)
		}
		rec.Release()
		break
	}
	deleteUsers(t, e, "g", "user-01") // would wait for ever
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, err := range e.Scan(ctx, "g", engine.Interactions) {
		if err == nil {
			cancel()
			continue
		}
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	deleteUsers(t, e, "g", "user-02")
}

func TestGroupsDontWaitForEachOther(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	createGroup(t, e, "h", testSchemas)
	importText(t, e, "h", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nuser-01,1,x\nuser-02,2,\n")

	// A long import into one group, deletions in the other.
	var b strings.Builder
	b.WriteString(eventHeader)
	for i := range 300_000 {
		_, line := event(fmt.Sprintf("u%d", i%5000), fmt.Sprintf("i%d", i%700), i)
		b.WriteString(line)
	}
	imp := must[engine.Job](t)(e.CreateDatasetImportJob(ctx, engine.NewDatasetImportJob{
		Group: "g", Type: engine.Interactions, Source: writeFile(t, t.TempDir(), "rows.csv", b.String()), Mode: engine.ImportIncremental,
	}))
	if job := deleteUsers(t, e, "h", "user-01"); *job.NumDeleted != 1 {
		t.Errorf("deleted %d rows, want 1", *job.NumDeleted)
	}
	if now := must[engine.Job](t)(e.DescribeDatasetImportJob(ctx, imp.Name)); now.Status.Terminal() {
		t.Log("the import was over first, so this run shows nothing")
	}
	if n := len(scan(t, e, "h", engine.Users)); n != 1 {
		t.Errorf("%d users left, want 1", n)
	}
	if n := len(scan(t, e, "g", engine.Users)); n != 50 {
		t.Errorf("the other group has %d users, want 50", n)
	}
	if job := must[engine.Job](t)(e.Wait(ctx, imp)); job.Counts.RowsAdded != 300_000 {
		t.Errorf("import %+v", job.Counts)
	}
	mustCheck(t, e)
}

func TestCloseWithOpenSnapshot(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	before := scan(t, e, "g", engine.Users)
	sn := must[*engine.Snapshot](t)(e.Snapshot(context.Background(), "g"))
	job := create(t, e, "g", "user-01")
	waitFor(t, e, job, "waited", isWaiting)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); !errors.Is(err, engine.ErrLeased) {
		t.Fatalf("closed with an open snapshot: %v", err)
	}
	sameRows(t, "after a Close that failed", collect(t, sn.Scan(context.Background(), engine.Users)), before)
	if _, err := e.Wait(context.Background(), job); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("wait for a job of a closed engine: %v, want ErrClosed", err)
	}
	sn.Release()
	mustClose(t, e)
	mustClose(t, e) // does nothing
	if _, err := e.Snapshot(context.Background(), "g"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a snapshot of a closed engine: %v, want ErrClosed", err)
	}

	e = open(t, path, engine.Options{})
	if job := must[engine.Job](t)(e.Wait(context.Background(), job)); *job.NumDeleted != 11 {
		t.Errorf("deleted %d rows, want 11", *job.NumDeleted)
	}
	if inFolder(t, path, "user-01") {
		t.Error("the deleted user is still on the disk")
	}
}

func TestDeletedAndBack(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	for round := range 3 {
		if job := deleteUsers(t, e, "g", "user-01"); *job.NumDeleted != []int64{11, 2, 2}[round] {
			t.Errorf("round %d: deleted %d rows", round, *job.NumDeleted)
		}
		if inFolder(t, path, "user-01") {
			t.Errorf("round %d: the deleted user is on the disk", round)
		}
		row, line := event("user-01", "item-01", round)
		importText(t, e, "g", engine.Interactions, engine.ImportIncremental, eventHeader+line)
		importText(t, e, "g", engine.Users, engine.ImportIncremental, "USER_ID,AGE,CITY\nuser-01,9,\n")
		var got []string
		for _, r := range scan(t, e, "g", engine.Interactions) {
			if strings.HasPrefix(r, "user-01\x1f") {
				got = append(got, r)
			}
		}
		sameRows(t, "the user who came back", got, []string{row})
	}
}

// TestConcurrency runs readers, imports and deletions at once, in two groups. Every reader must see each user whole or
// not at all: an import brings 7 rows of a user, and a deletion takes all of them.
func TestConcurrency(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	const rounds, usersPerRound, rowsPerUser = 5, 40, 7
	groups := []string{"a", "b"}
	for _, g := range groups {
		createGroup(t, e, g, testSchemas)
	}
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				counts := make(map[string]int)
				sn, err := e.Snapshot(ctx, groups[(r+n)%2])
				if err != nil {
					t.Error(err)
					return
				}
				for rec, err := range sn.Scan(ctx, engine.Interactions) {
					if err != nil {
						t.Error(err)
						break
					}
					for i := range int(rec.NumRows()) {
						id, _, _ := strings.Cut(string(appendRow(nil, rec, i)), "\x1f")
						counts[id]++
					}
					rec.Release()
				}
				for id, n := range counts {
					if n != rowsPerUser {
						t.Errorf("a reader saw %d of the %d rows of %s", n, rowsPerUser, id)
					}
				}
				sn.Release()
			}
		})
	}
	left := make([][]string, len(groups))
	for g, group := range groups {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			var there []string
			for round := range rounds {
				text := eventHeader
				for u := range usersPerRound {
					id := fmt.Sprintf("%s-%d-%d", group, round, u)
					there = append(there, id)
					for k := range rowsPerUser {
						_, line := event(id, fmt.Sprint(rng.IntN(50)), k)
						text += line
					}
				}
				importText(t, e, group, engine.Interactions, engine.ImportIncremental, text)
				rng.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
				n := len(there) / 2
				if job := deleteUsers(t, e, group, there[:n]...); *job.NumDeleted != int64(n*rowsPerUser) {
					t.Errorf("deleted %d rows of %d users", *job.NumDeleted, n)
				}
				there = there[n:]
			}
			left[g] = there
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	for g, group := range groups {
		if n := len(scan(t, e, group, engine.Interactions)); n != len(left[g])*rowsPerUser {
			t.Errorf("%d rows left, want %d", n, len(left[g])*rowsPerUser)
		}
	}
}

// TestSnapshotMaxAge: a snapshot that nobody releases holds an erasure only until it is too old.
func TestSnapshotMaxAge(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone, SnapshotMaxAge: 150 * time.Millisecond})
	importSmall(t, e)
	leaked := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	early := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	early.Release()
	job := deleteUsers(t, e, "g", "user-01") // ends by itself
	if *job.NumDeleted != 11 || inFolder(t, path, "user-01") {
		t.Errorf("job %+v", job)
	}
	for _, err := range leaked.Scan(ctx, engine.Interactions) {
		if !errors.Is(err, engine.ErrExpired) {
			t.Errorf("a scan of what expired: %v", err)
		}
	}
	if _, err := leaked.UserRows(ctx, engine.Users, "user-02"); !errors.Is(err, engine.ErrExpired) {
		t.Errorf("rows of what expired: %v", err)
	}
	if _, err := early.UserRows(ctx, engine.Users, "user-02"); !errors.Is(err, engine.ErrReleased) {
		t.Errorf("rows of what was released: %v", err)
	}
	leaked.Release()
	if _, err := leaked.UserRows(ctx, engine.Users, "user-02"); !errors.Is(err, engine.ErrExpired) {
		t.Errorf("and released: %v", err)
	}
	if n := len(scan(t, e, "g", engine.Users)); n != 49 {
		t.Errorf("a new reader sees %d users", n)
	}
}
