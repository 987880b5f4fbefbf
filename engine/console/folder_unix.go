//go:build unix

package console

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a lock that ends with the file's handle, and so with its process.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another process uses it: give each server a folder of its own")
	}
	if err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	return nil
}
