package store

import (
	"math"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring"
	"pgregory.net/rapid"
)

// drawIndex draws an index and the ordinal of each of its rows.
func drawIndex(t *rapid.T) (*rowIndex, []uint32) {
	x := new(rowIndex)
	var rows []uint32
	ordinal := rapid.Uint32Range(0, 1<<17).Draw(t, "first")
	most := rapid.SampledFrom([]uint32{3, 300}).Draw(t, "most rows") // few rows make many ordinals, and so marks
	for range rapid.IntRange(1, 6000/int(most)).Draw(t, "ordinals") {
		n := rapid.Uint32Range(1, most).Draw(t, "rows")
		for i := range n {
			rows = append(rows, ordinal)
			if i == 0 {
				x.add(ordinal, 1)
			}
		}
		x.add(ordinal, n-1)
		ordinal += rapid.SampledFrom([]uint32{1, 1, 2, 200, 70000}).Draw(t, "gap")
	}
	return x, rows
}

func TestRowIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, rows := drawIndex(t)
		b, err := x.encode()
		if err != nil {
			t.Fatal(err)
		}
		x, ok := decodeRowIndex(b)
		if !ok || int(x.rows()) != len(rows) {
			t.Fatalf("decoded %t with %d rows, want %d", ok, x.rows(), len(rows))
		}
		set, dead := roaring.New(), roaring.New()
		for row, ordinal := range rows {
			if rapid.IntRange(0, 30).Draw(t, "pick") == 0 {
				set.Add(ordinal)
			}
			if rapid.IntRange(0, 2).Draw(t, "dead") == 0 {
				dead.Add(uint32(row))
			}
		}
		set.Add(rows[0] + 1) // most likely of nobody
		want, left := roaring.New(), new(rowIndex)
		for row, ordinal := range rows {
			if set.Contains(ordinal) {
				want.Add(uint32(row))
			}
			if !dead.Contains(uint32(row)) {
				left.add(ordinal, 1)
			}
		}
		if got := x.rowsOf(set); !got.Equals(want) {
			t.Fatalf("rows %v, want %v", got, want)
		}
		if got := x.without(dead); !slices.Equal(got.ordinals, left.ordinals) || !slices.Equal(got.ends, left.ends) {
			t.Fatalf("%v without %v is %v, want %v", rows, dead, got.ends, left.ends)
		}
		for _, ordinal := range []uint32{0, rows[0], rows[len(rows)/3], rows[len(rows)/2], rows[len(rows)/2] + 1, rows[len(rows)-1], rows[len(rows)-1] + 1} {
			from, to := x.find(ordinal)
			first := slices.Index(rows, ordinal)
			if n := int(to - from); first < 0 && n != 0 || first >= 0 && (int(from) != first || slices.ContainsFunc(rows[from:to], func(o uint32) bool { return o != ordinal })) {
				t.Fatalf("rows of %d are %d to %d", ordinal, from, to)
			}
			if f, l, ok := findRows(b, ordinal); !ok || f != from || l != to {
				t.Fatalf("rows of %d are %d to %d as stored, and decoded %d to %d", ordinal, f, l, from, to)
			}
		}
		var live []uint32
		for run := range liveRuns(1, x.rows(), dead) {
			for row := run[0]; row < run[1]; row++ {
				live = append(live, row)
			}
		}
		for row := range x.rows() {
			if row > 0 && !dead.Contains(row) != slices.Contains(live, row) {
				t.Fatalf("row %d: live runs are wrong", row)
			}
		}
	})
}

// TestTwoContainers: a bitmap with two containers of one key, in order, reads as a whole, and a search finds what is in one of
// them only. It is refused.
func TestTwoContainers(t *testing.T) {
	x := new(rowIndex)
	for i, ordinal := range []uint32{5, 9, 1<<16 + 20} {
		x.add(ordinal, uint32(i+1))
	}
	b, err := x.encode()
	if err != nil {
		t.Fatal(err)
	}
	const key = 1 + 4 + 4 + 4 // behind the length, the bitmap's head and the first container's key
	if b[key] != 1 {
		t.Fatalf("%x: no key of the second container", b)
	}
	b[key] = 0
	if x, ok := decodeRowIndex(b); ok {
		t.Errorf("read as %v", x.ordinals)
	}
}

