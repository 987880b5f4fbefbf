package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring"

	"github.com/expunge-db/expunge/store/internal/block"
)

// CheckReport says what [Store.Check] looked at, and everything that it found wrong.
type CheckReport struct {
	Pages    int64   // page runs
	Blocks   int64   // decoded whole
	Rows     int64   // in them, dead ones included
	IDs      int64   // in the dictionaries
	Problems []error // in no particular order; empty if the store is sound
}

// Check looks for every inconsistency in the store, not only the first: damaged pages and values, and structures that
// contradict each other. It changes nothing, holds up writers while it runs, and reads the whole store. The error is for
// a check that couldn't be made.
func (s *Store) Check(ctx context.Context) (CheckReport, error) {
	s.writer.Lock() // so that no commit comes between the walk over the pages and the transaction
	defer s.writer.Unlock()
	c := &checker{ctx: ctx}
	s.gate.RLock()
	file, down := s.file, s.down
	s.gate.RUnlock()
	if file == nil {
		return c.report, down
	}
	runs, err := checkPages(file)
	if err != nil {
		c.problem(err)
		return c.report, nil // a memory map of these pages could fault
	}
	c.report.Pages = int64(runs)
	err = s.View(ctx, func(tx *Tx) error {
		c.tx = tx
		return c.all()
	})
	return c.report, err
}

// checker collects what is wrong. Its methods return an error only to stop the check.
type checker struct {
	ctx    context.Context
	tx     *Tx
	report CheckReport

	blocks map[uint64]string // what refers to each block
	keys   map[dictID]*roaring.Bitmap
	ids    map[dictID]*roaring.Bitmap
}

func (c *checker) problem(err error) { c.report.Problems = append(c.report.Problems, err) }

func (c *checker) problemf(format string, args ...any) { c.problem(fmt.Errorf(format, args...)) }

// layerOwner is a layer that may be in the store, and what for.
type layerOwner struct {
	dataset Dataset
	layer   uint32
	why     string
}

func (c *checker) all() error {
	c.blocks = make(map[uint64]string)
	c.keys = make(map[dictID]*roaring.Bitmap)
	c.ids = make(map[dictID]*roaring.Bitmap)
	groups, err := c.tx.allGroups()
	if err != nil {
		c.problem(err)
		return nil
	}
	all, err := c.tx.allDatasets()
	if err != nil {
		c.problem(err)
		return nil
	}
	byID := make(map[uint32]Dataset)
	for _, d := range all {
		if !slices.ContainsFunc(groups, func(g Group) bool { return g.ID == d.GroupID }) {
			c.problemf("dataset %d belongs to no group", d.ID)
			continue
		}
		byID[d.ID] = d
	}
	var owners []layerOwner
	for _, g := range groups {
		c.dictionary(dictID{g.ID, dictUsers})
		c.dictionary(dictID{g.ID, dictItems})
		datasets, err := c.tx.Datasets(g.Name)
		if err != nil {
			c.problem(err)
			continue
		}
		for _, d := range datasets {
			if d.GroupID != g.ID {
				continue
			}
			for _, layer := range d.Put {
				if !slices.Contains(d.Layers, layer) {
					c.problemf("dataset %d has an individual layer that isn't one of its layers", d.ID)
				}
			}
			for _, layer := range d.Layers {
				owners = append(owners, layerOwner{d, layer, "live"})
			}
		}
	}
	owners = append(owners, c.otherLayers(byID)...)
	known := make(map[[2]uint32]bool)
	for _, o := range owners {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		known[[2]uint32{o.dataset.ID, o.layer}] = true
		c.layer(o)
	}
	c.strays(known)
	for _, g := range groups {
		c.unreferred(g)
	}
	c.suppressed(groups)
	c.trackers()
	c.journal(byID)
	c.sessions(byID)
	if err := c.hashes(); err != nil {
		return err
	}
	return c.sums()
}

