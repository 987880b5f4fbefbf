//go:build !linux

package bench

import (
	"os"
	"runtime"
)

// Elsewhere than on Linux there are times and sizes only.

func memoryNow() (anon, highest int64) { return 0, 0 }
func resetPeak()                       {}
func bytesWritten() int64              { return 0 }
func dropCached(*os.File) error        { return nil }
func cpuModel() string                 { return "unknown" }
func totalMemory() int64               { return 0 }
func loadAverage() string              { return "unknown" }
func systemName() string               { return runtime.GOOS }
func fileSystem(string) string         { return "unknown" }

func allocated(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
