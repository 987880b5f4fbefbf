package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/expunge-db/expunge/engine"
)

// model is what the engine should hold, done the simple way: rows as appendRow writes them, in no order.
type model map[engine.DatasetType][]string

func key(row string) string {
	id, _, _ := strings.Cut(row, "\x1f")
	return id
}

// importRows adds rows of one kind, bulk or put; other are the rows of the other kind.
func (m model) importRows(typ engine.DatasetType, mode engine.ImportMode, rows []string, other model) {
	if mode == engine.ImportFull {
		m[typ] = slices.Clone(rows)
		return
	}
	for _, row := range rows {
		if typ == engine.Interactions {
			if !slices.Contains(m[typ], row) && !slices.Contains(other[typ], row) {
				m[typ] = append(m[typ], row)
			}
			continue
		}
		for _, of := range []model{m, other} {
			of[typ] = slices.DeleteFunc(of[typ], func(r string) bool { return key(r) == key(row) })
		}
		m[typ] = append(m[typ], row)
	}
}

// with returns the rows of both.
func (m model) with(other model) model {
	out := make(model)
	for _, typ := range allTypes {
		out[typ] = slices.Concat(m[typ], other[typ])
	}
	return out
}

func (m model) delete(users []string) (n int64) {
	for _, typ := range []engine.DatasetType{engine.Users, engine.Interactions} {
		before := len(m[typ])
		m[typ] = slices.DeleteFunc(m[typ], func(r string) bool { return slices.Contains(users, key(r)) })
		n += int64(before - len(m[typ]))
	}
	return n
}

// modelRun is the engine beside the model.
type modelRun struct {
	t    *testing.T
	rng  *rand.Rand
	path string
	e    *engine.Engine
	m    model // bulk rows
	put  model // those that were put one by one
	open []openSnapshot

	trackingID string
	jobs       map[string]int64 // deletions that may not be over, and how many rows they delete
	done       uint64           // deletions so far
	out        map[string]bool  // users who are kept out of imports; nil while nobody is
}

type openSnapshot struct {
	sn *engine.Snapshot
	m  model
}

const modelUsers = 30

func modelUser(u int) string { return fmt.Sprintf("model-user-%05d", u) }

func (r *modelRun) user() string { return modelUser(r.rng.IntN(modelUsers)) }

// rows makes random rows, and the CSV file that they come from.
func (r *modelRun) rows(typ engine.DatasetType) (rows []string, text string) {
	text = map[engine.DatasetType]string{
		engine.Users: "USER_ID,AGE,CITY\n", engine.Items: "ITEM_ID,GENRE\n", engine.Interactions: eventHeader,
	}[typ]
	for range r.rng.IntN(60) {
		cells := []string{r.user(), fmt.Sprint(r.rng.IntN(5)), []string{"", "Paris", "Bern"}[r.rng.IntN(3)]}
		switch typ {
		case engine.Items:
			cells = []string{fmt.Sprintf("item-%d", r.rng.IntN(30)), "drama"}
		case engine.Interactions:
			cells = []string{r.user(), fmt.Sprintf("item-%d", r.rng.IntN(30)), "view", []string{"", "0.5"}[r.rng.IntN(2)], fmt.Sprint(r.rng.IntN(3))}
		}
		text += strings.Join(cells, ",") + "\n"
		for i, c := range cells {
			if c == "" {
				cells[i] = "\x1e"
			}
		}
		rows = append(rows, strings.Join(cells, "\x1f"))
	}
	return rows, text
}

