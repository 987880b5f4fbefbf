package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// TestSuppression: a listed user, known or not, comes back only where suppression is off, or after having been let back.
func TestSuppression(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	importSmall(t, e)
	createGroup(t, e, "other", testSchemas)
	events := func(group string, mode engine.ImportMode, users ...string) (added, left int64) {
		t.Helper()
		text := eventHeader
		for i, u := range users {
			at := 1_000_000 + i
			text += fmt.Sprintf("%s,item-01,view,1,%d\n%s,item-02,view,1,%d\n", u, at, u, at)
		}
		job := importText(t, e, group, engine.Interactions, mode, text)
		c := job.Counts
		if c.RowsRead != int64(2*len(users)) || c.RowsRead != c.RowsAdded+c.RowsSuppressed+c.RowsDuplicate {
			t.Errorf("import: %+v", c)
		}
		return c.RowsAdded, c.RowsSuppressed
	}
	want := func(what string, added, left, wantAdded, wantLeft int64) {
		t.Helper()
		if added != wantAdded || left != wantLeft {
			t.Errorf("%s: %d rows added and %d left out, want %d and %d", what, added, left, wantAdded, wantLeft)
		}
	}
	suppressed := func(on bool, by ...int64) {
		t.Helper()
		s := must[engine.Suppression](t)(e.Suppressed(ctx, "g"))
		var got []int64
		users := int64(0)
		for _, j := range s.Jobs {
			got, users = append(got, j.Users), users+j.Users
		}
		if s.On != on || fmt.Sprint(got) != fmt.Sprint(by) || s.Users != users {
			t.Errorf("suppressed: %+v, want %t by %v", s, on, by)
		}
	}
	set := func(on bool) {
		t.Helper()
		if err := e.SetSuppression(ctx, "g", on); err != nil {
			t.Fatal(err)
		}
	}
	added, left := int64(0), int64(0)
	inc, full := engine.ImportIncremental, engine.ImportFull

	deleteUsers(t, e, "g", "user-00", "never-seen")
	suppressed(false)
	added, left = events("g", inc, "user-00", "never-seen")
	want("of a job before it was on", added, left, 4, 0)

	set(true)
	one := deleteUsers(t, e, "g", "user-00", "stranger", "user-01")
	suppressed(true, 3)
	added, left = events("g", inc, "user-00", "stranger", "user-02", "newcomer", "User-00")
	want("while it is on", added, left, 6, 4)
	added, left = events("other", inc, "user-00")
	want("another group", added, left, 2, 0)
	if job := importText(t, e, "g", engine.Users, full, "USER_ID,AGE,CITY\nstranger,1,\nuser-02,2,\n"); job.Counts.RowsSuppressed != 1 {
		t.Errorf("a full import: %+v", job.Counts)
	}
	if job := importText(t, e, "g", engine.Items, full, "ITEM_ID,GENRE\nuser-00,drama\n"); job.Counts.RowsSuppressed != 0 || job.Counts.RowsAdded != 1 {
		t.Errorf("an item with a user's ID: %+v", job.Counts)
	}
	if r := must[engine.LedgerEntry](t)(e.Receipt(ctx, one.Name)); !r.Suppressed {
		t.Error("the receipt doesn't say so")
	}
	deleteUsers(t, e, "g", "user-01", "stranger", "user-03", "user-03") // two of whom are suppressed
	suppressed(true, 3, 1)
	bad, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "g", Source: listFile(t, "user-04", "a,b")})
	if err == nil || bad.Status != engine.StatusFailed {
		t.Errorf("a bad list: %s, %v", bad.Status, err)
	}
	suppressed(true, 3, 1)

	set(false)
	added, left = events("g", inc, "user-00")
	want("while it is off", added, left, 2, 0)
	deleteUsers(t, e, "g", "user-00", "user-05")
	suppressed(false, 3, 1)
	set(true)
	added, left = events("g", full, "user-00", "user-05", "user-03")
	want("on again", added, left, 2, 4)

	if n, err := e.LiftSuppression(ctx, "g", listFile(t, "user-00", "user-00", "nobody", "a,b")); err == nil || n != 0 {
		t.Errorf("lifted %d by a bad list, %v", n, err)
	}
	suppressed(true, 3, 1)
	if n, err := e.LiftSuppression(ctx, "g", listFile(t, "user-00", "user-00", "nobody", "stranger")); err != nil || n != 2 {
		t.Errorf("lifted %d, %v", n, err)
	}
	suppressed(true, 1, 1)
	added, left = events("g", inc, "user-00", "stranger", "user-01")
	want("after lifting", added, left, 4, 2)
	mustClose(t, e)
	if strings.Contains(string(readFile(t, path)), "never-seen-at-all") {
		t.Error("IDs are kept")
	}
	e = open(t, path, engine.Options{})
	deleteUsers(t, e, "g", "user-00") // is suppressed again
	suppressed(true, 1, 1, 1)
	added, left = events("g", inc, "user-00", "stranger")
	want("deleted again", added, left, 0, 2) // the other's rows are there
	if n, err := e.LiftAllSuppression(ctx, "g"); err != nil || n != 3 {
		t.Errorf("lifted %d of all, %v", n, err)
	}
	suppressed(true)
	for what, err := range map[string]error{
		"set":  e.SetSuppression(ctx, "nothing", true),
		"lift": second(e.LiftAllSuppression(ctx, "nothing")),
		"list": second(e.Suppressed(ctx, "nothing")),
		"some": second(e.LiftSuppression(ctx, "nothing", listFile(t, "a"))),
	} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s, of no such group: %v", what, err)
		}
	}
	mustClose(t, e)
	ro := must[*engine.Engine](t)(engine.Open(ctx, path, engine.Options{ReadOnly: true}))
	defer mustClose(t, ro)
	for what, err := range map[string]error{
		"set":  ro.SetSuppression(ctx, "g", false),
		"lift": second(ro.LiftAllSuppression(ctx, "g")),
		"some": second(ro.LiftSuppression(ctx, "g", listFile(t, "a"))),
	} {
		if !errors.Is(err, engine.ErrReadOnly) {
			t.Errorf("%s, read-only: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
