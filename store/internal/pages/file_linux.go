package pages

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// osFile is a file on a disk, as source and as target.
type osFile struct{ *os.File }

// Punch relies on EOPNOTSUPP and ENOSYS being errors.ErrUnsupported.
func (f osFile) Punch(off, n int64) error {
	return f.control(func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// Sync uses fdatasync, which includes the block map that punching changed.
func (f osFile) Sync() error { return f.control(unix.Fdatasync) }

func (f osFile) Data(off, end int64) (extent, bool, error) {
	var e extent
	err := f.control(func(fd int) (err error) {
		if e.off, err = unix.Seek(fd, off, unix.SEEK_DATA); err != nil {
			return err
		}
		// The file's end counts as a hole, so there is always one.
		e.end, err = unix.Seek(fd, e.off, unix.SEEK_HOLE)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO): // a hole up to the end of the file
		return extent{}, false, nil
	case errors.Is(err, unix.EINVAL):
		return extent{}, false, errors.ErrUnsupported
	case err != nil:
		return extent{}, false, err
	}
	e.end = min(e.end, end)
	return e, e.off < end, nil
}

// control runs op on the file's descriptor, which stays open meanwhile, again
// when a signal interrupted it.
func (f osFile) control(op func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = c.Control(func(fd uintptr) {
		for opErr = unix.EINTR; errors.Is(opErr, unix.EINTR); {
			opErr = op(int(fd))
		}
	})
	return errors.Join(err, opErr)
}
