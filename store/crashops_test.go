package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// crashLimits make of little data many transactions.
func crashLimits() limits {
	limits := smallLimits(rand.New(rand.NewPCG(7, 7)))
	limits.stageBytes, limits.compactBytes, limits.pageRows, limits.mergeRows = 400, 200, 4, 1<<20
	limits.resolveBatch, limits.removeBudget, limits.dropPerTx = 5, 40, 2
	limits.unitBytes, limits.pieceBytes = 300, 500
	limits.foldEntries, limits.foldBytes, limits.sessionBytes = 1000, 1<<20, 100
	return limits
}

// crashOp is an operation on a [filledStore] with at least three blocks in each dataset. Its deletion is job 9.
type crashOp struct {
	name       string
	setup, run func(context.Context, *Store) error
	commits    int // at least

	deleted string // a user who is seen until the deletion's tombstones are there
	hidden  bool   // what run puts is seen only once it is folded
}

// then does one after the other.
func then(all ...func(context.Context, *Store) error) func(context.Context, *Store) error {
	return func(ctx context.Context, s *Store) error {
		for _, do := range all {
			if err := do(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func crashOps() []*crashOp {
	_, _, inter := oneOfEach()
	list := []string{inter[0][0].(string), inter[40][0].(string), mark + "nobody-00001", mark + "nobody-00002", mark + "nobody-00003", inter[90][0].(string)}
	begin := func(ctx context.Context, s *Store, mode ImportMode) (*Import, error) {
		im, err := s.BeginImport(ctx, "shop", Interactions, mode)
		if err != nil {
			return nil, err
		}
		rec := record(Interactions, append(slices.Clone(inter[:30]),
			row{mark + "user-new-000001", mark + "item-new-000001", "click", 2.5, 17}, row{mark + "user-new-000002", mark + "item-new-000001", "click", 2.5, 17}))
		defer rec.Release()
		return im, im.Append(rec)
	}
	imports := func(mode ImportMode) func(context.Context, *Store) error {
		return func(ctx context.Context, s *Store) error {
			im, err := begin(ctx, s, mode)
			if err == nil {
				_, err = im.Finish(ctx, nil, func(*Tx, ImportResult) error { return nil })
			}
			if err != nil && im != nil {
				err = errors.Join(err, im.Abort(context.WithoutCancel(ctx)))
			}
			return err
		}
	}
	remove := stageAndTombstone(list)
	ops := []*crashOp{
		{name: "full import", run: imports(ImportFull), commits: 6},
		{name: "incremental import", run: imports(ImportIncremental), commits: 4},
		{name: "aborted import", run: func(ctx context.Context, s *Store) error {
			im, err := begin(ctx, s, ImportFull)
			stop := errors.New("stop")
			if err == nil {
				_, err = im.Finish(ctx, nil, func(*Tx, ImportResult) error { return stop })
			}
			if errors.Is(err, stop) {
				err = nil
			}
			if im != nil {
				err = errors.Join(err, im.Abort(ctx), im.Abort(context.WithoutCancel(ctx)))
			}
			return err
		}, commits: 10},
		{name: "deletion", run: remove, commits: 3},
		{name: "deletion with suppression", setup: func(ctx context.Context, s *Store) error {
			return s.Update(ctx, func(tx *Tx) error { return tx.SetSuppression("shop", true) })
		}, run: then(remove, finishCrashed), commits: 10},
		{name: "clean and scrub after deletion", setup: remove, run: finishCrashed, commits: 11},
		{name: "clean around a lease", run: func(ctx context.Context, s *Store) error {
			sn, err := s.Snapshot(ctx, "shop")
			if err != nil {
				return err
			}
			defer sn.Release()
			if err := remove(ctx, s); err != nil {
				return err
			}
			if cleaned, err := s.Clean(ctx); err != nil || !cleaned.Waits() {
				return fmt.Errorf("clean waits for nothing: %w", err)
			}
			if _, err := s.Scrub(ctx); err != nil {
				return err
			}
			sn.Release()
			return finishCrashed(ctx, s)
		}, commits: 15},
		{name: "clean after full import", setup: imports(ImportFull), run: then(sweepShop, cleanAll), commits: 15},
		{name: "merge of layers", setup: imports(ImportIncremental), run: func(ctx context.Context, s *Store) error {
			merged, err := s.MergeLayers(ctx)
			if err == nil && !merged {
				err = errors.New("nothing was merged")
			}
			return err
		}, commits: 5},
		{name: "removal of a dataset", setup: remove, run: then(removeOf(Interactions), finishCrashed), commits: 10},
		{name: "removal of a group", setup: then(removeOf(Users), removeOf(Items), removeOf(Interactions)), run: func(ctx context.Context, s *Store) error {
			err := s.Update(ctx, func(tx *Tx) error { return tx.DeleteGroup("shop") })
			if err == nil {
				err = cleanAll(ctx, s)
			}
			return err
		}, commits: 10},
		{name: "update of a dataset", run: updateUsers, commits: 1},
		{name: "update of a dataset with a journal", setup: putEvents, run: updateUsers, commits: 1},
	}
	for _, op := range ops {
		op.deleted = list[0]
	}
	return append(ops, crashEventOps()...)
}

// stageAndTombstone runs a deletion up to its tombstones.
func stageAndTombstone(list []string) func(context.Context, *Store) error {
	return func(ctx context.Context, s *Store) error {
		batches := uint32(0)
		for batch := range slices.Chunk(list, 3) {
			err := s.StageUsers(ctx, "shop", 9, batches, len(batch), func(i int) []byte { return []byte(batch[i]) }, func(*Tx, Staged) error { return nil })
			if err != nil {
				return err
			}
			batches++
		}
		if _, err := s.Suppress(ctx, "shop", 9, batches); err != nil {
			return err
		}
		return s.Tombstone(ctx, "shop", 9, batches, func(*Tx, Deleted) error { return nil })
	}
}

// finishCrashed finishes a deletion after its tombstones.
func finishCrashed(ctx context.Context, s *Store) error {
	if _, err := s.Clean(ctx); err != nil {
		return err
	}
	if _, err := s.CheckGone(ctx, "shop", 9); err != nil {
		return err
	}
	if err := s.DropStaged(ctx, 9, nil); err != nil {
		return err
	}
	_, err := s.Scrub(ctx)
	return err
}

func sweepShop(ctx context.Context, s *Store) error { return s.Sweep(ctx, "shop") }

func cleanAll(ctx context.Context, s *Store) error {
	_, err := s.Clean(ctx)
	if err == nil {
		_, err = s.Scrub(ctx)
	}
	return err
}

// removeOf removes a dataset and what only it needs.
func removeOf(typ DatasetType) func(context.Context, *Store) error {
	return func(ctx context.Context, s *Store) error {
		if err := s.Update(ctx, func(tx *Tx) error { return tx.DeleteDataset("shop", typ) }); err != nil {
			return err
		}
		return s.Sweep(ctx, "shop")
	}
}
