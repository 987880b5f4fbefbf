package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// TestStormRemove removes datasets and groups, and makes others of the same names, while rows are put, imported, exported and
// deleted, datasets get wider, and snapshots see what was there before. In the end nothing of it is in the file.
func TestStormRemove(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	ctx := context.Background()
	path := storePath(t)
	log := new(logBuffer)
	e := must[*engine.Engine](t)(engine.Open(ctx, path, engine.Options{Codec: engine.CodecNone, Logger: log.logger()}))
	const tier = `{"name":"TIER%d","type":["null","string"]},{"name":"USER_ID"`
	for i := range 4 {
		avro := testSchemas[engine.Users]
		for k := range i {
			avro = strings.Replace(avro, `{"name":"USER_ID"`, fmt.Sprintf(tier, k), 1)
		}
		must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: fmt.Sprint("users", i), Avro: []byte(avro)}))
	}
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "items", Avro: []byte(testSchemas[engine.Items])}))
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "inter", Avro: []byte(eventsFields)}))
	var tracking atomic.Value
	tracking.Store("")
	build := func() error {
		_, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "g"})
		for typ, schema := range map[engine.DatasetType]string{engine.Users: "users0", engine.Items: "items", engine.Interactions: "inter"} {
			_, err2 := e.CreateDataset(ctx, engine.NewDataset{Name: schema, Group: "g", Type: typ, Schema: schema})
			err = errors.Join(err, err2)
		}
		tr, err2 := e.CreateEventTracker(ctx, engine.NewEventTracker{Name: "t", Group: "g"})
		if err2 == nil {
			tracking.Store(tr.TrackingID)
		}
		return errors.Join(err, err2)
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	arn := func(typ engine.DatasetType) string {
		return "arn:aws:personalize:us-east-1:000000000000:dataset/g/" + string(typ)
	}
	ok := func(what string, err error) {
		t.Helper()
		for _, fine := range []error{nil, engine.ErrNotFound, engine.ErrInUse, engine.ErrExists, engine.ErrInvalid, engine.ErrLimit} {
			if errors.Is(err, fine) {
				return
			}
		}
		t.Errorf("%s: %v", what, err)
	}
	stop := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	var n atomic.Int64
	run := func(pause int, fn func(rng *rand.Rand)) {
		s := n.Add(1)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(s)))
			for time.Now().Before(stop) && !t.Failed() {
				fn(rng)
				time.Sleep(time.Duration(rng.IntN(pause)) * time.Millisecond)
			}
		})
	}
	user := func(rng *rand.Rand) string { return fmt.Sprintf("secretuser%06d", rng.IntN(40)) }
	item := func(rng *rand.Rand) string { return fmt.Sprintf("secretitem%06d", rng.IntN(40)) }
	for range 3 {
		run(10, func(rng *rand.Rand) {
			u, s := user(rng), "secretsession"+fmt.Sprint(rng.IntN(30))
			if rng.IntN(3) == 0 {
				u = ""
			}
			ok("event", e.PutEvents(ctx, tracking.Load().(string), u, s, []engine.Event{view(item(rng), int64(rng.IntN(1000)))}))
		})
	}
	run(10, func(rng *rand.Rand) {
		p := fmt.Sprintf(`{"age":%d,"city":"secretcity"}`, rng.IntN(90))
		ok("user", e.PutUsers(ctx, arn(engine.Users), []engine.PutRow{{ID: user(rng), Properties: []byte(p)}}))
	})
	run(10, func(rng *rand.Rand) {
		ok("item", e.PutItems(ctx, arn(engine.Items), []engine.PutRow{{ID: item(rng), Properties: []byte(`{"genre":"secretgenre"}`)}}))
	})
	run(300, func(rng *rand.Rand) {
		_, err := e.UpdateDataset(ctx, arn(engine.Users), fmt.Sprint("users", rng.IntN(4)))
		ok("update", err)
	})
	run(200, func(rng *rand.Rand) {
		typ := allTypes[rng.IntN(3)]
		ok("delete dataset", e.DeleteDataset(ctx, arn(typ)))
		time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
		schema := map[engine.DatasetType]string{engine.Users: "users0", engine.Items: "items", engine.Interactions: "inter"}[typ]
		_, err := e.CreateDataset(ctx, engine.NewDataset{Name: schema, Group: "g", Type: typ, Schema: schema})
		ok("create dataset", err)
	})
	run(900, func(rng *rand.Rand) {
		ts, err := e.EventTrackers(ctx, "g")
		ok("trackers", err)
		for _, tr := range ts {
			ok("delete tracker", e.DeleteEventTracker(ctx, tr.ARN))
		}
		for range 20 {
			for _, typ := range allTypes {
				ok("delete dataset", e.DeleteDataset(ctx, arn(typ)))
			}
			err := e.DeleteDatasetGroup(ctx, "g")
			ok("delete group", err)
			if err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		ok("build", build())
	})
	run(100, func(rng *rand.Rand) {
		_, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "g", Source: listFile(t, user(rng), user(rng), user(rng))})
		ok("delete", err)
	})
	run(100, func(rng *rand.Rand) {
		text := "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,IMPRESSION,NUMBER_OF_CLICKS,RECOMMENDATION_ID,TIMESTAMP\n"
		for range 30 {
			text += fmt.Sprintf("%s,%s,view,,,,secretbulk,%d\n", user(rng), item(rng), rng.IntN(99))
		}
		mode := engine.ImportIncremental
		if rng.IntN(2) == 0 {
			mode = engine.ImportFull
		}
		_, err := e.Import(ctx, engine.NewDatasetImportJob{Group: "g", Type: engine.Interactions, Source: writeFile(t, t.TempDir(), "r.csv", text), Mode: mode})
		ok("import", err)
	})
	run(100, func(rng *rand.Rand) {
		_, err := e.Export(ctx, engine.NewDatasetExportJob{Group: "g", Type: allTypes[rng.IntN(3)], Destination: t.TempDir(), Ingestion: engine.IngestionAll})
		ok("export", err)
	})
	for range 2 {
		run(50, func(rng *rand.Rand) {
			sn, err := e.Snapshot(ctx, "g")
			ok("snapshot", err)
			if err != nil {
				return
			}
			defer sn.Release()
			read := func() (rows []string) {
				for _, typ := range allTypes {
					if sn.Schema(typ) != nil {
						rows = append(rows, collect(t, sn.Scan(ctx, typ))...)
					}
				}
				return rows
			}
			first := read()
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			sameRows(t, "snapshot", read(), first)
		})
	}
	run(700, func(*rand.Rand) { mustCheck(t, e) })
	wg.Wait()
	ts, _ := e.EventTrackers(ctx, "g")
	for _, tr := range ts {
		ok("delete tracker", e.DeleteEventTracker(ctx, tr.ARN))
	}
	for _, typ := range allTypes {
		ok("delete dataset", e.DeleteDataset(ctx, arn(typ)))
	}
	if err := e.DeleteDatasetGroup(ctx, "g"); err != nil {
		t.Error(err)
	}
	mustCheck(t, e)
	eventually(t, "all gone", func() bool { return !inFolder(t, path, "secret") })
	mustCheck(t, e)
	mustClose(t, e)
	if t.Failed() {
		t.Log(log.String())
	}
}
