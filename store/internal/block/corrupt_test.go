package block

import (
	"bytes"
	"errors"
	"testing"
)

func TestEveryFlipIsFound(t *testing.T) {
	for _, codec := range []Codec{Packed, None} {
		payload := encode(t, codec, 40, sampleColumns(40))
		for i := range payload {
			for _, flip := range []byte{1, 0x80, 0xFF} {
				payload[i] ^= flip
				if _, err := Parse(payload); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("codec %d, byte %d: got %v", codec, i, err)
				}
				payload[i] ^= flip
			}
		}
		for n := range payload {
			if _, err := Parse(payload[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("codec %d, cut to %d bytes: got %v", codec, n, err)
			}
		}
		if _, err := Parse(append(payload, 0)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("codec %d, a byte too many: got %v", codec, err)
		}
	}
}

// readAll reads what there is of a block that may be damaged in a way that its
// checksum agrees with. It must not panic, take more memory than a block holds,
// or leave traces of a read that failed.
func readAll(t testing.TB, payload []byte) {
	t.Helper()
	b, err := Parse(payload)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("Parse: %v", err)
		}
		return
	}
	rows := b.Rows()
	for _, codec := range []Codec{Packed, None} {
		var e Encoder
		thin, err := e.Thin(nil, codec, b, [][2]int{{0, rows / 5}, {rows / 3, rows / 2}})
		if err != nil && !errors.Is(err, ErrCorrupt) || err != nil && len(thin) > 0 {
			t.Fatalf("Thin: %d bytes, %v", len(thin), err)
		}
	}
	for i := range b.NumColumns() {
		dst := Column{Kind: b.Kind(i)}
		for _, r := range [][2]int{{0, rows}, {rows / 3, rows / 2}, {rows / 2, rows}, {0, rows / 5}, {0, rows}} {
			if dst.Len() > 3*MaxRows || len(dst.Bytes) > 1<<20 {
				dst.Reset()
			}
			n, size := dst.Len(), len(dst.Bytes)
			err := b.Read(i, r[0], r[1], &dst)
			if err == nil {
				n += r[1] - r[0]
			} else if !errors.Is(err, ErrCorrupt) || len(dst.Bytes) != size {
				t.Fatalf("column %d: %v, and %d bytes for %d", i, err, len(dst.Bytes), size)
			}
			if dst.Len() != n || len(dst.Bytes)-size > MaxBytes || dst.Kind == String && n > 0 && int(dst.Ends[n-1]) != len(dst.Bytes) {
				t.Fatalf("column %d: %d values in %d bytes after %v", i, dst.Len(), len(dst.Bytes), err)
			}
			if len(dst.Valid) != 0 && len(dst.Valid) != bitmapWords(n) {
				t.Fatalf("column %d: %d words of validity for %d values", i, len(dst.Valid), n)
			}
			for j := range n {
				if dst.Kind == String {
					dst.Value(j)
				}
			}
		}
	}
}

// TestSealedDamage shows that the decoders hold without the checksum.
func TestSealedDamage(t *testing.T) {
	for _, codec := range []Codec{Packed, None} {
		for _, c := range sampleColumns(150) {
			payload := encode(t, codec, 150, []Column{c})
			buf := make([]byte, len(payload))
			for i := 8; i < len(payload); i++ {
				for _, flip := range []byte{1, 0x10, 0x80, 0xFF} {
					copy(buf, payload)
					buf[i] ^= flip
					readAll(t, seal(buf))
				}
			}
		}
	}
}

// TestHeapBomb makes sure that a claim of a large heap isn't believed.
func TestHeapBomb(t *testing.T) {
	for _, raw := range []uint32{MaxBytes + 1, 1 << 31, 1<<32 - 1} {
		if err := checkHeap(make([]byte, 1<<10), raw); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: got %v", raw, err)
		}
	}
	if err := checkHeap(make([]byte, 20), 8<<20); !errors.Is(err, ErrCorrupt) {
		t.Errorf("8 MiB out of 20 bytes: got %v", err)
	}
	zeros := make([]byte, MaxBytes)
	stored := appendHeap(nil, zeros)
	if err := checkHeap(stored, uint32(len(zeros))); err != nil {
		t.Errorf("the most that compression gives is refused: %v", err)
	}
	if got, err := appendRaw(nil, stored, len(zeros)); err != nil || !bytes.Equal(got, zeros) {
		t.Errorf("the largest heap: %d bytes and %v", len(got), err)
	}
	for _, raw := range []int{len(zeros) - 1, len(zeros) + 1} {
		if _, err := appendRaw(nil, stored, raw); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes of %d: got %v", raw, len(zeros), err)
		}
	}
	// A dictionary of one long value makes a small block that claims 4 GiB.
	c := Column{Kind: String}
	long := bytes.Repeat([]byte("x"), 1<<16)
	for range 4 {
		c.AppendString(long)
	}
	b, err := Parse(encode(t, Packed, 4, []Column{c}))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cols[0].open(b.rows); err != nil {
		t.Fatal(err)
	}
	b.rows, b.cols[0].ints = MaxRows, intStream{n: MaxRows}
	dst := Column{Kind: String}
	if err := b.Read(0, 0, MaxRows, &dst); !errors.Is(err, ErrCorrupt) || dst.Len() != 0 {
		t.Errorf("got %d values and %v", dst.Len(), err)
	}
	if cap(dst.Bytes) > 4*MaxBytes {
		t.Errorf("took %d bytes", cap(dst.Bytes))
	}
}

// FuzzRead reads arbitrary bytes whose checksum fits.
func FuzzRead(f *testing.F) {
	for _, codec := range []Codec{Packed, None} {
		for _, rows := range []int{0, 1, 150, 600} {
			for _, c := range sampleColumns(rows) {
				f.Add(encode(f, codec, rows, []Column{c}))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		readAll(t, seal(bytes.Clone(data)))
	})
}
