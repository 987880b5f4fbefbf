package store

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"pgregory.net/rapid"
)

// wideFields have a column of each type, with and without nulls.
func wideFields() []Field {
	fields := []Field{{Name: "ITEM_ID", Type: TypeString}, {Name: "USER_ID", Type: TypeString}}
	for _, typ := range []FieldType{TypeString, TypeInt32, TypeInt64, TypeFloat32, TypeFloat64, TypeBool} {
		fields = append(fields, Field{Name: "A_" + string(typ), Type: typ}, Field{Name: "B_" + string(typ), Type: typ, Nullable: true})
	}
	return append(fields, Field{Name: "TIMESTAMP", Type: TypeInt64})
}

// TestRecord takes Arrow rows to records, to the columns of a block, to records again, and to Arrow.
func TestRecord(t *testing.T) {
	fields := wideFields()
	l, err := newRowLayout(Interactions, fields, nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema(fields))
		defer b.Release()
		n := rapid.IntRange(1, 70).Draw(t, "rows")
		for range n {
			for i, f := range fields {
				if f.Nullable && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
					b.Field(i).AppendNull()
					continue
				}
				bits := rapid.Uint64().Draw(t, f.Name)
				switch fb := b.Field(i).(type) {
				case *array.StringBuilder:
					fb.Append(strings.Repeat("x", int(bits%3)))
				case *array.Int32Builder:
					fb.Append(int32(bits))
				case *array.Int64Builder:
					fb.Append(int64(bits))
				case *array.Float32Builder:
					fb.Append(math.Float32frombits(uint32(bits)))
				case *array.Float64Builder:
					fb.Append(math.Float64frombits(bits))
				case *array.BooleanBuilder:
					fb.Append(bits%2 == 0)
				}
			}
		}
		rec := b.NewRecord()
		defer rec.Release()
		bt, err := newBatch(l, rec)
		if err != nil {
			t.Fatal(err)
		}
		cols := l.newColumns()
		var records [][]byte
		for i := range n {
			r := bt.appendRow(nil, i, uint32(i*i))
			records = append(records, r)
			if recordItem(r) != uint32(i*i) || recordTime(r) != rec.Column(len(fields)-1).(*array.Int64).Value(i) {
				t.Fatal("item or time lie elsewhere in the record")
			}
		}
		l.appendRecords(cols, slices.Clone(records))
		for i := range n {
			if got := l.recordOf(nil, cols, i); !bytes.Equal(got, records[i]) {
				t.Fatalf("row %d: %x, want %x", i, got, records[i])
			}
		}
		for i, c := range l.cols {
			if i == 1 {
				continue // ITEM_ID as a code
			}
			arr := toArray(fields[c.field].Type, &cols[i], n)
			if want := rec.Column(c.field); !sameBits(arr, want) {
				t.Fatalf("column %s: %v, want %v", fields[c.field].Name, arr, want)
			}
			arr.Release()
		}
	})
}

// sameBits compares arrays, NaNs by their bits.
func sameBits(a, b arrow.Array) bool {
	if a.Len() != b.Len() || a.NullN() != b.NullN() {
		return false
	}
	for i := range a.Len() {
		if a.IsNull(i) != b.IsNull(i) {
			return false
		}
		if a.IsNull(i) {
			continue
		}
		same := a.ValueStr(i) == b.ValueStr(i)
		switch a := a.(type) {
		case *array.Float32:
			same = math.Float32bits(a.Value(i)) == math.Float32bits(b.(*array.Float32).Value(i))
		case *array.Float64:
			same = math.Float64bits(a.Value(i)) == math.Float64bits(b.(*array.Float64).Value(i))
		}
		if !same {
			return false
		}
	}
	return true
}

func TestLayoutErrors(t *testing.T) {
	user, item, ts := Field{Name: "USER_ID", Type: TypeString}, Field{Name: "ITEM_ID", Type: TypeString}, Field{Name: "TIMESTAMP", Type: TypeInt64}
	for _, tc := range []struct {
		typ    DatasetType
		fields []Field
		want   string // in the error; "" for none
	}{
		{Users, []Field{user}, ""}, {Items, []Field{item}, ""}, {Interactions, []Field{ts, user, item}, ""},
		{Users, []Field{item}, "USER_ID of type string, not null, is required"},
		{Users, []Field{{Name: "USER_ID", Type: TypeString, Nullable: true}}, "USER_ID"},
		{Users, []Field{{Name: "USER_ID", Type: TypeInt64}}, "USER_ID"},
		{Users, []Field{user, user}, "USER_ID is there twice"},
		{Users, []Field{user, {Name: "AGE", Type: "decimal"}}, `AGE has the unknown type "decimal"`},
		{Items, nil, "ITEM_ID"},
		{Interactions, []Field{user, item}, "TIMESTAMP"},
		{Interactions, []Field{user, ts}, "ITEM_ID"},
		{Interactions, []Field{user, item, {Name: "TIMESTAMP", Type: TypeInt32}}, "TIMESTAMP of type long"},
		{"ACTIONS", []Field{user}, "unknown"},
	} {
		_, err := newRowLayout(tc.typ, tc.fields, nil)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s with %v: %v, want %q", tc.typ, tc.fields, err, tc.want)
		}
	}
}