func (r *modelRun) step() {
	ctx := context.Background()
	switch r.rng.IntN(11) {
	case 9, 10:
		r.putRows()
	case 0, 1, 2:
		typ := allTypes[r.rng.IntN(3)]
		mode := []engine.ImportMode{engine.ImportFull, engine.ImportIncremental, engine.ImportIncremental}[r.rng.IntN(3)]
		rows, text := r.rows(typ)
		importText(r.t, r.e, "g", typ, mode, text)
		if typ != engine.Items {
			rows = slices.DeleteFunc(rows, func(row string) bool { return r.out[key(row)] })
		}
		r.m.importRows(typ, mode, rows, r.put)
	case 3, 4, 5:
		users := []string{r.user(), r.user(), r.user(), "stranger"}
		job := create(r.t, r.e, "g", users...)
		r.jobs[job.Name] = r.m.delete(users) + r.put.delete(users)
		r.done++
		if r.out != nil {
			for _, id := range users {
				r.out[id] = true
			}
		}
		// Its turn has to be over, but it may wait for a snapshot.
		waitFor(r.t, r.e, job, "ended its turn", func(j engine.Job) bool { return j.Released })
	case 6:
		r.open = append(r.open, openSnapshot{must[*engine.Snapshot](r.t)(r.e.Snapshot(ctx, "g")), r.m.with(r.put)})
	case 7:
		r.releaseAll()
		mustClose(r.t, r.e)
		r.raw()
		r.e = open(r.t, r.path, engine.Options{})
	case 8: // off, nobody is kept out; on, it begins with nobody
		must[int64](r.t)(r.e.LiftAllSuppression(ctx, "g"))
		on := r.out == nil
		if r.out = nil; on {
			r.out = make(map[string]bool)
		}
		if err := r.e.SetSuppression(ctx, "g", on); err != nil {
			r.t.Fatal(err)
		}
	}
	if len(r.open) > 2 {
		r.release()
	}
}

