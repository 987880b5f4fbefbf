//go:build linux && (amd64 || arm64)

package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// faultsEnv is set in the processes that TestFaults and TestKillAtCalls start: with "1" to run the test in, since an
// injector never ends, with a killedOp to be killed.
const faultsEnv = "EXPUNGE_TEST_FAULTS"

func init() {
	inOtherProcess = func(m *testing.M) bool {
		env := os.Getenv(faultsEnv)
		switch env {
		case "":
			return false
		case "1":
			os.Exit(m.Run()) // goleak would find the injector
		}
		if err := runKilled(env); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return true
	}
}

// inOwnProcess reports whether the test runs in a process of its own, and else runs it in one.
func inOwnProcess(t *testing.T) bool {
	if os.Getenv(faultsEnv) != "" {
		return true
	}
	timeout := "5m" // before this process's own, so that it says where it hangs
	if longKills() {
		timeout = "15m"
	}
	if everyPoint() {
		timeout = "1h"
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+timeout)
	cmd.Env = append(os.Environ(), faultsEnv+"=1")
	out, err := cmd.CombinedOutput()
	skipped := strings.Contains(string(out), "--- SKIP")
	for line := range strings.Lines(string(out)) {
		if err != nil || skipped || strings.Contains(line, " points of ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Error(err)
	} else if skipped {
		t.Skip("skipped, see above")
	}
	return false
}

// points returns which of n calls are to fail: some that a seed spreads over all of them.
func points(n, most int, seed uint64) (at []int) {
	most = min(n, most)
	rng := rand.New(rand.NewPCG(seed, 9))
	for i := range most {
		lo, hi := i*n/most, (i+1)*n/most
		at = append(at, lo+rng.IntN(hi-lo))
	}
	return at
}

// TestFaults makes the k-th write, sync, hole punch or read of a store's files fail, once or from then on, and looks at
// what is left.
func TestFaults(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	inject, err := newInjector()
	if err != nil {
		t.Skip(err)
	}
	inMemory(t)
	for _, op := range faultOps(prepareFaults(t)) {
		t.Run(op.name, func(t *testing.T) {
			counts := op.measure(t, inject)
			for _, kind := range []struct {
				name       string
				calls      []uint32
				errno      syscall.Errno
				lasting    bool
				short, long, all int // points
			}{
				{"an I/O error at one write, sync or punch", changingCalls, syscall.EIO, false, 2, 40, math.MaxInt},
				{"a full disk from a write or punch on", slices.Concat(writeCalls, punchCalls), syscall.ENOSPC, true, 1, 10, 30},
				{"an I/O error from a write, sync or punch on", changingCalls, syscall.EIO, true, 1, 10, 30},
				{"an I/O error at one read", readCalls, syscall.EIO, false, 1, 10, 30},
			} {
				f := &faults{t: t, op: op, inject: inject, calls: kind.calls, errno: kind.errno, lasting: kind.lasting, ended: make(map[engine.JobStatus]int)}
				n, most, hit := counts.of(kind.calls), kind.short, 0
				switch {
				case everyPoint():
					most = kind.all
				case longKills():
					most = kind.long
				}
				for _, at := range points(n, most, 1) {
					if f.point(at) {
						hit++
					}
					if t.Failed() {
						return
					}
				}
				t.Logf("%s: %s: %d points of %d calls; jobs: %v", op.name, kind.name, hit, n, f.ended)
			}
		})
	}
}

// faults runs an operation with faults.
type faults struct {
	t       *testing.T
	op      *faultOp
	inject  *injector
	calls   []uint32
	errno   syscall.Errno
	lasting bool                     // the fault stays until the store was closed
	ended   map[engine.JobStatus]int // what became of the jobs
}

// point runs the operation on a copy of its store and lets its at-th call fail. It reports whether it came to that.
func (f *faults) point(at int) bool {
	t, log := f.t, new(logBuffer)
	path := copyFile(t, f.op.store)
	where := fmt.Sprintf("%v at call %d, lasting: %t", f.errno, at, f.lasting)
	n := 1
	w := waiting{}
	if f.lasting {
		n = math.MaxInt32
		w.giveUp = func() bool { return f.inject.failures() > 3 }
	}
	f.op.durable = 0
	f.inject.arm(filepath.Dir(path), f.calls, at, n, f.errno)
	var runErr error
	e, err := engine.Open(context.Background(), path, engine.Options{Logger: log.logger()})
	if err == nil {
		runErr = f.op.run(w, e, filepath.Dir(path))
		err = e.Close(context.Background())
	}
	failed := f.inject.failures()
	f.inject.disarm()
	if failed == 0 && errors.Join(runErr, err) != nil || errors.Is(runErr, errNeverEnds) {
		t.Errorf("%s: %d calls failed: %v, %v", where, failed, runErr, err)
	}
	if text := fmt.Sprint(log, runErr, err); strings.Contains(text, secret) {
		t.Errorf("%s: an error or the log holds an ID", where)
	}
	f.ended[f.op.settle(t, path, where)]++
	if t.Failed() {
		t.Logf("%s: %v, %v, log: %s", where, runErr, err, log)
	}
	return failed > 0
}

// killedOp is what a process does until it is killed before one of its calls.
type killedOp struct {
	Files faultFiles
	Op    int
	Store string
	At    int
}

// runKilled is the process. If it comes to its end it prints how many calls there were.
func runKilled(env string) error {
	var k killedOp
	if err := json.Unmarshal([]byte(env), &k); err != nil {
		return err
	}
	inject, err := newInjector()
	if err != nil {
		return err
	}
	inject.arm(filepath.Dir(k.Store), changingCalls, k.At, 1, 0)
	e, err := engine.Open(context.Background(), k.Store, engine.Options{})
	if err != nil {
		return err
	}
	err = faultOps(k.Files)[k.Op].run(waiting{}, e, filepath.Dir(k.Store))
	if err := errors.Join(err, e.Close(context.Background())); err != nil {
		return err
	}
	fmt.Println(inject.counts().of(changingCalls))
	return nil
}

// TestKillAtCalls kills a process with SIGKILL before the k-th write, sync or hole punch of a store's files, and lets
// another go on.
func TestKillAtCalls(t *testing.T) {
	inMemory(t)
	files := prepareFaults(t)
	most := 2
	if longKills() {
		most = 20
	}
	if everyPoint() {
		most = math.MaxInt
	}
	for i, op := range faultOps(files) {
		t.Run(op.name, func(t *testing.T) {
			op.measure(t, nil)
			ended := make(map[engine.JobStatus]int)
			run := func(at int) (seen int, killed bool) {
				path := copyFile(t, op.store)
				env, err := json.Marshal(killedOp{files, i, path, at})
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), faultsEnv+"="+string(env))
				out, err := cmd.CombinedOutput()
				exit := new(exec.ExitError)
				if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
					killed = true
				} else if strings.Contains(string(out), errNoInjector.Error()) {
					t.Skip(string(out))
				} else if seen, err = strconv.Atoi(strings.TrimSpace(string(out))); err != nil {
					t.Fatalf("the process said %q", out)
				}
				ended[op.settle(t, path, fmt.Sprintf("killed before call %d", at))]++
				return seen, killed
			}
			n, _ := run(math.MaxInt32)
			hit := 0
			for _, at := range points(n, most, 2) {
				if _, killed := run(at); killed {
					hit++
				}
				if t.Failed() {
					return
				}
			}
			t.Logf("killed at %d points of %d calls; jobs: %v", hit, n, ended)
		})
	}
}
