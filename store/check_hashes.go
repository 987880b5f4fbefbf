package store

import (
	"bytes"
)

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
