package block

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	// frameLen is the number of values in a frame: a multiple of 8, so that
	// frames of any width begin on a byte.
	frameLen = 128

	formUniform = 0
	formFramed  = 1

	uniformHeader = 1 + 1 + 8
	framedHeader  = 1
	frameHeader   = 8 + 4
	frameDelta    = 1 << 7 // beside the width
	deltaHeader   = 2
)

// frame is how 128 values are packed: from base, in width bits, as they are or
// as zigzag differences. Differences wider than that are patches: a user's
// events are minutes apart, and the next user's begin years before.
type frame struct {
	base    int64
	width   uint
	delta   bool
	patches int
	bytes   int // of the difference in each patch, 0 to 8
}

// size returns the bytes that n values take in such a frame.
func (f frame) size(n int) int {
	if f.delta {
		return deltaHeader + f.patches*(1+f.bytes) + packedLen(n, f.width)
	}
	return packedLen(n, f.width)
}

// intPlan is how a stream of integers will be packed, and its size.
type intPlan struct {
	framed bool
	base   int64 // uniform only
	width  uint  // uniform only
	size   int
}

// intPacker writes integer streams. Its scratch space is reused from stream to
// stream, and a plan is good until the next one is made.
type intPacker struct {
	frames []frame
	buf    [frameLen]uint64
}

// plan looks at vals and picks the smaller form.
func (p *intPacker) plan(vals []int64) intPlan {
	p.frames = p.frames[:0]
	framed := framedHeader
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for rest := vals; len(rest) > 0; {
		n := min(frameLen, len(rest))
		f, lo, hi := planFrame(rest[:n])
		p.frames = append(p.frames, f)
		framed += frameHeader + f.size(n)
		least, most = min(least, lo), max(most, hi)
		rest = rest[n:]
	}
	if len(vals) == 0 {
		least, most = 0, 0
	}
	width := bitWidth(uint64(most) - uint64(least))
	uniform := uniformHeader + packedLen(len(vals), width)
	if framed < uniform {
		return intPlan{framed: true, size: framed}
	}
	return intPlan{base: least, width: width, size: uniform}
}

// planFrame picks the form of one frame, and returns its least and greatest value.
func planFrame(vals []int64) (f frame, lo, hi int64) {
	lo, hi = vals[0], vals[0]
	var widths [65]uint8 // how many differences have a width
	var all uint64       // as wide as the widest
	prev := vals[0]
	for _, v := range vals {
		lo, hi = min(lo, v), max(hi, v)
		d := zigzag(v - prev)
		prev = v
		all |= d
		widths[bits.Len64(d)]++
	}
	f = frame{base: lo, width: bitWidth(uint64(hi) - uint64(lo))}
	best := f.size(len(vals))
	d := frame{base: vals[0], width: bitWidth(all), delta: true, bytes: (bits.Len64(all) + 7) / 8}
	for {
		// Narrower values make more patches, which alone may take too much.
		if deltaHeader+d.patches*(1+d.bytes) >= best {
			break
		}
		if size := d.size(len(vals)); validWidth(d.width) && size < best {
			f, best = d, size
		}
		if d.width == 0 {
			break
		}
		d.patches += int(widths[d.width])
		d.width--
	}
	return f, lo, hi
}

// append appends vals as pl says, which must be the plan made of them last.
func (p *intPacker) append(dst []byte, vals []int64, pl intPlan) []byte {
	if !pl.framed {
		dst = append(dst, formUniform, byte(pl.width))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(pl.base))
		if pl.width == 0 {
			return dst
		}
		f := frame{base: pl.base, width: pl.width}
		for len(vals) > 0 {
			n := min(frameLen, len(vals))
			dst = p.appendFrame(dst, vals[:n], f)
			vals = vals[n:]
		}
		return dst
	}
	dst = append(dst, formFramed)
	offset := 0
	for i, f := range p.frames {
		n := min(frameLen, len(vals)-i*frameLen)
		word := uint32(offset)<<8 | uint32(f.width)
		if f.delta {
			word |= frameDelta
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(f.base))
		dst = binary.LittleEndian.AppendUint32(dst, word)
		offset += f.size(n)
	}
	for _, f := range p.frames {
		n := min(frameLen, len(vals))
		dst = p.appendFrame(dst, vals[:n], f)
		vals = vals[n:]
	}
	return dst
}

func (p *intPacker) appendFrame(dst []byte, vals []int64, f frame) []byte {
	buf := p.buf[:len(vals)]
	if !f.delta {
		for i, v := range vals {
			buf[i] = uint64(v) - uint64(f.base)
		}
		return appendPacked(dst, buf, f.width)
	}
	dst = append(dst, byte(f.patches), byte(f.bytes))
	prev, limit := f.base, uint64(1)<<f.width-1
	for i, v := range vals {
		d := zigzag(v - prev)
		prev = v
		if d > limit {
			dst = append(dst, byte(i))
			dst = binary.LittleEndian.AppendUint64(dst, d)
			dst = dst[:len(dst)-8+f.bytes]
			d = 0
		}
		buf[i] = d
	}
	return appendPacked(dst, buf, f.width)
}

