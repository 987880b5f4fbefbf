package ingest

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"
)

// parseInt reads an optional sign and decimal digits.
func parseInt(b []byte) (int64, bool) {
	digits := b
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		digits = b[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	// The magnitude, up to 1<<63 of the least int64.
	var v uint64
	if len(digits) >= 8 {
		var ok bool
		if v, ok = eightDigits(binary.LittleEndian.Uint64(digits)); !ok {
			return 0, false
		}
		digits = digits[8:]
	}
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 || v > (1<<63)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if negative {
		return -int64(v), v <= 1<<63
	}
	return int64(v), v <= math.MaxInt64
}

// eightDigits reads eight decimal digits, the first in the lowest byte: by twos, then by fours, then all.
func eightDigits(w uint64) (uint64, bool) {
	const nibbles = 0xF0F0F0F0F0F0F0F0
	if w&nibbles|(w+0x0606060606060606)&nibbles>>4 != 0x3333333333333333 {
		return 0, false
	}
	w -= 0x3030303030303030
	w = w*10 + w>>8
	const pair = 0x000000FF000000FF
	return (w&pair*(100+1000000<<32) + w>>16&pair*(1+10000<<32)) >> 32, true
}

// Powers of ten that the two float types hold exactly.
var (
	pow10f64 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
	pow10f32 = [...]float32{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}
)

// decimal is a number that was found to be written as one: an optional sign,
// digits with at most one point among, before or after them, and an optional
// exponent. If simple, it is ±mantissa / 10^fraction.
type decimal struct {
	mantissa uint64
	fraction int
	negative bool
	simple   bool // no exponent, and at most 19 digits
}

// parseDecimal leaves out what strconv would take beyond that: hexadecimal,
// underscores, infinities, NaN.
func parseDecimal(b []byte) (d decimal, ok bool) {
	i := 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		d.negative = b[0] == '-'
		i++
	}
	digits, point := 0, -1
	for ; i < len(b); i++ {
		if c := b[i] - '0'; c <= 9 {
			d.mantissa = d.mantissa*10 + uint64(c)
			digits++
		} else if b[i] == '.' && point < 0 {
			point = digits
		} else {
			break
		}
	}
	if digits == 0 {
		return d, false
	}
	if point >= 0 {
		d.fraction = digits - point
	}
	d.simple = i == len(b) && digits <= 19
	if i == len(b) {
		return d, true
	}
	if b[i]|0x20 != 'e' {
		return d, false
	}
	return d, isExponent(b[i+1:])
}

func isExponent(b []byte) bool {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

// parseFloat64 and parseFloat32 give what strconv.ParseFloat gives, bit for bit.
// The short cut is exact: mantissa and power of ten are, so the one division
// rounds once. The 32-bit one must not divide in 64 bits, which rounds twice.

func parseFloat64(b []byte) (float64, bool) {
	d, ok := parseDecimal(b)
	if !ok {
		return 0, false
	}
	if d.simple && d.mantissa < 1<<53 && d.fraction < len(pow10f64) {
		v := float64(d.mantissa) / pow10f64[d.fraction]
		if d.negative {
			v = -v
		}
		return v, true
	}
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64)
	return v, err == nil
}

func parseFloat32(b []byte) (float32, bool) {
	d, ok := parseDecimal(b)
	if !ok {
		return 0, false
	}
	if d.simple && d.mantissa < 1<<24 && d.fraction < len(pow10f32) {
		v := float32(d.mantissa) / pow10f32[d.fraction]
		if d.negative {
			v = -v
		}
		return v, true
	}
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 32)
	return float32(v), err == nil
}

// parseBool takes true and false in any case.
func parseBool(b []byte) (v, ok bool) {
	switch {
	case equalFold(b, "true"):
		return true, true
	case equalFold(b, "false"):
		return false, true
	}
	return false, false
}

// equalFold compares with a word of lower-case letters.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c|0x20 != word[i] {
			return false
		}
	}
	return true
}
