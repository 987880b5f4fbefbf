package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// proofRun is an engine beside a model of who was deleted, by which jobs, and who is kept out.
type proofRun struct {
	*modelRun
	on         bool
	suppressed map[string]string          // users, and the job that listed them first
	deleted    map[string]map[string]bool // users, and the jobs that found them
	gone       map[string]bool            // users whom the last that happened to them deleted
	pending    []string                   // jobs that a snapshot holds
	completed  int                        // jobs
}

// someone has one of a few IDs that are long enough to be searched in raw bytes.
func (r *proofRun) someone() string { return fmt.Sprintf("customer-%d", 1000+r.rng.IntN(40)) }

func (r *proofRun) known(user string) bool {
	for _, typ := range []engine.DatasetType{engine.Users, engine.Interactions} {
		if slices.ContainsFunc(r.m[typ], func(row string) bool { return key(row) == user }) {
			return true
		}
	}
	return false
}

func (r *proofRun) importSome() {
	typ := []engine.DatasetType{engine.Users, engine.Interactions}[r.rng.IntN(2)]
	mode := []engine.ImportMode{engine.ImportFull, engine.ImportIncremental, engine.ImportIncremental}[r.rng.IntN(3)]
	text, left := map[engine.DatasetType]string{engine.Users: "USER_ID,AGE,CITY\n", engine.Interactions: eventHeader}[typ], int64(0)
	var rows []string
	out := make(map[string]bool)
	for range r.rng.IntN(80) {
		cells := []string{r.someone(), fmt.Sprint(r.rng.IntN(5)), "Paris"}
		if typ == engine.Interactions {
			cells = []string{cells[0], fmt.Sprintf("item-%d", r.rng.IntN(30)), "view", "0.5", fmt.Sprint(r.rng.IntN(3))}
		}
		text += strings.Join(cells, ",") + "\n"
		if r.on && r.suppressed[cells[0]] != "" {
			if typ == engine.Users && mode == engine.ImportIncremental && out[cells[0]] {
				continue // of rows of one key those before the last are duplicates
			}
			out[cells[0]] = true
			left++
			continue
		}
		rows = append(rows, strings.Join(cells, "\x1f"))
		delete(r.gone, cells[0])
	}
	job := importText(r.t, r.e, "g", typ, mode, text)
	if job.Counts.RowsSuppressed != left {
		r.t.Errorf("an import left %d rows out, want %d", job.Counts.RowsSuppressed, left)
	}
	r.m.importRows(typ, mode, rows, make(model))
}

func (r *proofRun) deleteSome() {
	var list []string
	for range r.rng.IntN(6) {
		list = append(list, r.someone())
	}
	list = append(list, fmt.Sprintf("stranger-%d", r.rng.IntN(9)))
	job := create(r.t, r.e, "g", list...)
	for _, user := range list {
		if r.known(user) {
			if r.deleted[user] == nil {
				r.deleted[user] = make(map[string]bool)
			}
			r.deleted[user][job.Name] = true
		}
		if r.on && r.suppressed[user] == "" {
			r.suppressed[user] = job.Name
		}
		r.gone[user] = true
	}
	r.jobs[job.Name] = r.m.delete(list)
	r.pending = append(r.pending, job.Name)
	waitFor(r.t, r.e, job, "ended its turn", func(j engine.Job) bool { return j.Released })
}

func (r *proofRun) failSome() {
	job, err := r.e.Delete(context.Background(), engine.NewDataDeletionJob{Group: "g", Source: listFile(r.t, r.someone(), "stranger-0", "a,b")})
	if err == nil || job.Status != engine.StatusFailed {
		r.t.Errorf("a bad list: %s, %v", job.Status, err)
	}
}

func (r *proofRun) lift() {
	ctx := context.Background()
	if r.rng.IntN(3) == 0 {
		if n := must[int64](r.t)(r.e.LiftAllSuppression(ctx, "g")); n != int64(len(r.suppressed)) {
			r.t.Errorf("lifted %d of all, want %d", n, len(r.suppressed))
		}
		clear(r.suppressed)
		return
	}
	list, want := []string{"stranger-1"}, int64(0)
	for range r.rng.IntN(9) {
		list = append(list, r.someone())
	}
	for _, user := range list {
		if r.suppressed[user] != "" {
			want++
			delete(r.suppressed, user)
		}
	}
	if n := must[int64](r.t)(r.e.LiftSuppression(ctx, "g", listFile(r.t, list...))); n != want {
		r.t.Errorf("lifted %d, want %d", n, want)
	}
}

// backUp goes on with a copy.
func (r *proofRun) backUp() {
	dest := filepath.Join(r.t.TempDir(), "copy.expunge")
	must[engine.BackupReport](r.t)(r.e.Backup(context.Background(), dest))
	for _, open := range r.open {
		open.sn.Release()
	}
	r.open = nil
	mustClose(r.t, r.e)
	r.path = dest
	r.e = open(r.t, dest, engine.Options{})
}

