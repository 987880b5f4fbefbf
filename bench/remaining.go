package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrWrongResult says that what was read is not what the generator says must be there.
var ErrWrongResult = errors.New("bench: wrong result")

// Remaining returns what must be left of the Interactions dataset once the first n users of
// [Config.DeletionList] are deleted, for each n of lists; 0 asks for the whole dataset. It makes the rows once
// and keeps none of them: a bit for each user and list is all that it remembers.
func (c Config) Remaining(ctx context.Context, lists ...int) ([]Totals, error) {
	x, err := c.expect(ctx, lists, nil)
	if err != nil {
		return nil, err
	}
	return x.remaining, nil
}

// expectation is what reads must find.
type expectation struct {
	all       Totals
	remaining []Totals       // after each list
	users     map[int]Totals // of the users asked for
}

// expect makes the rows once and adds them up by list and by user.
func (c Config) expect(ctx context.Context, lists, users []int) (x expectation, err error) {
	if err := c.Validate(); err != nil {
		return x, err
	}
	c = c.withDefaults()
	listed := make([]bitset, len(lists))
	for i, n := range lists {
		if listed[i], err = c.listed(n); err != nil {
			return x, err
		}
	}
	wanted := newBitset(c.Users)
	x.users = make(map[int]Totals, len(users))
	for _, u := range users {
		wanted.add(u)
		x.users[u] = Totals{}
	}
	deleted := make([]Totals, len(lists))
	err = c.each(ctx, func(r *row) {
		t := totalsOf(r)
		x.all = x.all.Plus(t)
		for i := range listed {
			if listed[i].has(int(r.user)) {
				deleted[i] = deleted[i].Plus(t)
			}
		}
		if wanted.has(int(r.user)) {
			x.users[int(r.user)] = x.users[int(r.user)].Plus(t)
		}
	})
	for _, d := range deleted {
		x.remaining = append(x.remaining, x.all.Minus(d))
	}
	return x, err
}

// each calls fn for each interaction, in the order of the file. c has its defaults.
func (c Config) each(ctx context.Context, fn func(*row)) error {
	iw := newInteractionWriter(c, io.Discard)
	iw.observe = fn
	return iw.run(ctx, nil)
}

// listed returns the numbers of the first n users of the deletion list. c has its defaults.
func (c Config) listed(n int) (bitset, error) {
	if n < 0 || n > c.Users {
		return nil, fmt.Errorf("bench: a list of %d users: ask for 0 to %d, the users that there are", n, c.Users)
	}
	set, order := newBitset(c.Users), newPermutation(c.Users, c.Seed, streamDeletions)
	for i := range uint64(n) {
		set.add(int(order.at(i)))
	}
	return set, nil
}

// someUsers returns the numbers of n users drawn at random, none twice, at most all. c has its defaults.
func (c Config) someUsers(n int) []int {
	order := newPermutation(c.Users, c.Seed, streamReads)
	users := make([]int, min(n, c.Users))
	for i := range users {
		users[i] = int(order.at(uint64(i)))
	}
	return users
}

// bitset is a set of the numbers in [0, n).
type bitset []uint64

func newBitset(n int) bitset    { return make(bitset, (n+63)/64) }
func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
