package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"unsafe"

	"github.com/RoaringBitmap/roaring"

	"github.com/expunge-db/expunge/store/internal/pages"
)

// VerifyReport says what [Store.VerifyFree] and [Store.VerifyAbsent] looked at, and what they found.
type VerifyReport struct {
	// Of the pages that the newest commit doesn't use: how many there are, and how many of them don't read as zeros; and
	// whether the bytes behind the last page do.
	FreePages, DirtyPages int64
	DirtyTail             bool

	IDs      int64 // looked for in dictionaries and indexes; those that come again in one call count once
	Searched int64 // of them, also in the raw bytes of the file; the others are too short
	Entries  int64 // of dictionaries, compared with the IDs
	Blocks   int64 // whose indexes were searched
	Bytes    int64 // of the file

	// Living counts places where the bytes of an ID are part of a value that belongs to somebody or something else: of
	// another user's ID, also of one in another group, of an item's, of a living row, of a longer word in a record.
	Living int64
	// Found counts what shouldn't be there, and Findings says where, at most maxFindings times. Named counts those of them
	// that are in names, tags, paths, schemas and figures of jobs and the catalog, which deleting the user doesn't change.
	Found    int64
	Named    int64
	Findings []Finding
}

// Finding is a place where something of a listed user is. It never says whose or what.
type Finding struct {
	Offset int64  `json:"offset"` // in the file; -1 if it was found in a structure and not by its bytes
	What   string `json:"what"`
}

const maxFindings = 1000

func (r *VerifyReport) found(offset int64, format string, args ...any) {
	if r.Found++; len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, Finding{offset, fmt.Sprintf(format, args...)})
	}
}

// VerifyFree looks at all pages that the newest commit doesn't use, and behind the last. Those that don't read as zeros are
// no residue of deleted users while jobs or imports are under way; after Close there are none.
func (s *Store) VerifyFree(ctx context.Context, r *VerifyReport) error {
	s.writer.Lock() // so that no page changes its use meanwhile
	defer s.writer.Unlock()
	s.gate.RLock()
	file, down := s.file, s.down
	s.gate.RUnlock()
	if file == nil {
		return down
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	meta, err := pages.ReadMeta(file, info.Size())
	if err != nil {
		return pageError(err)
	}
	st, err := pages.Walk(file, info.Size(), meta)
	if err != nil {
		return pageError(err)
	}
	dirty, err := pages.Dirty(file, meta.PageSize, st.Free)
	if err != nil {
		return err
	}
	r.FreePages, r.DirtyPages = int64(pages.CountPages(st.Free)), int64(pages.CountPages(dirty))
	r.DirtyTail, err = anyByte(file, int64(meta.HighWater)*int64(meta.PageSize), info.Size())
	return err
}

// anyByte reports whether the bytes from off to end hold one that isn't zero.
func anyByte(f io.ReaderAt, off, end int64) (bool, error) {
	buf := make([]byte, 64<<10)
	for ; off < end; off += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), end-off)]
		if n, err := f.ReadAt(b, off); n < len(b) {
			return false, fmt.Errorf("read end of file: %w", err)
		}
		if len(bytes.TrimLeft(b, "\x00")) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// VerifyAbsent looks for n users, whom at returns, in a group's dictionary and the indexes of its blocks, and in the raw
// bytes of the file. It adds to r what it found. It holds about 100 bytes for each ID in memory, and reads the whole file:
// give it some hundred thousand at a time.
func (s *Store) VerifyAbsent(ctx context.Context, group string, n int, at func(int) []byte, r *VerifyReport) error {
	s.writer.Lock() // so that the file stays as the transaction sees it
	defer s.writer.Unlock()
	v := &verifier{ctx: ctx, r: r, listed: make(map[string]bool, n), search: newSearcher()}
	for i := range n {
		id := at(i)
		if v.listed[string(id)] {
			continue
		}
		v.listed[string(id)] = true
		if len(id) >= minSearched {
			v.search.add(id)
		}
	}
	r.IDs += int64(len(v.listed))
	r.Searched += int64(v.search.ids.len())
	err := s.View(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		v.tx, v.group = tx, g.ID
		return v.run(g)
	})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

// verifier looks for users in one transaction.
type verifier struct {
	ctx    context.Context
	tx     *Tx
	group  uint32 // whose users they are
	r      *VerifyReport
	listed map[string]bool
	search *searcher
}

func (v *verifier) run(g Group) error {
	v.r.Entries, v.r.Blocks = 0, 0 // the same ones for the next IDs
	users, err := v.dictionary(dictID{g.ID, dictUsers})
	if err != nil {
		return err
	}
	if err := v.indexes(g, users); err != nil {
		return err
	}
	if err := v.events(g, users); err != nil {
		return err
	}
	info, err := v.tx.s.file.Stat()
	if err != nil {
		return err
	}
	v.r.Bytes = info.Size()
	var e *explainer
	return v.search.find(v.ctx, v.tx.s.file, info.Size(), func(p place) (err error) {
		if e == nil {
			if e, err = v.newExplainer(); err != nil {
				return err
			}
		}
		return e.explain(p)
	})
}

