package store

// limits bound the memory and the transactions of the store's operations. They are those of [defaultLimits] but in tests,
// which lower them so that little data takes the paths of much.
type limits struct {
	// An import sorts more rows than fit in memory: it collects rows until one of these limits is reached, sorts them by
	// (hash of key, key, TIMESTAMP) and writes them as a run to a temporary file. They bound the memory, not the speed: a
	// run is sorted in cache-sized pieces anyway.
	runRows, runRecBytes, runIDBytes int
	// resolveBatch and resolveBytes are how many IDs, and bytes of them, are looked up, and added where they are new, in
	// one transaction.
	resolveBatch, resolveBytes int
	// stageBytes and compactBytes are about how many bytes of blocks one transaction of an import and of a compaction
	// writes. A compaction's are smaller: it uses the pages again that the transaction before the last one freed.
	stageBytes, compactBytes int
	// pageRows is how many rows of a block are encoded together.
	pageRows int
	// mergeRows is how many rows a merge of layers rewrites at most. It bounds its time and the room that it takes.
	mergeRows int64
	// stagePart is the size of a part of a list of unknown IDs.
	stagePart int
	// removeBudget bounds the bytes of dictionary that one transaction rewrites.
	removeBudget int
	// dropPerTx is how many blocks one transaction drops: dropping frees pages and doesn't read them.
	dropPerTx int
	// compactPlanned is how many blocks a compaction plans at a time.
	compactPlanned int
	// forwardEntries is how many entries a forward chunk holds before its hash range is halved.
	forwardEntries int
}

var defaultLimits = limits{
	runRows: 1 << 20, runRecBytes: 48 << 20, runIDBytes: 24 << 20,
	resolveBatch: 64 << 10, resolveBytes: 16 << 20,
	stageBytes: 8 << 20, compactBytes: 2 << 20, pageRows: 512, mergeRows: 64 << 20, stagePart: 64 << 10, removeBudget: 8 << 20,
	dropPerTx: 4096, compactPlanned: 4096, forwardEntries: 1024,
}
