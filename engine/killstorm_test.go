package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

const killStormUsers = 7

// stormForever puts events, deletes their users and imports rows of them, and says what begins and what is done, until it is
// killed.
func stormForever(ctx context.Context, e *engine.Engine, args string, say func(any)) {
	id, from, _ := strings.Cut(args, ",")
	first, _ := strconv.Atoi(from)
	for w := range 4 {
		go func() {
			for k := first + w; ; k += 4 {
				say(fmt.Sprintf("start %d", k))
				ev := view("pen", int64(k%3))
				ev.RecommendationID = fmt.Sprintf("marker%010d", k)
				user := stormUser(k % killStormUsers)
				if err := e.PutEvents(ctx, id, user, "session-"+user, []engine.Event{ev}); err != nil {
					say(err)
				}
				say(fmt.Sprintf("put %d", k))
			}
		}()
	}
	go func() {
		for n := 0; ; n++ {
			path := os.TempDir() + fmt.Sprintf("/storm-%d-%d.csv", os.Getpid(), n)
			text := "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,IMPRESSION,NUMBER_OF_CLICKS,RECOMMENDATION_ID,TIMESTAMP\n"
			for i := range 50 {
				text += fmt.Sprintf("%s,pen%d,view,,,,bulk-%d-%d,%d\n", stormUser(i%killStormUsers), i%9, n, i, i%4)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				say(err)
			}
			mode := engine.ImportIncremental
			if n%3 == 0 {
				mode = engine.ImportFull
			}
			if _, err := e.Import(ctx, engine.NewDatasetImportJob{Group: "g", Type: engine.Interactions, Source: path, Mode: mode}); err != nil {
				say(err)
			}
		}
	}()
	for n := first; ; n++ {
		say(fmt.Sprintf("delete %d", n))
		path := os.TempDir() + fmt.Sprintf("/list-%d-%d.csv", os.Getpid(), n)
		if err := os.WriteFile(path, []byte("USER_ID\n"+stormUser(n%killStormUsers)+"\n"+stormUser(n/2%killStormUsers)+"\n"), 0o600); err != nil {
			say(err)
		}
		if _, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "g", Source: path, Name: fmt.Sprint("d-", n)}); err != nil {
			say(err)
		}
		say(fmt.Sprintf("deleted %d", n))
	}
}

// TestKillStorm kills a process that puts, deletes and imports, again and again. What was durable is there once, or nowhere in
// the file if its user was deleted afterwards.
func TestKillStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Setenv("TMPDIR", t.TempDir())
	store := storePath(t)
	e := open(t, store, engine.Options{Codec: engine.CodecNone})
	id := tracked(t, e)
	mustClose(t, e)
	type span struct{ from, to int } // to is 0 until it is done
	puts, deletions := make(map[int]span), make(map[int]span)
	clock := 0
	for round := range 4 {
		v := startVictim(t, store, fmt.Sprintf("storm %s,%d", id, round*100000))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for line := range v.steps {
				clock++
				what, num, _ := strings.Cut(line, " ")
				n, err := strconv.Atoi(num)
				if err != nil {
					t.Errorf("the victim said %q", line)
				}
				switch what {
				case "start":
					puts[n] = span{clock, 0}
				case "put":
					puts[n] = span{puts[n].from, clock}
				case "delete":
					deletions[n] = span{clock, 0}
				case "deleted":
					deletions[n] = span{deletions[n].from, clock}
				}
			}
		}()
		time.Sleep(time.Duration(200+rng.IntN(1000)) * time.Millisecond)
		if err := v.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-done
		_ = v.cmd.Wait() // says that it was killed
		e := must[*engine.Engine](t)(engine.Open(context.Background(), store, engine.Options{Codec: engine.CodecNone}))
		for _, j := range e.Resumed() {
			must[engine.Job](t)(e.Wait(context.Background(), j))
		}
		if _, err := e.DryRunDeletion(context.Background(), "g", listFile(t, "stranger")); err != nil {
			t.Fatal(err)
		}
		clock++
		for n, d := range deletions {
			if d.to > 0 {
				continue
			}
			if _, err := e.DescribeDataDeletionJob(context.Background(), fmt.Sprint("d-", n)); err != nil { // it was killed before
				delete(deletions, n)
			} else {
				deletions[n] = span{d.from, clock}
			}
		}
		there := make(map[string]int)
		for _, r := range scan(t, e, "g", engine.Interactions) {
			there[strings.Split(r, "\x1f")[5]]++
		}
		mustCheck(t, e)
		mustClose(t, e)
		raw := string(readFile(t, store))
		for k, p := range puts {
			m := fmt.Sprintf("marker%010d", k)
			must, mustNot := p.to > 0, false
			for n, d := range deletions {
				if k%killStormUsers != n%killStormUsers && k%killStormUsers != n/2%killStormUsers {
					continue
				}
				must = must && d.to < p.from
				mustNot = mustNot || p.to > 0 && p.to < d.from
			}
			if there[m] > 1 || must && there[m] == 0 || mustNot && (there[m] > 0 || strings.Contains(raw, m)) {
				t.Errorf("round %d: %s is there %d times, in the file %t; must %t, must not %t", round, m, there[m], strings.Contains(raw, m), must, mustNot)
			}
		}
	}
}
