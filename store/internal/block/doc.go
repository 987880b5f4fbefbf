// Package block is the stored form of one block of rows: up to MaxRows rows,
// column by column, in one self-contained run of bytes with a checksum.
//
// It is a leaf. It knows nothing of users, of the order of the rows, of files
// or of schemas; whoever stores a block also stores what its columns mean.
// It is not a general columnar format either: a block never changes once it is
// written, is small enough to be encoded anew when rows leave it, and is read
// by ranges of rows.
//
// # Reasons
//
// A training scan decodes everything and a compaction gathers the runs of rows
// that survive. Both are well served by encodings that a loop of load, shift
// and mask undoes, and that find a row without decoding those before it. So
// integers are bit-packed in frames of 128 with a minimum or a start of their
// own, floats become small integers where that is exact, and repeated values
// become codes. Only string bytes go through a general compressor, and only if
// it saves an eighth of them. Every choice is made per column by the size that
// results, and every value comes back bit for bit, NaN payloads and negative
// zero included.
//
// The encoded bytes hold nothing but the rows given: padding is zero, a null
// has the zero value (Append refuses anything else), and dictionaries are built
// from the block's own values. A row that is left out when a block is encoded
// again is therefore gone from it.
//
// With the codec None nothing is packed or compressed, so that an auditor can
// search a file for a value's bytes.
//
// # Layout
//
// All integers are little-endian.
//
//	offset  size
//	0       4     CRC-32C of everything from offset 4 to the end
//	4       4     length of the whole block
//	8       1     version, 1
//	9       1     codec
//	10      2     rows
//	12      2     columns
//	14      2     zero
//	16      8*c   one descriptor per column
//	...           one section per column, in order, without gaps
//	        8     zeros, so that an eight-byte load at any packed value is in bounds
//
// A descriptor is
//
//	kind u8, encoding u8, nulls u8 (0 or 1), exponent u8, end u32
//
// where end is the offset in the block at which the column's section ends; it
// begins where the one before ends. With nulls, a section begins with one bit
// per row in ⌈rows/64⌉ words of 64 bits (set: the value is there). Then, by
// encoding:
//
//	plain    Int, Float64: 8 bytes a value. Float32: 4 bytes a value.
//	         String: rows × u32 ends, then the bytes of all values
//	ints     Int: an integer stream
//	decimal  Float32, Float64: an integer stream of k; the value is k / 10^exponent,
//	         computed in float64 and then rounded to the column's type
//	dict     Float32, Float64: u32 n, n distinct values as in plain, stream of codes.
//	         String: u32 n, u32 length of the ends stream, u32 length of the codes
//	         stream, u32 raw length of the heap, stream of n ends, stream of codes, heap
//	heap     String: u32 length of the ends stream, u32 raw length of the heap,
//	         stream of rows ends, heap
//
// A heap is the bytes of its values one after the other, as they are or, when
// it is shorter than its raw length, as one zstd frame. An integer stream is
// either form 0, uniform:
//
//	form u8, width u8, base i64, values − base in width bits each
//
// or form 1, framed, with one header for every 128 values:
//
//	form u8, frames × (base i64, offset<<8 | delta<<7 | width u32), packed frames
//
// A frame holds value − base, or with the delta bit
//
//	patches u8, size u8, patches × (place u8, difference in size bytes), differences in width bits each
//
// the zigzag differences from the value before, of which the first is 0 and
// counts from base; one that a patch gives by its place in the frame is packed
// as 0. The offset is that of the frame within the packed frames, and each
// frame begins on a byte. Widths are 0 to 57, or 64: at most 57 bits can be had from one
// eight-byte load at any bit position. Nulls of an Int column may hold any
// value in the stream (the one before, so that it costs no width) and read as 0.
package block
