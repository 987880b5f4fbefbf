package bench

import (
	"fmt"
	"io"
	"iter"
)

// DeletionList returns the USER_IDs of n users drawn at random, none twice. It is fixed by the seed and by
// Users, and a shorter list is the beginning of a longer one. It takes no memory, whatever n is. n must be
// in 0 to Users.
func (c Config) DeletionList(n int) (iter.Seq[string], error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if n < 0 || n > c.Users {
		return nil, fmt.Errorf("bench: a list of %d users: ask for 0 to %d, the users that there are", n, c.Users)
	}
	order := newPermutation(c.Users, c.Seed, streamDeletions)
	return func(yield func(string) bool) {
		for i := range uint64(n) {
			if !yield(c.UserID(int(order.at(i)))) {
				return
			}
		}
	}, nil
}

// WriteList writes [Config.DeletionList] as a deletion job's input: the header USER_ID and one ID a line.
func (c Config) WriteList(w io.Writer, n int) error {
	list, err := c.DeletionList(n)
	if err != nil {
		return err
	}
	buf := append(make([]byte, 0, flushBytes+maxRowBytes), "USER_ID\n"...)
	for id := range list {
		buf = append(append(buf, id...), '\n')
		if len(buf) >= flushBytes {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err = w.Write(buf)
	return err
}
