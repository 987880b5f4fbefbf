package store

import "bytes"

// KV is the caller's own records (jobs), inside a transaction of the store: they commit with the work that they
// describe. Their checksums are the caller's too. Keys must not hold anything of a user, since bbolt copies keys into branch pages.
type KV struct{ tx *Tx }

// KV returns the caller's records as the transaction sees them.
func (tx *Tx) KV() KV { return KV{tx} }

// Get returns the value under key, valid until the transaction ends, or nil.
func (kv KV) Get(key []byte) []byte { return kv.tx.b.Bucket(bucketJobs).Get(key) }

// Put stores a copy of value.
func (kv KV) Put(key, value []byte) error {
	b := kv.tx.b.Bucket(bucketJobs)
	b.FillPercent = 0.9 // the next record mostly comes after the last one, where half a page would stay empty for ever
	return b.Put(key, bytes.Clone(value))
}

// Delete removes key if it is there.
func (kv KV) Delete(key []byte) error { return kv.tx.b.Bucket(bucketJobs).Delete(key) }

// Ascend calls fn for each key that begins with prefix, in byte order. Key and value are valid until the transaction
// ends; fn must not change the records.
func (kv KV) Ascend(prefix []byte, fn func(key, value []byte) error) error {
	c := kv.tx.b.Bucket(bucketJobs).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// Descend is [KV.Ascend] in the opposite order.
func (kv KV) Descend(prefix []byte, fn func(key, value []byte) error) error {
	c := kv.tx.b.Bucket(bucketJobs).Cursor()
	var k, v []byte
	if end := prefixEnd(prefix); end != nil {
		k, _ = c.Seek(end)
	}
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	for ; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Prev() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// prefixEnd returns the first key after all that begin with prefix, or nil if no key is.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
