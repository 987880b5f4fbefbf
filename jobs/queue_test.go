package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// inTx runs fn in one transaction of a new store and checks the store afterwards.
func inTx(t *testing.T, fn func(tx Tx)) {
	t.Helper()
	db := newMemDB()
	db.update(t, func(tx Tx) error {
		fn(tx)
		return nil
	})
	db.check(t)
}

func mustCreate(t *testing.T, tx Tx, spec Spec) Job {
	t.Helper()
	j, err := Create(tx, DefaultAccount(), spec, testTime)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func mustMove(t *testing.T, tx Tx, seq uint64, from, to Status, mutate func(*Job)) Job {
	t.Helper()
	j, err := Transition(tx, seq, from, to, testTime, mutate)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func setDeleted(n int64) func(*Job) { return func(j *Job) { j.NumDeleted = &n } }
func setFailed(j *Job)              { j.FailureReason = "no such file; name another" }

func wantErr(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, want %v", err, target)
	}
}

func TestCreate(t *testing.T) {
	inTx(t, func(tx Tx) {
		spec := deletion("a", "g")
		spec.Tags = []Tag{{"team", "privacy"}}
		local := time.FixedZone("", 3600)
		j, err := Create(tx, DefaultAccount(), spec, testTime.In(local).Add(999*time.Microsecond))
		if err != nil {
			t.Fatal(err)
		}
		want := Job{Spec: spec, Seq: 1, ARN: "arn:aws:personalize:us-east-1:000000000000:data-deletion-job/a",
			Status: StatusPending, Created: testTime, Updated: testTime}
		if !reflect.DeepEqual(j, want) {
			t.Errorf("created %+v, want %+v", j, want)
		}
		spec.Tags[0].Value = "changed by the caller"
		if j.Tags[0].Value != "privacy" {
			t.Error("the job shares its tags with the spec")
		}

		_, err = Create(tx, DefaultAccount(), deletion("a", "other"), testTime)
		wantErr(t, err, ErrExists)
		if err != nil && !strings.HasPrefix(err.Error(), "Another resource with Arn "+j.ARN+" already exists.") {
			t.Errorf("text: %s", err)
		}
		_, err = Create(tx, DefaultAccount(), deletion("", "g"), testTime)
		wantErr(t, err, ErrInvalid)
		if j := mustCreate(t, tx, importing("a", "g")); j.Seq != 2 {
			t.Errorf("an import of the same name has number %d, want 2", j.Seq)
		}
	})
}

func TestCreateLimit(t *testing.T) {
	inTx(t, func(tx Tx) {
		for i := range MaxPending {
			mustCreate(t, tx, deletion(fmt.Sprint("d", i), "g"))
		}
		_, err := Create(tx, DefaultAccount(), deletion("sixth", "g"), testTime)
		wantErr(t, err, ErrLimit)
		if err != nil && !strings.HasPrefix(err.Error(), "More than 5 resources with PENDING status.") {
			t.Errorf("text: %s", err)
		}
		mustCreate(t, tx, deletion("other-group", "g2"))
		mustCreate(t, tx, importing("import", "g"))
		mustMove(t, tx, 1, StatusPending, StatusInProgress, nil)
		mustCreate(t, tx, deletion("sixth", "g"))
		_, err = Create(tx, DefaultAccount(), deletion("seventh", "g"), testTime)
		wantErr(t, err, ErrLimit)
	})
}

func TestGet(t *testing.T) {
	inTx(t, func(tx Tx) {
		want := mustCreate(t, tx, deletion("a", "g"))
		mustCreate(t, tx, importing("b", "g"))
		for _, key := range []string{"a", want.ARN} {
			if j, err := Get(tx, KindDeletion, key); err != nil || j.Seq != want.Seq {
				t.Errorf("Get(%q) = %d, %v", key, j.Seq, err)
			}
		}
		for _, key := range []string{"", "b", "A", "a/", Account{"aws", "eu-west-1", "000000000000"}.ARN(string(KindDeletion), "a"),
			DefaultAccount().ARN(string(KindImport), "b"), DefaultAccount().ARN(string(KindDeletion), "c")} {
			_, err := Get(tx, KindDeletion, key)
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("Get(%q): %v, want ErrNotFound", key, err)
			}
		}
		_, err := Get(tx, KindDeletion, "arn:x")
		wantErr(t, err, ErrInvalid)
		_, err = GetSeq(tx, 3)
		wantErr(t, err, ErrNotFound)
	})
}

