package store

// limits bound the memory and the transactions of the store's operations. They are those of [defaultLimits] but in tests,
// which lower them so that little data takes the paths of much.
type limits struct {
	// An import divides its rows: see [partitions]. partBuffer is the most bytes of a partition in memory while rows
	// come in; unitBytes about how many are then grouped together, in the processor's cache; and a partition of more than
	// pieceBytes is sorted in pieces of that size.
	partBuffer, unitBytes, pieceBytes int
	// itemBytes is how many bytes of ITEM_IDs are held in memory while rows come in.
	itemBytes int
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
	// foldEntries and foldBytes are how many entries of the journal, and bytes of them, one fold takes.
	foldEntries, foldBytes int
	// sessionBytes is how large a chunk of sessions gets before its hash range is halved, and sessionRows how many rows a
	// session of nobody known keeps.
	sessionBytes, sessionRows int
	// forwardEntries is how many entries a forward chunk holds before its hash range is halved.
	forwardEntries int
}

var defaultLimits = limits{
	partBuffer: 32 << 10, unitBytes: 1 << 20, pieceBytes: 20 << 20, itemBytes: 16 << 20,
	resolveBatch: 64 << 10, resolveBytes: 16 << 20,
	stageBytes: 4 << 20, compactBytes: 4 << 20, pageRows: 512, mergeRows: 64 << 20, stagePart: 64 << 10, removeBudget: 8 << 20,
	dropPerTx: 4096, compactPlanned: 4096, forwardEntries: 1024,
	foldEntries: 4096, foldBytes: 4 << 20, sessionBytes: 4 << 10, sessionRows: 1000,
}
