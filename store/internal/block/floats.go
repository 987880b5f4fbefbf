package block

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

const (
	maxExponent = 4
	// maxDecimal bounds the integers of a decimal: those up to it are exact in float64.
	maxDecimal = 1 << 53
	// maxFloatDict is the most distinct values that a dictionary takes: its
	// tables stay in the first-level cache.
	maxFloatDict = 1024
	// maxTimes bounds the decimals that give the same float32 by a product with the inverse of the power of ten, which is
	// faster, as by the quotient. The two differ by 2^-51 of their size at most, and what they are rounded to differs only
	// if the middle between two neighbours lies there. No quotient of these comes that near to one: the middle has 25 bits,
	// so that times the power of ten it is no integer below 2^24.
	maxTimes = 1 << 24
)

var powersOfTen = [maxExponent + 1]float64{1, 10, 100, 1000, 10000}

type float interface{ float32 | float64 }

// decimalOf returns k with v = k / pow, if there is one that gives v back bit
// for bit.
func decimalOf[F float](v F, pow float64) (k int64, ok bool) {
	x := math.RoundToEven(float64(v) * pow)
	if !(math.Abs(x) <= maxDecimal) { // written so that NaN fails
		return 0, false
	}
	if fromDecimal[F](int64(x), pow) != v || v == 0 && math.Signbit(float64(v)) {
		return 0, false
	}
	return int64(x), true
}

// fromDecimal is the definition of a stored decimal: the division, not a
// multiplication by the inverse, is what gives back what a parser of decimal
// text made.
func fromDecimal[F float](k int64, pow float64) F { return F(float64(k) / pow) }

// decimals appends vals as decimals of one exponent to dst, the least that fits them all. It begins with the least of all, and
// anew with the next whenever a value doesn't fit, which in most columns is at one of the first.
func decimals[F float](dst []int64, vals []F) (ks []int64, exponent uint8, ok bool) {
	start := len(dst)
	for i := 0; i < len(vals); {
		k, ok := decimalOf(vals[i], powersOfTen[exponent])
		if ok {
			dst = append(dst, k)
			i++
			continue
		}
		if exponent++; exponent > maxExponent {
			return dst[:start], 0, false
		}
		dst, i = dst[:start], 0
	}
	return dst, exponent, true
}

// appendFloats appends vals, which are the values of c, in the smallest of the
// encodings for floats.
func appendFloats[F float](e *Encoder, dst []byte, c *Column, vals []F) ([]byte, encoding, uint8) {
	size := 4
	e.bits = e.bits[:0]
	if c.Kind == Float32 {
		for _, v := range c.F32 {
			e.bits = append(e.bits, uint64(math.Float32bits(v)))
		}
	} else {
		size = 8
		for _, v := range c.F64 {
			e.bits = append(e.bits, math.Float64bits(v))
		}
	}
	best, enc := size*len(vals), encPlain

	codes, hasDict := e.floats.build(e.codes[:0], e.bits)
	e.codes = codes
	if hasDict {
		width := bitWidth(uint64(max(len(e.floats.distinct)-1, 0)))
		if n := 4 + size*len(e.floats.distinct) + uniformHeader + packedLen(len(vals), width); n < best {
			best, enc = n, encDict
		}
	}
	ks, exponent, ok := decimals(e.vals[:0], vals)
	e.vals = ks
	if ok {
		if pl := e.ints.plan(ks); pl.size < best {
			return e.ints.append(dst, ks, pl), encDecimal, exponent
		}
	}
	if enc == encPlain {
		return appendPlain(dst, c), encPlain, 0
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.floats.distinct)))
	for _, v := range e.floats.distinct {
		if size == 4 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		} else {
			dst = binary.LittleEndian.AppendUint64(dst, v)
		}
	}
	return e.appendInts(dst, codes), encDict, 0
}

// floatDict finds the distinct bit patterns of a column.
type floatDict struct {
	distinct []uint64 // in the order of their first use
	slots    [2 * maxFloatDict]uint16
}

// build appends the code of each value to codes. It gives up, and returns
// false, when there are too many distinct values for a dictionary to pay.
func (d *floatDict) build(codes []int64, vals []uint64) ([]int64, bool) {
	const shift = 64 - 11
	if 1<<(64-shift) != len(d.slots) {
		panic("block: the hash doesn't fit the table")
	}
	clear(d.slots[:])
	d.distinct = d.distinct[:0]
	limit := min(maxFloatDict, max(len(vals)/2, 1))
	for _, v := range vals {
		i := bits.RotateLeft64(v, 32) ^ v
		i = i * 0x9E3779B97F4A7C15 >> shift
		for {
			code := d.slots[i]
			if code == 0 {
				if len(d.distinct) == limit {
					return codes, false
				}
				d.distinct = append(d.distinct, v)
				code = uint16(len(d.distinct))
				d.slots[i] = code
			}
			if d.distinct[code-1] == v {
				codes = append(codes, int64(code-1))
				break
			}
			i = (i + 1) % uint64(len(d.slots))
		}
	}
	return codes, true
}

// readFloats appends the values [from,to) of a column that isn't plain.
func readFloats[F float](dst []F, c *column, table []F, from, to int) ([]F, error) {
	var buf [frameLen]int64
	dst = slices.Grow(dst, to-from)
	pow := powersOfTen[c.exponent]
	inverse := 1 / pow
	for from < to {
		next := chunk(from, to)
		part := buf[:next-from]
		c.ints.read(part, from)
		n := len(dst)
		dst = dst[:n+len(part)]
		out := dst[n:]
		switch {
		case c.enc == encDecimal && c.kind == Float32:
			for i, k := range part {
				if uint64(k) < maxTimes {
					out[i] = F(float64(k) * inverse)
				} else {
					out[i] = fromDecimal[F](k, pow)
				}
			}
		case c.enc == encDecimal:
			for i, k := range part {
				out[i] = fromDecimal[F](k, pow)
			}
		default:
			for i, code := range part {
				if uint64(code) >= uint64(len(table)) {
					return dst, corrupt("code is not in the dictionary")
				}
				out[i] = table[code]
			}
		}
		from = next
	}
	return dst, nil
}

// loadFloat32 appends the plain values that src consists of.
func loadFloat32(dst []float32, src []byte) []float32 {
	n := len(dst)
	dst = slices.Grow(dst, len(src)/4)[:n+len(src)/4]
	for i := range dst[n:] {
		dst[n+i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
	return dst
}

// loadFloat64 appends the plain values that src consists of.
func loadFloat64(dst []float64, src []byte) []float64 {
	n := len(dst)
	dst = slices.Grow(dst, len(src)/8)[:n+len(src)/8]
	for i := range dst[n:] {
		dst[n+i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
	}
	return dst
}
