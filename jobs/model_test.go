package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the naive queue: all jobs in a slice, each rule written out a second time.
type model struct{ jobs []*Job }

func (m *model) pending(group string) (n int) {
	for _, j := range m.jobs {
		if j.Kind == KindDeletion && j.GroupARN == group && j.Status == StatusPending {
			n++
		}
	}
	return n
}

func (m *model) taken(kind Kind, name string) bool {
	return slices.ContainsFunc(m.jobs, func(j *Job) bool { return j.Kind == kind && j.Name == name })
}

// Random operations, some of them in transactions that are rolled back, on the queue and on the model.
func TestQueueAgainstModel(t *testing.T) {
	statuses := []Status{StatusPending, StatusInProgress, StatusCompleted, StatusFailed}
	rapid.Check(t, func(t *rapid.T) {
		db := newMemDB()
		m := &model{}
		now := testTime
		tick := func() time.Time { now = now.Add(time.Second); return now }
		rollback := errors.New("rolled back")
		// update runs fn, and says whether it is to be believed: one time in four the transaction fails later.
		update := func(fn func(tx Tx) error) (committed bool, err error) {
			keep := rapid.IntRange(0, 3).Draw(t, "keep") > 0
			var inner error
			err = db.Update(t.Context(), func(tx Tx) error {
				if inner = fn(tx); inner != nil {
					return inner
				}
				if !keep {
					return rollback
				}
				return nil
			})
			return err == nil, inner
		}
		pick := func() (uint64, *Job) {
			seq := rapid.Uint64Range(1, uint64(len(m.jobs)+1)).Draw(t, "seq")
			if seq > uint64(len(m.jobs)) {
				return seq, nil
			}
			return seq, m.jobs[seq-1]
		}
		expect := func(err, want error) {
			t.Helper()
			if (want == nil) != (err == nil) || !errors.Is(err, want) {
				t.Fatalf("error %v, want %v", err, want)
			}
		}

		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				name := fmt.Sprint("n", rapid.IntRange(0, 20).Draw(t, "name"))
				group := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "group")
				spec := deletion(name, group)
				if rapid.Bool().Draw(t, "import") {
					spec = importing(name, group)
				}
				var want error
				switch {
				case m.taken(spec.Kind, name):
					want = ErrExists
				case spec.Kind == KindDeletion && m.pending(spec.GroupARN) == 5:
					want = ErrLimit
				}
				at := tick()
				var j Job
				committed, err := update(func(tx Tx) (err error) { j, err = Create(tx, DefaultAccount(), spec, at); return err })
				expect(err, want)
				if committed {
					m.jobs = append(m.jobs, &Job{Spec: spec, Seq: uint64(len(m.jobs) + 1), Created: at, Updated: at,
						ARN: DefaultAccount().ARN(string(spec.Kind), name), Status: StatusPending})
					if !reflect.DeepEqual(j, *m.jobs[len(m.jobs)-1]) {
						t.Fatalf("created %+v", j)
					}
				}
			},
			"transition": func(t *rapid.T) {
				seq, have := pick()
				from := rapid.SampledFrom(statuses).Draw(t, "from")
				if have != nil && rapid.Bool().Draw(t, "right") {
					from = have.Status
				}
				to := rapid.SampledFrom(statuses).Draw(t, "to")
				at := tick()
				mutate := func(j *Job) {
					if to == StatusFailed {
						j.FailureReason = "reason"
					}
					if to == StatusCompleted && j.Kind == KindDeletion {
						n := int64(seq)
						j.NumDeleted = &n
					}
				}
				committed, err := update(func(tx Tx) error { _, err := Transition(tx, seq, from, to, at, mutate); return err })
				legal := from == StatusPending && (to == StatusInProgress || to == StatusFailed) ||
					from == StatusInProgress && (to == StatusCompleted || to == StatusFailed)
				switch {
				case !legal:
					if err == nil || errors.Is(err, ErrConflict) {
						t.Fatalf("%s > %s: error %v", from, to, err)
					}
				case have == nil:
					expect(err, ErrNotFound)
				case have.Status != from || have.Released && to == StatusFailed:
					expect(err, ErrConflict)
				default:
					expect(err, nil)
				}
				if committed {
					have.Status, have.Updated = to, at
					mutate(have)
					if to != StatusInProgress {
						have.Checkpoint = nil
					}
				}
			},
			"modify": func(t *rapid.T) {
				seq, have := pick()
				from := rapid.SampledFrom([]Status{StatusPending, StatusInProgress}).Draw(t, "from")
				release := from == StatusInProgress && rapid.Bool().Draw(t, "release")
				at := tick()
				mutate := func(j *Job) {
					j.Counts.Listed++
					j.Checkpoint = json.RawMessage(fmt.Sprint(j.Counts.Listed))
					j.Released = j.Released || release
				}
				committed, err := update(func(tx Tx) error { _, err := Modify(tx, seq, from, at, mutate); return err })
				switch {
				case have == nil:
					expect(err, ErrNotFound)
				case have.Status != from:
					expect(err, ErrConflict)
				default:
					expect(err, nil)
				}
				if committed {
					have.Updated = at
					mutate(have)
				}
			},
			"tag": func(t *rapid.T) {
				seq, have := pick()
				tag := Tag{rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "key"), fmt.Sprint(now.Second())}
				remove := rapid.Bool().Draw(t, "remove")
				committed, err := update(func(tx Tx) (err error) {
					if remove {
						_, err = removeTags(tx, seq, []string{tag.Key})
					} else {
						_, err = setTags(tx, seq, []Tag{tag})
					}
					return err
				})
				if have == nil {
					expect(err, ErrNotFound)
					return
				}
				expect(err, nil)
				if !committed {
					return
				}
				i := slices.IndexFunc(have.Tags, func(h Tag) bool { return h.Key == tag.Key })
				switch {
				case remove && i >= 0:
					have.Tags = slices.Delete(slices.Clone(have.Tags), i, i+1)
				case remove:
				case i >= 0:
					have.Tags = slices.Clone(have.Tags)
					have.Tags[i] = tag
				default:
					have.Tags = append(slices.Clone(have.Tags), tag)
				}
				if len(have.Tags) == 0 {
					have.Tags = nil
				}
			},
			"": func(t *rapid.T) { m.compare(t, db) },
		})
	})
}

