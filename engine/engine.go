package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// Options says how to open an engine. The zero value of each field is its default.
type Options struct {
	// ReadOnly opens the store without changing a byte of it: no job is created, and none goes on.
	ReadOnly bool
	// LockTimeout is how long to wait for another process to let go of the store. 0 means 1 second, below 0 not at all.
	LockTimeout time.Duration
	// Codec is how rows are encoded when the store is created. "" means [CodecPacked]; [CodecNone] leaves every value in
	// plain bytes, for auditors who want to search the file.
	Codec Codec
	// Region and Account are part of every ARN; both are fixed when the store is created. "" means us-east-1 and
	// 000000000000.
	Region, Account string
	// MaxSize is the most bytes that the store's file may grow to. 0 means no limit but the disk's.
	MaxSize int64
	// IDKey is the key of the hashes that stand for deleted users in the ledger and among the suppressed, of 16 bytes at
	// least, 32 random ones at best. If it is given when the store is created it has to be given whenever the store is opened
	// for writing, and isn't in the file. nil makes a key that lies in the file: then whoever has the file can try out
	// whether an ID is among the hashes, which isn't so for a key that is kept elsewhere.
	IDKey []byte
	// SnapshotMaxAge ends snapshots of this age, so that one that was never released can't hold an erasure for ever: what is
	// read from them is [ErrExpired]. 0 means never.
	SnapshotMaxAge time.Duration
	// Locations are where lists, data and exports lie. nil means the files and folders of this machine. They
	// have to work until the engine is closed, which doesn't close them.
	Locations ingest.Locations
	// Logger gets what goes on, never an ID or a row. nil discards.
	Logger *slog.Logger
}

// Engine is an open store with its jobs. Its methods may be called from several goroutines.
type Engine struct {
	store   *store.Store
	account jobs.Account
	log     *slog.Logger
	runner  *jobs.Runner // nil when read-only
	resumed []Job        // see Resumed
	maxAge  time.Duration
	turns   groupLocks
	parsed  parsedSchemas

	committer *committer // nil when read-only; as is folder
	folder    *folder

	locations ingest.Locations

	mu       sync.Mutex
	progress map[uint64]Progress // of jobs under way, by sequence number; guarded by mu
	stop     context.CancelFunc  // ends what Finish does in the background; guarded by mu
	replaced bool                // something that imports or merges replaced is in the file; guarded by mu

	// suppressing is held while a deletion suppresses its users, up to the commit from which they count, and while users are
	// let back: a deletion counts on those whom earlier ones suppressed.
	suppressing sync.Mutex

	// waiting is set while something that is deleted waits for snapshots to end. Only Finish uses it.
	waiting bool
	// started is set once Finish has run: the first one cleans what an earlier process left. Only Finish uses it.
	started bool
	// unscrubbed is set while what was replaced is out of the live pages and can still be read in the file. Only Finish uses
	// it, and scrubAgain, which is when it may scrub next if no job waits for it.
	unscrubbed bool
	scrubAgain time.Time
}

// Open opens the store at path, and creates it unless opts.ReadOnly is set. Unfinished jobs go on at once. Errors:
// [ErrLocked] if another process has it open, [ErrNotStore], [ErrKey], *[CorruptError], fs.ErrNotExist for a read-only store that
// isn't there. The caller must Close the engine.
func Open(ctx context.Context, path string, opts Options) (*Engine, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Locations == nil {
		opts.Locations = ingest.LocalLocations()
	}
	s, err := store.Open(ctx, path, store.Options{
		ReadOnly: opts.ReadOnly, LockTimeout: opts.LockTimeout, Codec: opts.Codec, Region: opts.Region,
		Account: opts.Account, MaxSize: opts.MaxSize, IDKey: opts.IDKey, Logger: opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	e := &Engine{store: s, log: opts.Logger, account: jobs.DefaultAccount(), progress: make(map[uint64]Progress), maxAge: opts.SnapshotMaxAge, locations: opts.Locations}
	e.account.Region, e.account.ID = s.Info().Region, s.Info().Account
	if opts.ReadOnly {
		return e, nil
	}
	// Before the runner starts, which may finish them at once.
	if e.resumed, err = e.unfinished(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read unfinished jobs: %w", err), s.Close(ctx))
	}
	e.runner = jobs.NewRunner(jobDB{s}, worker{e}, opts.Logger)
	e.committer, e.folder = newCommitter(e), newFolder(e)
	e.turns.freed = e.folder.wake
	// Jobs outlive the call that opened the engine: Close ends them.
	if err := e.runner.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("start jobs: %w", err), s.Close(ctx))
	}
	e.runner.Wake()
	e.committer.start()
	e.folder.start()
	return e, nil
}

// Resumed returns the jobs that an earlier process left unfinished and that went on when the engine was opened, as they
// were then and in the order of creation. A read-only engine has none: it resumes nothing.
func (e *Engine) Resumed() []Job { return slices.Clone(e.resumed) }

// unfinished returns the jobs that are PENDING or IN_PROGRESS, in the order of creation.
func (e *Engine) unfinished(ctx context.Context) (open []Job, err error) {
	err = jobDB{e.store}.View(ctx, func(tx jobs.Tx) (err error) {
		open, err = jobs.Unfinished(tx)
		return err
	})
	return open, err
}

// Close stops the jobs, which go on when the store is opened again, and the intake of events, waits for open snapshots until ctx ends, makes every
// free page of the file read as zeros, and closes it. If ctx ends first the error is [ErrLeased]: release the snapshots
// and call Close again. Closing a closed engine does nothing.
func (e *Engine) Close(ctx context.Context) error {
	if e.runner != nil {
		e.committer.stop()
		e.folder.stop()
		e.runner.Stop()
	}
	return e.store.Close(ctx)
}

// Info returns what is fixed for the life of the store.
func (e *Engine) Info() Info { return e.store.Info() }

// jobDB lets package jobs keep its records in the store.
type jobDB struct{ s *store.Store }

func (db jobDB) View(ctx context.Context, fn func(jobs.Tx) error) error {
	return db.s.View(ctx, func(tx *store.Tx) error { return fn(jobTx{tx.KV()}) })
}

func (db jobDB) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	return db.s.Update(ctx, func(tx *store.Tx) error { return fn(jobTx{tx.KV()}) })
}

// jobTx is a transaction of the store as package jobs wants it.
type jobTx struct{ store.KV }

func (tx jobTx) Ascend(prefix []byte, fn func(key, value []byte) error) error {
	return unlessStopped(tx.KV.Ascend(prefix, fn))
}

func (tx jobTx) Descend(prefix []byte, fn func(key, value []byte) error) error {
	return unlessStopped(tx.KV.Descend(prefix, fn))
}

func unlessStopped(err error) error {
	if errors.Is(err, jobs.ErrStop) {
		return nil
	}
	return err
}
