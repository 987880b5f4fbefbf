package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// interrupted runs an operation and calls interrupt at its k-th commit, for k = 0, 1, 2, … until a run ends before that. It
// returns how many there were. What interrupt begins has ended when wait returns.
func interrupted(t *testing.T, op crashOp, ends func(error) bool, interrupt func(s *Store, cancel func()), wait func()) (points int) {
	limits, opts := crashLimits(), Options{BlockRows: 3, Codec: CodecNone}
	s := filledStore(t, opts, limits)
	if op.setup != nil {
		if err := op.setup(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, s, "shop")
	if err := s.closeFiles(); err != nil {
		t.Fatal(err)
	}
	start := readFile(t, s.path)
	path := filepath.Join(t.TempDir(), "interrupted.expunge")
	begin := func() *Store {
		if err := os.WriteFile(path, start, 0o600); err != nil {
			t.Fatal(err)
		}
		return openQuick(t, path, opts, limits)
	}
	s = begin()
	if err := errors.Join(op.run(t.Context(), s), s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	after := contentsOf(t, path)
	step := 1
	if os.Getenv("EXPUNGE_TEST_LONG") == "" {
		step = 5
	}
	for k := rand.New(rand.NewPCG(1, 4)).IntN(step); ; k += step {
		s := begin()
		ctx, cancel := context.WithCancel(t.Context())
		commits := 0
		s.committed = func() {
			if commits++; commits == k+1 {
				interrupt(s, cancel)
			}
		}
		err := op.run(ctx, s)
		cancel()
		wait()
		if err != nil && (!ends(err) || commits <= k) {
			t.Errorf("at commit %d of %d: %v", k, commits, err)
		}
		// As it is left, and as it is when it was closed.
		data := readFile(t, path)
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("at commit %d: close: %v", k, err)
		}
		for _, im := range []image{{"left", data}, {"closed", readFile(t, path)}} {
			if checkImage(t, path, im, op, opts, limits, before, after); t.Failed() {
				t.Fatalf("interrupted at commit %d, as it was %s: %v", k, im.what, err)
			}
		}
		if commits <= k {
			return points
		}
		points++
	}
}

// TestCancelAtCommits: a context that ends at any commit leaves what was before or what is after.
func TestCancelAtCommits(t *testing.T) {
	inMemory(t)
	for _, op := range crashOps() {
		t.Run(op.name, func(t *testing.T) {
			n := interrupted(t, op, func(err error) bool { return errors.Is(err, context.Canceled) }, func(_ *Store, cancel func()) { cancel() }, func() {})
			t.Logf("cancelled at %d points", n)
		})
	}
}

// TestCloseAtCommits: so does a store that is closed in the middle of an operation.
func TestCloseAtCommits(t *testing.T) {
	inMemory(t)
	for _, op := range crashOps() {
		t.Run(op.name, func(t *testing.T) {
			var closing sync.WaitGroup
			closed := func(err error) bool { return errors.Is(err, ErrClosed) }
			n := interrupted(t, op, closed, func(s *Store, _ func()) {
				closing.Go(func() {
					if err := s.Close(context.Background()); err != nil {
						t.Error(fmt.Errorf("close: %w", err))
					}
				})
			}, closing.Wait)
			t.Logf("closed at %d points", n)
		})
	}
}
