package store

import (
	"bytes"

	"github.com/RoaringBitmap/roaring"
)

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