// intStream is an integer stream that was checked: reading any of its n values
// stays within its bytes.
type intStream struct {
	n      int
	framed bool
	base   int64  // uniform only
	width  uint   // uniform only
	heads  []byte // framed only: the headers of the frames
	data   []byte // packed values, and slack bytes more
}

// parseInts checks a stream of n values. The capacity of src must go on for
// slack bytes past its length; the stream aliases it.
func parseInts(src []byte, n int) (intStream, error) {
	if len(src) == 0 {
		return intStream{}, corrupt("integer stream is empty")
	}
	switch src[0] {
	case formUniform:
		if len(src) < uniformHeader {
			return intStream{}, corrupt("integer stream is cut off")
		}
		s := intStream{
			n:     n,
			base:  int64(binary.LittleEndian.Uint64(src[2:])),
			width: uint(src[1]),
			data:  src[uniformHeader : len(src)+slack],
		}
		if !validWidth(s.width) || len(src)-uniformHeader != packedLen(n, s.width) {
			return intStream{}, corrupt("integer stream has the wrong length")
		}
		return s, nil
	case formFramed:
		frames := (n + frameLen - 1) / frameLen
		start := framedHeader + frames*frameHeader
		if len(src) < start {
			return intStream{}, corrupt("integer stream is cut off")
		}
		s := intStream{n: n, framed: true, heads: src[framedHeader:start], data: src[start : len(src)+slack]}
		offset := 0
		for i := range frames {
			f, at := s.frame(i)
			if !validWidth(f.width) || at != offset || at > len(src)-start {
				return intStream{}, corrupt("integer frame is out of place")
			}
			if f.delta {
				// The slack makes sure that there are two bytes.
				f.patches, f.bytes = int(s.data[at]), int(s.data[at+1])
				if f.patches > frameLen || f.bytes > 8 {
					return intStream{}, corrupt("integer frame has impossible patches")
				}
			}
			offset += f.size(min(frameLen, n-i*frameLen))
		}
		if len(src)-start != offset {
			return intStream{}, corrupt("integer stream has the wrong length")
		}
		return s, nil
	}
	return intStream{}, corrupt("integer stream has an unknown form")
}

func validWidth(w uint) bool { return w <= maxNarrow || w == 64 }

// frame returns frame i, without its number of patches, and where in data it begins.
func (s *intStream) frame(i int) (f frame, at int) {
	h := s.heads[i*frameHeader : (i+1)*frameHeader]
	word := binary.LittleEndian.Uint32(h[8:])
	return frame{
		base:  int64(binary.LittleEndian.Uint64(h)),
		width: uint(word & (frameDelta - 1)),
		delta: word&frameDelta != 0,
	}, int(word >> 8)
}

// read fills dst with the values from the given one on; there must be as many.
func (s *intStream) read(dst []int64, from int) {
	if !s.framed {
		unpack(dst, s.data, uint(from)*s.width, s.width, s.base)
		return
	}
	for len(dst) > 0 {
		i := from % frameLen
		n := min(frameLen-i, len(dst))
		f, at := s.frame(from / frameLen)
		if f.delta {
			readDeltas(dst[:n], s.data[at:], i, f)
		} else {
			unpack(dst[:n], s.data[at:], uint(i)*f.width, f.width, f.base)
		}
		dst, from = dst[n:], from+n
	}
}

// readDeltas fills dst with the values from the i-th of a delta frame on, whose
// data begins src.
func readDeltas(dst []int64, src []byte, i int, f frame) {
	if i > 0 {
		var buf [frameLen]int64
		readDeltas(buf[:i+len(dst)], src, 0, f)
		copy(dst, buf[i:])
		return
	}
	step := 1 + int(src[1])
	patches := src[deltaHeader:]
	src = patches[int(src[0])*step:]
	unpack(dst, src, 0, f.width, 0)
	mask := ^uint64(0) >> (64 - 8*(step-1))
	for ; len(patches) > len(src); patches = patches[step:] {
		if at := int(patches[0]); at < len(dst) {
			dst[at] = int64(binary.LittleEndian.Uint64(patches[1:]) & mask)
		}
	}
	v := f.base
	for j, d := range dst {
		v += unzigzag(uint64(d))
		dst[j] = v
	}
}

// chunk returns the end of the part of [from,to) that lies in from's frame:
// what a caller with a buffer of frameLen values reads at a time.
func chunk(from, to int) int {
	return min(to, (from/frameLen+1)*frameLen)
}
