package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/expunge-db/expunge/store/internal/pages"
)

// Options says how to open a store. The zero value of each field is its default.
type Options struct {
	// ReadOnly opens the file without changing a byte of it. Several processes may do so at once, as long as none writes.
	ReadOnly bool
	// LockTimeout is how long to wait for another process to let go of the file. 0 means 1 second, below 0 not at all.
	LockTimeout time.Duration
	// Codec is how blocks are encoded when the store is created; an existing store keeps its own. "" means [CodecPacked].
	Codec Codec
	// Region and Account are part of every ARN; both are fixed when the store is created. "" means us-east-1 and
	// 000000000000.
	Region, Account string
	// BlockRows is the most rows that a new block gets. 0 means 4096.
	BlockRows int
	// MaxSize is the most bytes that the file may grow to. 0 means no limit but the disk's.
	MaxSize int64
	// IDKey is the key of the hashes of IDs, of 16 bytes at least, which the store then doesn't keep: it has to be given
	// whenever the store is opened for writing. nil, when the store is created, makes a key that lies in the file. The
	// store keeps the slice.
	IDKey []byte
	// Logger gets what goes on; it never gets an ID or a row. nil discards.
	Logger *slog.Logger
}

// Codec names an encoding of blocks.
type Codec string

const (
	// CodecPacked narrows and packs columns, and compresses strings where that pays.
	CodecPacked Codec = "packed"
	// CodecNone writes every value plainly, so that a file can be searched for its bytes.
	CodecNone Codec = "none"
)

const (
	defaultBlockRows = 4096
	maxBlockRows     = 65535
	// initialMmapSize is address space, not memory. A commit that outgrows the map has to wait for every reader.
	initialMmapSize = 64 << 30
	// allocSize is the step in which bbolt grows the file: its default of 16 MiB makes a large file of a small store.
	allocSize = 1 << 20
)

func (o Options) withDefaults() (Options, error) {
	var errs []error
	switch o.Codec {
	case "":
		o.Codec = CodecPacked
	case CodecPacked, CodecNone:
	default:
		errs = append(errs, fmt.Errorf("codec %q is unknown: use %q or %q", o.Codec, CodecPacked, CodecNone))
	}
	if o.BlockRows == 0 {
		o.BlockRows = defaultBlockRows
	}
	if o.BlockRows < 1 || o.BlockRows > maxBlockRows {
		errs = append(errs, fmt.Errorf("block rows must be 1 to %d", maxBlockRows))
	}
	if len(o.IDKey) > 0 && len(o.IDKey) < minKeyBytes {
		errs = append(errs, fmt.Errorf("a key for hashes of IDs must have %d bytes at least", minKeyBytes))
	}
	if o.MaxSize < 0 {
		errs = append(errs, errors.New("maximum size must not be below 0"))
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(errs...)
}

// Info is what is fixed for the life of a store.
type Info struct {
	Format  int       `json:"format"`
	Codec   Codec     `json:"codec"`
	Region  string    `json:"region"`
	Account string    `json:"account"`
	Created time.Time `json:"created"`
	// Seed keys the hash by which the dictionaries order IDs, so that nobody can choose IDs that collide.
	Seed uint64 `json:"seed"`
}

// Store is an open store file. Its methods may be called from several goroutines.
type Store struct {
	path string
	opts Options
	info Info
	log  *slog.Logger

	limits limits
	// committed, if it is not nil, is called after each commit, with writer held. It is for tests that look at the file
	// between two commits.
	committed func()

	// writer is held for the length of a write transaction, and while pages are zeroed.
	writer sync.Mutex
	// gate is held for reading by every bbolt read transaction, and for writing to let them end (scrub) or to swap db.
	// Lock order: writer, then gate.
	gate    sync.RWMutex
	handles       // guarded by gate; nothing when closed
	down    error // guarded by gate; why there are none

	// key makes hashes of IDs. It is nil in a read-only store whose key the caller holds and didn't give.
	key *idKey

	// unsure is set when a write or a sync has failed: what then reads as zeros may do so in the system's memory alone, and
	// a sync that comes later doesn't write it again. The next scrub overwrites all free pages. Guarded by writer.
	unsure bool

	views   datasetViews
	leases  leaseTable
	pins    itemPins
	cleaner cleaner
	used    atomic.Int64 // bytes of pages in use when the last scrub looked; 0 before
}

// handles are what is open of a file.
type handles struct {
	db   *bolt.DB
	file *os.File // of our own, for walking and zeroing pages
	meta []byte   // a map of the two meta pages; see [handles.begin]

	locked *os.File      // bbolt's, which has the lock
	broken *atomic.Bool  // see [handles.whole]
	size   *atomic.Int64 // of the file after the last commit; see [handles.checkSize]
}

func (h handles) close() error {
	if h.db == nil {
		return nil
	}
	if h.broken.Load() { // bbolt's Close would wait for its locks; what it maps stays mapped, and would keep the file locked
		return errors.Join(unmapPages(h.meta), unlockFile(h.locked), h.locked.Close(), h.file.Close())
	}
	return errors.Join(unmapPages(h.meta), h.db.Close(), h.file.Close())
}

// Open opens the store at path, and creates it unless opts.ReadOnly is set. What a crash left behind (imports in flight,
// blocks that only lost snapshots needed) is removed and scrubbed before it returns. Errors: [ErrLocked], [ErrNotStore],
// *[CorruptError], fs.ErrNotExist for a read-only store that isn't there.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	return open(ctx, path, opts, defaultLimits)
}

