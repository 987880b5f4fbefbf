package engine_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// putForever puts events from several goroutines and prints the number of each once it is durable, until it is killed.
func putForever(ctx context.Context, e *engine.Engine, trackingID string, say func(any)) {
	durable := make(chan int)
	for w := range 4 {
		go func() {
			for k := w; ; k += 4 {
				user, session := fmt.Sprint("user-", k%5), fmt.Sprint("session-", k%5)
				if k%3 == 0 {
					user = "" // the session's user is known from the next round on, at the latest
				}
				if err := e.PutEvents(ctx, trackingID, user, session, []engine.Event{view("pen", int64(k))}); err != nil {
					say(err)
				}
				durable <- k
			}
		}()
	}
	for k := range durable {
		say(k)
	}
}

// TestKillPut kills a process that puts events, again and again: every event that was durable is there in the end, and the
// store is sound.
func TestKillPut(t *testing.T) {
	store := storePath(t)
	e := open(t, store, engine.Options{})
	id := tracked(t, e)
	mustClose(t, e)
	put := make(map[string]bool)
	for round := range 4 {
		v := startVictim(t, store, "put "+id)
		for n := 0; n < 40+60*round; n++ {
			line, ok := <-v.steps
			k, err := strconv.Atoi(line)
			if !ok || err != nil {
				t.Fatalf("the victim said %q", line)
			}
			put[viewed(fmt.Sprint("user-", k%5), "pen", int64(k))] = true
		}
		go func() { // a victim that nobody listens to stops
			for range v.steps {
			}
		}()
		time.Sleep(time.Duration(round*50) * time.Millisecond)
		v.kill(t)
	}
	e = open(t, store, engine.Options{})
	for k := range 5 { // whose the sessions are, should that not be known yet
		mustPut(t, e, id, fmt.Sprint("user-", k), fmt.Sprint("session-", k), view("last", 1))
	}
	var missing []string
	eventually(t, "all events are there", func() bool {
		rows := scan(t, e, "g", engine.Interactions)
		missing = missing[:0]
		for _, r := range slices.Sorted(maps.Keys(put)) {
			if _, found := slices.BinarySearch(rows, r); !found {
				missing = append(missing, strings.ReplaceAll(r, "\x1f", " "))
			}
		}
		return len(missing) == 0 && len(rows) > 0
	})
	mustCheck(t, e)
}
