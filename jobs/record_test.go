package jobs

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func fullJob() Job {
	n := int64(math.MaxInt64)
	spec := deletion("gdpr-7", "shop")
	spec.RoleARN = "arn:aws:iam::123456789012:role/reader"
	spec.Tags = []Tag{{"team", "privacy"}}
	return Job{
		Spec: spec, Seq: 7, ARN: DefaultAccount().ARN(string(KindDeletion), "gdpr-7"), Status: StatusCompleted,
		Created: testTime, Updated: testTime.Add(time.Second), NumDeleted: &n, Released: true,
		Counts: Counts{Listed: 5, Matched: 2, Unknown: 2, Duplicate: 1, Deleted: map[string]int64{"USERS": 2, "INTERACTIONS": 40}},
	}
}

func runningJob() Job {
	return Job{
		Spec: importing("load", "shop"), Seq: 8, ARN: DefaultAccount().ARN(string(KindImport), "load"), Status: StatusInProgress,
		Created: testTime, Updated: testTime, StatusReason: "waiting for a reader",
		Counts:     Counts{RowsRead: 10, RowsAdded: 6, RowsReplaced: 3, RowsDuplicate: 1},
		Checkpoint: json.RawMessage(`{"file":1,"rows":[2,3]}`),
	}
}

func encode(t testing.TB, j Job) []byte {
	t.Helper()
	b, err := encodeRecord(&j)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The files were written by this format's first version: a change that can't read them is a new format.
func TestRecordGolden(t *testing.T) {
	for name, j := range map[string]Job{"completed": fullJob(), "running": runningJob()} {
		path := filepath.Join("testdata", name+".record")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, encode(t, j), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		stored, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRecord(j.Seq, stored)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, j) {
			t.Errorf("%s: read %+v, want %+v", name, got, j)
		}
		if string(encode(t, j)) != string(stored) {
			t.Errorf("%s: the encoding has changed: %q", name, encode(t, j))
		}
	}
}

func TestRecordCorruption(t *testing.T) {
	record := encode(t, fullJob())
	wantCorrupt := func(what string, seq uint64, b []byte) {
		t.Helper()
		_, err := decodeRecord(seq, b)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Seq != seq {
			t.Errorf("%s: %v, want a CorruptError of job %d", what, err, seq)
		}
	}
	for i := range record {
		for bit := range 8 {
			b := append([]byte{}, record...)
			b[i] ^= 1 << bit
			wantCorrupt("flipped bit", 7, b)
		}
	}
	for i := range record {
		wantCorrupt("cut", 7, record[:i])
	}
	wantCorrupt("longer", 7, append(append([]byte{}, record...), ' '))
	wantCorrupt("other key", 8, record)

	// With a checksum that is right, the content still has to be.
	seal := func(format byte, body string) []byte {
		b := append([]byte{format, 0, 0, 0, 0}, body...)
		binary.BigEndian.PutUint32(b[1:], recordSum(b))
		return b
	}
	body := string(record[recordHeader:])
	if _, err := decodeRecord(7, seal(recordFormat, body)); err != nil {
		t.Fatalf("seal makes no sound record: %v", err)
	}
	for what, b := range map[string][]byte{
		"format 2":      seal(2, body),
		"format 0":      seal(0, body),
		"no JSON":       seal(recordFormat, ""),
		"unknown field": seal(recordFormat, strings.Replace(body, `"kind"`, `"kinds"`, 1)),
		"trailing":      seal(recordFormat, body+"{}"),
		"status":        seal(recordFormat, strings.Replace(body, "COMPLETED", "ACTIVE", 1)),
		"null":          seal(recordFormat, "null"),
	} {
		wantCorrupt(what, 7, b)
	}
}

// What a record says about a user is nothing; and what damage there is, the error doesn't quote.
func TestCorruptErrorQuotesNothing(t *testing.T) {
	b := append([]byte{recordFormat, 0, 0, 0, 0}, `{"kind":"x","secret":1}`...)
	binary.BigEndian.PutUint32(b[1:], recordSum(b))
	if _, err := decodeRecord(1, b); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestRecordRefusesInconsistentJobs(t *testing.T) {
	n, minus := int64(1), int64(-1)
	for name, edit := range map[string]func(*Job){
		"completed without number":  func(j *Job) { j.NumDeleted = nil },
		"negative number":           func(j *Job) { j.NumDeleted = &minus },
		"failure reason":            func(j *Job) { j.FailureReason = "x" },
		"status reason":             func(j *Job) { j.StatusReason = "x" },
		"checkpoint":                func(j *Job) { j.Checkpoint = json.RawMessage("1") },
		"failed without reason":     func(j *Job) { j.Status, j.NumDeleted, j.Released = StatusFailed, nil, false },
		"failed and released":       func(j *Job) { j.Status, j.NumDeleted, j.FailureReason = StatusFailed, nil, "x" },
		"pending and released":      func(j *Job) { j.Status, j.NumDeleted = StatusPending, nil },
		"number before the end":     func(j *Job) { j.Status = StatusInProgress },
		"number of an import":       func(j *Job) { j.Spec, j.NumDeleted = importing("i", "g"), &n },
		"negative count":            func(j *Job) { j.Counts.RowsAdded = -1 },
		"negative count of dataset": func(j *Job) { j.Counts.Deleted["USERS"] = -1 },
		"no sequence number":        func(j *Job) { j.Seq = 0 },
		"no status":                 func(j *Job) { j.Status = "" },
	} {
		j := fullJob()
		edit(&j)
		if _, err := encodeRecord(&j); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := runningJob()
		j.Seq = rapid.Uint64Min(1).Draw(t, "seq")
		j.Source = rapid.StringN(1, -1, MaxSource).Draw(t, "source")
		j.StatusReason = rapid.String().Draw(t, "reason")
		j.Released = rapid.Bool().Draw(t, "released")
		j.Counts.RowsRead = rapid.Int64Min(0).Draw(t, "rows")
		j.Counts.Deleted = rapid.MapOf(rapid.String(), rapid.Int64Min(0)).Draw(t, "deleted")
		if len(j.Counts.Deleted) == 0 {
			j.Counts.Deleted = nil
		}
		record, err := encodeRecord(&j)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRecord(j.Seq, record)
		if err != nil {
			t.Fatal(err)
		}
		clobber(record)
		if !reflect.DeepEqual(got, j) {
			t.Fatalf("got %+v, want %+v", got, j)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(encode(f, fullJob()), false)
	f.Add(encode(f, fullJob()), true)
	f.Add([]byte("\x01\x00\x00\x00\x00null"), true)
	f.Fuzz(func(t *testing.T, record []byte, sum bool) {
		if sum && len(record) >= recordHeader {
			binary.BigEndian.PutUint32(record[1:], recordSum(record))
		}
		j, err := decodeRecord(7, record)
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error %v is not a CorruptError", err)
			}
			return
		}
		// What was accepted can be stored again and is then the same.
		again, err := encodeRecord(&j)
		if err != nil {
			t.Fatalf("decoded but not encodable: %v", err)
		}
		if _, err := decodeRecord(7, again); err != nil {
			t.Fatal(err)
		}
	})
}