func open(ctx context.Context, path string, opts Options, limits limits) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if !opts.ReadOnly {
		if err := createIfMissing(path, opts); err != nil {
			return nil, fmt.Errorf("create store %s: %w", path, err)
		}
	}
	s := &Store{path: path, opts: opts, log: opts.Logger, limits: limits}
	s.leases.init()
	if s.handles, err = openFile(path, opts); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.closeFiles())
	}
	if !opts.ReadOnly {
		if err := s.recover(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("recover store %s: %w", path, err), s.closeFiles())
		}
	}
	return s, nil
}

// load reads the format record.
func (s *Store) load(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	return s.db.View(func(b *bolt.Tx) error {
		meta := b.Bucket(bucketMeta)
		if meta == nil || meta.Get(keyInfo) == nil {
			return fmt.Errorf("%w: it is a bbolt file of another program", ErrNotStore)
		}
		v, err := getSealed(meta, "format record", keyInfo)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(v, &s.info); err != nil {
			return &CorruptError{What: "format record", Problem: "can't be read", Err: err}
		}
		if s.info.Format != formatVersion {
			return fmt.Errorf("%w: its format is %d and this version reads %d", ErrNotStore, s.info.Format, formatVersion)
		}
		for _, name := range allBuckets {
			if b.Bucket(name) == nil {
				return &CorruptError{What: "bucket " + string(name), Problem: "is missing"}
			}
		}
		if s.key, err = loadIDKey(meta, s.opts.IDKey, s.opts.ReadOnly); err != nil {
			return err
		}
		_, err = s.newTx(b)
		return err
	})
}

// recover removes what a crash left: no import is in flight and no lease is held in a store that was just opened.
func (s *Store) recover(ctx context.Context) error {
	if err := removeSpillFiles(s.path); err != nil {
		return err
	}
	rolledBack, err := s.rollbackImports(ctx, func(importRecord) bool { return true })
	if err != nil {
		return err
	}
	reclaimed, err := s.reclaim(ctx, s.leases.epochs(math.MaxUint64))
	if err != nil {
		return err
	}
	if rolledBack == 0 && reclaimed == 0 {
		return nil
	}
	s.log.Info("removed what an interrupted process left", "imports", rolledBack, "blocks", reclaimed)
	_, err = s.Scrub(ctx)
	return err
}

// Info returns what is fixed for the life of the store.
func (s *Store) Info() Info { return s.info }

// Path returns the path that the store was opened with.
func (s *Store) Path() string { return s.path }

// ReadOnly reports whether the store was opened read-only.
func (s *Store) ReadOnly() bool { return s.opts.ReadOnly }

