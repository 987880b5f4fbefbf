package store

import (
	"bytes"
)

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
		if len(k) != 16 {
			c.problemf("an entry of the list of retired blocks has a key of the wrong length")
			return nil
		}
		if _, err := retiredOf(k, v); err != nil {
			c.problem(err)
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
