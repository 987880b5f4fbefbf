package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// result has the samples of one entry, a value for each run. A column that it doesn't have is empty.
type result struct {
	Name, What string
	NoStore    bool
	Import     []float64 // seconds
	Scan       []float64 // seconds, three in each run
	User       []float64 // seconds, each the median of up to 1,000 users
	Size       []float64 // bytes allocated after the import
	ImportPeak []float64 // bytes of anonymous memory
	Lists      []listResult
}

// listResult is one deletion list.
type listResult struct {
	Name   string
	Users  int
	Delete []float64 // seconds until the delete was durable
	Erased []float64 // seconds from the beginning until the rows were off the disk
	Size   []float64 // bytes allocated afterwards
	Peak   []float64 // bytes of anonymous memory, for delete and erase
	// LeftDelete and LeftErased are how many users' IDs a search found in the peer's files, -1 if it wasn't looked.
	LeftDelete, LeftErased []int
	LeftIn                 []string // the files that had some after erasing, in the last run that found some
}

// harness runs entries.
type harness struct {
	in       *inputs
	dir      string // for the stores
	log      io.Writer
	searches []*idSearch // as in.lists
}

func newHarness(in *inputs, dir string, log io.Writer) *harness {
	h := &harness{in: in, dir: dir, log: log}
	for _, l := range in.lists {
		h.searches = append(h.searches, newIDSearch(l.ids))
	}
	return h
}

func (h *harness) newResult(e entry) *result {
	r := &result{Name: e.Name, What: e.What, NoStore: e.NoStore}
	for _, l := range h.in.lists {
		r.Lists = append(r.Lists, listResult{Name: l.Name, Users: len(l.ids)})
	}
	return r
}

// base is where the imported store of an entry lies.
func (h *harness) base(name string) string { return filepath.Join(h.dir, name) }

// run measures an entry once. The imported store stays, for entries that use it too.
func (h *harness) run(e entry, r *result) error {
	base := h.base(e.Base)
	if e.Base == "" {
		base = h.base(e.Name)
		if err := h.fresh(e, r, base); err != nil {
			return err
		}
	}
	for i := range h.in.lists {
		fmt.Fprintf(h.log, "%s: list of %s\n", e.Name, h.in.lists[i].Name)
		if err := h.delete(e, i, &r.Lists[i], base); err != nil {
			return fmt.Errorf("list of %s: %w", h.in.lists[i].Name, err)
		}
	}
	return nil
}

// fresh imports, scans and reads users.
func (h *harness) fresh(e entry, r *result, base string) (err error) {
	fmt.Fprintf(h.log, "%s: import\n", e.Name)
	if err := errors.Join(os.RemoveAll(base), os.MkdirAll(base, 0o755)); err != nil {
		return err
	}
	p, err := start(e)
	if err != nil {
		return err
	}
	res, err := p.do(request{Op: opImport, Dir: base, CSV: h.in.csv})
	if err != nil {
		return errors.Join(err, p.abandon())
	}
	r.Import = append(r.Import, res.Seconds)
	r.ImportPeak = append(r.ImportPeak, float64(p.takePeak()))
	if err := p.end(); err != nil {
		return err
	}
	size, err := allocated(base)
	if err != nil {
		return err
	}
	r.Size = append(r.Size, float64(size))

	// Reading has a process of its own: what the import left in memory would help.
	if p, err = start(e); err != nil {
		return err
	}
	if err := h.read(e, r, p, base); err != nil {
		return errors.Join(err, p.abandon())
	}
	return p.end()
}

func (h *harness) read(e entry, r *result, p *process, base string) error {
	fmt.Fprintf(h.log, "%s: scan, one user\n", e.Name)
	if _, err := p.do(request{Op: opOpen, Dir: base}); err != nil {
		return err
	}
	users, err := p.do(request{Op: opUsers, Users: h.in.users})
	if err != nil {
		return err
	}
	r.User = append(r.User, users.Seconds)
	want := sums{}
	for _, id := range h.in.users[:users.Read] {
		want.add(h.in.rows[id])
	}
	if !users.Sums.equal(want) {
		return fmt.Errorf("%s: the rows of %d users: got %+v, want %+v", e.Name, users.Read, users.Sums, want)
	}
	for range 3 {
		res, err := p.do(request{Op: opScan})
		if err != nil {
			return err
		}
		if !res.Sums.equalNumbers(h.in.all) {
			return fmt.Errorf("%s: scan: got %+v, want %+v", e.Name, res.Sums, h.in.all)
		}
		r.Scan = append(r.Scan, res.Seconds)
	}
	return h.check(p, h.in.all)
}

func (h *harness) check(p *process, want sums) error {
	res, err := p.do(request{Op: opCheck})
	if err == nil && !res.Sums.equal(want) {
		err = fmt.Errorf("%s: check: got %+v, want %+v", p.name, res.Sums, want)
	}
	return err
}

// delete deletes and erases one list's users from a copy of the imported store.
func (h *harness) delete(e entry, i int, r *listResult, base string) (err error) {
	dir := h.base("work")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := copyTree(base, dir); err != nil {
		return err
	}
	p, err := start(e)
	if err != nil {
		return err
	}
	if err := h.deleteIn(p, e, i, r, dir); err != nil {
		return errors.Join(err, p.abandon())
	}
	if err := p.end(); err != nil {
		return err
	}
	// The search is for what lies on the disk when nobody has it open.
	left, names, err := h.searches[i].count(dir)
	if err != nil {
		return err
	}
	r.LeftErased = append(r.LeftErased, left)
	if left > 0 {
		r.LeftIn = names
	}
	size, err := allocated(dir)
	r.Size = append(r.Size, float64(size))
	return errors.Join(err, os.RemoveAll(dir))
}

func (h *harness) deleteIn(p *process, e entry, i int, r *listResult, dir string) error {
	l := h.in.lists[i]
	if _, err := p.do(request{Op: opOpen, Dir: dir}); err != nil {
		return err
	}
	p.takePeak()
	begun, left := 0.0, -1
	var res response
	var err error
	if e.OneJob {
		if res, err = p.do(request{Op: opDeleteErase, List: l.path}); err != nil {
			return err
		}
		r.Delete = append(r.Delete, res.Delete)
	} else {
		if e.Delete {
			if res, err = p.do(request{Op: opDelete, List: l.path}); err != nil {
				return err
			}
			begun = res.Seconds
			r.Delete = append(r.Delete, begun)
			if left, _, err = h.searches[i].count(dir); err != nil {
				return err
			}
		}
		if res, err = p.do(request{Op: opErase, List: l.path}); err != nil {
			return err
		}
	}
	r.Erased = append(r.Erased, begun+res.Seconds)
	r.Peak = append(r.Peak, float64(p.takePeak()))
	r.LeftDelete = append(r.LeftDelete, left)
	return h.check(p, l.after)
}
