package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/expunge-db/expunge/bench"
	"github.com/expunge-db/expunge/engine"
)

const (
	victimEnv = "EXPUNGE_TEST_VICTIM" // path of the store; see runVictim
	jobEnv    = "EXPUNGE_TEST_JOB"    // "delete" or "import", a space, the source; or "put" or "storm", a space, a tracking ID
	killGroup = "bench"
	killJob   = "the-job"
)

// runVictim opens a store, begins the job or goes on with it, and prints each step of it until it is killed.
func runVictim(path string) {
	ctx := context.Background()
	say := func(v any) {
		fmt.Println(v)
		if err, ok := v.(error); ok && err != nil {
			os.Exit(1)
		}
	}
	locations, err := openLocations(os.Getenv(locationsEnv))
	if err != nil {
		say(err)
	}
	e, err := engine.Open(ctx, path, engine.Options{Locations: locations})
	if err != nil {
		say(err)
	}
	kind, source, _ := strings.Cut(os.Getenv(jobEnv), " ")
	if kind == "put" {
		putForever(ctx, e, source, say)
	}
	if kind == "storm" {
		stormForever(ctx, e, source, say)
	}
	var job engine.Job
	if kind == "delete" {
		if job, err = e.DescribeDataDeletionJob(ctx, killJob); err != nil {
			job, err = e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Name: killJob, Group: killGroup, Source: source})
		}
	} else if job, err = e.DescribeDatasetImportJob(ctx, killJob); err != nil {
		job, err = e.CreateDatasetImportJob(ctx, engine.NewDatasetImportJob{
			Name: killJob, Group: killGroup, Type: engine.Interactions, Source: source, Mode: engine.ImportIncremental,
		})
	}
	if err != nil {
		say(err)
	}
	say("created")
	over := make(chan struct{})
	go func() {
		var failed *engine.JobError
		if _, err := e.Wait(ctx, job); err != nil && !errors.As(err, &failed) {
			say(err)
		}
		close(over)
	}()
	last := engine.Step("")
	for {
		select {
		case <-over:
			say("over")
			time.Sleep(time.Hour) // until it is killed
		case <-time.After(100 * time.Microsecond):
		}
		if p, ok := e.Progress(job); ok && p.Step != last {
			last = p.Step
			say(last)
		}
	}
}

// victim is a process that runs a job.
type victim struct {
	cmd   *exec.Cmd
	steps chan string
}

func startVictim(t *testing.T, store, job string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(os.Args[0]), steps: make(chan string, 100)}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+store, jobEnv+"="+job)
	v.cmd.Stderr = os.Stderr
	out := must[io.ReadCloser](t)(v.cmd.StdoutPipe())
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v.cmd.ProcessState == nil { // the test gave up before it killed it
			t.Log(v.cmd.Process.Kill(), v.cmd.Wait())
		}
	})
	go func() {
		defer close(v.steps)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			v.steps <- lines.Text()
		}
	}()
	return v
}

// until waits until the victim says step, or is over, and returns when it said what.
func (v *victim) until(step string) (said []string, at []time.Time) {
	for s := range v.steps {
		said, at = append(said, s), append(at, time.Now())
		if s == step || s == "over" {
			break
		}
	}
	return said, at
}

// kill ends the victim at once and returns the last that it said.
func (v *victim) kill(t *testing.T) (last string) {
	t.Helper()
	if err := v.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for s := range v.steps {
		last = s
	}
	if err := v.cmd.Wait(); err == nil {
		t.Error("the victim ended by itself")
	}
	return last
}

// killCase is a job on a store that was prepared once.
type killCase struct {
	store string // closed; copied for each kill
	job   string
	gone  map[[rawIDLen]byte]bool // IDs that must not be in the file at the end
	fails bool

	want   killResult
	phases []string
	length map[string]time.Duration // of each phase, in a run that isn't killed
}

// killResult is what has to be the same with kills as without.
type killResult struct {
	counts     string
	reason     string
	numDeleted int64
	proof      string // what the ledger says, and who is suppressed
	rows       map[engine.DatasetType]rowsDigest
}

// rowsDigest is the same for the same rows in whatever order.
type rowsDigest struct{ n, hi, lo uint64 }

func (d *rowsDigest) add(row []byte) {
	h := xxh3.Hash128(row)
	d.n, d.hi, d.lo = d.n+1, d.hi+h.Hi, d.lo+h.Lo
}

func digestRows(t *testing.T, e *engine.Engine, group string, typ engine.DatasetType) (d rowsDigest) {
	t.Helper()
	var buf []byte
	for rec, err := range e.Scan(context.Background(), group, typ) {
		if err != nil {
			t.Error(err)
			return d
		}
		for i := range int(rec.NumRows()) {
			buf = appendRow(buf[:0], rec, i)
			d.add(buf)
		}
		rec.Release()
	}
	return d
}