func (r *proofRun) step() {
	ctx := context.Background()
	switch r.rng.IntN(12) {
	case 0, 1, 2, 3:
		r.importSome()
	case 4, 5, 6:
		r.deleteSome()
	case 7:
		r.failSome()
	case 8:
		r.lift()
	case 9:
		r.on = r.rng.IntN(3) > 0
		if err := r.e.SetSuppression(ctx, "g", r.on); err != nil {
			r.t.Fatal(err)
		}
	case 10:
		if len(r.open) < 2 {
			r.open = append(r.open, openSnapshot{must[*engine.Snapshot](r.t)(r.e.Snapshot(ctx, "g")), r.m.with(nil)})
		}
	case 11:
		if r.rng.IntN(2) == 0 {
			r.backUp()
			return
		}
		r.settle()
		mustClose(r.t, r.e)
		r.e = open(r.t, r.path, engine.Options{})
	}
}

// settle ends all snapshots, and so all jobs, and compares all that there is to prove.
func (r *proofRun) settle() {
	ctx := context.Background()
	for len(r.open) > 0 {
		r.release()
	}
	for _, name := range r.pending {
		job := must[engine.Job](r.t)(r.e.DescribeDataDeletionJob(ctx, name))
		job = must[engine.Job](r.t)(r.e.Wait(ctx, job))
		if *job.NumDeleted != r.jobs[name] {
			r.t.Errorf("job %s deleted %d rows, want %d", name, *job.NumDeleted, r.jobs[name])
		}
		receipt := must[engine.LedgerEntry](r.t)(r.e.Receipt(ctx, name))
		if receipt.NumDeleted != r.jobs[name] || receipt.Hashes.Count != receipt.Counts.Matched {
			r.t.Errorf("receipt %+v", receipt.Receipt)
		}
		r.completed++
	}
	r.pending = nil
	clear(r.jobs)
	report := must[engine.LedgerReport](r.t)(r.e.VerifyLedger(ctx, ""))
	if int(report.Receipts) != r.completed {
		r.t.Errorf("%d receipts of %d jobs", report.Receipts, r.completed)
	}

	everybody := slices.Sorted(maps.Keys(r.deleted))
	_, n, by, err := r.e.MatchLedger(ctx, "g", listFile(r.t, append(everybody, "stranger-1")...))
	got, want := make(map[string]int64), make(map[string]int64)
	for _, m := range by {
		got[m.Receipt.Name] = m.Users
	}
	for _, jobs := range r.deleted {
		for job := range jobs {
			want[job]++
		}
	}
	if err != nil || int(n) != len(everybody) || !maps.Equal(got, want) {
		r.t.Errorf("the ledger matches %d users by %v, want %d by %v: %v", n, got, len(everybody), want, err)
	}

	gone := slices.Sorted(maps.Keys(r.gone))
	if len(gone) > 0 {
		if v := verify(r.t, r.e, "g", listFile(r.t, gone...)); v.Found > 0 || int(v.Searched) != len(gone) || v.Unfinished > 0 {
			r.t.Errorf("verify: %d of %d searched, found %d: %+v", v.Searched, len(gone), v.Found, v.Findings)
		}
	}
	there := ""
	for _, row := range r.m[engine.Interactions] {
		there = key(row)
	}
	if there != "" {
		if v := verify(r.t, r.e, "g", listFile(r.t, there)); v.Found < 2 {
			r.t.Errorf("verify of a user who is there: %+v", v.VerifyReport)
		}
	}
}

// compareSuppressed compares those who are kept out.
func (r *proofRun) compareSuppressed() {
	s := must[engine.Suppression](r.t)(r.e.Suppressed(context.Background(), "g"))
	got, want := make(map[string]int64), make(map[string]int64)
	for _, by := range s.Jobs {
		got[by.Job] = by.Users
	}
	for _, job := range r.suppressed {
		want[job]++
	}
	if s.On != r.on || int(s.Users) != len(r.suppressed) || !maps.Equal(got, want) {
		r.t.Errorf("suppressed are %+v, want %t by %v", s, r.on, want)
	}
}

// TestProofModel does random things to an engine, and compares its ledger, its suppressed users and its searches with a model.
func TestProofModel(t *testing.T) {
	runs := uint64(4)
	if longKills() {
		runs = 30
	}
	for seed := range runs {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			path := storePath(t)
			r := &proofRun{
				modelRun:   &modelRun{t: t, rng: rand.New(rand.NewPCG(seed, 7)), path: path, m: make(model), jobs: make(map[string]int64)},
				suppressed: make(map[string]string), deleted: make(map[string]map[string]bool), gone: make(map[string]bool),
			}
			codec := []engine.Codec{engine.CodecNone, engine.CodecPacked}[seed%2]
			r.e = open(t, path, engine.Options{Codec: codec})
			createGroup(t, r.e, "g", testSchemas)
			for range 40 {
				r.step()
				sn := must[*engine.Snapshot](t)(r.e.Snapshot(context.Background(), "g"))
				r.compare("now", r.m, sn)
				sn.Release()
				r.compareSuppressed()
				if t.Failed() {
					return
				}
			}
			r.settle()
			mustClose(t, r.e)
			if gone := slices.Sorted(maps.Keys(r.gone)); len(gone) > 0 {
				if v := verifyClosed(t, r.path, "g", listFile(t, gone...)); !v.Clean() {
					t.Errorf("at rest: %+v", v.VerifyReport)
				}
			}
		})
	}
}
