//go:build linux && (amd64 || arm64)

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// faultFiles are the stores and sources of all operations. Each dataset has three blocks at least, and what the deletion
// touches is more than a compaction rewrites in one transaction. IDs that the list names begin with secret.
type faultFiles struct {
	Full, More string // of interactions
	List       string
	Store      string // closed
	Waiting    string // copied while a deletion waited for a snapshot
	TrackingID string
	Cities     []string // of some users; nobody else has them
}

func prepareFaults(t *testing.T) (f faultFiles) {
	const users = 9000
	rng := rand.New(rand.NewPCG(5, 5))
	user := func(u int) string {
		if u%100 == 3 {
			return fmt.Sprintf("%s-%09d", secret, u)
		}
		return fmt.Sprintf("someone-%08d", u)
	}
	var people, items, events, more strings.Builder
	people.WriteString("USER_ID,AGE,CITY\n")
	items.WriteString("ITEM_ID,GENRE\n")
	events.WriteString(eventHeader)
	more.WriteString(eventHeader)
	list := []string{secret + "-nobody-1", secret + "-nobody-2"}
	for u := range users {
		city := make([]byte, 300)
		for i := range city {
			city[i] = 'a' + byte(rng.IntN(26))
		}
		fmt.Fprintf(&people, "%s,%d,%s\n", user(u), u%90, city)
		if u%3000 == 0 {
			f.Cities = append(f.Cities, string(city))
		}
		fmt.Fprintf(&items, "item-%08d,drama\n", u)
		fmt.Fprintf(&events, "%s,item-%08d,view,,%d\n", user(u), u*7%users, u)
		if u%10 == 3 {
			fmt.Fprintf(&more, "%s,item-%08d,click,2,%d\n", user(u), u*3%users, u)
		}
		if strings.HasPrefix(user(u), secret) {
			list = append(list, user(u))
		}
	}
	dir := t.TempDir()
	f.Full = writeFile(t, dir, "full.csv", strings.ReplaceAll(events.String(), "view", "like"))
	f.More = writeFile(t, dir, "more.csv", more.String())
	f.List = writeFile(t, dir, "list.csv", "USER_ID\n"+strings.Join(list, "\n")+"\n")
	f.Store = storePath(t)
	e := open(t, f.Store, engine.Options{Codec: engine.CodecNone})
	createGroup(t, e, "g", testSchemas)
	if err := e.SetSuppression(t.Context(), "g", true); err != nil {
		t.Fatal(err)
	}
	importText(t, e, "g", engine.Users, engine.ImportFull, people.String())
	importText(t, e, "g", engine.Items, engine.ImportFull, items.String())
	importText(t, e, "g", engine.Interactions, engine.ImportFull, events.String())
	f.TrackingID = must[engine.EventTracker](t)(e.CreateEventTracker(t.Context(), engine.NewEventTracker{Name: "clicks", Group: "g"})).TrackingID
	mustPut(t, e, f.TrackingID, "", secret+"-session", view("item-00000003", 1))
	mustPut(t, e, f.TrackingID, user(3), secret+"-session", view("item-00000003", 2))
	eventually(t, "what was put is seen", func() bool { return digestRows(t, e, "g", engine.Interactions).n == users+2 })
	mustClose(t, e)

	live := copyFile(t, f.Store)
	e = open(t, live, engine.Options{})
	sn := must[*engine.Snapshot](t)(e.Snapshot(t.Context(), "g"))
	job := must[engine.Job](t)(e.CreateDataDeletionJob(t.Context(), engine.NewDataDeletionJob{Name: killJob, Group: "g", Source: f.List}))
	waitFor(t, e, job, "waited for the snapshot", isWaiting)
	f.Waiting = copyFile(t, live)
	sn.Release()
	must[engine.Job](t)(e.Wait(t.Context(), job))
	mustClose(t, e)
	if !inFolder(t, f.Waiting, secret) || !inFolder(t, f.Store, secret) {
		t.Fatal("the IDs aren't in the file, so a search can't prove anything")
	}
	return f
}

// faultOp is something that an engine does, on a copy of a store that was prepared once.
type faultOp struct {
	name  string
	store string // closed
	// run does it. It returns when it is over, or when waiting says that it is no use.
	run     func(w waiting, e *engine.Engine, dir string) error
	deletes bool     // as killJob
	exports bool     // too
	puts    int      // calls that put events
	removes bool     // the Users dataset
	gone    []string // is in no file once it is removed

	before, after faultState
	numDeleted    int64
	durable       int // how many of the calls of run that are no jobs have returned
}

// backupName is that of the copy beside the store.
const backupName = "backup.expunge"

