package engine_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

func TestSmoke(t *testing.T) {
	dir := os.Getenv("EXPUNGE_TEST_DATA")
	if dir == "" {
		t.Skip("EXPUNGE_TEST_DATA is unset")
	}
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "x.expunge")
	e, err := engine.Open(ctx, path, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateDatasetGroup(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []engine.DatasetType{engine.Users, engine.Items, engine.Interactions} {
		name := map[engine.DatasetType]string{engine.Users: "users", engine.Items: "items", engine.Interactions: "interactions"}[typ]
		b, err := os.ReadFile(filepath.Join(dir, "online-retail", name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.CreateSchema(ctx, name, b); err != nil {
			t.Fatal(err)
		}
		if _, err := e.CreateDataset(ctx, engine.NewDataset{Name: name, Group: "shop", Type: typ, Schema: name}); err != nil {
			t.Fatal(err)
		}
		job, err := e.Import(ctx, engine.NewDatasetImportJob{Group: "shop", Type: typ, Source: filepath.Join(dir, "online-retail", name+".csv"), Mode: engine.ImportFull})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", job.Counts)
	}
	f, _ := os.Open(filepath.Join(dir, "online-retail", "users.csv"))
	rows, _ := csv.NewReader(f).ReadAll()
	list := "USER_ID\n"
	var del []string
	for i := 1; i < 201; i++ {
		list += rows[i*7][0] + "\n"
		del = append(del, rows[i*7][0])
	}
	f, _ = os.Open(filepath.Join(dir, "online-retail", "interactions.csv"))
	rows, _ = csv.NewReader(f).ReadAll()
	n := int64(200)
	for _, r := range rows {
		if slices.Contains(del, r[0]) {
			n++
		}
	}
	lp := filepath.Join(t.TempDir(), "list.csv")
	os.WriteFile(lp, []byte(list), 0o600)
	dry, err := e.DryRunDeletion(ctx, "shop", lp)
	if err != nil {
		t.Fatal(err)
	}
	job, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "shop", Source: lp})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(*job.NumDeleted, n, dry)
	rep, err := e.Check(ctx)
	fmt.Println(rep, err)
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
