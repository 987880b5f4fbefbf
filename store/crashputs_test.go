package store

import (
	"context"
	"fmt"
)

type crashStep = func(context.Context, *Store) error

// then does one step after the other.
func then(steps ...crashStep) crashStep {
	return func(ctx context.Context, s *Store) error {
		for _, step := range steps {
			if err := step(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func dropDataset(typ DatasetType) crashStep {
	return func(ctx context.Context, s *Store) error {
		if err := s.Update(ctx, func(tx *Tx) error { return tx.DeleteDataset("shop", typ) }); err != nil {
			return err
		}
		return s.Sweep(ctx, "shop")
	}
}

func cleanAll(ctx context.Context, s *Store) error {
	_, _, err := s.Clean(ctx)
	return err
}

func foldOf(types ...DatasetType) crashStep {
	return func(ctx context.Context, s *Store) error {
		for _, typ := range types {
			if _, more, err := s.Fold(ctx, "shop", typ); err != nil || more {
				return fmt.Errorf("fold, and there is more %t: %w", more, err)
			}
		}
		return nil
	}
}

// laterOps are those of rows that are put one by one, and of datasets that go or change. remove and finish are a deletion.
func laterOps(remove, finish crashStep) []crashOp {
	user := mark + "user-put-000001"
	removeUser := func(ctx context.Context, s *Store) error {
		err := s.StageUsers(ctx, "shop", 9, 0, 1, func(int) []byte { return []byte(user) }, func(*Tx, Staged) error { return nil })
		if err != nil {
			return err
		}
		return s.Tombstone(ctx, "shop", 9, 1, func(*Tx, Deleted) error { return nil })
	}
	fold := foldOf(Users, Items, Interactions)
	dropGroup := func(ctx context.Context, s *Store) error {
		return s.Update(ctx, func(tx *Tx) error { return tx.DeleteGroup("shop") })
	}
	return []crashOp{
		{name: "removal of a dataset", setup: remove, run: then(dropDataset(Interactions), finish), commits: 10},
		{name: "removal of a group", setup: then(dropDataset(Users), dropDataset(Items), dropDataset(Interactions)), run: then(dropGroup, cleanAll), commits: 10},
		{name: "put", run: putSome, commits: 4, puts: true},
		{name: "fold", setup: putSome, run: foldOf(Interactions), commits: 5, puts: true},
		{
			name: "clean after deletion of a user with sessions", setup: then(putSome, fold, removeUser), run: finish, commits: 8,
			puts: true, gone: user,
		},
		{name: "removal of a dataset with a journal", setup: then(putSome, fold, putSome), run: then(dropDataset(Interactions), cleanAll), commits: 8, puts: true},
		{name: "update of a dataset", run: func(ctx context.Context, s *Store) error { return widen(ctx, s, "shop") }, commits: 1},
	}
}
