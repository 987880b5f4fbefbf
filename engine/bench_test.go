package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/bench"
	"github.com/expunge-db/expunge/engine"
)

// benchStore makes a store of 100,000 events of 5,000 users, who are returned in random order.
func benchStore(b *testing.B) (e *engine.Engine, users []string) {
	b.Helper()
	c := bench.Config{Users: 5_000, Items: 1_000, Interactions: 100_000}
	files, err := bench.Generate(context.Background(), c, b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	e = open(b, storePath(b), engine.Options{})
	createGroup(b, e, "g", map[engine.DatasetType]string{engine.Users: bench.UsersSchema, engine.Interactions: bench.InteractionsSchema})
	importFile(b, e, "g", engine.Users, files.Users, engine.ImportFull)
	importFile(b, e, "g", engine.Interactions, files.Interactions, engine.ImportFull)
	list, err := c.DeletionList(c.Users)
	if err != nil {
		b.Fatal(err)
	}
	return e, slices.Collect(list)
}

// BenchmarkDelete deletes 100 users, and puts a new store in place when there are no more.
func BenchmarkDelete(b *testing.B) {
	var e *engine.Engine
	var users []string
	rows := int64(0)
	for b.Loop() {
		b.StopTimer()
		if len(users) < 100 {
			e, users = benchStore(b)
		}
		list := writeFile(b, b.TempDir(), "list.csv", "USER_ID\n"+strings.Join(users[:100], "\n"))
		users = users[100:]
		b.StartTimer()
		rows += *deleteSource(b, e, "g", list).NumDeleted
	}
	b.ReportMetric(float64(rows)/float64(b.N), "rows/op")
}

func BenchmarkScan(b *testing.B) {
	e, _ := benchStore(b)
	rows := int64(0)
	for b.Loop() {
		for rec, err := range e.Scan(context.Background(), "g", engine.Interactions) {
			if err != nil {
				b.Fatal(err)
			}
			rows += rec.NumRows()
			rec.Release()
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkUserRows(b *testing.B) {
	e, users := benchStore(b)
	sn := must[*engine.Snapshot](b)(e.Snapshot(context.Background(), "g"))
	defer sn.Release()
	for i := 0; b.Loop(); i++ {
		rec, err := sn.UserRows(context.Background(), engine.Interactions, users[i%len(users)])
		if err != nil || rec == nil {
			b.Fatal(rec, err)
		}
		rec.Release()
	}
}
