package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// IDHash stands for a USER_ID where the ID itself must not be: the first 16 bytes of the HMAC-SHA-256, under the store's
// key, of the group's name, a zero byte, and the ID.
type IDHash [16]byte

// ErrKey says that a store's key is missing or is another one.
var ErrKey = errors.New("wrong key for the store's hashes of IDs")

// minKeyBytes is the least length of a key that a caller holds.
const minKeyBytes = 16

// idKey makes hashes of IDs. Whoever has the key and the hashes can try IDs out; so a key that the caller holds is not
// in the file, and what tells it from another is a hash of a constant.
type idKey struct {
	secret []byte
	pool   sync.Pool // of hash.Hash
}

var (
	keyIDKey = []byte("idkey")
	keyProof = []byte("expunge: which key is it")
)

// The first byte of the key record.
const (
	keyKept = 'k' // the key follows
	keyHeld = 'h' // the caller holds it; the proof follows
)

func newIDKey(secret []byte) *idKey {
	k := &idKey{secret: secret}
	k.pool.New = func() any { return hmac.New(sha256.New, k.secret) }
	return k
}

// hash returns the hash of an ID of a group.
func (k *idKey) hash(group string, id []byte) (out IDHash) {
	h := k.pool.Get().(hash.Hash)
	defer k.pool.Put(h)
	h.Reset()
	h.Write([]byte(group)) // a hash doesn't fail
	h.Write([]byte{0})
	h.Write(id)
	var sum [sha256.Size]byte
	copy(out[:], h.Sum(sum[:0]))
	return out
}

func (k *idKey) proof() []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write(keyProof)
	return h.Sum(nil)
}

// createIDKey writes the key record of a new store.
func createIDKey(meta *bolt.Bucket, held []byte) error {
	record := []byte{keyKept}
	if len(held) > 0 {
		record = append([]byte{keyHeld}, newIDKey(held).proof()...)
	} else {
		var secret [32]byte
		rand.Read(secret[:]) // never fails: see its documentation
		record = append(record, secret[:]...)
	}
	return putSealed(meta, keyIDKey, record)
}

// loadIDKey reads the key record. Without the key that the caller holds a store can be read, but nothing that needs
// hashes works: the result is nil then.
func loadIDKey(meta *bolt.Bucket, held []byte, readOnly bool) (*idKey, error) {
	record, err := getSealed(meta, "key record", keyIDKey)
	if err != nil {
		return nil, err
	}
	if len(record) != 1+sha256.Size || record[0] != keyKept && record[0] != keyHeld {
		return nil, &CorruptError{What: "key record", Problem: "can't be read"}
	}
	switch {
	case record[0] == keyKept && len(held) > 0:
		return nil, fmt.Errorf("%w: the store keeps its own; open it without one", ErrKey)
	case record[0] == keyKept:
		return newIDKey(bytes.Clone(record[1:])), nil
	case len(held) == 0 && readOnly:
		return nil, nil
	case len(held) == 0:
		return nil, fmt.Errorf("%w: it was created with a key that you hold; give it", ErrKey)
	}
	k := newIDKey(bytes.Clone(held))
	if !hmac.Equal(k.proof(), record[1:]) {
		return nil, fmt.Errorf("%w: it was created with another one", ErrKey)
	}
	return k, nil
}