// Close waits for open snapshots until ctx ends, which is [ErrLeased] and leaves the store open. Then it makes every
// free page read as zeros and closes the file. Closing a closed store does nothing.
func (s *Store) Close(ctx context.Context) error {
	if err := s.leases.drain(ctx); err != nil {
		return err
	}
	var scrubErr error
	if !s.opts.ReadOnly {
		if scrubErr = s.scrubAtRest(ctx); errors.Is(scrubErr, ErrClosed) || errors.Is(scrubErr, ErrPoisoned) {
			scrubErr = nil
		}
	}
	return errors.Join(scrubErr, s.closeFiles())
}

func (s *Store) closeFiles() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.gate.Lock()
	defer s.gate.Unlock()
	err := s.handles.close()
	s.handles, s.down = handles{}, ErrClosed
	return err
}

// createIfMissing makes an empty store under another name and links it to path, since a power loss while bbolt
// initialises a file leaves one that can't be told from a damaged one. Link fails where rename would overwrite a store
// that another process created meanwhile.
func createIfMissing(path string, opts Options) (err error) {
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := initialise(tmp.Name(), opts); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func initialise(path string, opts Options) (err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.AllocSize = allocSize
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range allBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		info := Info{
			Format: formatVersion, Codec: opts.Codec, Region: opts.Region, Account: opts.Account,
			Created: time.Now().UTC().Truncate(time.Millisecond), Seed: newSeed(),
		}
		v, err := json.Marshal(info)
		if err != nil {
			return err
		}
		meta := tx.Bucket(bucketMeta)
		if err := putSealed(meta, keyInfo, v); err != nil {
			return err
		}
		if err := createIDKey(meta, opts.IDKey); err != nil {
			return err
		}
		return putSealed(meta, keyState, state{}.encode())
	})
}

// openFile locks the file, walks its page structure by pread, and only then lets bbolt map it: a page that points
// outside of the file would be a SIGBUS later.
func openFile(path string, opts Options) (h handles, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var locked *os.File
	defer func() {
		if r := recover(); r != nil {
			err = &CorruptError{What: "page structure", Problem: fmt.Sprint("bbolt can't read it: ", r)}
			if locked != nil {
				err = errors.Join(err, locked.Close()) // and let go of the lock
			}
		}
	}()
	mode := os.O_RDWR
	if opts.ReadOnly {
		mode = os.O_RDONLY
	}
	var checkErr error
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:         time.Millisecond, // the file comes locked from OpenFile
		ReadOnly:        opts.ReadOnly,
		PreLoadFreelist: true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: initialMmapSize,
		MaxSize:         int(opts.MaxSize),
		NoStatistics:    true,
		OpenFile: func(name string, _ int, _ os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, mode, 0)
			if err != nil {
				return nil, err
			}
			if checkErr = lockFile(f, !opts.ReadOnly, opts.LockTimeout); checkErr == nil {
				_, checkErr = checkPages(f)
			}
			if checkErr != nil {
				return nil, errors.Join(checkErr, f.Close())
			}
			locked = f
			return f, nil
		},
	})
	if err != nil {
		if checkErr != nil {
			err = checkErr
		}
		return h, fullDisk(err)
	}
	db.AllocSize = allocSize
	file, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return h, errors.Join(err, db.Close())
	}
	meta, err := mapPages(file, 2*db.Info().PageSize)
	if err != nil {
		return h, errors.Join(err, db.Close(), file.Close())
	}
	h = handles{db, file, meta, locked, new(atomic.Bool), new(atomic.Int64)}
	if err := h.checkSize(); err != nil {
		return handles{}, errors.Join(err, h.close())
	}
	return h, nil
}

// checkPages walks the page structure and returns how many runs of pages are in use, or every fault in it.
func checkPages(f *os.File) (runs int, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	meta, err := pages.ReadMeta(f, info.Size())
	if err != nil {
		return 0, pageError(err)
	}
	st, err := pages.Walk(f, info.Size(), meta)
	if err != nil {
		return 0, pageError(err)
	}
	return len(st.Reachable), nil
}

// pageError turns an error of the page walk into ours.
func pageError(err error) error {
	if errors.Is(err, pages.ErrNotBolt) {
		return fmt.Errorf("%w: %w", ErrNotStore, err)
	}
	var c *pages.CorruptError
	if errors.As(err, &c) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &CorruptError{What: "page structure", Problem: "the walk over its pages failed", Err: err}
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
