// Command peers measures Expunge and its rivals in one harness: the same input files, each store at its best settings,
// each equally durable, results compared with what the input says.
//
//	go run . --interactions 10000000 --runs 5
//
// It is a module of its own, so that the rivals (cgo and all) never reach the go.sum of whoever embeds Expunge.
//
// # How it measures
//
// The input is interactions.csv of package bench: a user for each 50 interactions, 50,000 items, seed 1. Each peer has a
// folder of its own. A run of a peer is: import in a fresh process; open in another one, read users one by one in random
// order, scan three times; then for each of three lists copy the imported store, open the copy in a fresh process, delete
// and erase. Peers take turns, so that a slow minute of the machine doesn't hit one peer only. A clock stops when files
// and folder are synced. Opening and closing are not timed. The page cache is warm: the input and the copies have just
// been written. Memory is the peak of RssAnon, looked at every 5 ms from outside.
//
// After each import and each erase all rows are read and the sums of all columns compared, strings by their bytes. What
// is timed as a scan is what is quickest for the peer: in SQL, lengths of strings summed by the store itself; in Go, every
// byte. That favours the rivals in SQL.
//
// # Whether it is gone
//
// After deleting, and after erasing and closing, all files of the peer are searched for the bytes of the deleted users'
// IDs. That finds plain bytes only: a peer that compresses or shortens IDs can have them and show none. So a number above
// zero is proof, zero isn't. A rewritten file replaces the old one, whose blocks the file system then frees; what lies
// below files is outside of the comparison, for all peers alike.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		e, err := findEntry(os.Args[2])
		if err == nil {
			err = serve(ctx, e, os.Stdin, os.Stdout)
		}
		quietExit(err)
		return
	}
	quietExit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) (err error) {
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	interactions := flags.Int64("interactions", 1_000_000, "rows of the Interactions dataset; a user for each 50")
	runs := flags.Int("runs", 5, "how often each peer is measured")
	only := flags.String("only", "", "names of the peers to measure, separated by commas; default all")
	dir := flags.String("dir", "", "folder for input and stores; default a temporary one, which is removed")
	asJSON := flags.Bool("json", false, "print all samples as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *interactions < 50*1000 || *runs < 1 {
		return fmt.Errorf("peers: give at least 50000 interactions and 1 run")
	}
	chosen := entries
	if *only != "" {
		if chosen, err = choose(strings.Split(*only, ",")); err != nil {
			return err
		}
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "expunge-peers-"); err != nil {
			return err
		}
		defer func() { err = joinRemove(err, *dir) }()
	}
	if *dir, err = filepath.Abs(*dir); err != nil {
		return err
	}
	fmt.Fprintf(log, "input: %d interactions\n", *interactions)
	in, err := makeInputs(ctx, filepath.Join(*dir, fmt.Sprintf("input-%d", *interactions)), *interactions)
	if err != nil {
		return err
	}
	stores := filepath.Join(*dir, "stores")
	defer func() { err = joinRemove(err, stores) }()
	h := newHarness(in, stores, log)
	results := make([]*result, len(chosen))
	for i, e := range chosen {
		results[i] = h.newResult(e)
	}
	for n := range *runs {
		fmt.Fprintf(log, "run %d of %d\n", n+1, *runs)
		for i, e := range chosen {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := h.run(e, results[i]); err != nil {
				return err
			}
			if err := h.clear(chosen[i:]); err != nil {
				return err
			}
		}
	}
	rep := report{Conditions: conditions(in, *runs), Peers: results}
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(rep)
	}
	return rep.write(out)
}