func TestAppendErrors(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	ok := row{"user", 3, "city"}
	for _, tc := range []struct {
		name string
		rec  arrow.Record
		want string
	}{
		{"other columns", record(Items, nil), "USER_ID"},
		{"other number", record(Interactions, nil), "5 columns"},
		{"no ID", record(Users, []row{ok, {"", 1, nil}}), "row 2"},
		{"long ID", record(Users, []row{{strings.Repeat("secret", 1000), 1, nil}}), "row 1"},
		{"null", record(Users, []row{ok, {nil, 1, nil}}), "nulls"},
	} {
		im, err := s.BeginImport(t.Context(), "shop", Users, ImportFull)
		if err != nil {
			t.Fatal(err)
		}
		err = im.Append(tc.rec)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err := im.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		tc.rec.Release()
	}
}

func TestIDTable(t *testing.T) {
	var table idTable
	for range 2 { // again after a reset
		codes := make(map[string]uint32)
		hashes := make(map[uint32]uint64)
		for i := range 5000 {
			id := fmt.Sprint(i * i % 3001)
			switch i % 4 {
			case 1:
				id = "a long ID: " + id
			case 2:
				id = (id + "\x00\x00\x00\x00\x00\x00\x00\x00")[:1+i%8]
			}
			hash := uint64(len(id)) << 30 // many are equal
			code := table.code(hash, []byte(id))
			if want, ok := codes[id]; ok && code != want || !ok && int(code) != len(codes) {
				t.Fatalf("%q has code %d", id, code)
			}
			codes[id], hashes[code] = code, hash
		}
		var sorted []hashedCode
		for code, hash := range hashes {
			sorted = append(sorted, hashedCode{hash, code})
		}
		table.sort(sorted)
		less := func(a, b hashedCode) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(table.ids.at(int(a.code)), table.ids.at(int(b.code))))
		}
		if table.len() != len(codes) || !slices.IsSortedFunc(sorted, less) {
			t.Error("codes are not in order")
		}
		table.reset()
	}
}

func TestMergeIDs(t *testing.T) {
	s := testStore(t, Options{})
	spill, err := newSpillFile(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer spill.close()
	rapid.Check(t, func(t *rapid.T) {
		var lists []*bufio.Reader
		var all []string
		for range rapid.IntRange(0, 5).Draw(t, "lists") {
			ids := rapid.SliceOfN(rapid.StringN(0, 3, 9), 0, 20).Draw(t, "ids")
			sorted, repeats := s.sortIDs(len(ids), func(i int) []byte { return []byte(ids[i]) })
			distinct := slices.Compact(slices.Sorted(slices.Values(ids)))
			if sorted.ids.len() != len(distinct) || int(repeats)+len(distinct) != len(ids) {
				t.Fatalf("%q: %d distinct and %d repeats", ids, sorted.ids.len(), repeats)
			}
			all = append(all, distinct...)
			lists = append(lists, bufio.NewReaderSize(bytes.NewReader(sorted.appendTo(nil)), 16))
		}
		var got []string
		last := uint64(0)
		err := mergeIDs(lists, func(c *idCursor, first bool) error {
			if c.hash < last || c.hash != s.hashID(c.id) {
				t.Fatalf("hash %d after %d", c.hash, last)
			}
			last = c.hash
			if first != !slices.Contains(got, string(c.id)) {
				t.Fatalf("first is %t", first)
			}
			got = append(got, string(c.id))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(all)
		if !slices.Equal(got, all) {
			t.Fatalf("%q, want %q", got, all)
		}
	})
	cut := bufio.NewReader(strings.NewReader("\x00\x00\x00\x00\x01\x05abc"))
	if err := mergeIDs([]*bufio.Reader{cut}, func(*idCursor, bool) error { return nil }); err == nil {
		t.Error("a list that ends in the middle of an ID is no error")
	}
}
