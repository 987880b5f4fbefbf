package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// TestLists looks at what lists show and in which order.
func TestLists(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	for _, g := range []string{"b", "a", "c"} {
		createGroup(t, e, g, map[engine.DatasetType]string{engine.Users: testSchemas[engine.Users]})
	}
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "c-items", Avro: []byte(testSchemas[engine.Items])}))
	must[engine.Dataset](t)(e.CreateDataset(ctx, engine.NewDataset{Name: "items", Group: "c", Type: engine.Items, Schema: "c-items"}))
	var names []string
	for _, g := range must[[]engine.DatasetGroup](t)(e.DatasetGroups(ctx)) {
		names = append(names, g.Name)
	}
	for _, s := range must[[]engine.Schema](t)(e.Schemas(ctx)) {
		names = append(names, s.Name)
	}
	for _, group := range []string{"", "c", must[engine.DatasetGroup](t)(e.DatasetGroup(ctx, "b")).ARN, "nobody"} {
		for _, d := range must[[]engine.Dataset](t)(e.Datasets(ctx, group)) {
			names = append(names, d.Name)
			if got := must[engine.Dataset](t)(e.DatasetByARN(ctx, d.ARN)); got.Name != d.Name || got.Created.IsZero() || !got.Updated.Equal(got.Created) {
				t.Errorf("dataset by ARN: %+v", got)
			}
		}
	}
	want := []string{"c", "a", "b", "c-items", "c-users", "a-users", "b-users",
		"items", "c-users", "a-users", "b-users", "items", "c-users", "b-users"}
	if !slices.Equal(names, want) {
		t.Errorf("lists show %v, want %v", names, want)
	}
}

func TestDomains(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	g := must[engine.DatasetGroup](t)(e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{
		Name: "films", Domain: "VIDEO_ON_DEMAND", RoleARN: "arn:aws:iam::000000000000:role/r", KMSKeyARN: "arn:aws:kms:us-east-1:000000000000:key/k",
	}))
	if got := must[engine.DatasetGroup](t)(e.DatasetGroup(ctx, g.ARN)); fmt.Sprint(got) != fmt.Sprint(g) || got.Domain != "VIDEO_ON_DEMAND" || got.RoleARN == "" || got.KMSKeyARN == "" {
		t.Errorf("group %+v, created as %+v", got, g)
	}
	_, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "x", Domain: "FILMS"})
	if !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("unknown domain: %v", err)
	}
	_, err = e.CreateSchema(ctx, engine.NewSchema{Name: "items", Domain: "VIDEO_ON_DEMAND", Avro: []byte(testSchemas[engine.Items])})
	if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "GENRES") || !strings.Contains(fmt.Sprint(err), "CREATION_TIMESTAMP") {
		t.Errorf("a schema without the fields of its domain: %v", err)
	}
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "plain", Avro: []byte(testSchemas[engine.Users])}))
	_, err = e.CreateDataset(ctx, engine.NewDataset{Name: "d", Group: "films", Type: engine.Users, Schema: "plain"})
	if !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("a schema of another domain than the group's: %v", err)
	}
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "users", Domain: "VIDEO_ON_DEMAND", Avro: []byte(testSchemas[engine.Users])}))
	must[engine.Dataset](t)(e.CreateDataset(ctx, engine.NewDataset{Name: "d", Group: "films", Type: engine.Users, Schema: "users"}))
}

// TestDeleteDataset removes a dataset of a group: its rows and the IDs that only it had are gone from the file, and the
// others stay.
func TestDeleteDataset(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	createGroup(t, e, "g", testSchemas)
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nboth-0001,1,x\nusersonly-1,2,y\n")
	importText(t, e, "g", engine.Interactions, engine.ImportFull,
		"USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\nboth-0001,pencil-01,view,,1\neventsonly-1,pencil-02,view,,2\n")
	arn := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Interactions)).ARN
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	if err := e.DeleteDataset(ctx, arn); err != nil {
		t.Fatal(err)
	}
	if _, err := e.DatasetByARN(ctx, arn); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a removed dataset: %v", err)
	}
	if err := e.DeleteDataset(ctx, arn); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if got := collect(t, sn.Scan(ctx, engine.Interactions)); len(got) != 2 {
		t.Errorf("the snapshot sees %d rows, want 2", len(got))
	}
	sn.Release()
	eventually(t, "its bytes are gone", func() bool { return !bytes.Contains(readFile(t, path), []byte("eventsonly-1")) })
	data := readFile(t, path)
	for id, want := range map[string]bool{"eventsonly-1": false, "pencil-01": false, "pencil-02": false, "both-0001": true, "usersonly-1": true} {
		if bytes.Contains(data, []byte(id)) != want {
			t.Errorf("%s in the file: %t, want %t", id, !want, want)
		}
	}
	if got := scan(t, e, "g", engine.Users); len(got) != 2 {
		t.Errorf("%d users are left, want 2", len(got))
	}
	// The group goes on: the dataset can come back, and a deletion finds who is there.
	must[engine.Dataset](t)(e.CreateDataset(ctx, engine.NewDataset{Name: "again", Group: "g", Type: engine.Interactions, Schema: "g-interactions"}))
	importText(t, e, "g", engine.Interactions, engine.ImportFull,
		"USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\nboth-0001,pencil-01,view,,1\neventsonly-1,pencil-02,view,,2\n")
	if job := deleteUsers(t, e, "g", "both-0001", "usersonly-1"); *job.NumDeleted != 3 {
		t.Errorf("%d rows deleted, want 3", *job.NumDeleted)
	}
}

