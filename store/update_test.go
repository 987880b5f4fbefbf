package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// wider has a column before, one between and one after those that the Users dataset has, and these in another order.
var wider = []Field{
	{Name: "TIER", Type: TypeString, Nullable: true}, {Name: "CITY", Type: TypeString, Nullable: true},
	{Name: "SCORE", Type: TypeFloat32, Nullable: true}, {Name: "USER_ID", Type: TypeString},
	{Name: "AGE", Type: TypeInt32, Nullable: true}, {Name: "VIP", Type: TypeBool, Nullable: true},
}

func updateUsers(t testing.TB, s *Store, group string) {
	t.Helper()
	if err := widen(t.Context(), s, group); err != nil {
		t.Fatal(err)
	}
}

func widen(ctx context.Context, s *Store, group string) error {
	return s.Update(ctx, func(tx *Tx) error {
		if err := tx.CreateSchema(Schema{Name: "wider", Type: string(Users), Fields: wider}); err != nil {
			return err
		}
		_, err := tx.UpdateDataset(group, Users, "wider", time.Now())
		return err
	})
}

// TestUpdateDataset changes the schema of a dataset with rows: old rows read null in new columns, also after an import, a
// merge, a deletion and a backup, and a snapshot from before has the old columns.
func TestUpdateDataset(t *testing.T) {
	limits := defaultLimits
	limits.pageRows = 4
	s := openQuick(t, t.TempDir()+"/update.expunge", Options{BlockRows: 16}, limits)
	createGroup(t, s, "shop")
	var want []string
	var rows []row
	for u := range 24 {
		rows = append(rows, row{fmt.Sprintf("u%02d", u), u, fmt.Sprintf("c%02d", u)})
		want = append(want, fmt.Sprintf("[(null) c%02d (null) u%02d %d (null)]", u, u, u))
	}
	importRows(t, s, "shop", Users, ImportFull, rows)
	old, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	updateUsers(t, s, "shop")
	compare := func(s *Store, step string) {
		t.Helper()
		if got := texts(t, s); !slices.Equal(got, want) {
			t.Fatalf("%s: %v", step, got)
		}
		mustCheck(t, s)
	}
	compare(s, "after the update")

	im, err := s.BeginImport(t.Context(), "shop", Users, ImportIncremental)
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema(wider))
	defer b.Release()
	for _, row := range []string{
		`{"TIER":"gold","CITY":"x","SCORE":1.5,"USER_ID":"u07","AGE":1,"VIP":true}`,
		`{"TIER":null,"CITY":null,"SCORE":2.5,"USER_ID":"u99","AGE":null,"VIP":false}`,
	} {
		if err := b.UnmarshalJSON([]byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.NewRecord()
	defer rec.Release()
	if err := im.Append(rec); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Finish(t.Context(), nil, func(*Tx, ImportResult) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want[7] = "[gold x 1.5 u07 1 true]"
	want = append(want, "[(null) (null) 2.5 u99 (null) false]")
	slices.Sort(want)
	compare(s, "after an import")
	if got := scanAll(t, old, Users); len(got) != 24 || len(got[0]) != 3 {
		t.Errorf("the snapshot from before has %d rows", len(got))
	}
	old.Release()

	gone := []string{"u03", "u21", "u22", "u23", "u20"}
	deleteUsers(t, s, "shop", 1, gone...)
	want = slices.DeleteFunc(want, func(row string) bool {
		return slices.ContainsFunc(gone, func(id string) bool { return strings.Contains(row, id) })
	})
	finishDeletion(t, s, "shop", 1)
	compare(s, "after a deletion")
	merged := false
	for more := true; more; merged = merged || more {
		if more, err = s.MergeLayers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !merged {
		t.Error("nothing was merged")
	}
	compare(s, "after a merge")
	path := t.TempDir() + "/copy.expunge"
	if _, err := s.Backup(t.Context(), path, func(*Tx) (uint64, error) { return 0, nil }); err != nil {
		t.Fatal(err)
	}
	compare(openQuick(t, path, Options{}, limits), "in a backup")
}

// texts returns the rows of the Users dataset, sorted.
func texts(t testing.TB, s *Store) (out []string) {
	t.Helper()
	sn, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	for rec, err := range sn.Scan(t.Context(), Users) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rec.NumRows()) {
			var cells []string
			for _, c := range rec.Columns() {
				cells = append(cells, c.ValueStr(i))
			}
			out = append(out, fmt.Sprint(cells))
		}
		rec.Release()
	}
	slices.Sort(out)
	return out
}

func TestUpdateDatasetRefused(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	with := func(f Field) []Field { return append(slices.Clone(testFields[Users]), f) }
	for name, tc := range map[string]struct {
		typ    DatasetType
		fields []Field
		says   string
	}{
		"interactions":   {Interactions, testFields[Interactions], "can't be changed"},
		"other type":     {Users, testFields[Items], "give one for USERS"},
		"missing field":  {Users, testFields[Users][:2], "field CITY is missing"},
		"not null":       {Users, with(Field{Name: "X", Type: TypeString}), "field X is new"},
		"other field":    {Users, []Field{testFields[Users][0], {Name: "AGE", Type: TypeInt64, Nullable: true}, testFields[Users][2]}, "field AGE has another type"},
		"other metadata": {Users, []Field{testFields[Users][0], testFields[Users][1], {Name: "CITY", Type: TypeString, Nullable: true, Metadata: map[string]string{"categorical": "true"}}}, "field CITY has another"},
	} {
		err := s.Update(t.Context(), func(tx *Tx) error {
			typ := tc.typ
			if name == "other type" {
				typ = Items
			}
			if err := tx.CreateSchema(Schema{Name: "s", Type: string(typ), Fields: tc.fields}); err != nil {
				return err
			}
			_, err := tx.UpdateDataset("shop", tc.typ, "s", time.Now())
			return err
		})
		if !errors.Is(err, ErrSchema) || !strings.Contains(fmt.Sprint(err), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
