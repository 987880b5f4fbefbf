package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

const eventsFields = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"USER_ID","type":"string"},
	{"name":"ITEM_ID","type":"string"},
	{"name":"EVENT_TYPE","type":"string"},
	{"name":"EVENT_VALUE","type":["null","float"]},
	{"name":"IMPRESSION","type":["null","string"]},
	{"name":"RECOMMENDATION_ID","type":["null","string"]},
	{"name":"NUMBER_OF_CLICKS","type":["null","int"]},
	{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`

// tracked makes group "g", with interactions of more fields, and an event tracker.
func tracked(t testing.TB, e *engine.Engine) (trackingID string) {
	t.Helper()
	createGroup(t, e, "g", map[engine.DatasetType]string{
		engine.Users: testSchemas[engine.Users], engine.Items: testSchemas[engine.Items], engine.Interactions: eventsFields,
	})
	return must[engine.EventTracker](t)(e.CreateEventTracker(context.Background(), engine.NewEventTracker{Name: "clicks", Group: "g"})).TrackingID
}

func view(item string, second int64) engine.Event {
	return engine.Event{Type: "view", ItemID: item, SentAt: time.Unix(second, 0)}
}

// viewed is the row of view.
func viewed(user, item string, second int64) string {
	return fmt.Sprintf("%s\x1f%s\x1fview\x1f\x1e\x1f\x1e\x1f\x1e\x1f\x1e\x1f%d", user, item, second)
}

func mustPut(t testing.TB, e *engine.Engine, trackingID, user, session string, events ...engine.Event) {
	t.Helper()
	if err := e.PutEvents(context.Background(), trackingID, user, session, events); err != nil {
		t.Fatal(err)
	}
}

// eventuallyRows waits until a dataset has these rows.
func eventuallyRows(t testing.TB, e *engine.Engine, typ engine.DatasetType, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	eventually(t, fmt.Sprintf("the rows are %q", want), func() bool {
		got = scan(t, e, "g", typ)
		return slices.Equal(got, want)
	})
}

// TestPut looks at what becomes of what is put, through the end of one process and in the next.
func TestPut(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	id := tracked(t, e)
	value := 2.5
	mustPut(t, e, id, "ann", "s1", engine.Event{
		Type: "buy", ItemID: "pen", Value: &value, SentAt: time.UnixMilli(7999), RecommendationID: "r", EventID: "x",
		Impression: []string{"pen", "ink"}, Properties: []byte(`{"numberOfClicks":"3"}`), AttributionSource: "not in the schema",
	}, engine.Event{Type: "view", Properties: []byte(`{"itemId":"ink"}`), SentAt: time.Unix(8, 0)})
	mustPut(t, e, id, "ann", "s1", engine.Event{Type: "view", Properties: []byte(`{"itemId":"ink"}`), SentAt: time.Unix(8, 0)}) // again
	users, items := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN, must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Items)).ARN
	err := errors.Join(
		e.PutUsers(ctx, users, []engine.PutRow{{ID: "ann", Properties: []byte(`{"age":1}`)}, {ID: "ann", Properties: []byte(`{"age":"2","city":"Rome"}`)}}),
		e.PutItems(ctx, items, []engine.PutRow{{ID: "pen", Properties: []byte(`{"genre":"tool"}`)}}))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, e) // at once: the next process makes the layers

	e = open(t, path, engine.Options{})
	bought := "ann\x1fpen\x1fbuy\x1f2.5\x1fpen|ink\x1fr\x1f3\x1f7"
	eventuallyRows(t, e, engine.Interactions, bought, viewed("ann", "ink", 8))
	eventuallyRows(t, e, engine.Users, "ann\x1f2\x1fRome")
	eventuallyRows(t, e, engine.Items, "pen\x1ftool")
	// A full import leaves them; by an incremental one the newest of an ID wins.
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nbob,3,\n")
	eventuallyRows(t, e, engine.Users, "ann\x1f2\x1fRome", "bob\x1f3\x1f\x1e")
	importText(t, e, "g", engine.Users, engine.ImportIncremental, "USER_ID,AGE,CITY\nann,4,\n")
	eventuallyRows(t, e, engine.Users, "ann\x1f4\x1f\x1e", "bob\x1f3\x1f\x1e")
	// What was put before an import is in a layer when that is done.
	mustPut(t, e, id, "cy", "", view("ink", 9))
	importText(t, e, "g", engine.Items, engine.ImportFull, "ITEM_ID,GENRE\nink,x\n")
	if got := scan(t, e, "g", engine.Interactions); len(got) != 3 {
		t.Errorf("after an import %q", got)
	}
}

func TestPutRefused(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	id := tracked(t, e)
	users := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN
	nan := math.NaN()
	events := func(user, session string, ev engine.Event) error {
		return e.PutEvents(ctx, id, user, session, []engine.Event{ev})
	}
	ok := view("secret", 1)
	with := func(change func(*engine.Event)) engine.Event {
		ev := ok
		change(&ev)
		return ev
	}
	for what, tc := range map[string]struct {
		err  error
		want error
		says string
	}{
		"tracking ID":  {e.PutEvents(ctx, strings.Replace(id, id[9:13], "aaaa", 1), "secret", "s", []engine.Event{ok}), engine.ErrInvalid, "tracking ID"},
		"short ID":     {e.PutEvents(ctx, "x", "secret", "s", []engine.Event{ok}), engine.ErrInvalid, "tracking ID"},
		"nobody":       {events("", "", ok), engine.ErrInvalid, "a user ID or a session ID"},
		"long session": {events("secret", strings.Repeat("s", 257), ok), engine.ErrInvalid, "256 characters"},
		"long user":    {events(strings.Repeat("s", 257), "s", ok), engine.ErrInvalid, "field USER_ID"},
		"nothing":      {e.PutEvents(ctx, id, "secret", "s", nil), engine.ErrInvalid, "nothing to put"},
		"no time":      {events("secret", "s", with(func(ev *engine.Event) { ev.SentAt = time.Time{} })), engine.ErrInvalid, "no time"},
		"no type":      {events("secret", "s", with(func(ev *engine.Event) { ev.Type = "" })), engine.ErrInvalid, "field EVENT_TYPE"},
		"no item":      {events("secret", "s", with(func(ev *engine.Event) { ev.ItemID = "" })), engine.ErrInvalid, "field ITEM_ID"},
		"not a number": {events("secret", "s", with(func(ev *engine.Event) { ev.Value = &nan })), engine.ErrInvalid, "field EVENT_VALUE"},
		"property":     {events("secret", "s", with(func(ev *engine.Event) { ev.Properties = []byte(`{"color":"secret"}`) })), engine.ErrInvalid, "property color"},
		"wrong type":   {events("secret", "s", with(func(ev *engine.Event) { ev.Properties = []byte(`{"numberOfClicks":"secret"}`) })), engine.ErrInvalid, "field NUMBER_OF_CLICKS"},
		"missing":      {e.PutUsers(ctx, users, []engine.PutRow{{ID: "secret"}}), engine.ErrInvalid, "field AGE"},
		"second row":   {e.PutUsers(ctx, users, []engine.PutRow{{ID: "a", Properties: []byte(`{"age":1}`)}, {ID: ""}}), engine.ErrInvalid, "row 2: field USER_ID"},
		"other type":   {e.PutItems(ctx, users, []engine.PutRow{{ID: "secret"}}), engine.ErrInvalid, "of type USERS"},
		"no dataset":   {e.PutUsers(ctx, strings.Replace(users, "/g/", "/h/", 1), []engine.PutRow{{ID: "secret"}}), engine.ErrNotFound, ""},
		"no ARN":       {e.PutUsers(ctx, "users", []engine.PutRow{{ID: "secret"}}), engine.ErrNotFound, ""},
	} {
		if !errors.Is(tc.err, tc.want) || !strings.Contains(fmt.Sprint(tc.err), tc.says) || strings.Contains(fmt.Sprint(tc.err), "secret") {
			t.Errorf("%s: %v, want %v with %q", what, tc.err, tc.want, tc.says)
		}
	}
	tracker := must[[]engine.EventTracker](t)(e.EventTrackers(ctx, "g"))[0]
	interactions := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Interactions)).ARN
	if err := errors.Join(e.DeleteEventTracker(ctx, tracker.ARN), e.DeleteDataset(ctx, interactions)); err != nil {
		t.Fatal(err)
	}
	id = must[engine.EventTracker](t)(e.CreateEventTracker(ctx, engine.NewEventTracker{Name: "clicks", Group: "g"})).TrackingID
	if err := events("ann", "s", ok); !errors.Is(err, engine.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "no Interactions dataset") {
		t.Errorf("without the dataset: %v", err)
	}
	mustClose(t, e)
	if err := e.PutUsers(ctx, users, []engine.PutRow{{ID: "a", Properties: []byte(`{"age":1}`)}}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	ro := open(t, path, engine.Options{ReadOnly: true})
	if err := ro.PutUsers(ctx, users, []engine.PutRow{{ID: "a", Properties: []byte(`{"age":1}`)}}); !errors.Is(err, engine.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
}

// TestPutConcurrently puts from many goroutines, beside imports and a changing catalog.
func TestPutConcurrently(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	id := tracked(t, e)
	wider := strings.Replace(testSchemas[engine.Users], `{"name":"AGE"`, `{"name":"TIER","type":["null","string"]},{"name":"AGE"`, 1)
	must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: "wider", Avro: []byte(wider)}))
	users := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN
	var wg sync.WaitGroup
	var want, wantUsers []string
	for w := range 8 {
		for k := range 25 {
			want = append(want, viewed(fmt.Sprint("u", w), "pen", int64(k)))
		}
		wantUsers = append(wantUsers, fmt.Sprintf("u%d\x1f\x1e\x1f24\x1f\x1e", w))
		wg.Go(func() {
			for k := range 25 {
				if err := errors.Join(
					e.PutEvents(ctx, id, fmt.Sprint("u", w), "s", []engine.Event{view("pen", int64(k))}),
					e.PutUsers(ctx, users, []engine.PutRow{{ID: fmt.Sprint("u", w), Properties: fmt.Appendf(nil, `{"age":%d}`, k)}}),
				); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	must[engine.Dataset](t)(e.UpdateDataset(ctx, users, "wider"))
	importText(t, e, "g", engine.Items, engine.ImportFull, "ITEM_ID,GENRE\nink,x\n")
	wg.Wait()
	eventuallyRows(t, e, engine.Interactions, want...)
	eventuallyRows(t, e, engine.Users, wantUsers...)
}

// TestDeletePut deletes users right after their events were put, while others go on: nothing of them is left, in the file
// either, and nothing of the others is missing.
func TestDeletePut(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	id := tracked(t, e)
	users := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var want []string
	wg.Go(func() {
		for k := int64(0); ; k++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := e.PutEvents(ctx, id, "bystander", "", []engine.Event{view("pen", k)}); err != nil {
				t.Error(err)
				return
			}
			want = append(want, viewed("bystander", "pen", k))
		}
	})
	for round := range 4 {
		gone := fmt.Sprintf("goner-%04d", round)
		session := fmt.Sprintf("session-%04d", round)
		mustPut(t, e, id, "", session, view("early-item", 1), view("early-item", 2))
		mustPut(t, e, id, gone, session, view("pen", 3))
		mustPut(t, e, id, "", session, view("pen", 4))
		if err := e.PutUsers(ctx, users, []engine.PutRow{{ID: gone, Properties: []byte(`{"age":1}`)}}); err != nil {
			t.Fatal(err)
		}
		dry := must[engine.DryRun](t)(e.DryRunDeletion(ctx, "g", listFile(t, gone)))
		if dry.NumDeleted() != 5 {
			t.Errorf("a dry run says %d rows, want 5", dry.NumDeleted())
		}
		if job := deleteUsers(t, e, "g", gone); *job.NumDeleted != 5 || job.Counts.Matched != 1 {
			t.Errorf("%d rows of %d users deleted, want 5 of 1", *job.NumDeleted, job.Counts.Matched)
		}
		data := readFile(t, path)
		for _, what := range []string{gone, session, "early-item"} {
			if bytes.Contains(data, []byte(what)) {
				t.Errorf("%s is in the file after the job", what)
			}
		}
		// The session is nobody's from now on.
		mustPut(t, e, id, "", session, view("pen", 5))
	}
	close(stop)
	wg.Wait()
	eventuallyRows(t, e, engine.Interactions, want...)
	if got := scan(t, e, "g", engine.Users); len(got) != 0 {
		t.Errorf("users are left: %q", got)
	}
}

// TestPutSuppressed puts events of suppressed users.
func TestPutSuppressed(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	id := tracked(t, e)
	if err := e.SetSuppression(ctx, "g", true); err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, id, "suppressed-1", "s", view("pen", 1))
	deleteUsers(t, e, "g", "suppressed-1", "suppressed-2")
	for i, user := range []string{"suppressed-1", "suppressed-2", "somebody"} {
		mustPut(t, e, id, user, fmt.Sprint("session-", i), view("pen", 2))
	}
	eventuallyRows(t, e, engine.Interactions, viewed("somebody", "pen", 2))
	if bytes.Contains(readFile(t, path), []byte("suppressed-")) {
		t.Error("a suppressed user is in the file")
	}
}

// TestDeletePutAgain deletes a user who is left without rows after the list was matched, and comes back by an event before
// the users are deleted, with the end of a process in between.
func TestDeletePutAgain(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	id := tracked(t, e)
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\ncomeback,1,\n")
	users := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN
	list := writeFile(t, t.TempDir(), "list.csv", strings.Replace(manyIDs(unknownIDs), "USER_ID\n", "USER_ID\ncomeback\n", 1))
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
	early := whileReading(t, e, job, func() {
		if err := e.DeleteDataset(ctx, users); err != nil {
			t.Error(err)
		}
		mustClose(t, e)
	})
	if !early {
		t.Skip("the list was read already")
	}
	e = open(t, path, engine.Options{})
	mustPut(t, e, id, "comeback", "", view("pen", 1))
	now := must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, job.Name))
	must[engine.Job](t)(e.Wait(ctx, job))
	if now.Released || now.Status.Terminal() {
		t.Skip("the event came after the users were deleted")
	}
	if got := scan(t, e, "g", engine.Interactions); len(got) != 0 {
		t.Errorf("rows that were put before the users were deleted are left: %q", got)
	}
}
