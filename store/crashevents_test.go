package store

import (
	"context"
	"errors"
	"fmt"
)

// crashEventOps are those on what was put.
func crashEventOps() []*crashOp {
	deleted, late := mark+"user-put-000001", mark+"user-put-000003"
	ops := []*crashOp{
		{name: "put", setup: putEvents, run: func(ctx context.Context, s *Store) error {
			return putOne(ctx, s, Interactions, mark+"session-000003", false, row{late, mark + "item-put-000004", "buy", 1.5, 3})
		}, commits: 1, hidden: true},
		{name: "first put", run: func(ctx context.Context, s *Store) error {
			return putOne(ctx, s, Items, "", false, row{mark + "item-put-000001", 2.5, false})
		}, commits: 1, hidden: true},
		{name: "fold", setup: putEvents, run: foldInteractions, commits: 5},
		{name: "fold that ties sessions", setup: then(putEvents, foldInteractions, func(ctx context.Context, s *Store) error {
			return putOne(ctx, s, Interactions, mark+"session-000003", false, row{late, mark + "item-put-000004", "buy", 1.5, 3})
		}), run: foldInteractions, commits: 5},
		{name: "clean after deletion of a user with sessions", setup: then(putEvents, foldInteractions, stageAndTombstone([]string{deleted})), run: finishCrashed, commits: 8},
		{name: "removal of a dataset with a journal", setup: then(putEvents, foldInteractions, putEvents), run: then(removeOf(Interactions), cleanAll), commits: 8},
	}
	for _, op := range ops {
		op.deleted = deleted
	}
	return ops
}

// putOne puts rows into the journal of the group "shop".
func putOne(ctx context.Context, s *Store, typ DatasetType, session string, anonymous bool, rows ...row) error {
	_, err := put(ctx, s, "shop", typ, session, anonymous, rows...)
	return err
}

// putEvents puts events of users and sessions, some of which are there already.
func putEvents(ctx context.Context, s *Store) error {
	_, _, inter := oneOfEach()
	var errs []error
	put := func(typ DatasetType, session string, anonymous bool, rows ...row) {
		errs = append(errs, putOne(ctx, s, typ, session, anonymous, rows...))
	}
	for i := range 4 {
		user := fmt.Sprintf("%suser-put-%06d", mark, i)
		session := fmt.Sprintf("%ssession-%06d", mark, i)
		put(Users, "", false, row{user, i, nil})
		put(Interactions, session, true, row{"", mark + "item-put-000001", "view", nil, i}, row{"", mark + "item-put-000002", "view", nil, i})
		if i < 3 {
			put(Interactions, session, false, row{user, mark + "item-put-000003", "buy", 1.5, i})
		}
		put(Interactions, "", false, inter[i])
	}
	return errors.Join(errs...)
}

func foldInteractions(ctx context.Context, s *Store) error {
	_, more, err := s.Fold(ctx, "shop", Interactions)
	if err == nil && more {
		err = errors.New("one fold should be enough")
	}
	return err
}
