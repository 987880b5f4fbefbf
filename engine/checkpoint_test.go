package engine

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzCheckpoint reads where a deletion stands: what is accepted is the same when it is stored again.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(checkpoint{Batches: 3, Epoch: 9, Suppressed: true}.json()))
	f.Add([]byte(checkpoint{Failed: true}.json()))
	f.Add([]byte(`{"position":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readCheckpoint(Job{Checkpoint: b})
		if corrupt := new(CorruptError); err != nil && !errors.As(err, &corrupt) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		stored := c.json()
		again, err := readCheckpoint(Job{Checkpoint: stored})
		if err != nil || !bytes.Equal(again.json(), stored) {
			t.Errorf("%s becomes %s: %v", stored, again.json(), err)
		}
	})
}
