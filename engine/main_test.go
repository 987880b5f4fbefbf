package engine_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// inOtherProcess, if it is not nil, runs the test binary as one of the processes that tests start, and reports whether it
// is one.
var inOtherProcess func(*testing.M) bool

// TestMain also runs the test binary as the process that [TestKill] kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		runVictim(path)
		return
	}
	if inOtherProcess != nil && inOtherProcess(m) {
		return
	}
	goleak.VerifyTestMain(m)
}
