package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryNow returns the anonymous memory that the process has now, and the most memory of any kind that it had since
// resetPeak, in bytes.
func memoryNow() (anon, highest int64) {
	status := readProc("/proc/self/status")
	return 1024 * field(status, "RssAnon:"), 1024 * field(status, "VmHWM:")
}

// resetPeak makes the highest memory begin anew. Where that isn't allowed it is of the life of the process.
func resetPeak() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// bytesWritten returns how many bytes the process has made the system write to storage.
func bytesWritten() int64 { return field(readProc("/proc/self/io"), "write_bytes:") }

// readProc returns nothing if the file can't be read: a figure that isn't there is shown as 0.
func readProc(path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return b
}

// field returns the number that follows a name at the beginning of a line, or 0.
func field(b []byte, name string) int64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64)
				return n
			}
		}
	}
	return 0
}

// allocated returns what a file takes on the disk: holes take nothing.
func allocated(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("size of store: %w", err)
	}
	return st.Blocks * 512, nil
}

func dropCached(f *os.File) error {
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("drop file from page cache: %w", err)
	}
	return nil
}

func cpuModel() string {
	for line := range strings.Lines(string(readProc("/proc/cpuinfo"))) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func totalMemory() int64 { return 1024 * field(readProc("/proc/meminfo"), "MemTotal:") }

func loadAverage() string {
	if f := strings.Fields(string(readProc("/proc/loadavg"))); len(f) > 0 {
		return f[0]
	}
	return "unknown"
}

func systemName() string {
	return "Linux " + strings.TrimSpace(string(readProc("/proc/sys/kernel/osrelease")))
}

// fileSystem returns the type of the file system that dir is on: of the mount whose path is the longest prefix.
func fileSystem(dir string) string {
	found, length := "unknown", -1
	for line := range strings.Lines(string(readProc("/proc/self/mounts"))) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at := strings.TrimSuffix(f[1], "/")
		if (dir == at || strings.HasPrefix(dir, at+"/")) && len(at) >= length {
			found, length = f[2], len(at)
		}
	}
	return found
}
