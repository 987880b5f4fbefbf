package store

import (
	"bytes"
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

// suppressed checks the order and the ranges of the hashes of suppressed users.
func (c *checker) suppressed(groups []Group) {
	known := make(map[uint32]bool)
	for _, g := range groups {
		known[g.ID] = true
	}
	var group uint32
	var last []byte
	err := c.tx.b.Bucket(bucketSuppressed).ForEach(func(k, v []byte) error {
		chunk, err := readSuppressed(k, v)
		if err != nil {
			c.problem(err)
			return nil
		}
		if of := uint32At(k, 0); of != group {
			group, last = of, nil
		}
		if !known[group] {
			c.problemf("suppressed users belong to no group")
		}
		for e := chunk.entries; len(e) > 0; e = e[suppressedSize:] {
			if bytes.Compare(last, e[:len(IDHash{})]) >= 0 || uint64At(e) < chunk.low {
				c.problemf("suppressed users of group %d are out of order", group)
			}
			last = e[:len(IDHash{})]
		}
		return nil
	})
	if err != nil {
		c.problem(err)
	}
}

// hashes checks those that deletions left.
func (c *checker) hashes() error {
	return c.tx.b.Bucket(bucketHashes).ForEach(func(k, v []byte) error {
		if b, err := unseal("hashes of the users of a job", k, v); err != nil || len(k) != 16 || len(b)%len(IDHash{}) != 0 {
			c.problemf("an entry of the hashes of deleted users is damaged: %w", err)
		}
		return c.ctx.Err()
	})
}

// otherLayers returns the layers that wait to be removed and those that imports in flight write.
func (c *checker) otherLayers(byID map[uint32]Dataset) (out []layerOwner) {
	err := c.tx.b.Bucket(bucketGarbage).ForEach(func(k, v []byte) error {
		if _, err := unseal("list of discarded layers", k, v); err != nil || len(k) != 16 {
			c.problemf("an entry of the list of discarded layers is damaged: %w", err)
			return nil
		}
		out = append(out, layerOwner{byID[uint32At(k, 2)], uint32At(k, 3), "discarded"})
		return nil
	})
	if err != nil {
		c.problem(err)
	}
	recs, err := c.tx.importRecords()
	if err != nil {
		c.problem(err)
	}
	for _, rec := range recs {
		out = append(out, layerOwner{byID[rec.Dataset], rec.Layer, "in flight"})
	}
	return out
}

// dictionary checks that forward and reverse entries are each other's inverse.
func (c *checker) dictionary(d dictID) {
	c.keys[d], c.ids[d] = roaring.New(), roaring.New()
	st, err := c.tx.dictState(d)
	if err != nil {
		c.problem(err)
		return
	}
	view, err := c.tx.dictView(d, 0)
	if err != nil {
		c.problem(err)
		return
	}
	prefix := d.prefix()
	rev := c.tx.b.Bucket(bucketReverse).Cursor()
	for k, _ := rev.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = rev.Next() {
		if len(k) != len(prefix)+4 {
			c.problemf("%s: a chunk's key has the wrong length", d)
			continue
		}
		num := uint32At(k[len(prefix):], 0)
		chunk, err := c.tx.readReverse(d, num)
		if err != nil {
			c.problem(err)
			continue
		}
		for slot := range chunk.slots() {
			if chunk.id(slot) != nil {
				c.ids[d].Add(num*reverseSlots + uint32(slot))
			}
		}
	}
	if !c.ids[d].IsEmpty() && c.ids[d].Maximum() >= st.Next {
		c.problemf("%s: an ordinal was given that is not below the next one", d)
	}
	c.report.IDs += int64(c.ids[d].GetCardinality())
	c.forward(d, view)
}

func (c *checker) forward(d dictID, view dictView) {
	prefix := d.prefix()
	l := c.tx.lookup(&view)
	seen := roaring.New()
	var visible map[string]bool // IDs of the last hash
	var last []byte
	cur := c.tx.b.Bucket(bucketForward).Cursor()
	for k, v := cur.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		entries, err := unseal(d.String(), k, v)
		if err != nil {
			c.problem(err)
			continue
		}
		if len(entries)%entrySize != 0 || len(k) != len(prefix)+hashBytes {
			c.problemf("%s: a hash range has the wrong length", d)
			continue
		}
		for ; len(entries) > 0; entries = entries[entrySize:] {
			e := entries[:entrySize]
			if bytes.Compare(last, e) >= 0 || bytes.Compare(e[:hashBytes], k[len(prefix):]) < 0 {
				c.problemf("%s: entries are out of order", d)
			}
			if !bytes.Equal(e[:hashBytes], last[:min(hashBytes, len(last))]) {
				visible = nil
			}
			last = append(last[:0], e...)
			ordinal := ordinalAt(e)
			id, err := l.id(ordinal)
			switch {
			case err != nil:
				c.problem(err)
			case id == nil:
				c.problemf("%s: the entry of ordinal %d has no ID", d, ordinal)
			case c.tx.s.hashID(id) != hashAt(e):
				c.problemf("%s: the entry of ordinal %d has another hash than its ID", d, ordinal)
			case view.visible(ordinal) && visible[string(id)]:
				c.problemf("%s: ordinal %d is another's of the same ID", d, ordinal)
			case view.visible(ordinal):
				if visible == nil {
					visible = make(map[string]bool)
				}
				visible[string(id)] = true
			}
			if !seen.CheckedAdd(ordinal) {
				c.problemf("%s: ordinal %d has two entries", d, ordinal)
			}
		}
	}
	if !seen.Equals(c.ids[d]) {
		c.problemf("%s: %d ordinals have an entry and %d have an ID", d, seen.GetCardinality(), c.ids[d].GetCardinality())
	}
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
		if least := x.ordinals.Minimum(); least < uint32At(key, 2) || int64(least) < last || x.ordinals.Maximum() != f.Greatest {
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
	if missing := roaring.AndNot(x.ordinals, c.ids[users]); !missing.IsEmpty() {
		return nil, fmt.Errorf("%s holds %d keys that the dictionary hasn't", blockName(f.Block), missing.GetCardinality())
	}
	if o.why == "live" {
		live := x
		if dead != nil && l.dict == dictUsers {
			live = x.without(dead)
		}
		c.keys[users].Or(live.ordinals)
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

// strays looks for what belongs to nothing.
func (c *checker) strays(known map[[2]uint32]bool) {
	fences := c.tx.b.Bucket(bucketFences)
	for _, name := range [][]byte{bucketFences, bucketTombs, bucketItemRefs} {
		err := c.tx.b.Bucket(name).ForEach(func(k, _ []byte) error {
			switch {
			case len(k) < 12:
				c.problemf("%s: a key has the wrong length", name)
			case !known[[2]uint32{uint32At(k, 0), uint32At(k, 1)}]:
				c.problemf("%s: an entry belongs to no layer", name)
			case bytes.Equal(name, bucketTombs) && fences.Get(k) == nil:
				c.problemf("a tombstone belongs to no block")
			}
			return nil
		})
		if err != nil {
			c.problem(err)
		}
	}
	err := c.tx.b.Bucket(bucketRetired).ForEach(func(k, v []byte) error {
		if _, err := unseal("list of retired blocks", k, v); err != nil || len(k) != 16 {
			c.problemf("an entry of the list of retired blocks is damaged: %w", err)
			return nil
		}
		c.refer(uint64At(k[8:]), "retired")
		return nil
	})
	if err != nil {
		c.problem(err)
	}
	blocks := c.tx.b.Bucket(bucketBlocks)
	err = blocks.ForEachBucket(func(k []byte) error {
		if len(k) != 8 {
			c.problemf("blocks: a key has the wrong length")
			return nil
		}
		if _, ok := c.blocks[uint64At(k)]; !ok {
			c.problemf("%s belongs to no layer", blockName(uint64At(k)))
		}
		delete(c.blocks, uint64At(k))
		return nil
	})
	if err != nil {
		c.problem(err)
	}
	for id, where := range c.blocks {
		c.problemf("%s: %s is missing", where, blockName(id))
	}
}

// unreferred looks for IDs that everybody sees and nothing refers to: IDs that should have left the dictionaries.
func (c *checker) unreferred(g Group) {
	if g.Sweep {
		return
	}
	for _, kind := range []dictKind{dictUsers, dictItems} {
		d := dictID{g.ID, kind}
		view, err := c.tx.dictView(d, 0)
		if err != nil {
			c.problem(err)
			continue
		}
		left := roaring.AndNot(roaring.And(view.all(), c.ids[d]), c.keys[d])
		if kind == dictItems {
			err := c.tx.eachLeaving(d, func(_ []byte, _ uint64, bm *roaring.Bitmap) error {
				left.AndNot(bm)
				if bm.Intersects(c.keys[d]) {
					c.problemf("%s: rows refer to items that leave it", d)
				}
				return nil
			})
			if err != nil {
				c.problem(err)
			}
		}
		if !left.IsEmpty() {
			c.problemf("%s: %d IDs are those of no row", d, left.GetCardinality())
		}
	}
}