func faultOps(f faultFiles) []*faultOp {
	ctx := context.Background()
	imports := func(mode engine.ImportMode, source string) func(waiting, *engine.Engine, string) error {
		return func(w waiting, e *engine.Engine, _ string) error {
			job, err := e.CreateDatasetImportJob(ctx, engine.NewDatasetImportJob{Name: killJob, Group: "g", Type: engine.Interactions, Source: source, Mode: mode})
			if err == nil {
				err = w.job(e, job, nil)
			}
			if err == nil {
				err = w.merged(e)
			}
			return err
		}
	}
	ops := []*faultOp{
		{name: "full import", store: f.Store, run: imports(engine.ImportFull, f.Full)},
		{name: "incremental import and merge", store: f.Store, run: imports(engine.ImportIncremental, f.More)},
		{name: "deletion", store: f.Store, deletes: true, run: func(w waiting, e *engine.Engine, _ string) error {
			sn, err := e.Snapshot(ctx, "g") // held until the job waits for it
			if err != nil {
				return err
			}
			defer sn.Release()
			job, err := e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Name: killJob, Group: "g", Source: f.List})
			if err != nil {
				return err
			}
			return w.job(e, job, func(j engine.Job) {
				if isWaiting(j) {
					sn.Release()
				}
			})
		}},
		{name: "deletion that goes on", store: f.Waiting, deletes: true, run: func(w waiting, e *engine.Engine, _ string) error {
			job, err := e.DescribeDataDeletionJob(ctx, killJob)
			if err != nil {
				return err
			}
			return w.job(e, job, nil)
		}},
		{name: "backup", store: f.Store, run: func(_ waiting, e *engine.Engine, dir string) error {
			_, err := e.Backup(ctx, filepath.Join(dir, backupName))
			return err
		}},
		{name: "export", store: f.Store, exports: true, run: func(w waiting, e *engine.Engine, dir string) error {
			job, err := e.CreateDatasetExportJob(ctx, engine.NewDatasetExportJob{
				Name: killJob, Group: "g", Type: engine.Interactions, Ingestion: engine.IngestionAll, Destination: filepath.Join(dir, exportName),
			})
			if err == nil {
				err = w.job(e, job, nil)
			}
			return err
		}},
	}
	return append(ops, putOp(f), removeOp(f))
}

// measure runs an operation without a fault. It returns the calls that an injector, if it isn't nil, saw.
func (op *faultOp) measure(t *testing.T, inject *injector) (counts callCounts) {
	e := open(t, copyFile(t, op.store), engine.Options{ReadOnly: true})
	op.before = stateOf(t, e)
	mustClose(t, e)
	path := copyFile(t, op.store)
	if inject != nil {
		inject.arm(filepath.Dir(path), nil, 0, 0, 0)
	}
	e = open(t, path, engine.Options{})
	if err := op.run(waiting{}, e, filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	op.after = stateOf(t, e)
	if op.deletes {
		op.numDeleted = *must[engine.Job](t)(e.DescribeDataDeletionJob(t.Context(), killJob)).NumDeleted
	}
	op.durable = 0
	mustClose(t, e)
	if inject != nil {
		counts = inject.counts()
		inject.disarm()
	}
	return counts
}

// inMemory lets the test's folders lie in memory where the system has a place for that, since nobody waits for a disk there.
func inMemory(t *testing.T) {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", dir)
	}
}

// waiting waits for what an engine does.
type waiting struct {
	giveUp func() bool // nil never
}

var (
	errGaveUp    = errors.New("the fault lasts")
	errNeverEnds = errors.New("it never ends")
)

// job waits until a job is over, and calls each, which may be nil, with what it is meanwhile.
func (w waiting) job(e *engine.Engine, job engine.Job, each func(engine.Job)) error {
	return w.until(func() (bool, error) {
		now, err := describeKillJob(e)
		if err == nil && each != nil {
			each(now)
		}
		return err == nil && now.Status.Terminal(), err
	})
}

func describeKillJob(e *engine.Engine) (engine.Job, error) {
	job, err := e.DescribeDataDeletionJob(context.Background(), killJob)
	if errors.Is(err, engine.ErrNotFound) {
		job, err = e.DescribeDatasetImportJob(context.Background(), killJob)
	}
	if errors.Is(err, engine.ErrNotFound) {
		job, err = e.DescribeDatasetExportJob(context.Background(), killJob)
	}
	return job, err
}

// merged waits until no dataset has more than one layer of each kind.
func (w waiting) merged(e *engine.Engine) error {
	return w.until(func() (bool, error) {
		st, err := e.Stats(context.Background())
		if err != nil {
			return false, err
		}
		for _, d := range st.Groups[0].Datasets {
			if put := len(d.Dataset.Put); put > 1 || len(d.Dataset.Layers)-put > 1 {
				return false, nil
			}
		}
		return true, nil
	})
}