// dictionary compares every ID of a dictionary, and returns the ordinals of those that are listed.
func (v *verifier) dictionary(d dictID) (*roaring.Bitmap, error) {
	out := roaring.New()
	prefix := d.prefix()
	c := v.tx.b.Bucket(bucketReverse).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if err := v.ctx.Err(); err != nil {
			return nil, err
		}
		if len(k) != len(prefix)+4 {
			return nil, &CorruptError{What: d.String(), Problem: "a key has the wrong length"}
		}
		num := uint32At(k[len(prefix):], 0)
		chunk, err := v.tx.readReverse(d, num)
		if err != nil {
			return nil, err
		}
		for slot := range chunk.slots() {
			id := chunk.id(slot)
			if id == nil {
				continue
			}
			v.r.Entries++
			if v.listed[string(id)] {
				ordinal := num*reverseSlots + uint32(slot)
				out.Add(ordinal)
				v.r.found(-1, "%s: the entry of ordinal %d is a listed user", d, ordinal)
			}
		}
	}
	return out, nil
}

// indexes looks for listed users in the index of every block of the group, those of layers that wait to be removed too.
func (v *verifier) indexes(g Group, users *roaring.Bitmap) error {
	datasets, err := v.tx.allDatasets()
	if err != nil {
		return err
	}
	of := make(map[uint32]bool)
	for _, d := range datasets {
		of[d.ID] = d.GroupID == g.ID && d.Type != Items
	}
	return v.tx.b.Bucket(bucketFences).ForEach(func(k, sealed []byte) error {
		f, err := decodeFence(k, sealed)
		if err != nil || !of[uint32At(k, 0)] {
			return err
		}
		x, err := v.tx.readIndex(f.Block)
		if err != nil {
			return err
		}
		v.r.Blocks++
		if x.holdsAny(users) {
			v.r.found(-1, "%s: its index has rows of listed users", blockName(f.Block))
		}
		return v.ctx.Err()
	})
}

// explainer says of a place where the bytes of a listed ID lie what they are part of.
type explainer struct {
	v    *verifier
	m    *fileMap
	meta pages.Meta
	free []pages.Run
}

func (v *verifier) newExplainer() (*explainer, error) {
	e := &explainer{v: v, m: &fileMap{base: uintptr(v.tx.b.DB().Info().Data)}}
	if err := v.mapValues(e.m); err != nil {
		return nil, err
	}
	file := v.tx.s.file
	var err error
	if e.meta, err = pages.ReadMeta(file, v.r.Bytes); err != nil {
		return nil, pageError(err)
	}
	st, err := pages.Walk(file, v.r.Bytes, e.meta)
	if err != nil {
		return nil, pageError(err)
	}
	e.free = st.Free
	return e, e.m.place(v.ctx, file, v.r.Bytes, e.isFree)
}

func (e *explainer) isFree(off int64) bool {
	page := pages.PageID(off / int64(e.meta.PageSize))
	_, in := slices.BinarySearchFunc(e.free, page, func(r pages.Run, p pages.PageID) int {
		switch {
		case r.End() <= p:
			return -1
		case r.First > p:
			return 1
		}
		return 0
	})
	return in
}

func (e *explainer) explain(p place) error {
	r, id := e.v.r, e.v.search.ids.at(int(p.id))
	val, ok := e.m.find(p.off, len(id))
	switch {
	case p.off >= int64(e.meta.HighWater)*int64(e.meta.PageSize):
		r.found(p.off, "behind the last page")
	case e.isFree(p.off):
		r.found(p.off, "in a free page")
	case !ok:
		r.found(p.off, "in the structure of a page")
	case val.text:
		inside, err := insideWord(e.v.tx.s.file, val, p.off, len(id))
		if err != nil {
			return err
		}
		if inside {
			r.Living++
			return nil
		}
		r.Named++
		r.found(p.off, "%s", val.what)
	case val.living && !val.owned[string(id)]:
		r.Living++
	default:
		r.found(p.off, "%s", val.what)
	}
	return nil
}

// insideWord reports whether n bytes at an offset are part of a longer word or number of a value: of a digest, of a name.
func insideWord(f io.ReaderAt, val mapped, off int64, n int) (bool, error) {
	around := make([]byte, n+2)
	from, to := max(off-1, val.off), min(off+int64(n)+1, val.end)
	if _, err := f.ReadAt(around[from-off+1:to-off+1], from); err != nil {
		return false, fmt.Errorf("search file: %w", err)
	}
	word := func(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80 }
	return word(around[0]) || word(around[n+1]), nil
}

// mapped is a value of the store and where it lies in the file.
type mapped struct {
	off, end int64
	what     string
	text     bool            // names, paths, figures and the like, which are nobody's
	living   bool            // it belongs to nobody who is listed, but for those in owned
	owned    map[string]bool // nil, or all listed users
}

