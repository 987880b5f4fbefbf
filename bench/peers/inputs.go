package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"github.com/expunge-db/expunge/bench"
)

// inputs are the files that all peers get, and what they must answer. The answers come from the CSV file, in the plainest
// way.
type inputs struct {
	csv   string
	bytes int64
	all   sums
	lists []deletion
	users []string        // to read one by one: of all users, none of those on the lists
	rows  map[string]sums // of those users
}

// deletion is one list.
type deletion struct {
	Name  string // "100", "1%", "10%"
	path  string
	ids   []string
	after sums // what remains
}

// readUsersMost is how many users are read one by one at most.
const readUsersMost = 1000

// makeInputs writes interactions.csv and the lists into dir, unless they are there from a run before, and finds the
// answers.
func makeInputs(ctx context.Context, dir string, interactions int64) (*inputs, error) {
	c := bench.Config{Users: int(max(interactions/50, 1)), Items: 50_000, Interactions: interactions, Seed: 1}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	in := &inputs{csv: filepath.Join(dir, "interactions.csv"), rows: make(map[string]sums)}
	if _, err := os.Stat(in.csv); errors.Is(err, os.ErrNotExist) {
		if err := writeFile(in.csv, func(f *os.File) error { return c.WriteInteractions(ctx, f, nil) }); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	info, err := os.Stat(in.csv)
	if err != nil {
		return nil, err
	}
	in.bytes = info.Size()

	listed := make(map[string]uint8) // a bit for each list that a user is on
	for _, l := range []struct {
		name string
		n    int
	}{{"100", min(100, c.Users)}, {"1%", c.Users / 100}, {"10%", c.Users / 10}} {
		d := deletion{Name: l.name, path: filepath.Join(dir, fmt.Sprintf("list-%d.csv", l.n))}
		ids, err := c.DeletionList(l.n)
		if err != nil {
			return nil, err
		}
		for id := range ids {
			d.ids = append(d.ids, id)
		}
		if err := writeFile(d.path, func(f *os.File) error { return c.WriteList(f, l.n) }); err != nil {
			return nil, err
		}
		in.lists = append(in.lists, d)
	}
	for i, l := range in.lists {
		for _, id := range l.ids {
			listed[id] |= 1 << i
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 * readUsersMost {
		id := c.UserID(r.IntN(c.Users))
		_, gone := listed[id]
		_, twice := in.rows[id]
		if !gone && !twice && len(in.users) < readUsersMost {
			in.users, in.rows[id] = append(in.users, id), sums{}
		}
	}
	return in, in.answer(ctx, listed)
}

// answer reads the CSV file.
func (in *inputs) answer(ctx context.Context, listed map[string]uint8) error {
	type part struct {
		all  sums
		gone [1 << 3]sums // by the lists that the user is on
		rows map[string]sums
	}
	parts := make([]part, runtime.GOMAXPROCS(0))
	for i := range parts {
		parts[i].rows = make(map[string]sums)
	}
	err := eachChunk(ctx, in.csv, func(worker, _ int, lines []byte) error {
		p := &parts[worker]
		return eachLine(lines, func(line []byte) error {
			r, err := parseRow(line)
			if err != nil {
				return err
			}
			s := r.sums()
			p.all.add(s)
			if lists := listed[string(r.user)]; lists != 0 {
				p.gone[lists].add(s)
			} else if _, ok := in.rows[string(r.user)]; ok {
				t := p.rows[string(r.user)]
				t.add(s)
				p.rows[string(r.user)] = t
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, p := range parts {
		in.all.add(p.all)
		for id, s := range p.rows {
			t := in.rows[id]
			t.add(s)
			in.rows[id] = t
		}
	}
	for i := range in.lists {
		gone := sums{}
		for _, p := range parts {
			for lists, s := range p.gone {
				if lists>>i&1 != 0 {
					gone.add(s)
				}
			}
		}
		in.lists[i].after = in.all
		in.lists[i].after.add(sums{-gone.Rows, -gone.User, -gone.Item, -gone.Event, -gone.Value, -gone.Time})
	}
	return nil
}

// writeFile writes a file under a temporary name and syncs it.
func writeFile(path string, write func(*os.File) error) (err error) {
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return replaceFile(f.Name(), path)
}
