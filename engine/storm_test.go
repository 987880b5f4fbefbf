package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// storm puts events from several goroutines while deletions, imports, snapshots and the end of the engine come in between.
// Every event has a marker of its own, so that what became of each is known.
type storm struct {
	t    *testing.T
	path string
	id   string // of the event tracker

	engine  atomic.Pointer[engine.Engine]
	state   sync.Mutex
	clock   int // guarded by state; as are all of these
	events  []*stormEvent
	deleted []stormDeletion
	bulk    int64 // rows that imports added, less those that they replaced

	open     map[int][]string // users of deletions under way, by their beginning; guarded by state
	suppress bool             // who was deleted stays out
	users    int
}

// stormEvent is an event with the clock at the beginning of its call and after its end.
type stormEvent struct {
	user, marker string
	anonymous    bool
	from, to     int
}

// stormDeletion is a deletion, with the clock before it was created and after it was COMPLETED.
type stormDeletion struct {
	users    []string
	from, to int
	rows     int64 // of interactions
}

func (s *storm) tick() int {
	s.state.Lock()
	defer s.state.Unlock()
	s.clock++
	return s.clock
}

func stormUser(n int) string { return fmt.Sprintf("stormuser%07d", n) }

func (s *storm) put(rng *rand.Rand, n int) {
	u := rng.IntN(s.users)
	ev := &stormEvent{user: stormUser(u), marker: fmt.Sprintf("marker%010d", n), anonymous: rng.IntN(3) == 0}
	event := view("pen"+strconv.Itoa(rng.IntN(9)), int64(rng.IntN(4)))
	event.RecommendationID = ev.marker
	user, session := ev.user, "session-"+ev.user
	if ev.anonymous {
		user = ""
	} else if rng.IntN(3) == 0 {
		session = ""
	}
	ev.from = s.tick()
	events := []engine.Event{event}
	if !ev.anonymous && rng.IntN(2) == 0 {
		events = append(events, event) // it is kept once
	}
	s.try(func(e *engine.Engine) error { return e.PutEvents(context.Background(), s.id, user, session, events) })
	ev.to = s.tick()
	s.state.Lock()
	s.events = append(s.events, ev)
	s.state.Unlock()
}

func (s *storm) delete(rng *rand.Rand) {
	d := stormDeletion{from: s.tick()}
	for i := range s.users {
		if s.suppress && rng.IntN(20) == 0 || !s.suppress && rng.IntN(3) == 0 {
			d.users = append(d.users, stormUser(i))
		}
	}
	s.state.Lock()
	s.open[d.from] = d.users
	s.state.Unlock()
	name, list := fmt.Sprint("delete-", d.from), listFile(s.t, append(d.users, "stranger")...)
	var job engine.Job
	s.try(func(e *engine.Engine) (err error) {
		if job, err = e.DescribeDataDeletionJob(context.Background(), name); errors.Is(err, engine.ErrNotFound) {
			job, err = e.CreateDataDeletionJob(context.Background(), engine.NewDataDeletionJob{Name: name, Group: "g", Source: list})
		}
		if err == nil {
			job, err = e.Wait(context.Background(), job)
		}
		return err
	})
	d.to = s.tick()
	d.rows = job.Counts.Deleted[string(engine.Interactions)]
	if job.NumDeleted == nil || *job.NumDeleted != d.rows+job.Counts.Deleted[string(engine.Users)] {
		s.t.Errorf("numDeleted %v, counts %v", job.NumDeleted, job.Counts.Deleted)
	}
	// What was there before it was created is nowhere in the folder now.
	raw := ""
	for _, f := range folderFiles(s.t, s.path) {
		if b, err := os.ReadFile(f); err == nil {
			raw += string(b)
		}
	}
	s.state.Lock()
	defer s.state.Unlock()
	for _, ev := range s.events {
		if !ev.anonymous && ev.to < d.from && slices.Contains(d.users, ev.user) && strings.Contains(raw, ev.marker) {
			s.t.Errorf("marker %s of a deleted user is in the file", ev.marker)
		}
	}
	s.deleted = append(s.deleted, d)
	delete(s.open, d.from)
}

