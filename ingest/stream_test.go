package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func decompress(t testing.TB, name, stored string) (string, error) {
	t.Helper()
	var count atomic.Int64
	src := inMemory(name, stored)
	b, err := openBody(t.Context(), src, src.files[0], &count, io.Discard)
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(b)
	if err == nil && count.Load() != int64(len(stored)) {
		t.Errorf("%s: counted %d of %d bytes", name, count.Load(), len(stored))
	}
	return string(plain), errors.Join(err, b.Close())
}

func TestDecompress(t *testing.T) {
	for name, stored := range map[string]string{
		"a.csv": "plain", "a.gz": gzipped(t, "plain"), "a.CSV.GZ": gzipped(t, "pl") + gzipped(t, "ain"),
		"a.zst": zstded(t, "plain"), "a.csv.Zst": zstded(t, "pl") + zstded(t, "ain"),
	} {
		if got, err := decompress(t, name, stored); err != nil || got != "plain" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestDecompressDamage cuts a file at every byte and flips every one. What
// remains of it must not pass for the whole.
func TestDecompressDamage(t *testing.T) {
	plain := strings.Repeat("USER_ID\nabcdef\n", 10)
	for name, stored := range map[string]string{"a.csv.gz": gzipped(t, plain), "a.csv.zst": zstded(t, plain)} {
		check := func(what string, at int, damaged []byte) {
			got, err := decompress(t, name, string(damaged))
			if err == nil && got != plain {
				t.Errorf("%s: %s at %d gives %d bytes and no error", name, what, at, len(got))
			}
			if err != nil {
				wantError(t, err, "mem/"+name+": ", "compress") // "cannot be decompressed", or what to do about a large window
			}
		}
		for i := range len(stored) {
			if i > 0 || strings.HasSuffix(name, ".gz") { // no bytes at all are a zstd file of no frames
				check("cut", i, []byte(stored[:i]))
			}
			damaged := []byte(stored)
			damaged[i] ^= 1 << (i % 8)
			check("flip", i, damaged)
		}
		_, err := decompress(t, name, stored+"garbage")
		wantError(t, err, "cannot be decompressed")
	}
	r := newList(t, inMemory("a.csv.zst", ""))
	_, err := readList(t, r, 1)
	wantError(t, err, "no header")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestZstdWindow(t *testing.T) {
	data := make([]byte, 70<<20)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range data[:1<<20] {
		data[i] = byte(rng.Uint32())
	}
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = decompress(t, "a.csv.zst", b.String())
	wantError(t, err, "mem/a.csv.zst: needs a zstd window of more than 32 MiB")
}

// TestSourceErrorWins has a source that fails in the middle of a file: that the
// file then looks cut off is only the consequence.
func TestSourceErrorWins(t *testing.T) {
	broken := errors.New("connection lost")
	for name, stored := range map[string]string{"a.csv": "USER_ID\n", "a.csv.gz": gzipped(t, "USER_ID\n"), "a.csv.zst": zstded(t, "USER_ID\n")} {
		for cut := range len(stored) {
			r := newList(t, &failingSource{inMemory(name, stored), cut, broken})
			_, err := readList(t, r, 1)
			if !errors.Is(err, broken) {
				t.Errorf("%s: got %v; want the source's error", name, err)
			}
			wantError(t, err, "mem/"+name+": read: connection lost")
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// failingSource breaks every file off after some bytes.
type failingSource struct {
	*memorySource
	cut int
	err error
}

func (s *failingSource) Open(_ context.Context, f File) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(s.data[f.Path][:s.cut]), errReader{s.err})), nil
}