// finish opens a store, lets its job end and looks at everything.
func (c *killCase) finish(t *testing.T, store string) (res killResult) {
	t.Helper()
	ctx := context.Background()
	e := open(t, store, engine.Options{})
	job, err := e.DescribeDataDeletionJob(ctx, killJob)
	if errors.Is(err, engine.ErrNotFound) {
		job, err = e.DescribeDatasetImportJob(ctx, killJob)
	}
	if err != nil {
		t.Fatal(err)
	}
	job, err = e.Wait(ctx, job)
	if failed := new(engine.JobError); errors.As(err, &failed) != c.fails || err != nil && !c.fails {
		t.Fatalf("the job ended as %s: %v", job.Status, err)
	}
	res.reason = job.FailureReason
	if job.NumDeleted != nil {
		res.numDeleted = *job.NumDeleted
	}
	res.counts = fmt.Sprintf("%+v", job.Counts)
	res.proof = proof(t, e)
	var check sync.WaitGroup
	check.Go(func() { mustCheck(t, e) })
	res.rows = make(map[engine.DatasetType]rowsDigest)
	for _, typ := range []engine.DatasetType{engine.Users, engine.Interactions} {
		res.rows[typ] = digestRows(t, e, killGroup, typ)
	}
	if found := findIDs(readFile(t, store), c.gone); len(found) > 0 {
		t.Errorf("%d of %d IDs of the list are in the file when the job is over", len(found), len(c.gone))
	}
	check.Wait()
	mustClose(t, e)
	if found := findIDs(readFile(t, store), c.gone); len(found) > 0 {
		t.Errorf("%d of %d IDs of the list are in the closed file", len(found), len(c.gone))
	}
	if n := len(folderFiles(t, store)); n != 1 {
		t.Errorf("%d files in the store's folder, want 1", n)
	}
	return res
}

// proof returns what has to come out the same of the ledger and of those who are suppressed.
func proof(t *testing.T, e *engine.Engine) string {
	t.Helper()
	ctx := context.Background()
	must[engine.LedgerReport](t)(e.VerifyLedger(ctx, ""))
	out := fmt.Sprintf("%+v", must[engine.Suppression](t)(e.Suppressed(ctx, killGroup)))
	for _, r := range ledger(t, e) {
		out += fmt.Sprintf(", receipt %d: %+v %+v %+v %d %t, %d users checked",
			r.Number, r.Files, r.Counts, r.Hashes, r.NumDeleted, r.Suppressed, r.Verified.Users)
	}
	return out
}