// TestDeleteGroup removes everything of a group, in the order that its parts ask for.
func TestDeleteGroup(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	createGroup(t, e, "g", testSchemas)
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nsomebody-1,1,x\n")
	tracker := must[engine.EventTracker](t)(e.CreateEventTracker(ctx, engine.NewEventTracker{Name: "clicks", Group: "g"}))
	inUse := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, engine.ErrInUse) {
			t.Errorf("removing %s: %v, want ErrInUse", what, err)
		}
	}
	inUse("a group with datasets", e.DeleteDatasetGroup(ctx, "g"))
	inUse("a schema of a dataset", e.DeleteSchema(ctx, "g-users"))
	interactions := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Interactions))
	inUse("interactions with a tracker", e.DeleteDataset(ctx, interactions.ARN))
	if err := e.DeleteEventTracker(ctx, tracker.ARN); err != nil {
		t.Fatal(err)
	}
	for _, d := range must[[]engine.Dataset](t)(e.Datasets(ctx, "g")) {
		if err := e.DeleteDataset(ctx, d.ARN); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.DeleteSchema(ctx, "g-users"), e.DeleteDatasetGroup(ctx, "g")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"group": e.DeleteDatasetGroup(ctx, "g"), "schema": e.DeleteSchema(ctx, "g-users"), "tracker": e.DeleteEventTracker(ctx, tracker.ARN)} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("removing a %s twice: %v", what, err)
		}
	}
	eventually(t, "its bytes are gone", func() bool { return !bytes.Contains(readFile(t, path), []byte("somebody-1")) })
	must[engine.DatasetGroup](t)(e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "g"}))
}

// TestInUseByJobs removes and updates datasets whose imports wait behind a deletion.
func TestInUseByJobs(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	list := writeFile(t, t.TempDir(), "list.csv", manyIDs(unknownIDs))
	deletion := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
	rows := writeFile(t, t.TempDir(), "rows.csv", "USER_ID,AGE,CITY\nx,1,x\n")
	users, items := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)), must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Items))
	var job engine.Job
	var refused map[string]error
	early := whileReading(t, e, deletion, func() {
		job = must[engine.Job](t)(e.CreateDatasetImportJob(ctx, engine.NewDatasetImportJob{Group: "g", Type: engine.Users, Source: rows, Mode: engine.ImportFull}))
		_, update := e.UpdateDataset(ctx, users.ARN, "g-users")
		refused = map[string]error{"delete": e.DeleteDataset(ctx, users.ARN), "update": update, "delete group": e.DeleteDatasetGroup(ctx, "g")}
		if err := e.DeleteDataset(ctx, items.ARN); err != nil {
			t.Error(err)
		}
	})
	if !early {
		t.Skip("the list was read already")
	}
	for what, err := range refused {
		if !errors.Is(err, engine.ErrInUse) {
			t.Errorf("%s while a job is unfinished: %v", what, err)
		}
	}
	must[engine.Job](t)(e.Wait(ctx, deletion))
	must[engine.Job](t)(e.Wait(ctx, job))
	page, _, err := e.ListDatasetImportJobs(ctx, engine.ListJobs{Dataset: users.ARN, Limit: 1})
	if err != nil || len(page) != 1 || page[0].Name != job.Name {
		t.Errorf("jobs of the dataset: %v, %v", page, err)
	}
}

func TestUpdateDataset(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	createGroup(t, e, "g", testSchemas)
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\na,1,x\nb,2,\n")
	wider := strings.Replace(testSchemas[engine.Users], `{"name":"USER_ID"`, `{"name":"TIER","type":["null","string"]},{"name":"USER_ID"`, 1)
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "wider", Avro: []byte(wider)}))
	users := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users))
	if users.Latest != nil {
		t.Errorf("an update before there was one: %+v", users.Latest)
	}
	updated := must[engine.Dataset](t)(e.UpdateDataset(ctx, users.ARN, "wider"))
	if updated.Latest == nil || updated.Latest.SchemaARN != updated.SchemaARN || !strings.HasSuffix(updated.SchemaARN, "/wider") || updated.Updated.Before(users.Updated) {
		t.Errorf("updated dataset: %+v", updated)
	}
	importText(t, e, "g", engine.Users, engine.ImportIncremental, "TIER,USER_ID,AGE,CITY\ngold,b,3,z\n,c,4,\n")
	want := []string{"\x1e\x1fa\x1f1\x1fx", "\x1e\x1fc\x1f4\x1f\x1e", "gold\x1fb\x1f3\x1fz"}
	if got := scan(t, e, "g", engine.Users); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	for what, tc := range map[string]struct {
		arn, schema string
		want        error
	}{
		"back":         {users.ARN, "g-users", engine.ErrInvalid},
		"interactions": {must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Interactions)).ARN, "g-interactions", engine.ErrInvalid},
		"no schema":    {users.ARN, "nothing", engine.ErrNotFound},
		"no dataset":   {users.ARN + "X", "wider", engine.ErrNotFound},
		"no ARN":       {"g", "wider", engine.ErrNotFound},
	} {
		if _, err := e.UpdateDataset(ctx, tc.arn, tc.schema); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
}