func TestList(t *testing.T) {
	inTx(t, func(tx Tx) {
		for i := range 3 {
			mustCreate(t, tx, deletion(fmt.Sprint("a", i), "a")) // 1, 4, 7
			mustCreate(t, tx, deletion(fmt.Sprint("b", i), "b")) // 2, 5, 8
			mustCreate(t, tx, importing(fmt.Sprint("a", i), "a"))
		}
		for _, tc := range []struct {
			filter Filter
			after  uint64
			limit  int
			want   []uint64
			more   bool
		}{
			{Filter{}, 0, 100, []uint64{9, 8, 7, 6, 5, 4, 3, 2, 1}, false},
			{Filter{}, 0, 9, []uint64{9, 8, 7, 6, 5, 4, 3, 2, 1}, false},
			{Filter{}, 0, 8, []uint64{9, 8, 7, 6, 5, 4, 3, 2}, true},
			{Filter{}, 3, 1, []uint64{2}, true},
			{Filter{}, 1, 1, nil, false},
			{Filter{Kind: KindDeletion}, 0, 2, []uint64{8, 7}, true},
			{Filter{Kind: KindDeletion, GroupARN: groupARN("a")}, 7, 2, []uint64{4, 1}, false},
			{Filter{DatasetARN: importing("", "a").DatasetARN}, 0, 100, []uint64{9, 6, 3}, false},
			{Filter{GroupARN: groupARN("none")}, 0, 100, nil, false},
			{Filter{}, 0, 0, nil, false},
		} {
			page, more, err := List(tx, tc.filter, tc.after, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, j := range page {
				got = append(got, j.Seq)
			}
			if !reflect.DeepEqual(got, tc.want) || more != tc.more {
				t.Errorf("%+v: %d, more %v", tc, got, more)
			}
		}
	})
}

func TestTransitionTable(t *testing.T) {
	statuses := []Status{StatusPending, StatusInProgress, StatusCompleted, StatusFailed}
	allowed := map[[2]Status]bool{
		{StatusPending, StatusInProgress}:   true,
		{StatusPending, StatusFailed}:       true,
		{StatusInProgress, StatusCompleted}: true,
		{StatusInProgress, StatusFailed}:    true,
	}
	// reach brings a new job to a status.
	reach := func(tx Tx, seq uint64, s Status) {
		if s != StatusPending {
			mustMove(t, tx, seq, StatusPending, StatusInProgress, nil)
		}
		switch s {
		case StatusCompleted:
			mustMove(t, tx, seq, StatusInProgress, s, setDeleted(0))
		case StatusFailed:
			mustMove(t, tx, seq, StatusInProgress, s, setFailed)
		}
	}
	for _, is := range statuses {
		for _, from := range statuses {
			for _, to := range append(statuses, "ACTIVE") {
				inTx(t, func(tx Tx) {
					mustCreate(t, tx, deletion("a", "g"))
					reach(tx, 1, is)
					before := tx.(*memTx).snapshot()
					j, err := Transition(tx, 1, from, to, testTime.Add(time.Second), func(j *Job) {
						switch to {
						case StatusCompleted:
							setDeleted(3)(j)
						case StatusFailed:
							setFailed(j)
						}
					})
					ok := allowed[[2]Status{from, to}]
					switch {
					case ok && is == from:
						if err != nil || j.Status != to || !j.Updated.Equal(testTime.Add(time.Second)) {
							t.Errorf("%s: %s > %s: %v, %+v", is, from, to, err, j)
						}
						return
					case ok:
						wantErr(t, err, ErrConflict)
					case err == nil || errors.Is(err, ErrConflict):
						t.Errorf("%s: %s > %s: error %v", is, from, to, err)
					}
					if !reflect.DeepEqual(before, tx.(*memTx).data) {
						t.Errorf("%s: %s > %s: refused but changed", is, from, to)
					}
				})
			}
		}
	}
}

func TestTransitionRules(t *testing.T) {
	inTx(t, func(tx Tx) {
		mustCreate(t, tx, deletion("a", "g"))
		mustCreate(t, tx, importing("b", "g"))
		for seq := range uint64(2) {
			mustMove(t, tx, seq+1, StatusPending, StatusInProgress, nil)
		}
		for name, mutate := range map[string]func(*Job){
			"identity":       func(j *Job) { j.Name = "z" },
			"tags":           func(j *Job) { j.Tags = []Tag{{"a", "b"}} },
			"status":         func(j *Job) { j.Status = StatusCompleted },
			"created":        func(j *Job) { j.Created = testTime.Add(1) },
			"negative count": func(j *Job) { j.Counts.Listed = -1 },
			"bad checkpoint": func(j *Job) { j.Checkpoint = json.RawMessage("{") },
			"failure reason": setFailed,
		} {
			if _, err := Modify(tx, 1, StatusInProgress, testTime, mutate); err == nil {
				t.Errorf("Modify of %s was accepted", name)
			}
		}
		if _, err := Transition(tx, 1, StatusInProgress, StatusFailed, testTime, nil); err == nil {
			t.Error("FAILED without a reason was accepted")
		}
		if _, err := Transition(tx, 1, StatusInProgress, StatusCompleted, testTime, nil); err == nil {
			t.Error("COMPLETED without a number was accepted")
		}
		if _, err := Transition(tx, 2, StatusInProgress, StatusCompleted, testTime, setDeleted(1)); err == nil {
			t.Error("an import with a number of deleted rows was accepted")
		}

		j, err := Modify(tx, 1, StatusInProgress, testTime.Add(time.Minute), func(j *Job) {
			j.Released, j.StatusReason, j.Checkpoint = true, "a reader is open", json.RawMessage(`{"a": 1}`)
			j.Counts.Deleted = map[string]int64{"USERS": 1}
		})
		if err != nil || !j.Released || string(j.Checkpoint) != `{"a":1}` || !j.Updated.Equal(testTime.Add(time.Minute)) {
			t.Fatalf("%+v, %v", j, err)
		}
		if _, err := Modify(tx, 1, StatusInProgress, testTime, func(j *Job) { j.Released = false }); err == nil {
			t.Error("Released was taken back")
		}
		_, err = Transition(tx, 1, StatusInProgress, StatusFailed, testTime, setFailed)
		wantErr(t, err, ErrConflict)

		j = mustMove(t, tx, 1, StatusInProgress, StatusCompleted, setDeleted(1))
		if j.Checkpoint != nil || j.StatusReason != "" || *j.NumDeleted != 1 || j.Counts.Deleted["USERS"] != 1 {
			t.Errorf("completed as %+v", j)
		}
		if !j.Updated.Equal(testTime.Add(time.Minute)) {
			t.Errorf("updated %v: went back with the clock", j.Updated)
		}
		_, err = Modify(tx, 1, StatusInProgress, testTime, nil)
		wantErr(t, err, ErrConflict)
		if _, err := Modify(tx, 1, StatusCompleted, testTime, nil); err == nil {
			t.Error("a finished job was modified")
		}
		if j := mustMove(t, tx, 2, StatusInProgress, StatusCompleted, nil); j.NumDeleted != nil {
			t.Error("an import has a number of deleted rows")
		}
		if open, err := Unfinished(tx); err != nil || len(open) != 0 {
			t.Errorf("unfinished: %v, %v", open, err)
		}
	})
}

func TestTags(t *testing.T) {
	inTx(t, func(tx Tx) {
		mustCreate(t, tx, deletion("a", "g"))
		mustMove(t, tx, 1, StatusPending, StatusFailed, setFailed)
		set := func(tags ...Tag) (Job, error) { return setTags(tx, 1, tags) }
		if _, err := set(Tag{"a", "1"}, Tag{"b", "2"}); err != nil {
			t.Fatal(err)
		}
		j, err := set(Tag{"c", "3"}, Tag{"a", "4"})
		if want := []Tag{{"a", "4"}, {"b", "2"}, {"c", "3"}}; err != nil || !reflect.DeepEqual(j.Tags, want) {
			t.Errorf("tags %v, %v; want %v", j.Tags, err, want)
		}
		_, err = set(Tag{"d", "1"}, Tag{"d", "2"})
		wantErr(t, err, ErrInvalid)
		_, err = set(Tag{"aws:d", "1"})
		wantErr(t, err, ErrInvalid)
		_, err = set(manyTags(48)...)
		wantErr(t, err, ErrTooManyTags)
		j, err = set(manyTags(47)...)
		if err != nil || len(j.Tags) != 50 {
			t.Errorf("%d tags, %v; want 50", len(j.Tags), err)
		}
		if j, err = set(Tag{"k0", "new"}); err != nil || len(j.Tags) != 50 {
			t.Errorf("%d tags, %v; want 50", len(j.Tags), err)
		}
		keys := []string{"a", "none", "c"}
		for i := range 47 {
			keys = append(keys, fmt.Sprint("k", i))
		}
		j, err = removeTags(tx, 1, keys)
		if want := []Tag{{"b", "2"}}; err != nil || !reflect.DeepEqual(j.Tags, want) {
			t.Errorf("tags %v, %v; want %v", j.Tags, err, want)
		}
		if !j.Updated.Equal(testTime) || j.Status != StatusFailed {
			t.Errorf("tags changed the job: %+v", j)
		}
		_, err = setTags(tx, 2, nil)
		wantErr(t, err, ErrNotFound)
	})
}

// Each byte of each key and value of a store is changed: what is read afterwards is right or a CorruptError,
// and Check finds every change.
func TestCorruptStore(t *testing.T) {
	db := newMemDB()
	for _, s := range []Spec{deletion("a", "g"), deletion("b", "g"), importing("a", "g")} {
		db.create(t, s)
	}
	db.update(t, func(tx Tx) error {
		mustMove(t, tx, 1, StatusPending, StatusFailed, setFailed)
		return nil
	})
	sound := db.data
	try := func(what string, edit func(data map[string]string)) {
		t.Helper()
		damaged := (&memTx{data: sound}).snapshot()
		edit(damaged)
		tx := &memTx{data: damaged}
		var corrupt *CorruptError
		if err := Check(tx); !errors.As(err, &corrupt) {
			t.Errorf("%s: Check: %v", what, err)
		}
		for _, want := range []Spec{deletion("a", "g"), deletion("b", "g"), importing("a", "g")} {
			j, err := Get(tx, want.Kind, want.Name)
			if err != nil && !errors.As(err, &corrupt) && !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: Get: %v", what, err)
			}
			if err == nil && !reflect.DeepEqual(j.Spec, want) {
				t.Errorf("%s: Get returned %+v, want %+v", what, j.Spec, want)
			}
		}
		if _, err := Unfinished(tx); err != nil && !errors.As(err, &corrupt) {
			t.Errorf("%s: Unfinished: %v", what, err)
		}
	}
	for key, value := range sound {
		try("dropped", func(d map[string]string) { delete(d, key) })
		for i := range value {
			try("changed value", func(d map[string]string) {
				d[key] = value[:i] + string([]byte{value[i] ^ 0x10}) + value[i+1:]
			})
		}
		for i := 1; i < len(key); i++ { // the first byte says what the entry is
			try("changed key", func(d map[string]string) {
				delete(d, key)
				d[key[:i]+string([]byte{key[i] ^ 0x10})+key[i+1:]] = value
			})
		}
		try("cut key", func(d map[string]string) {
			delete(d, key)
			d[key[:len(key)-1]] = value
		})
	}
	try("stray unfinished", func(d map[string]string) { d[string(seqKey(openPrefix, 1))] = "" })
	try("two names", func(d map[string]string) { d[string(nameKey(KindDeletion, "z"))] = "\x00\x00\x00\x00\x00\x00\x00\x01" })
}

// The finished jobs of years must cost nothing where only the unfinished ones matter.
func TestUnfinishedReadsNoFinishedJob(t *testing.T) {
	db := newMemDB()
	db.update(t, func(tx Tx) error {
		for i := range 100 {
			j := mustCreate(t, tx, deletion(fmt.Sprint("d", i), "g"))
			mustMove(t, tx, j.Seq, StatusPending, StatusFailed, setFailed)
		}
		mustCreate(t, tx, deletion("open", "g"))
		return nil
	})
	tx := &memTx{data: db.data}
	open, err := Unfinished(tx)
	if err != nil || len(open) != 1 || open[0].Name != "open" {
		t.Fatalf("unfinished: %v, %v", open, err)
	}
	if got := len(tx.given); got != 1 {
		t.Errorf("%d records read for one unfinished job", got)
	}
}