func FuzzDecodeRowIndex(f *testing.F) {
	x := new(rowIndex)
	for i := range uint32(9) {
		x.add(i*i*1000, i+1)
	}
	seed, err := x.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, ok := decodeRowIndex(b)
		for _, ordinal := range []uint32{0, 64000, math.MaxUint32} {
			from, to, readable := findRows(b, ordinal)
			if !ok {
				continue
			}
			if first, end := x.find(ordinal); !readable || first != from || end != to {
				t.Errorf("rows of %d are %d to %d as stored, and decoded %d to %d", ordinal, from, to, first, end)
			}
		}
		if !ok {
			return
		}
		if len(x.ends) != len(x.ordinals) || x.rows() > maxBlockRows || !slices.IsSorted(x.ends) || !slices.IsSorted(x.ordinals) {
			t.Errorf("%d ends, %d ordinals, %d rows", len(x.ends), len(x.ordinals), x.rows())
		}
		stored, err := x.encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := decodeRowIndex(stored); !ok || !slices.Equal(again.ordinals, x.ordinals) || !slices.Equal(again.ends, x.ends) {
			t.Error("the index changes when it is stored again")
		}
	})
}

func FuzzDecodeRefs(f *testing.F) {
	f.Add(encodeRefs(&[refSlots]uint32{0: 1, 7: 1 << 31, refSlots - 1: 300}))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := decodeRefs(b)
		if !ok {
			return
		}
		if again, ok := decodeRefs(encodeRefs(c)); !ok || *again != *c {
			t.Error("counts change when they are stored again")
		}
	})
}

func TestPlanCompaction(t *testing.T) {
	for _, tc := range []struct {
		sizes  []uint32
		budget int
		want   []int // blocks in each transaction
	}{
		{nil, 10, nil},
		{[]uint32{5}, 10, []int{1}},
		{[]uint32{5, 5, 1}, 10, []int{2, 1}},
		{[]uint32{50, 5, 5}, 10, []int{1, 2}},
		{[]uint32{5, 50, 5}, 10, []int{1, 1, 1}},
		{[]uint32{0, 0, 0}, 0, []int{3}},
	} {
		var blocks []candidate
		for i, n := range tc.sizes {
			blocks = append(blocks, candidate{fence: fence{Block: uint64(i), Bytes: n}})
		}
		var got []int
		next := uint64(0)
		for _, tx := range planCompaction(blocks, tc.budget) {
			got = append(got, len(tx))
			for _, c := range tx {
				if c.fence.Block != next {
					t.Errorf("%v: block %d comes where %d should", tc.sizes, c.fence.Block, next)
				}
				next++
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v in %d: %v, want %v", tc.sizes, tc.budget, got, tc.want)
		}
	}
}

// TestEachFenceOf compares the leaps over a layer's fences with a walk over all of them, with keys that fill several
// blocks, fences that are lower bounds only, and other layers before and behind.
func TestEachFenceOf(t *testing.T) {
	s := openQuick(t, t.TempDir()+"/fences.expunge", Options{}, defaultLimits)
	layer := uint32(0)
	rapid.Check(t, func(t *rapid.T) {
		layer += 3
		type span struct {
			least, greatest uint32
			key             []byte
		}
		var spans []span
		set := roaring.New()
		err := s.Update(t.Context(), func(tx *Tx) error {
			for _, l := range []uint32{layer - 1, layer, layer + 1} {
				least, seq := rapid.Uint32Range(0, 5).Draw(t, "least"), uint32(0)
				for id := range rapid.IntRange(0, 12).Draw(t, "blocks") {
					greatest := least + rapid.Uint32Range(0, 4).Draw(t, "width")
					key := fenceKey(1, l, least, seq)
					f := fence{Block: uint64(id), Greatest: greatest, Rows: 1}
					if err := putSealed(tx.b.Bucket(bucketFences), key, f.encode()); err != nil {
						return err
					}
					if l == layer {
						spans = append(spans, span{least, greatest, key})
					}
					gap := rapid.Uint32Range(0, 3).Draw(t, "gap")
					if seq++; greatest+gap > least {
						seq = 0
					}
					least = greatest + gap
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 6).Draw(t, "ordinals") {
			set.Add(rapid.Uint32Range(0, 60).Draw(t, "ordinal"))
		}
		var got, want []string
		for _, sp := range spans {
			if n := countRange(set, sp.least, sp.greatest+1); n > 0 {
				want = append(want, string(sp.key))
			}
		}
		err = s.View(t.Context(), func(tx *Tx) error {
			return tx.eachFenceOf(1, layer, set, func(key []byte, _ fence) error {
				got = append(got, string(key))
				return nil
			})
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v in %v: %d blocks, want %d: %v", set, spans, len(got), len(want), err)
		}
	})
}
