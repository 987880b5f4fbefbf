package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/expunge-db/expunge/store"
)

// A user is deleted: out of what readers see at the commit of Tombstone, off the disk after Clean and Scrub.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	check(err)
	defer os.RemoveAll(dir)
	s, err := store.Open(ctx, filepath.Join(dir, "shop.expunge"), store.Options{})
	check(err)

	fields := []store.Field{{Name: store.ColumnUserID, Type: store.TypeString}, {Name: "AGE", Type: store.TypeInt32, Nullable: true}}
	var d store.Dataset
	check(s.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.CreateGroup(store.Group{Name: "shop"}); err != nil {
			return err
		}
		if err := tx.CreateSchema(store.Schema{Name: "users", Fields: fields}); err != nil {
			return err
		}
		d, err = tx.CreateDataset(store.Dataset{Group: "shop", Type: store.Users, Name: "users", Schema: "users"})
		return err
	}))

	b := array.NewRecordBuilder(memory.DefaultAllocator, d.ArrowSchema())
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"ann", "bob"}, nil)
	b.Field(1).(*array.Int32Builder).AppendValues([]int32{31, 42}, nil)
	rec := b.NewRecord()
	defer rec.Release()
	im, err := s.BeginImport(ctx, "shop", store.Users, store.ImportFull)
	check(err)
	check(im.Append(rec))
	_, err = im.Finish(ctx, nil, func(*store.Tx, store.ImportResult) error { return nil })
	check(err)

	const job = 1
	list := []string{"ann", "nobody"}
	check(s.StageUsers(ctx, "shop", job, 0, len(list), func(i int) []byte { return []byte(list[i]) },
		func(_ *store.Tx, st store.Staged) error {
			fmt.Println(st.Matched, "matched,", st.Unknown, "unknown")
			return nil
		}))
	check(s.Tombstone(ctx, "shop", job, 1, func(_ *store.Tx, del store.Deleted) error {
		fmt.Println(del.Rows[store.Users], "row deleted")
		return nil
	}))
	_, _, err = s.Clean(ctx)
	check(err)
	_, err = s.CheckGone(ctx, "shop", job)
	check(err)
	check(s.DropStaged(ctx, job, nil))
	_, err = s.Scrub(ctx)
	check(err)

	sn, err := s.Snapshot(ctx, "shop")
	check(err)
	for rec, err := range sn.Scan(ctx, store.Users) {
		check(err)
		fmt.Println(rec.Column(0))
		rec.Release()
	}
	sn.Release()
	check(s.Close(ctx))
	// Output:
	// 1 matched, 1 unknown
	// 1 row deleted
	// ["bob"]
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