func (s *storm) importRows(rng *rand.Rand, n int) {
	text := "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,IMPRESSION,NUMBER_OF_CLICKS,RECOMMENDATION_ID,TIMESTAMP\n"
	for i := range 20 {
		text += fmt.Sprintf("%s,pen%d,view,,,,bulk-%d-%d,%d\n", stormUser(rng.IntN(s.users)), rng.IntN(9), n, i, rng.IntN(4))
	}
	mode := engine.ImportIncremental
	if rng.IntN(3) == 0 {
		mode = engine.ImportFull
	}
	name, source := fmt.Sprint("import-", n), writeFile(s.t, s.t.TempDir(), "rows.csv", text)
	var job engine.Job
	s.try(func(e *engine.Engine) (err error) {
		if job, err = e.DescribeDatasetImportJob(context.Background(), name); errors.Is(err, engine.ErrNotFound) {
			job, err = e.CreateDatasetImportJob(context.Background(), engine.NewDatasetImportJob{Name: name, Group: "g", Type: engine.Interactions, Source: source, Mode: mode})
		}
		if err == nil {
			job, err = e.Wait(context.Background(), job)
		}
		return err
	})
	s.state.Lock()
	defer s.state.Unlock()
	s.bulk += job.Counts.RowsAdded - job.Counts.RowsReplaced
}

func (s *storm) look(rng *rand.Rand) {
	var sn *engine.Snapshot
	s.try(func(e *engine.Engine) (err error) {
		sn, err = e.Snapshot(context.Background(), "g")
		return err
	})
	defer sn.Release()
	read := func() (rows []string, ok bool) {
		for rec, err := range sn.Scan(context.Background(), engine.Interactions) {
			if errors.Is(err, engine.ErrClosed) { // it was opened when Close no longer looked
				return nil, false
			}
			if err != nil {
				s.t.Error(err)
				return nil, false
			}
			for i := range int(rec.NumRows()) {
				rows = append(rows, string(appendRow(nil, rec, i)))
			}
			rec.Release()
		}
		return rows, true
	}
	first, ok := read()
	time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
	if again, ok2 := read(); ok && ok2 {
		sameRows(s.t, "a snapshot read twice", again, first)
	}
}

// backup copies the store, and looks into the copy.
func (s *storm) backup() {
	ctx := context.Background()
	s.state.Lock()
	deleted, events := slices.Clone(s.deleted), slices.Clone(s.events)
	s.state.Unlock()
	began := s.tick()
	dest := storePath(s.t)
	s.try(func(e *engine.Engine) error {
		_, err := e.Backup(ctx, dest)
		return err
	})
	e := must[*engine.Engine](s.t)(engine.Open(ctx, dest, engine.Options{}))
	defer mustClose(s.t, e)
	for _, j := range e.Resumed() {
		if _, err := e.Wait(ctx, j); err != nil {
			s.t.Error(err)
		}
	}
	if _, err := e.DryRunDeletion(ctx, "g", listFile(s.t, "stranger")); err != nil {
		s.t.Error(err)
	}
	there := make(map[string]int)
	for _, r := range scan(s.t, e, "g", engine.Interactions) {
		there[strings.Split(r, "\x1f")[5]]++
	}
	mustCheck(s.t, e)
	s.state.Lock()
	defer s.state.Unlock()
	for _, ev := range events {
		if ev.to > began || ev.anonymous {
			continue
		}
		must, mustNot := true, false
		for _, d := range s.deleted {
			if slices.Contains(d.users, ev.user) {
				must = must && d.to < ev.from && !s.suppress
			}
		}
		for _, d := range deleted {
			if slices.Contains(d.users, ev.user) {
				mustNot = mustNot || ev.to < d.from || s.suppress && d.to < ev.from
			}
		}
		for _, d := range s.open {
			must = must && !slices.Contains(d, ev.user)
		}
		if n := there[ev.marker]; n > 1 || must && n == 0 || mustNot && n > 0 {
			s.t.Errorf("backup: %+v is there %d times", *ev, n)
		}
	}
}

func (s *storm) reopen() {
	mustClose(s.t, s.engine.Load())
	s.engine.Store(must[*engine.Engine](s.t)(engine.Open(context.Background(), s.path, engine.Options{Codec: engine.CodecNone})))
}

