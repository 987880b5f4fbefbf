package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testFields = map[DatasetType][]Field{
	Users: {{Name: "USER_ID", Type: TypeString}, {Name: "AGE", Type: TypeInt32, Nullable: true}, {Name: "CITY", Type: TypeString, Nullable: true}},
	Items: {{Name: "ITEM_ID", Type: TypeString}, {Name: "PRICE", Type: TypeFloat32}, {Name: "NEW", Type: TypeBool}},
	Interactions: {{Name: "USER_ID", Type: TypeString}, {Name: "ITEM_ID", Type: TypeString}, {Name: "EVENT_TYPE", Type: TypeString},
		{Name: "VALUE", Type: TypeFloat64, Nullable: true}, {Name: "TIMESTAMP", Type: TypeInt64}},
}

// row is a row in the order of its fields; nil is null.
type row []any

func (r row) String() string { return fmt.Sprint([]any(r)...) }

// testStore opens a store in a folder of the test, and checks and closes it at the test's end.
func testStore(t testing.TB, opts Options) *Store {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "test.expunge"), opts)
}

func reopen(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if s.db == nil {
			return
		}
		mustCheck(t, s)
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// smallLimits are random ones that make much of little data.
func smallLimits(r *rand.Rand) limits {
	return limits{
		partBuffer: 1 + r.IntN(200), unitBytes: 1 + r.IntN(2000), pieceBytes: 1 + r.IntN(1000), itemBytes: 1 + r.IntN(300),
		resolveBatch: 1 + r.IntN(40), resolveBytes: 1 + r.IntN(2000), stageBytes: 1 + r.IntN(4000), stagePart: 1 + r.IntN(100),
		removeBudget: 1 + r.IntN(500), dropPerTx: 1 + r.IntN(5), compactPlanned: 1 + r.IntN(5), forwardEntries: 1 + r.IntN(8),
		mergeRows: 1 + r.Int64N(2000), pageRows: 1 + r.IntN(12), compactBytes: 1 + r.IntN(4000),
		foldEntries: 1 + r.IntN(20), foldBytes: 1 + r.IntN(2000), sessionBytes: 1 + r.IntN(300), sessionRows: 5,
	}
}

// openQuick opens a store that doesn't sync, with limits. The caller closes it.
func openQuick(t testing.TB, path string, opts Options, limits limits) *Store {
	t.Helper()
	s, err := open(t.Context(), path, opts, limits)
	if err != nil {
		t.Fatal(err)
	}
	s.db.NoSync, s.db.NoGrowSync = true, true
	t.Cleanup(func() {
		if err := s.closeFiles(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// setSeed makes the order of an empty store's dictionaries the same in each run.
func setSeed(t testing.TB, s *Store, seed uint64) {
	t.Helper()
	s.info.Seed = seed
	err := s.Update(context.Background(), func(tx *Tx) error {
		v, err := json.Marshal(s.info)
		return errors.Join(err, putSealed(tx.b.Bucket(bucketMeta), keyInfo, v))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t testing.TB, s *Store) {
	t.Helper()
	report, err := s.Check(context.Background())
	if err := errors.Join(err, errors.Join(report.Problems...)); err != nil {
		t.Error(err)
	}
}

// createGroup makes a group with a dataset of each type.
func createGroup(t testing.TB, s *Store, name string) {
	t.Helper()
	err := s.Update(context.Background(), func(tx *Tx) error {
		now := time.Now()
		if _, err := tx.CreateGroup(Group{Name: name, Created: now}); err != nil {
			return err
		}
		for typ, fields := range testFields {
			schema := name + "-" + string(typ)
			if err := tx.CreateSchema(Schema{Name: schema, Fields: fields, Created: now}); err != nil {
				return err
			}
			if _, err := tx.CreateDataset(Dataset{Group: name, Type: typ, Name: schema, Schema: schema, Created: now}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func record(typ DatasetType, rows []row) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema(testFields[typ]))
	defer b.Release()
	for _, r := range rows {
		for i, v := range r {
			switch fb := b.Field(i).(type) {
			case *array.StringBuilder:
				if v == nil {
					fb.AppendNull()
				} else {
					fb.Append(v.(string))
				}
			case *array.Int32Builder:
				if v == nil {
					fb.AppendNull()
				} else {
					fb.Append(int32(v.(int)))
				}
			case *array.Int64Builder:
				fb.Append(int64(v.(int)))
			case *array.Float32Builder:
				fb.Append(float32(v.(float64)))
			case *array.Float64Builder:
				if v == nil {
					fb.AppendNull()
				} else {
					fb.Append(v.(float64))
				}
			case *array.BooleanBuilder:
				fb.Append(v.(bool))
			}
		}
	}
	return b.NewRecord()
}

// rowsAndRelease releases a record, or nil, and returns its rows.
func rowsAndRelease(rec arrow.Record) (rows []row) {
	if rec != nil {
		rows = rowsOf(rec)
		rec.Release()
	}
	return rows
}

// rowsOf is the inverse of record.
func rowsOf(rec arrow.Record) (out []row) {
	for i := range int(rec.NumRows()) {
		var r row
		for _, col := range rec.Columns() {
			switch c := col.(type) {
			case *array.String:
				r = append(r, strings.Clone(c.Value(i)))
			case *array.Int32:
				r = append(r, int(c.Value(i)))
			case *array.Int64:
				r = append(r, int(c.Value(i)))
			case *array.Float32:
				r = append(r, math.Round(float64(c.Value(i))*1000)/1000)
			case *array.Float64:
				r = append(r, c.Value(i))
			case *array.Boolean:
				r = append(r, c.Value(i))
			}
			if col.IsNull(i) {
				r[len(r)-1] = nil
			}
		}
		out = append(out, r)
	}
	return out
}

func importRows(t testing.TB, s *Store, group string, typ DatasetType, mode ImportMode, rows []row) ImportResult {
	t.Helper()
	ctx := context.Background()
	im, err := s.BeginImport(ctx, group, typ, mode)
	if err != nil {
		t.Fatal(err)
	}
	rec := record(typ, rows)
	defer rec.Release()
	if err := im.Append(rec); err != nil {
		t.Fatal(err)
	}
	res, err := im.Finish(ctx, nil, func(*Tx, ImportResult) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(ctx, group); err != nil {
		t.Fatal(err)
	}
	return res
}

func scanAll(t testing.TB, sn *Snapshot, typ DatasetType) (out []row) {
	t.Helper()
	for rec, err := range sn.Scan(context.Background(), typ) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rowsOf(rec)...)
		rec.Release()
	}
	return out
}

func scanSorted(t testing.TB, s *Store, group string, typ DatasetType) []string {
	t.Helper()
	sn, err := s.Snapshot(context.Background(), group)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	rows := scanAll(t, sn, typ)
	if int64(len(rows)) != sn.Rows(typ) {
		t.Errorf("scan of %s gave %d rows and Rows says %d", typ, len(rows), sn.Rows(typ))
	}
	return sortedStrings(rows)
}

func sortedStrings(rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.String()
	}
	slices.Sort(out)
	return out
}

// deleteUsers runs a deletion to its end.
func deleteUsers(t testing.TB, s *Store, group string, job uint64, ids ...string) (total int64) {
	t.Helper()
	ctx := context.Background()
	batches := uint32(0)
	for batch := range slices.Chunk(ids, 3) {
		err := s.StageUsers(ctx, group, job, batches, len(batch), func(i int) []byte { return []byte(batch[i]) }, func(*Tx, Staged) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		batches++
	}
	err := s.Tombstone(ctx, group, job, batches, func(_ *Tx, d Deleted) error {
		for _, n := range d.Rows {
			total += n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func finishDeletion(t testing.TB, s *Store, group string, job uint64) {
	t.Helper()
	ctx := context.Background()
	if _, err := s.Clean(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CheckGone(ctx, group, job); err != nil {
		t.Fatal(err)
	}
	if err := s.DropStaged(ctx, job, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scrub(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestImportScanDelete(t *testing.T) {
	s := testStore(t, Options{BlockRows: 7, Codec: CodecNone})
	createGroup(t, s, "shop")
	var users, inter []row
	for u := range 20 {
		users = append(users, row{fmt.Sprintf("user-%011d", u), u, nil})
		for e := range 10 {
			inter = append(inter, row{fmt.Sprintf("user-%011d", u), fmt.Sprintf("item-%d", e*u%17), "view", float64(e), 1000*e + u})
		}
	}
	importRows(t, s, "shop", Users, ImportFull, users)
	importRows(t, s, "shop", Interactions, ImportFull, inter)
	if got, want := scanSorted(t, s, "shop", Interactions), sortedStrings(inter); !slices.Equal(got, want) {
		t.Fatalf("scan gave %d rows, want %d", len(got), len(want))
	}
	mustCheck(t, s)
	if n := deleteUsers(t, s, "shop", 1, "user-00000000003", "nobody", "user-00000000004", "user-00000000003"); n != 22 {
		t.Fatalf("deleted %d rows, want 22", n)
	}
	mustCheck(t, s)
	finishDeletion(t, s, "shop", 1)
	mustCheck(t, s)
	keep := slices.DeleteFunc(slices.Clone(inter), func(r row) bool { return r[0] == "user-00000000003" || r[0] == "user-00000000004" })
	if got, want := scanSorted(t, s, "shop", Interactions), sortedStrings(keep); !slices.Equal(got, want) {
		t.Fatalf("scan gave %d rows, want %d", len(got), len(want))
	}
}

// DropStaged keeps what the caller puts beside it with the first of what it drops, or drops nothing.
func TestDropStagedCommit(t *testing.T) {
	s := testStore(t, Options{})
	s.limits.stageBytes, s.limits.stagePart = 64, 64 // several transactions
	createGroup(t, s, "shop")
	stage := func() int {
		t.Helper()
		jobs, err := s.StagedJobs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(jobs)
	}
	ids := [][]byte{[]byte("somebody-unknown"), []byte("somebody-else-unknown"), []byte("a-third-one-who-is-unknown"), []byte("and-a-fourth-one")}
	err := s.StageUsers(t.Context(), "shop", 1, 0, len(ids), func(i int) []byte { return ids[i] }, func(*Tx, Staged) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := s.DropStaged(t.Context(), 1, func(*Tx) error { return refused }); !errors.Is(err, refused) || stage() != 1 {
		t.Errorf("error %v, %d jobs are staged", err, stage())
	}
	calls := 0
	if err := s.DropStaged(t.Context(), 1, func(*Tx) error { calls++; return nil }); err != nil || calls != 1 || stage() != 0 {
		t.Errorf("error %v, %d calls, %d jobs are staged", err, calls, stage())
	}
}

// While a snapshot holds what is to go, calling Clean again remembers nothing more.
func TestCleanAgainAndAgain(t *testing.T) {
	s := testStore(t, Options{BlockRows: 7})
	createGroup(t, s, "shop")
	createGroup(t, s, "other")
	importRows(t, s, "shop", Users, ImportFull, []row{{"user-1", 1, nil}, {"user-2", 2, nil}})
	sn, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	deleteUsers(t, s, "shop", 1, "user-1")
	before := uint64(0)
	for range 20 {
		cleaned, err := s.Clean(t.Context())
		if err != nil || cleaned.WaitsFor(sn.group) == 0 {
			t.Fatalf("%+v: %v", cleaned, err)
		}
		before = cleaned.WaitsFor(sn.group)
	}
	for range 20 { // what others delete meanwhile isn't remembered either
		importRows(t, s, "other", Users, ImportFull, []row{{"user-3", 3, nil}})
		if _, err := s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.cleaner.marks); n > 2 {
		t.Errorf("%d marks with one snapshot open", n)
	}
	sn.Release()
	if cleaned, err := s.Clean(t.Context()); err != nil || cleaned.Waits() || cleaned.Done(sn.group)+1 < before {
		t.Errorf("waited for %d: %+v: %v", before, cleaned, err)
	}
	finishDeletion(t, s, "shop", 1)
	mustCheck(t, s)
}
