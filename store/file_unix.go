//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 20 * time.Millisecond

// lockFile takes the lock that bbolt takes, before anything of the file is read: exclusive for writing, shared for
// reading. bbolt takes it once more on the same handle, which succeeds at once.
func lockFile(f *os.File, exclusive bool, timeout time.Duration) error {
	how := unix.LOCK_SH | unix.LOCK_NB
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	deadline := time.Now().Add(timeout)
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock file: %w", err)
		}
		if time.Now().Add(lockRetry).After(deadline) {
			return fmt.Errorf("%w: wait until it has ended, or stop it", ErrLocked)
		}
		time.Sleep(lockRetry)
	}
}

// unlockFile lets go of the lock. Closing a file does so too, but not while it is mapped.
func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// mapPages maps the beginning of a file.
func mapPages(f *os.File, n int) ([]byte, error) {
	m, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map meta pages: %w", err)
	}
	return m, nil
}

func unmapPages(m []byte) error { return unix.Munmap(m) }

// allocatedBytes returns what a file takes on the disk: holes take nothing.
func allocatedBytes(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}
