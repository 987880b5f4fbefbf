package block

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

const (
	// maxNarrow is the widest value that one eight-byte load at any bit
	// position holds in full; anything wider takes 64 bits.
	maxNarrow = 57
	// pairWidth is the widest value of which such a load holds two.
	pairWidth = 28
	// quadWidth is the widest value of which it holds four, from the middle of a byte too.
	quadWidth = 15
	// slack is how many bytes past packed data the loads may touch.
	slack = 8
)

// bitWidth returns the width that values up to v are packed in.
func bitWidth(v uint64) uint {
	if w := uint(bits.Len64(v)); w <= maxNarrow {
		return w
	}
	return 64
}

// packedLen returns the bytes that n values of the width take.
func packedLen(n int, width uint) int { return (n*int(width) + 7) / 8 }

func zigzag(d int64) uint64   { return uint64(d)<<1 ^ uint64(d>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// appendPacked appends vals, none wider than width, from a byte boundary on.
// The bits after the last value are zero.
func appendPacked(dst []byte, vals []uint64, width uint) []byte {
	start, size := len(dst), packedLen(len(vals), width)
	dst = slices.Grow(dst, size+slack)
	out := dst[start : start+size+slack]
	var acc uint64
	var n uint // bits of acc that are taken, below 64
	p := 0
	for _, v := range vals {
		acc |= v << n
		n += width
		if n >= 64 {
			binary.LittleEndian.PutUint64(out[p:], acc)
			p += 8
			n -= 64
			acc = v >> (width - n)
		}
	}
	if n > 0 {
		binary.LittleEndian.PutUint64(out[p:], acc)
	}
	return dst[:start+size]
}

// unpack decodes len(dst) values of the width, of which the first begins at
// the given bit of src, and adds base to each. src must go on for slack bytes
// past the last value.
func unpack(dst []int64, src []byte, at, width uint, base int64) {
	switch width {
	case 0:
		for i := range dst {
			dst[i] = base
		}
	case 64:
		src = src[at/8:]
		for i := range dst {
			dst[i] = base + int64(binary.LittleEndian.Uint64(src[8*i:]))
		}
	default:
		mask := uint64(1)<<width - 1
		if width <= pairWidth {
			// Of eight values in a row one begins on a byte.
			for ; at%8 != 0 && len(dst) > 0; dst = dst[1:] {
				dst[0] = base + int64(binary.LittleEndian.Uint64(src[at/8:])>>(at%8)&mask)
				at += width
			}
			n := len(dst) &^ 7
			if width <= quadWidth {
				unpackQuads(dst[:n], src[at/8:], width, base)
			} else {
				unpackPairs(dst[:n], src[at/8:], width, base)
			}
			dst, at = dst[n:], at+uint(n)*width
		}
		for i := range dst {
			w := binary.LittleEndian.Uint64(src[at/8:])
			dst[i] = base + int64(w>>(at%8)&mask)
			at += width
		}
	}
}

// unpackQuads unpacks values of up to quadWidth bits, eight at a time. The first begins src.
func unpackQuads(dst []int64, src []byte, width uint, base int64) {
	mask := uint64(1)<<width - 1
	half, shift := 4*width/8, 4*width%8
	for len(dst) >= 8 {
		d := (*[8]int64)(dst)
		w := binary.LittleEndian.Uint64(src)
		d[0] = base + int64(w&mask)
		w >>= width & 63
		d[1] = base + int64(w&mask)
		w >>= width & 63
		d[2] = base + int64(w&mask)
		w >>= width & 63
		d[3] = base + int64(w&mask)
		w = binary.LittleEndian.Uint64(src[half:]) >> (shift & 63)
		d[4] = base + int64(w&mask)
		w >>= width & 63
		d[5] = base + int64(w&mask)
		w >>= width & 63
		d[6] = base + int64(w&mask)
		w >>= width & 63
		d[7] = base + int64(w&mask)
		dst, src = dst[8:], src[width:]
	}
}

// unpackPairs is unpackQuads for values of up to pairWidth bits.
func unpackPairs(dst []int64, src []byte, width uint, base int64) {
	mask := uint64(1)<<width - 1
	b, c, d := 2*width, 4*width, 6*width
	for len(dst) >= 8 {
		v := (*[8]int64)(dst)
		w := binary.LittleEndian.Uint64(src)
		v[0] = base + int64(w&mask)
		v[1] = base + int64(w>>(width&63)&mask)
		w = binary.LittleEndian.Uint64(src[b/8:]) >> (b % 8)
		v[2] = base + int64(w&mask)
		v[3] = base + int64(w>>(width&63)&mask)
		w = binary.LittleEndian.Uint64(src[c/8:]) >> (c % 8)
		v[4] = base + int64(w&mask)
		v[5] = base + int64(w>>(width&63)&mask)
		w = binary.LittleEndian.Uint64(src[d/8:]) >> (d % 8)
		v[6] = base + int64(w&mask)
		v[7] = base + int64(w>>(width&63)&mask)
		dst, src = dst[8:], src[width:]
	}
}