// until waits until done says so. A read that fails is tried again.
func (w waiting) until(done func() (bool, error)) error {
	for range 20_000 {
		ok, err := done()
		if ok || errors.Is(err, engine.ErrPoisoned) || errors.Is(err, engine.ErrClosed) {
			return err
		}
		if w.giveUp != nil && w.giveUp() {
			return errGaveUp
		}
		time.Sleep(time.Millisecond)
	}
	return errNeverEnds
}

// faultState is what there is to see of a store.
type faultState struct {
	rows       map[engine.DatasetType]rowsDigest
	suppressed int64
	receipts   uint64
}

func (s faultState) equal(o faultState) bool {
	return maps.Equal(s.rows, o.rows) && s.suppressed == o.suppressed && s.receipts == o.receipts
}

func stateOf(t *testing.T, e *engine.Engine) (s faultState) {
	t.Helper()
	s.rows = make(map[engine.DatasetType]rowsDigest)
	for _, d := range must[[]engine.Dataset](t)(e.Datasets(context.Background(), "g")) {
		s.rows[d.Type] = digestRows(t, e, "g", d.Type)
	}
	s.suppressed = must[engine.Suppression](t)(e.Suppressed(context.Background(), "g")).Users
	s.receipts = must[engine.LedgerReport](t)(e.VerifyLedger(context.Background(), "")).Receipts
	return s
}

// settle opens a store after a fault, lets everything end, looks at it, and removes it. It returns what became of the job,
// "" if there is none.
func (op *faultOp) settle(t *testing.T, path, where string) engine.JobStatus {
	t.Helper()
	e, err := engine.Open(context.Background(), path, engine.Options{})
	if err != nil {
		t.Errorf("%s: open again: %v", where, err)
		return ""
	}
	defer mustClose(t, e)
	mustCheck(t, e)
	job, err := describeKillJob(e)
	if err == nil {
		job, err = e.Wait(context.Background(), job)
	}
	got, want := stateOf(t, e), op.before
	happened := job.Status == engine.StatusCompleted
	switch failed := new(engine.JobError); {
	case errors.As(err, &failed) && job.FailureReason != "":
	case errors.Is(err, engine.ErrNotFound):
		got, want = op.settleCalls(t, e, got, where)
	case err != nil || !happened:
		t.Errorf("%s: the job ends as %q: %v", where, job.Status, err)
	default:
		want = op.after
	}
	if !got.equal(want) {
		t.Errorf("%s: the job is %q and the store has %+v, want %+v", where, job.Status, got, want)
	}
	if op.deletes && ((job.NumDeleted != nil) != happened || happened && *job.NumDeleted != op.numDeleted) {
		t.Errorf("%s: a job that is %q deleted other rows than %d", where, job.Status, op.numDeleted)
	}
	nowhere := secret + "-nobody"
	if op.deletes && happened {
		nowhere = secret
	}
	if inFolder(t, path, nowhere) {
		t.Errorf("%s: IDs of the list are in the folder and the job is %q", where, job.Status)
	}
	if op.exports && happened {
		sameExport(t, filepath.Join(filepath.Dir(path), exportName), op.before.rows[engine.Interactions], where)
	}
	if op.name == "backup" {
		op.settleBackup(t, e, filepath.Join(filepath.Dir(path), backupName), where)
	}
	mustClose(t, e)
	if inFolder(t, path, nowhere) {
		t.Errorf("%s: IDs of the list are in the folder of the closed store", where)
	}
	for _, text := range op.gone {
		if _, there := got.rows[engine.Users]; inFolder(t, path, text) != there {
			t.Errorf("%s: what the dataset alone held is in the folder of the closed store: %t, the dataset is there: %t", where, !there, there)
		}
	}
	if n := len(folderFiles(t, path)); n != 1 {
		t.Errorf("%s: %d files are in the folder, want 1", where, n)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil { // there are many
		t.Error(err)
	}
	return job.Status
}

// settleBackup looks at a backup: it is whole, or isn't there and can be made now.
func (op *faultOp) settleBackup(t *testing.T, e *engine.Engine, dest, where string) {
	t.Helper()
	if _, err := os.Stat(dest); errors.Is(err, os.ErrNotExist) {
		if _, err := e.Backup(context.Background(), dest); err != nil {
			t.Errorf("%s: backup without a fault: %v", where, err)
			return
		}
	}
	b, err := engine.Open(context.Background(), dest, engine.Options{ReadOnly: true})
	if err != nil {
		t.Errorf("%s: the backup can't be opened: %v", where, err)
		return
	}
	mustCheck(t, b)
	if got := stateOf(t, b); !got.equal(op.before) {
		t.Errorf("%s: the backup has %+v, want %+v", where, got, op.before)
	}
	mustClose(t, b)
	if err := os.Remove(dest); err != nil {
		t.Error(err)
	}
}
