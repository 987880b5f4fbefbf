package ingest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/conformance"
)

func TestLocalConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Place {
		dir := t.TempDir()
		return conformance.Place{
			Locations: ingest.LocalLocations(), Root: filepath.ToSlash(dir) + "/", Missing: filepath.ToSlash(dir) + "-nothing/",
			Put: func(path string, data []byte) error {
				full := filepath.Join(dir, filepath.FromSlash(path))
				if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
					return err
				}
				return os.WriteFile(full, data, 0o644)
			},
			Delete: func(path string) error { return os.Remove(filepath.Join(dir, filepath.FromSlash(path))) },
		}
	})
}
