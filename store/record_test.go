package store

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
)

// TestItemArray has IDs of lengths about those that are copied in another way, in several chunks, read one by one and as a
// scan reads them.
func TestItemArray(t *testing.T) {
	ctx := context.Background()
	const missing, last = 700, 3*reverseSlots - 100
	idOf := func(ordinal int) []byte {
		if ordinal == missing || ordinal >= last {
			return nil
		}
		n := 8 // the first chunk is of one length
		if ordinal >= reverseSlots {
			n = 1 + ordinal%40
		}
		return bytes.Repeat([]byte{byte('a' + ordinal%26)}, n)
	}
	read := func(_ context.Context, _ dictID, num uint32) (c reverseChunk, err error) {
		for slot := range reverseSlots {
			c.append(idOf(int(num)*reverseSlots + slot))
		}
		c, _ = decodeReverse(c.encode(nil))
		return c, nil
	}
	for _, scan := range []bool{false, true} {
		r := &recordBuilder{items: newIDReader(&dictView{state: dictState{Next: last}}, read)}
		if scan {
			r.items.keepShort()
		}
		var ordinals []int64
		for i := range 5000 {
			if o := i * 7919 % last; o != missing {
				ordinals = append(ordinals, int64(o))
			}
		}
		got, err := r.itemArray(ctx, ordinals)
		if err != nil {
			t.Fatal(err)
		}
		ids := got.(*array.String)
		for i, o := range ordinals {
			if want := string(idOf(int(o))); ids.Value(i) != want {
				t.Fatalf("scan %v: value %d is %q, want %q", scan, i, ids.Value(i), want)
			}
		}
		ids.Release()
		for _, o := range []int64{missing, last, last + reverseSlots} {
			var damaged *CorruptError
			if _, err := r.itemArray(ctx, []int64{1, o}); !errors.As(err, &damaged) {
				t.Errorf("scan %v: ordinal %d gives %v", scan, o, err)
			}
		}
	}
}

func TestRepeat(t *testing.T) {
	for size := 1; size < 20; size++ {
		for n := range 70 {
			b := []byte("0123456789abcdefghij")[:size]
			got := make([]byte, n*size+1)
			got[n*size] = '!'
			repeat(got[:n*size], b)
			if want := append(bytes.Repeat(b, n), '!'); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes %d times: %q", size, n, got)
			}
		}
	}
}