// putRows puts rows, and half of the time waits until they are seen. If not, whatever comes next finds them.
func (r *modelRun) putRows() {
	ctx := context.Background()
	typ := allTypes[r.rng.IntN(3)]
	rows, _ := r.rows(typ)
	if typ != engine.Items {
		rows = slices.DeleteFunc(rows, func(row string) bool { return r.out[key(row)] })
	}
	for _, row := range rows {
		cells := strings.Split(strings.ReplaceAll(row, "\x1e", ""), "\x1f")
		arn := must[engine.Dataset](r.t)(r.e.Dataset(ctx, "g", typ)).ARN
		var err error
		switch typ {
		case engine.Users:
			err = r.e.PutUsers(ctx, arn, []engine.PutRow{{ID: cells[0], Properties: fmt.Appendf(nil, `{"age":%s,"city":%q}`, cells[1], cells[2])}})
		case engine.Items:
			err = r.e.PutItems(ctx, arn, []engine.PutRow{{ID: cells[0], Properties: fmt.Appendf(nil, `{"genre":%q}`, cells[1])}})
		default:
			second := must[int64](r.t)(strconv.ParseInt(cells[4], 10, 64))
			ev := view(cells[1], second)
			ev.Properties = fmt.Appendf(nil, `{"eventValue":%q}`, cells[3])
			err = r.e.PutEvents(ctx, r.trackingID, cells[0], "", []engine.Event{ev})
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.put.importRows(typ, engine.ImportIncremental, rows, r.m)
	if r.rng.IntN(2) == 0 {
		job := create(r.t, r.e, "g", "stranger")
		r.jobs[job.Name] = 0
		r.done++
		if r.out != nil {
			r.out["stranger"] = true
		}
		waitFor(r.t, r.e, job, "ended its turn", func(j engine.Job) bool { return j.Released })
		return
	}
	want := r.put.with(r.m)[typ]
	slices.Sort(want)
	eventually(r.t, "what was put is seen", func() bool { return slices.Equal(scan(r.t, r.e, "g", typ), want) })
}

func (r *modelRun) compare(what string, m model, sn *engine.Snapshot) {
	for _, typ := range allTypes {
		slices.Sort(m[typ])
		sameRows(r.t, what+": "+string(typ), collect(r.t, sn.Scan(context.Background(), typ)), m[typ])
	}
	id := r.user()
	var got, want []string
	if rec := must[arrow.Record](r.t)(sn.UserRows(context.Background(), engine.Interactions, id)); rec != nil {
		for i := range int(rec.NumRows()) {
			got = append(got, string(appendRow(nil, rec, i)))
		}
		rec.Release()
	}
	for _, row := range m[engine.Interactions] {
		if key(row) == id {
			want = append(want, row)
		}
	}
	slices.Sort(got)
	sameRows(r.t, what+": rows of one user", got, want)
}

// release compares the oldest snapshot with what the model was then, and ends it.
func (r *modelRun) release() {
	r.compare("snapshot", r.open[0].m, r.open[0].sn)
	r.open[0].sn.Release()
	r.open = r.open[1:]
}

// raw looks for all users in the closed file: for those who are there, so that the search finds what there is.
func (r *modelRun) raw() {
	there := make(map[string]bool)
	for _, typ := range []engine.DatasetType{engine.Users, engine.Interactions} {
		for _, row := range r.m.with(r.put)[typ] {
			there[key(row)] = true
		}
	}
	for u := range modelUsers {
		if id := modelUser(u); inFolder(r.t, r.path, id) != there[id] {
			r.t.Errorf("user %d is in the folder: %t, has rows: %t", u, !there[id], there[id])
		}
	}
	e := open(r.t, r.path, engine.Options{ReadOnly: true})
	report := must[engine.VerifyReport](r.t)(e.Verify(context.Background(), engine.Verify{Group: "g", Absent: r.absent(there)}))
	if !report.Clean() {
		r.t.Errorf("verify: %+v", report)
	}
	mustClose(r.t, e)
}

// absent writes a list of the users who aren't there.
func (r *modelRun) absent(there map[string]bool) string {
	var ids []string
	for u := range modelUsers {
		if id := modelUser(u); !there[id] {
			ids = append(ids, id)
		}
	}
	return listFile(r.t, ids...)
}

// releaseAll ends all snapshots, and so all jobs.
func (r *modelRun) releaseAll() {
	for len(r.open) > 0 {
		r.release()
	}
	for name, want := range r.jobs {
		job := must[engine.Job](r.t)(r.e.DescribeDataDeletionJob(context.Background(), name))
		job = must[engine.Job](r.t)(r.e.Wait(context.Background(), job))
		if *job.NumDeleted != want {
			r.t.Errorf("job %s deleted %d rows, want %d", name, *job.NumDeleted, want)
		}
	}
	clear(r.jobs)
	deleteUsers(r.t, r.e, "g", "nobody") // so that what no job waited for is cleaned too
	r.done++
	if r.out != nil {
		r.out["nobody"] = true
	}
	if s := must[engine.Suppression](r.t)(r.e.Suppressed(context.Background(), "g")); s.Users != int64(len(r.out)) {
		r.t.Errorf("%d users are suppressed, want %d", s.Users, len(r.out))
	}
	if ledger := must[engine.LedgerReport](r.t)(r.e.VerifyLedger(context.Background(), "")); ledger.Receipts != r.done {
		r.t.Errorf("%d receipts of %d deletions", ledger.Receipts, r.done)
	}
	for _, g := range must[engine.Stats](r.t)(r.e.Stats(context.Background())).Groups {
		for _, d := range g.Datasets {
			if d.Dead > 0 {
				r.t.Errorf("%d dead rows of %s are left", d.Dead, d.Dataset.Type)
			}
		}
	}
	users, items := make(map[string]bool), make(map[string]bool)
	for typ, rows := range r.m.with(r.put) {
		for _, row := range rows {
			cells := strings.Split(row, "\x1f")
			if typ == engine.Items {
				items[cells[0]] = true
				continue
			}
			users[cells[0]] = true
			if typ == engine.Interactions {
				items[cells[1]] = true
			}
		}
	}
	// In the background, since an item with dead rows is looked at twice.
	eventually(r.t, fmt.Sprintf("the dictionaries have %d users and %d items", len(users), len(items)), func() bool {
		g := must[engine.Stats](r.t)(r.e.Stats(context.Background())).Groups[0]
		return int(g.Users) == len(users) && int(g.Items) == len(items)
	})
}

// TestModel does random things to an engine and to a naive model of it.
func TestModel(t *testing.T) {
	seeds := uint64(4)
	if longKills() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			path := storePath(t)
			r := &modelRun{t: t, rng: rand.New(rand.NewPCG(seed, 0)), path: path, m: make(model), put: make(model), jobs: make(map[string]int64)}
			r.e = open(t, path, engine.Options{Codec: engine.CodecNone})
			createGroup(t, r.e, "g", testSchemas)
			r.trackingID = must[engine.EventTracker](t)(r.e.CreateEventTracker(context.Background(), engine.NewEventTracker{Name: "clicks", Group: "g"})).TrackingID
			for range 25 {
				r.step()
				sn := must[*engine.Snapshot](t)(r.e.Snapshot(context.Background(), "g"))
				r.compare("now", r.m.with(r.put), sn)
				sn.Release()
				if t.Failed() {
					break
				}
			}
			r.releaseAll()
			mustClose(t, r.e)
			r.raw()
		})
	}
}