// compare reads everything that can be read.
func (m *model) compare(t *rapid.T, db *memDB) {
	err := db.View(t.Context(), func(tx Tx) error {
		var open []uint64
		for _, want := range m.jobs {
			if want.Status == StatusPending || want.Status == StatusInProgress {
				open = append(open, want.Seq)
			}
			for _, key := range []string{want.Name, want.ARN} {
				if got, err := Get(tx, want.Kind, key); err != nil || !reflect.DeepEqual(got, *want) {
					t.Fatalf("Get: %+v, %v; want %+v", got, err, *want)
				}
			}
		}
		unfinished, err := Unfinished(tx)
		if err != nil || !slices.EqualFunc(unfinished, open, func(j Job, seq uint64) bool { return j.Seq == seq }) {
			t.Fatalf("unfinished: %v, %v; want %v", unfinished, err, open)
		}
		filter := Filter{GroupARN: groupARN("a"), Kind: rapid.SampledFrom([]Kind{"", KindImport, KindDeletion}).Draw(t, "kind")}
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		var listed []uint64
		for after, more := uint64(0), true; more; {
			var page []Job
			if page, more, err = List(tx, filter, after, limit); err != nil {
				return err
			}
			if more && len(page) != limit {
				t.Fatalf("a page of %d that is not the last, want %d", len(page), limit)
			}
			for _, j := range page {
				listed = append(listed, j.Seq)
				after = j.Seq
			}
		}
		var want []uint64
		for _, j := range slices.Backward(m.jobs) {
			if j.GroupARN == filter.GroupARN && (filter.Kind == "" || j.Kind == filter.Kind) {
				want = append(want, j.Seq)
			}
		}
		if !slices.Equal(listed, want) {
			t.Fatalf("listed %v, want %v", listed, want)
		}
		return Check(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
}
