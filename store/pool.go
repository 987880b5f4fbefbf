package store

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// bufferPool is the memory of scans: what a released record held is used again for the next one, since fresh memory costs
// more than filling it. A record that nobody releases is left to the garbage collector.
type bufferPool struct {
	classes [40]sync.Pool // by the power of two that a buffer holds
}

var buffers bufferPool

// get returns an empty buffer that holds at least n bytes.
func (p *bufferPool) get(n int) []byte {
	class := bits.Len(uint(max(n, 64) - 1))
	if b, ok := p.classes[class].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// put takes a buffer back. Of one that was grown outside it takes what is a power of two.
func (p *bufferPool) put(b []byte) {
	if c := cap(b); c >= 64 {
		class := bits.Len(uint(c)) - 1
		b = b[: 0 : 1<<class]
		p.classes[class].Put(&b)
	}
}

// wrap makes an Arrow buffer of b that gives b back to the pool when it is released.
func (p *bufferPool) wrap(b []byte) *memory.Buffer {
	return memory.NewBufferWithAllocator(b, poolAllocator{p})
}

// poolAllocator is what an Arrow buffer frees its memory with.
type poolAllocator struct{ p *bufferPool }

func (a poolAllocator) Allocate(size int) []byte { return a.p.get(size)[:size] }

func (a poolAllocator) Reallocate(size int, b []byte) []byte {
	out := a.p.get(size)[:size]
	copy(out, b)
	a.p.put(b)
	return out
}

func (a poolAllocator) Free(b []byte) { a.p.put(b) }
