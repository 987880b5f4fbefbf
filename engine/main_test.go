package engine_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also runs the test binary as the process that [TestKill] kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		runVictim(path)
		return
	}
	goleak.VerifyTestMain(m)
}
