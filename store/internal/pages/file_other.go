//go:build !linux

package pages

import (
	"errors"
	"os"
)

// osFile is a file on a disk, as source and as target. Here holes are neither
// made nor known: everything is read, and overwritten with zeros.
type osFile struct{ *os.File }

func (f osFile) Punch(off, n int64) error { return errors.ErrUnsupported }

func (f osFile) Data(off, end int64) (e extent, ok bool, err error) {
	return extent{}, false, errors.ErrUnsupported
}
