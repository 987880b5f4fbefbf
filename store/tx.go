package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

var (
	keyInfo  = []byte("info")
	keyState = []byte("state")
)

// state holds the counters that no two things may share.
type state struct {
	Epoch     uint64 // of the newest commit that changed what readers see
	NextBlock uint64
	NextID    uint32 // of groups, datasets, layers and imports
}

func (st state) encode() []byte {
	b := make([]byte, 0, 20+sealSize)
	b = binary.BigEndian.AppendUint64(b, st.Epoch)
	b = binary.BigEndian.AppendUint64(b, st.NextBlock)
	return binary.BigEndian.AppendUint32(b, st.NextID)
}

func decodeState(v []byte) (state, error) {
	if len(v) != 20 {
		return state{}, &CorruptError{What: "counters", Problem: "value has the wrong length"}
	}
	return state{
		Epoch:     binary.BigEndian.Uint64(v),
		NextBlock: binary.BigEndian.Uint64(v[8:]),
		NextID:    binary.BigEndian.Uint32(v[16:]),
	}, nil
}

// Tx is a transaction. It must not outlive the function that it was handed to, nor be used by two goroutines at once,
// and no other transaction may be opened on the goroutine that holds it.
type Tx struct {
	s     *Store
	b     *bolt.Tx
	st    state
	dirty bool

	cursors []bucketCursor
}

// bucketCursor is a cursor that [Tx.get] keeps.
type bucketCursor struct {
	bucket []byte
	*bolt.Cursor
}

// get returns what a bucket has under a key, aliasing the transaction's memory, or nil. In a read transaction bbolt looks
// the bucket up each time and makes a new cursor for each key: get keeps one, which is a good part of reading one user.
func (tx *Tx) get(bucket, key []byte) []byte {
	k, v := tx.cursor(bucket).Seek(key)
	if !bytes.Equal(k, key) {
		return nil
	}
	return v
}

// cursor returns the transaction's own cursor of a bucket: it stays where it is put until the next call only.
func (tx *Tx) cursor(bucket []byte) *bolt.Cursor {
	for _, c := range tx.cursors {
		if bytes.Equal(c.bucket, bucket) {
			return c.Cursor
		}
	}
	c := tx.b.Bucket(bucket).Cursor()
	tx.cursors = append(tx.cursors, bucketCursor{bucket, c})
	return c
}

// Epoch returns the epoch of what the transaction sees.
func (tx *Tx) Epoch() uint64 { return tx.st.Epoch }

// nextEpoch starts the epoch of this transaction's changes. Called once in a transaction that readers can tell from the
// one before it.
func (tx *Tx) nextEpoch() uint64 {
	tx.st.Epoch++
	tx.dirty = true
	return tx.st.Epoch
}

func (tx *Tx) newBlockID() uint64 {
	tx.st.NextBlock++
	tx.dirty = true
	return tx.st.NextBlock
}

func (tx *Tx) newID() uint32 {
	tx.st.NextID++
	tx.dirty = true
	return tx.st.NextID
}

// View runs fn in a read transaction: keep it short, since it pins every page that is freed meanwhile.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.viewLocked(fn)
}

// viewLocked is [Store.View] for a caller that holds gate.
func (s *Store) viewLocked(fn func(*Tx) error) (err error) {
	if s.db == nil {
		return s.down
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	b, err := s.begin(false)
	if err != nil {
		return fmt.Errorf("begin read: %w", err)
	}
	defer func() { err = errors.Join(err, s.end(b)) }()
	tx, err := s.newTx(b)
	if err != nil {
		return err
	}
	return fn(tx)
}

// Update runs fn in a write transaction and commits it if fn returns nil. There is one at a time, and all that it
// touches is held in memory until it commits. When the commit itself fails its outcome is unknown: the file is opened
// again, the error says so, and the caller has to look at what is there. An error of fn rolls back.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	tx, err := s.beginWrite()
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // fn panicked: let go of bbolt's lock, so that the panic is what the caller sees, or its error
			_ = s.rollback(tx.b)
		}
	}()
	err = fn(tx)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		done = true
		return errors.Join(err, s.rollback(tx.b))
	}
	err = s.commitLocked(tx)
	done = true
	return err
}

// beginWrite starts a write transaction. The caller holds writer and catches faults.
func (s *Store) beginWrite() (tx *Tx, err error) {
	s.gate.RLock()
	h, down := s.handles, s.down
	s.gate.RUnlock()
	if h.db == nil {
		return nil, down
	}
	b, err := h.begin(true)
	if err != nil {
		return nil, fmt.Errorf("begin write: %w", err)
	}
	defer func() {
		if tx == nil {
			err = errors.Join(err, h.rollback(b))
		}
	}()
	return s.newTx(b)
}

// commitLocked commits, and opens the file again if that fails. The caller holds writer.
func (s *Store) commitLocked(tx *Tx) error {
	if tx.dirty {
		if err := putSealed(tx.b.Bucket(bucketMeta), keyState, tx.st.encode()); err != nil {
			return errors.Join(err, s.rollback(tx.b))
		}
	}
	if err := s.checkSize(); err != nil {
		return errors.Join(err, s.rollback(tx.b))
	}
	err := s.commit(tx.b)
	if err == nil {
		err = s.checkSize()
	}
	if err == nil {
		if s.committed != nil {
			s.committed()
		}
		return nil
	}
	err, s.unsure = fullDisk(err), true
	if rerr := s.rollback(tx.b); rerr != nil && !errors.Is(rerr, berrors.ErrTxClosed) {
		err = errors.Join(err, rerr)
	}
	return fmt.Errorf("commit: %w", errors.Join(err, s.reopenLocked()))
}

// fullDisk says so if that is what err means.
func fullDisk(err error) error {
	if errors.Is(err, berrors.ErrMaxSizeReached) || errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w; free some space, or raise the store's maximum size", ErrFull, err)
	}
	return err
}

// reopenLocked opens the file again after a failed commit, whose outcome is unknown to bbolt's state in memory. The
// caller holds writer.
func (s *Store) reopenLocked() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	err := s.handles.close()
	s.handles, s.down = handles{}, ErrPoisoned
	if err != nil {
		return errors.Join(ErrPoisoned, err)
	}
	h, err := openFile(s.path, s.opts)
	if err != nil {
		return errors.Join(ErrPoisoned, err)
	}
	s.handles, s.down = h, nil
	return nil
}

func (s *Store) newTx(b *bolt.Tx) (*Tx, error) {
	tx := &Tx{s: s, b: b}
	v, err := getSealed(b.Bucket(bucketMeta), "counters", keyState)
	if err != nil {
		return nil, err
	}
	if tx.st, err = decodeState(v); err != nil {
		return nil, err
	}
	return tx, nil
}

// newSeed returns the secret by which IDs are hashed.
func newSeed() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: see its documentation
	return binary.LittleEndian.Uint64(b[:])
}