func TestEventTrackers(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	createGroup(t, e, "g", testSchemas)
	createGroup(t, e, "h", testSchemas)
	tracker := must[engine.EventTracker](t)(e.CreateEventTracker(ctx, engine.NewEventTracker{Name: "clicks", Group: "g", Tags: []engine.Tag{{Key: "k", Value: "v"}}}))
	if !regexp.MustCompile(`:event-tracker/[0-9a-f]{8}$`).MatchString(tracker.ARN) ||
		!regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(tracker.TrackingID) {
		t.Errorf("tracker %+v", tracker)
	}
	if got := must[engine.EventTracker](t)(e.EventTracker(ctx, tracker.ARN)); fmt.Sprint(got) != fmt.Sprint(tracker) {
		t.Errorf("described as %+v, created as %+v", got, tracker)
	}
	if d := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Interactions)); d.TrackingID != tracker.TrackingID {
		t.Errorf("the dataset's tracking ID is %q", d.TrackingID)
	}
	for what, tc := range map[string]struct {
		n    engine.NewEventTracker
		want error
	}{
		"second": {engine.NewEventTracker{Name: "more", Group: "g"}, engine.ErrLimit},
		"name":   {engine.NewEventTracker{Name: "clicks", Group: "h"}, engine.ErrExists},
		"group":  {engine.NewEventTracker{Name: "x", Group: "i"}, engine.ErrNotFound},
		"rule":   {engine.NewEventTracker{Name: "-", Group: "h"}, engine.ErrInvalid},
	} {
		if _, err := e.CreateEventTracker(ctx, tc.n); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
	must[engine.EventTracker](t)(e.CreateEventTracker(ctx, engine.NewEventTracker{Name: "clicks2", Group: "h"}))
	if all := must[[]engine.EventTracker](t)(e.EventTrackers(ctx, "")); len(all) != 2 {
		t.Errorf("%d trackers", len(all))
	}
	if of := must[[]engine.EventTracker](t)(e.EventTrackers(ctx, "g")); len(of) != 1 || of[0].ARN != tracker.ARN {
		t.Errorf("trackers of a group: %+v", of)
	}
}

func TestTags(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	tracker := must[engine.EventTracker](t)(e.CreateEventTracker(ctx, engine.NewEventTracker{Name: "clicks", Group: "g"}))
	imports, _, err := e.ListDatasetImportJobs(ctx, engine.ListJobs{})
	if err != nil {
		t.Fatal(err)
	}
	deletion := deleteUsers(t, e, "g", "nobody")
	many := func(n int) (tags []engine.Tag) {
		for i := range n {
			tags = append(tags, engine.Tag{Key: fmt.Sprint("k", i)})
		}
		return tags
	}
	for _, arn := range []string{
		must[engine.DatasetGroup](t)(e.DatasetGroup(ctx, "g")).ARN, must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN,
		tracker.ARN, imports[0].ARN, deletion.ARN,
	} {
		err := errors.Join(
			e.TagResource(ctx, arn, []engine.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}),
			e.TagResource(ctx, arn, []engine.Tag{{Key: "b", Value: "3"}}),
			e.UntagResource(ctx, arn, []string{"a", "nothing"}))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.TagResource(ctx, arn, many(50)); !errors.Is(err, engine.ErrTooManyTags) {
			t.Errorf("51 tags: %v", err)
		}
		if err := e.TagResource(ctx, arn, []engine.Tag{{Key: "aws:x"}}); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("a reserved key: %v", err)
		}
		if err := e.UntagResource(ctx, arn, make([]string, 51)); !errors.Is(err, engine.ErrTooManyTagKeys) {
			t.Errorf("51 keys: %v", err)
		}
		if got := must[[]engine.Tag](t)(e.ResourceTags(ctx, arn)); !slices.Equal(got, []engine.Tag{{Key: "b", Value: "3"}}) {
			t.Errorf("%s has tags %v", arn, got)
		}
		if _, err := e.ResourceTags(ctx, arn+"x"); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("tags of nothing: %v", err)
		}
	}
	for _, arn := range []string{must[engine.Schema](t)(e.Schema(ctx, "g-users")).ARN, "x"} {
		if _, err := e.ResourceTags(ctx, arn); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("tags of %s: %v", arn, err)
		}
	}
}
