package block

import (
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// minCompress is the least heap that a compressor is tried on.
const minCompress = 128

// Encoders and decoders are used for whole buffers only and with a concurrency
// of one, so they own no goroutines and may be dropped by the pool unclosed.
var (
	compressors = sync.Pool{New: func() any {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return enc
	}}
	decompressors = sync.Pool{New: func() any {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBytes),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return dec
	}}
)

// appendHeap appends raw, compressed if that saves an eighth.
func appendHeap(dst, raw []byte) []byte {
	if len(raw) < minCompress {
		return append(dst, raw...)
	}
	enc := compressors.Get().(*zstd.Encoder)
	defer compressors.Put(enc)
	out := enc.EncodeAll(raw, dst)
	if len(out)-len(dst) > len(raw)-len(raw)/8 {
		return append(out[:len(dst)], raw...)
	}
	return out
}

// checkHeap tells whether a heap of raw bytes can be what is stored. A zstd
// block takes at least 3 bytes and gives at most 128 KiB, so that a few stored
// bytes can't ask for a large buffer.
func checkHeap(stored []byte, raw uint32) error {
	if raw > MaxBytes || len(stored) > int(raw) || int(raw) > (len(stored)/3+1)<<17 {
		return corrupt("string heap has an impossible size")
	}
	return nil
}

// appendRaw appends the raw bytes of a heap that checkHeap has passed.
func appendRaw(dst, stored []byte, raw int) ([]byte, error) {
	if len(stored) == raw {
		return append(dst, stored...), nil
	}
	n := len(dst)
	dst = slices.Grow(dst, raw)
	dec := decompressors.Get().(*zstd.Decoder)
	defer decompressors.Put(dec)
	out, err := dec.DecodeAll(stored, dst[:n:n+raw])
	if err != nil || len(out) != n+raw {
		return dst, corrupt("string heap does not decompress")
	}
	return dst[:n+raw], nil
}
