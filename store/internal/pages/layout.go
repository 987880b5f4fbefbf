package pages

import "encoding/binary"

// Sizes and flags of bbolt's file format 2 (go.etcd.io/bbolt/internal/common).
// bbolt writes its structs as they lie in memory, hence the native byte order.
const (
	headerSize       = 16 // id uint64, flags uint16, count uint16, overflow uint32
	elementSize      = 16 // of branch and leaf pages alike
	bucketHeaderSize = 16 // root page uint64, sequence uint64
	idSize           = 8

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	elementIsBucket = 0x01

	// countInFirst in a freelist's count says that the true count is its
	// first element.
	countInFirst = 0xFFFF

	maxKeySize = 32768

	// maxBranchRun bounds the memory for one branch page. bbolt splits a branch
	// until it fits a page or has four keys at most.
	maxBranchRun = 1 << 20
)

var order = binary.NativeEndian

// header is what each run of pages begins with.
type header struct {
	id       PageID
	flags    uint16
	count    uint16
	overflow uint32 // pages of the run after its first
}

func decodeHeader(b []byte) header {
	return header{
		id:       PageID(order.Uint64(b)),
		flags:    order.Uint16(b[8:]),
		count:    order.Uint16(b[10:]),
		overflow: order.Uint32(b[12:]),
	}
}

// elementsEnd is where the element array ends and the keys begin.
func (h header) elementsEnd() int64 {
	return headerSize + int64(h.count)*elementSize
}

// element describes one key of a branch or leaf page. Its position on the disk
// counts from the element itself.
type element struct {
	pos   uint32
	ksize uint32
	vsize uint32 // zero on a branch page
	flags uint32 // zero on a branch page
	child PageID // zero on a leaf page
}

func decodeLeafElement(b []byte) element {
	return element{
		flags: order.Uint32(b),
		pos:   order.Uint32(b[4:]),
		ksize: order.Uint32(b[8:]),
		vsize: order.Uint32(b[12:]),
	}
}

func decodeBranchElement(b []byte) element {
	return element{
		pos:   order.Uint32(b),
		ksize: order.Uint32(b[4:]),
		child: PageID(order.Uint64(b[8:])),
	}
}
