// Package store keeps the datasets of a recommender in one bbolt file and can make a user's data leave it for good.
//
// It knows nothing of CSV, jobs or HTTP: rows come in and go out as Arrow records, users to delete come in as batches
// of IDs, and a caller's own records (jobs) share its transactions through [Tx.KV].
//
// # What is in the file
//
// A dataset group owns two dictionaries, USER_ID and ITEM_ID to ordinal and back. An ordinal is a uint32 that is given
// once and never reused. A dataset is a list of layers; an import adds one, and [Store.MergeLayers] makes one of several. A
// layer is a list of blocks; a block holds some thousand rows sorted by (ordinal of its key, TIMESTAMP), in pages of some
// hundred, and never changes once it is written. The key column
// (USER_ID; ITEM_ID in an Items dataset) isn't stored in a block: the block's index is that column.
//
//	meta      format, counters
//	catalog   dataset groups, schemas, datasets and their layers, event trackers, tags; groups and datasets that were
//	          removed and of which something is left
//	dicts     per dictionary: the next ordinal, and the ranges that an import in flight has taken
//	forward   hash range of IDs -> (hash prefix, ordinal) pairs
//	reverse   512 ordinals -> their IDs
//	leaving   (dictionary, epoch) -> ordinals whose IDs leave it when no older snapshot is left: of deleted users, whom
//	          nobody sees any more, and of items that lost their last row
//	fences    (dataset, layer, least ordinal) -> block, greatest ordinal, rows
//	blocks    block -> index and data, in a bucket of its own: a bucket of one block is one run of pages, so rewriting
//	          a block doesn't rewrite its neighbours, as it would if they shared a leaf page
//	tombs     the same key as fences -> roaring bitmap of the block's rows that are dead but not yet gone
//	retired   (epoch, block) of replaced blocks that a snapshot may still read -> their group
//	itemrefs  (dataset, layer, 1024 ordinals) -> how many rows refer to each item
//	garbage   layers that no snapshot taken from now on can see
//	imports   imports in flight, to be rolled back when the file is opened after a crash
//	stage     users that a deletion has read from its list so far
//	journal   (dataset, number) -> rows that were put and aren't in a layer yet
//	sessions  (dataset, hash range) -> sessions of events: whose they are, and the rows of those that nobody is known of
//	jobs      the caller's records
//	hashes    (job, batch, part) -> keyed hashes of the users that a deletion matched
//	suppressed (group, least hash) -> keyed hashes of the users that imports leave out
//
// A layer is bulk or individual: what imports brought, or what came row by row ([Tx.Put], [Store.Fold]). A full import
// replaces bulk layers only.
//
// Every value carries a CRC-32C over its key and itself. No key is derived from an ID except for the hash ranges, which
// are halves of halves of the hash space and not hashes of IDs: bbolt copies keys into branch pages, where they can
// outlive what they pointed to.
//
// # Epochs, snapshots and leases
//
// Each commit that changes what a reader can see takes the next epoch. A [Snapshot] is a lease on one epoch: the list of
// blocks and tombstones of that moment, read later in short bbolt transactions. What a newer epoch no longer needs (old
// versions of blocks, dictionary entries of deleted users) is removed when no lease on its dataset group is older than it:
// a snapshot of one group holds nothing of another. A long bbolt transaction in its place would pin every page that is
// freed meanwhile.
//
// # Deleting
//
// [Store.Tombstone] makes users invisible, in one commit; [Store.Clean] rewrites the blocks that hold them and
// takes their IDs out of the dictionaries; [Store.Scrub] overwrites the pages that all this freed.
//
// # Faults
//
// A crash or a power loss at any moment leaves the state of the last commit or of the one before it: a commit syncs its
// pages before it writes the meta page that refers to them, and zeros are written only to pages that neither needs. When a
// write or a sync fails, the file is opened again, and the next scrub overwrites every free page: what reads as zeros after a
// failed sync may do so in the system's memory alone. That isn't known any more when the process ends before that scrub.
//
// A flipped bit in what is stored is found by its checksum when it is read, and by [Store.Check], which names the block and
// the dataset. In bbolt's own pages it is found by the walk over all of them that comes before the file is mapped. What can't
// be told is a flip in a part of a page that nothing uses, which is harmless, and one that damages the newest meta page:
// that reads as a commit that was cut short, and the state before it comes back. A receipt or a job that so goes back is
// found by whoever kept the ledger's head.
//
// A page that can't be read later on, since the disk fails or another program cut the file short, is a [*CorruptError] too
// and not the end of the process. One case is left: bbolt holds locks while it reads the meta pages. They are read right before
// that, but should they go away in between, the store hangs instead. What another program writes into pages of an open file
// is not looked for until the next walk: that of [Store.Check], of closing, or of opening the file again.
package store