// fileMap tells where values lie, by their place in the map of the file.
type fileMap struct {
	base   uintptr
	values []mapped // in order once place was called
	// copied are values in small buckets, which bbolt copies from the map if they aren't aligned.
	copied     []mapped
	copiedData *searcher
}

func (m *fileMap) add(v []byte, size int64, val mapped) {
	if len(v) == 0 {
		return
	}
	at := int64(uintptr(unsafe.Pointer(&v[0]))) - int64(m.base)
	if at >= 0 && at < size {
		val.off, val.end = at, at+int64(len(v))
		m.values = append(m.values, val)
		return
	}
	if len(v) < minSearched {
		return // too short to hold an ID that is searched
	}
	if m.copiedData == nil {
		m.copiedData = newSearcher()
	}
	m.copied = append(m.copied, val)
	m.copiedData.add(v)
}

// place finds the places of copied values, which have them in pages that aren't free.
func (m *fileMap) place(ctx context.Context, f io.ReaderAt, size int64, free func(int64) bool) error {
	if m.copiedData != nil {
		err := m.copiedData.find(ctx, f, size, func(p place) error {
			if !free(p.off) {
				val := m.copied[p.id]
				val.off, val.end = p.off, p.off+int64(len(m.copiedData.ids.at(int(p.id))))
				m.values = append(m.values, val)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(m.values, func(a, b mapped) int { return cmp.Compare(a.off, b.off) })
	return nil
}

// find returns the value that n bytes at an offset are part of.
func (m *fileMap) find(off int64, n int) (mapped, bool) {
	i, found := slices.BinarySearchFunc(m.values, off, func(v mapped, off int64) int {
		switch {
		case v.end <= off:
			return -1
		case v.off > off:
			return 1
		}
		return 0
	})
	if !found || off+int64(n) > m.values[i].end {
		return mapped{}, false
	}
	return m.values[i], true
}

// mapValues finds the places of all values of the store.
func (v *verifier) mapValues(m *fileMap) error {
	size := v.r.Bytes
	for _, bucket := range allBuckets {
		val := mapped{what: "in a value of " + string(bucket)}
		switch {
		case bytes.Equal(bucket, bucketReverse) || bytes.Equal(bucket, bucketBlocks) ||
			bytes.Equal(bucket, bucketJournal) || bytes.Equal(bucket, bucketSessions):
			continue
		case bytes.Equal(bucket, bucketMeta):
			val = mapped{living: true} // the account, the region, counters
		case bytes.Equal(bucket, bucketCatalog):
			val = mapped{what: "in the catalog: a name, a tag or a schema", text: true}
		case bytes.Equal(bucket, bucketJobs):
			val = mapped{what: "in a record of a job: its name, a tag, a path or a figure", text: true}
		}
		err := v.tx.b.Bucket(bucket).ForEach(func(key, value []byte) error {
			m.add(value, size, val)
			if val.text {
				m.add(key, size, val)
			}
			return v.ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	// Of a dictionary: the bytes of one ID are another's, an item's, or those of a user of another group, but never a listed
	// user's own.
	err := v.tx.b.Bucket(bucketReverse).ForEach(func(k, value []byte) error {
		d := dictID{uint32At(k, 0), dictKind(k[4])}
		val := mapped{what: "in an entry of " + d.String(), living: true}
		if d.kind == dictUsers && d.group == v.group {
			val.owned = v.listedIn(value)
		}
		m.add(value, size, val)
		return v.ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := v.mapEvents(m); err != nil {
		return err
	}
	return v.mapBlocks(m)
}

// listedIn returns the listed users whose IDs a chunk of a dictionary has.
func (v *verifier) listedIn(sealed []byte) map[string]bool {
	c, ok := decodeReverse(sealed[:len(sealed)-sealSize])
	if !ok {
		return v.listed
	}
	var out map[string]bool
	for slot := range c.slots() {
		if id := c.id(slot); id != nil && v.listed[string(id)] {
			if out == nil {
				out = make(map[string]bool)
			}
			out[string(id)] = true
		}
	}
	return out
}

// mapBlocks maps the values of blocks. Those of a block in use are living rows', unless it has dead ones: its pages were
// made of its rows and nothing else.
func (v *verifier) mapBlocks(m *fileMap) error {
	all, err := records(v.tx, "d/", func(d Dataset) string { return d.Group })
	if err != nil {
		return err
	}
	living := make(map[uint64]bool)
	for _, d := range all {
		for _, layer := range d.Layers {
			err := v.tx.eachFence(d.ID, layer, func(k []byte, f fence) error {
				living[f.Block] = v.tx.b.Bucket(bucketTombs).Get(k) == nil
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	blocks := v.tx.b.Bucket(bucketBlocks)
	return blocks.ForEachBucket(func(k []byte) error {
		id := uint64At(k)
		val := mapped{what: "in " + blockName(id) + ", which has dead rows or waits to be removed", living: living[id]}
		return blocks.Bucket(k).ForEach(func(_, value []byte) error {
			m.add(value, v.r.Bytes, val)
			return v.ctx.Err()
		})
	})
}