// try calls fn again as long as the engine was closed meanwhile.
func (s *storm) try(fn func(*engine.Engine) error) {
	for {
		e := s.engine.Load()
		err := fn(e)
		if err == nil {
			return
		}
		if !errors.Is(err, engine.ErrClosed) {
			s.t.Error(err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestStorm(t *testing.T) { testStorm(t, false, 6) }

// TestStormSuppressed is TestStorm in a group that keeps out who was deleted.
func TestStormSuppressed(t *testing.T) { testStorm(t, true, 100) }

func testStorm(t *testing.T, suppress bool, users int) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	s := &storm{t: t, path: storePath(t), open: make(map[int][]string), suppress: suppress, users: users}
	s.engine.Store(must[*engine.Engine](t)(engine.Open(context.Background(), s.path, engine.Options{Codec: engine.CodecNone})))
	s.id = tracked(t, s.engine.Load())
	if err := s.engine.Load().SetSuppression(context.Background(), "g", suppress); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	run := func(times int, fn func(rng *rand.Rand, i int)) {
		n := rand.New(rand.NewPCG(seed, uint64(times))).Uint64()
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, n))
			for i := range times {
				if t.Failed() {
					return
				}
				fn(rng, i)
			}
		})
	}
	for w := range 6 {
		run(100+w, func(rng *rand.Rand, i int) {
			s.put(rng, w*1000+i)
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		})
	}
	run(6, func(rng *rand.Rand, _ int) { s.delete(rng) })
	run(7, func(rng *rand.Rand, _ int) { s.delete(rng) })
	run(8, func(rng *rand.Rand, i int) { s.importRows(rng, i) })
	run(9, func(rng *rand.Rand, _ int) { s.look(rng) })
	run(2, func(*rand.Rand, int) { s.backup() })
	run(3, func(rng *rand.Rand, _ int) {
		time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond)
		s.reopen()
	})
	wg.Wait()
	e := s.engine.Load()
	// Whose all sessions are, in the end.
	ctx := context.Background()
	for i := range s.users {
		mustPut(t, e, s.id, stormUser(i), "session-"+stormUser(i), view("last", 1))
	}
	puts := int64(s.users)
	if _, err := e.DryRunDeletion(ctx, "g", listFile(t, "stranger")); err != nil { // folds
		t.Fatal(err)
	}
	rows := scan(t, e, "g", engine.Interactions)
	there := make(map[string]int)
	for _, r := range rows {
		there[strings.Split(r, "\x1f")[5]]++
	}
	deleted := int64(0)
	for _, d := range s.deleted {
		deleted += d.rows
	}
	raw := string(readFile(t, s.path))
	for _, ev := range s.events {
		puts++
		n := there[ev.marker]
		if n > 1 {
			t.Errorf("%+v is there %d times", *ev, n)
		}
		must, mustNot := true, false
		for _, d := range s.deleted {
			if slices.Contains(d.users, ev.user) {
				must = must && d.to < ev.from && !suppress
				mustNot = mustNot || !ev.anonymous && (ev.to < d.from || suppress && d.to < ev.from)
			}
		}
		if must && n == 0 || mustNot && (n > 0 || strings.Contains(raw, ev.marker)) {
			t.Errorf("%+v is there %d times", *ev, n)
		}
	}
	if got, want := int64(len(rows)), puts+s.bulk-deleted; got != want && !suppress {
		t.Errorf("%d rows in the end; %d were put, %d imported, %d deleted: want %d", got, puts, s.bulk, deleted, want)
	}
	var all []string
	for i := range s.users {
		all = append(all, stormUser(i))
	}
	job := deleteUsers(t, e, "g", all...)
	if *job.NumDeleted != int64(len(rows)) {
		t.Errorf("deleted %d, want %d", *job.NumDeleted, len(rows))
	}
	mustCheck(t, e)
	for _, text := range []string{"stormuser", "marker0", "bulk-", "session-"} {
		if !suppress && inFolder(t, s.path, text) { // else sessions of nobody known are left
			t.Errorf("%s is in the folder in the end", text)
		}
	}
	if err := e.Close(ctx); err != nil && !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
}