// sums checks the checksums of what else is stored. A flipped bit in a key is found by them too.
func (c *checker) sums() error {
	for _, name := range [][]byte{bucketMeta, bucketCatalog, bucketDicts, bucketLeaving, bucketImports, bucketStage} {
		err := c.tx.b.Bucket(name).ForEach(func(k, v []byte) error {
			if _, err := unseal("an entry of bucket "+string(name), k, v); err != nil {
				c.problem(err)
			}
			return c.ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// layer checks the blocks of a layer, their order, and its item counts.
func (c *checker) layer(o layerOwner) {
	where := fmt.Sprintf("dataset %d, layer %d", o.dataset.ID, o.layer)
	l, err := o.dataset.layout()
	if err != nil {
		c.problemf("%s: %w", where, err)
		return
	}
	counts := itemCounts{}
	last := int64(-1)
	err = c.tx.eachFence(o.dataset.ID, o.layer, func(key []byte, f fence) error {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		c.refer(f.Block, where)
		x, err := c.block(key, f, l, o, counts)
		if err != nil {
			c.problemf("%s: %w", where, err)
			return nil
		}
		if least := x.ordinals[0]; least < uint32At(key, 2) || int64(least) < last || x.ordinals[len(x.ordinals)-1] != f.Greatest {
			c.problemf("%s: %s doesn't fit its fences", where, blockName(f.Block))
		}
		last = int64(f.Greatest)
		return nil
	})
	if err != nil {
		c.problemf("%s: %w", where, err)
	}
	if o.why == "live" { // of an import in flight they come last, and a discarded layer goes in parts
		c.refs(where, o, counts)
	}
}

func (c *checker) refer(id uint64, where string) {
	if other, ok := c.blocks[id]; ok {
		c.problemf("%s: %s is also that of %s", where, blockName(id), other)
	}
	c.blocks[id] = where
}

// block decodes a block whole and compares it with its index, its tombstone and the dictionaries.
func (c *checker) block(key []byte, f fence, l *rowLayout, o layerOwner, counts itemCounts) (*rowIndex, error) {
	x, err := c.tx.readIndex(f.Block)
	if err != nil {
		return nil, err
	}
	if x.rows() != f.Rows || x.rows() == 0 {
		return nil, fmt.Errorf("%s has %d rows and its fence says %d", blockName(f.Block), x.rows(), f.Rows)
	}
	data, err := c.tx.readData(f.Block, l, x)
	if err != nil {
		return nil, err
	}
	c.report.Blocks++
	c.report.Rows += int64(x.rows())
	cols := l.newColumns()
	if err := data.read(0, x.rows(), cols); err != nil {
		return nil, err
	}
	dead, err := c.tx.tombstone(key)
	if err != nil {
		return nil, err
	}
	if dead != nil && (dead.IsEmpty() || dead.Maximum() >= x.rows()) {
		return nil, fmt.Errorf("%s has a tombstone of rows that it hasn't", blockName(f.Block))
	}
	users := dictID{o.dataset.GroupID, l.dict}
	missing := 0
	for _, ordinal := range x.ordinals {
		if !c.ids[users].Contains(ordinal) {
			missing++
		}
	}
	if missing > 0 {
		return nil, fmt.Errorf("%s holds %d keys that the dictionary hasn't", blockName(f.Block), missing)
	}
	if o.why == "live" {
		live := x
		if dead != nil && l.dict == dictUsers {
			live = x.without(dead)
		}
		c.keys[users].AddMany(live.ordinals)
	}
	if l.time {
		if err := checkOrder(x, cols[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", blockName(f.Block), err)
		}
	}
	if l.items {
		items := dictID{o.dataset.GroupID, dictItems}
		for _, v := range cols[1].Int {
			counts.add(uint32(v))
			if o.why == "live" {
				c.keys[items].Add(uint32(v))
			}
			if !c.ids[items].Contains(uint32(v)) {
				return nil, fmt.Errorf("%s refers to an item that the dictionary hasn't", blockName(f.Block))
			}
		}
	}
	return x, nil
}

// checkOrder makes sure that the rows of each key are sorted by time.
func checkOrder(x *rowIndex, times block.Column) error {
	for i := range x.ends {
		from, to := x.at(i)
		for row := from + 1; row < to; row++ {
			if times.Int[row] < times.Int[row-1] {
				return errors.New("rows of a key are not in the order of time")
			}
		}
	}
	return nil
}

// refs compares the stored item counts of a layer with those counted.
func (c *checker) refs(where string, o layerOwner, counts itemCounts) {
	err := c.tx.eachRefs(o.dataset.ID, o.layer, func(num uint32, value func() (*[refSlots]uint32, error)) error {
		stored, err := value()
		if err != nil {
			c.problem(err)
			return nil
		}
		counted := counts[num]
		if counted == nil {
			counted = new([refSlots]uint32)
		}
		if *stored != *counted {
			c.problemf("%s: item counts differ from the rows", where)
		}
		delete(counts, num)
		return nil
	})
	if err != nil {
		c.problem(err)
	}
	if len(counts) > 0 {
		c.problemf("%s: item counts are missing", where)
	}
}
