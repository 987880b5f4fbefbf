package bench

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Conditions are what figures hang on besides the code. They don't name the machine or its folders.
type Conditions struct {
	CPU        string   `json:"cpu"`
	CPUs       int      `json:"cpus"`
	GOMAXPROCS int      `json:"gomaxprocs"`
	Memory     int64    `json:"memoryBytes"`
	System     string   `json:"system"`
	Arch       string   `json:"arch"`
	FileSystem string   `json:"fileSystem"`
	Load       string   `json:"loadAverage"` // of the minute before the first run
	Go         string   `json:"go"`
	Version    string   `json:"version"` // of Expunge
	Modules    []string `json:"modules"` // path@version
	// Cache is warm or cold: whether the store and the input were in the page cache when a run began.
	Cache string `json:"cache"`
	// Durability says what is on the disk when the clock stops.
	Durability string `json:"durability"`
}

const modulePath = "github.com/expunge-db/expunge"

func conditions(dir string, rc RunConfig) Conditions {
	c := Conditions{
		CPU: cpuModel(), CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), Memory: totalMemory(),
		System: systemName(), Arch: runtime.GOARCH, FileSystem: fileSystem(dir), Load: loadAverage(),
		Go: runtime.Version(), Version: "unknown", Cache: "warm",
		Durability: "every commit is synced before it counts",
	}
	if rc.Cold {
		c.Cache = "cold"
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return c
	}
	version := func(v string) string {
		if v == "" {
			return "(devel)"
		}
		return v
	}
	if info.Main.Path == modulePath {
		c.Version = version(info.Main.Version)
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Path == modulePath && !strings.Contains(c.Version, s.Value[:min(12, len(s.Value))]) {
			c.Version += " " + s.Value
		}
	}
	for _, d := range info.Deps {
		if d.Path == modulePath {
			c.Version = version(d.Version)
			continue
		}
		c.Modules = append(c.Modules, fmt.Sprintf("%s@%s", d.Path, d.Version))
	}
	return c
}
