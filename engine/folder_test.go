package engine

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// TestFoldAfterLock: what is put while somebody holds the group's lock becomes a layer afterwards, though nothing wakes the
// folder but the lock itself.
func TestFoldAfterLock(t *testing.T) {
	ctx := context.Background()
	e, err := Open(ctx, filepath.Join(t.TempDir(), "fold.expunge"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := itemsDataset(t, e)
	unlock, err := e.turns.lock(ctx, "g")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.PutItems(ctx, d.ARN, []PutRow{{ID: "pen", Properties: []byte(`{"genre":"tool"}`)}}); err != nil {
		t.Fatal(err)
	}
	for len(e.folder.signal) > 0 { // until the folder has taken the wake of the put
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * foldDelay) // and has looked, most likely: if not, the test shows nothing
	unlock()
	for range 2000 {
		sn, err := e.Snapshot(ctx, "g", Items)
		if err != nil {
			t.Fatal(err)
		}
		rows := sn.Rows(Items)
		sn.Release()
		if rows == 1 {
			if err := e.Close(ctx); err != nil {
				t.Error(err)
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the row that was put is never seen")
}

// itemsDataset makes group "g" with items.
func itemsDataset(t *testing.T, e *Engine) (d Dataset) {
	t.Helper()
	ctx := context.Background()
	const avro = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"GENRE","type":"string","categorical":true}],"version":"1.0"}`
	_, err := e.CreateDatasetGroup(ctx, NewDatasetGroup{Name: "g"})
	if err == nil {
		_, err = e.CreateSchema(ctx, NewSchema{Name: "items", Avro: []byte(avro)})
	}
	if err == nil {
		d, err = e.CreateDataset(ctx, NewDataset{Name: "items", Group: "g", Type: Items, Schema: "items"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}