func (c *killCase) copyStore(t *testing.T) string {
	t.Helper()
	from := must[*os.File](t)(os.Open(c.store))
	path := storePath(t)
	to := must[*os.File](t)(os.Create(path))
	_, err := io.Copy(to, from)
	if err := errors.Join(err, from.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// measure runs the job without a kill.
func (c *killCase) measure(t *testing.T) {
	store := c.copyStore(t)
	v := startVictim(t, store, c.job)
	said, at := v.until("over")
	if len(said) < 2 || said[len(said)-1] != "over" {
		t.Fatalf("the victim said %q", said)
	}
	v.kill(t)
	c.length = make(map[string]time.Duration)
	for i := range len(said) - 1 {
		c.length[said[i]] += at[i+1].Sub(at[i])
		if !slices.Contains(c.phases, said[i]) && said[i] != "created" {
			c.phases = append(c.phases, said[i])
		}
	}
	c.want = c.finish(t, store)
	t.Logf("without a kill: %v, %+v", c.length, c.want)
}

// run kills the job at n random moments, spread over its phases, every third time once more while it goes on.
func (c *killCase) run(t *testing.T, n int, seed uint64) {
	c.measure(t)
	rng := rand.New(rand.NewPCG(seed, seed))
	hit := make(map[string]int)
	for i := range n {
		phase := c.phases[i%len(c.phases)]
		ok := t.Run(fmt.Sprintf("%d-%s", i, phase), func(t *testing.T) {
			store := c.copyStore(t)
			v := startVictim(t, store, c.job)
			v.until(phase)
			delay := time.Duration(rng.Int64N(int64(c.length[phase]) + 1))
			if c.fails { // the end is what is of interest
				delay = c.length[phase] - delay/5
			}
			time.Sleep(delay)
			last := v.kill(t)
			if last == "" {
				last = phase
			}
			hit[last]++
			if i%3 == 2 {
				v := startVictim(t, store, c.job)
				said, _ := v.until("created")
				time.Sleep(time.Duration(rng.Int64N(int64(c.length[phase]) + 1)))
				if last := v.kill(t); last != "" {
					said = append(said, last)
				}
				hit["resumed: "+said[len(said)-1]]++
			}
			got := c.finish(t, store)
			if got.counts != c.want.counts || got.reason != c.want.reason || got.numDeleted != c.want.numDeleted || got.proof != c.want.proof || !maps.Equal(got.rows, c.want.rows) {
				t.Errorf("killed %v into %s (seed %d): %+v, want %+v", delay, phase, seed, got, c.want)
			}
		})
		if !ok {
			break
		}
	}
	t.Logf("kills by phase: %v", hit)
}

// splitFile cuts the last 14th off a CSV file and writes it to a file of its own, with a header and with some rows before
// it, which so are in both.
func splitFile(t *testing.T, path string) (later string) {
	t.Helper()
	data := readFile(t, path)
	afterLine := func(at int) int { return at + bytes.IndexByte(data[at:], '\n') + 1 }
	cut := afterLine(len(data) - len(data)/14)
	text := string(data[:afterLine(0)]) + string(data[afterLine(cut-len(data)/100):])
	if err := os.Truncate(path, int64(cut)); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Dir(path), "later.csv", text)
}

// killConfig is small unless the long test is asked for.
func killConfig() bench.Config {
	if longKills() {
		return bench.Config{Users: 60_000, Items: 4000, Interactions: 2_150_000}
	}
	return bench.Config{Users: 5_000, Items: 1000, Interactions: 54_000}
}

func longKills() bool { return os.Getenv("EXPUNGE_TEST_LONG") != "" }

// everyPoint asks for loops that take longer than a change can wait for.
func everyPoint() bool { return os.Getenv("EXPUNGE_TEST_LONG") == "all" }

// prepareKill makes the store that is copied for each kill, and a file of interactions to import into it.
func prepareKill(t *testing.T, codec engine.Codec) (store, later string) {
	files := must[bench.Files](t)(bench.Generate(context.Background(), killConfig(), t.TempDir(), nil))
	later = splitFile(t, files.Interactions)
	store = storePath(t)
	e := open(t, store, engine.Options{Codec: codec})
	createGroup(t, e, killGroup, map[engine.DatasetType]string{engine.Users: bench.UsersSchema, engine.Interactions: bench.InteractionsSchema})
	if err := e.SetSuppression(context.Background(), killGroup, true); err != nil {
		t.Fatal(err)
	}
	importFile(t, e, killGroup, engine.Users, files.Users, engine.ImportFull)
	importFile(t, e, killGroup, engine.Interactions, files.Interactions, engine.ImportFull)
	mustClose(t, e)
	return store, later
}

func kills() int {
	switch {
	case everyPoint():
		return 50
	case longKills():
		return 15
	}
	return 3
}

func TestKillDeletion(t *testing.T) {
	c := killConfig()
	store, _ := prepareKill(t, engine.CodecNone)
	gone := slices.Collect(must[iter.Seq[string]](t)(c.DeletionList(c.Users / 10)))
	if found := findIDs(readFile(t, store), idSet(slices.Values(gone))); len(found) != len(gone) {
		t.Fatalf("%d of %d IDs are in the file before, so a search can't prove anything", len(found), len(gone))
	}
	stranger := bench.Config{Seed: 99}
	for i := range 150_000 { // more than two batches
		gone = append(gone, stranger.UserID(i))
	}
	k := killCase{store: store, job: "delete " + listFile(t, gone...), gone: idSet(slices.Values(gone))}
	k.run(t, kills(), 1)
	if k.want.numDeleted == 0 {
		t.Error("the list deletes nobody")
	}
	if !strings.Contains(k.want.proof, fmt.Sprintf("Users:%d ", len(gone))) {
		t.Errorf("not all of %d listed users are suppressed: %s", len(gone), k.want.proof)
	}
}

// TestKillFailure kills a job whose list ends with a bad line: what it staged must be gone before it is FAILED.
func TestKillFailure(t *testing.T) {
	c := killConfig()
	store, _ := prepareKill(t, engine.CodecPacked)
	stranger := bench.Config{Seed: 99}
	var list []string
	for i := range 150_000 {
		list = append(list, stranger.UserID(i))
	}
	file := listFile(t, append(slices.Clone(list), c.UserID(0), "a,b")...)
	k := killCase{store: store, job: "delete " + file, gone: idSet(slices.Values(list)), fails: true}
	k.run(t, max(3, kills()/5), 3)
	if users := k.want.rows[engine.Users].n; users != uint64(c.Users) {
		t.Errorf("%d users are left of %d", users, c.Users)
	}
}

func TestKillImport(t *testing.T) {
	store, later := prepareKill(t, engine.CodecPacked)
	k := killCase{store: store, job: "import " + later}
	k.run(t, kills(), 2)
}
