package bench

import "math/bits"

// rng is splitmix64. It is written out here, and not taken from math/rand, because a dataset's bytes must
// not change with the Go release.
type rng uint64

// Purposes of the streams that a seed is split into. A value that is in use must never change its meaning:
// every dataset's bytes hang on it.
const (
	streamUserIDs uint64 = iota + 1
	streamUserRanks
	streamUserFirsts
	streamDeletions
	streamItemRanks
	streamUserRows
	streamItemRows
	streamPrices
	streamInteractions
	streamReads
)

// newRNG returns the stream of a seed for one purpose.
func newRNG(seed, purpose uint64) rng { return rng(mix(seed ^ mix(purpose))) }

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n). Its bias is at most n/2^64.
func (r *rng) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// mix is a bijection of the 64-bit numbers whose every output bit hangs on every input bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit returns the upper 53 bits of x as a number in (0, 1]. The division is exact, and so are sums that a
// compiler fuses it with.
func unit(x uint64) float64 { return float64(x>>11+1) / (1 << 53) }

// mulDiv returns a*b/c rounded down, for a <= c: the product may need 128 bits, the result does not.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// permutation is a keyed bijection of [0, n) that takes no memory: a bijection of the next power of two,
// walked until it comes back into the range (fewer than two steps on average for n > 16).
type permutation struct {
	n, mask uint64
	shift   uint
	mul     [3]uint64
	add     [3]uint64
}

func newPermutation(n int, seed, purpose uint64) permutation {
	width := max(bits.Len64(uint64(n-1)), 4)
	p := permutation{n: uint64(n), mask: 1<<width - 1, shift: uint(width+1) / 2}
	r := newRNG(seed, purpose)
	for i := range p.mul {
		p.mul[i] = r.next() | 1 // odd, and so invertible modulo a power of two
		p.add[i] = r.next()
	}
	return p
}

// at returns where i, which must be in [0, n), goes.
func (p *permutation) at(i uint64) uint64 {
	for {
		for k := range p.mul {
			i = (i*p.mul[k] + p.add[k]) & p.mask
			i ^= i >> p.shift
		}
		if i < p.n {
			return i
		}
	}
}
