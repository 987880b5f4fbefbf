package block

import "slices"

// The bitmaps here are runs of 64-bit words whose bits past the last one are
// zero, which is what lets them be appended to by OR.

// bitmapWords returns how many words n bits take.
func bitmapWords(n int) int { return (n + 63) / 64 }

// bit reports whether bit i is set.
func bit(words []uint64, i int) bool { return words[i/64]>>(i%64)&1 != 0 }

// growBits makes room for n bits; those that are new are zero.
func growBits(words []uint64, n int) []uint64 {
	have, want := len(words), bitmapWords(n)
	if want <= have {
		return words
	}
	words = slices.Grow(words, want-have)[:want]
	clear(words[have:])
	return words
}

// appendOnes appends k set bits to words, which holds n.
func appendOnes(words []uint64, n, k int) []uint64 {
	words = growBits(words, n+k)
	for k > 0 {
		step := min(64-n%64, k)
		words[n/64] |= ^uint64(0) >> (64 - step) << (n % 64)
		n, k = n+step, k-step
	}
	return words
}

// appendBits appends bits [from,to) of src to words, which holds n.
func appendBits(words []uint64, n int, src []uint64, from, to int) []uint64 {
	words = growBits(words, n+to-from)
	for from < to {
		step := min(64-from%64, to-from)
		w := src[from/64] >> (from % 64) & (^uint64(0) >> (64 - step))
		words[n/64] |= w << (n % 64)
		if n%64+step > 64 {
			words[n/64+1] |= w >> (64 - n%64)
		}
		n, from = n+step, from+step
	}
	return words
}

// allSet reports whether bits [from,to) are all set.
func allSet(words []uint64, from, to int) bool {
	for from < to {
		step := min(64-from%64, to-from)
		mask := ^uint64(0) >> (64 - step)
		if words[from/64]>>(from%64)&mask != mask {
			return false
		}
		from += step
	}
	return true
}
