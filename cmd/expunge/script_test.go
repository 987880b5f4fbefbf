package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/expunge-db/expunge/engine"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"expunge": main, "hold": hold})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"flip": flip, "truncate": truncate, "lines": lines, "invalid": invalid, "waitlocked": waitLocked, "status": exitStatus, "sorted": sorted,
			"digests": digests,
		},
	})
}

// exitStatus N PROGRAM ARGS: runs a program that has to exit with status N.
func exitStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// sorted FILE: the lines of stdout are those of FILE, in any order below the first. The order of users in a scan is that
// of a hash with a random key.
func sorted(ts *testscript.TestScript, _ bool, args []string) {
	var texts [2][]string
	for i, name := range []string{"stdout", args[0]} {
		texts[i] = strings.Split(ts.ReadFile(name), "\n")
		slices.Sort(texts[i][1:])
	}
	if !slices.Equal(texts[0], texts[1]) {
		ts.Fatalf("stdout and %s differ:\n%q\n%q", args[0], texts[0], texts[1])
	}
}

// hold is a program that holds a store until it gets SIGINT.
func hold() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	e, err := engine.Open(ctx, os.Args[1], engine.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-ctx.Done()
	if err := e.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// waitLocked STORE: returns when another process holds it.
func waitLocked(ts *testscript.TestScript, _ bool, args []string) {
	for range 2000 {
		e, err := engine.Open(context.Background(), ts.MkAbs(args[0]), engine.Options{ReadOnly: true, LockTimeout: -1})
		if errors.Is(err, engine.ErrLocked) {
			return
		}
		ts.Check(err)
		ts.Check(e.Close(context.Background()))
		time.Sleep(5 * time.Millisecond)
	}
	ts.Fatalf("%s was never locked", args[0])
}

// flip FILE TEXT: flips a bit wherever TEXT is in FILE.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if !bytes.Contains(b, []byte(args[1])) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	other := []byte(args[1])
	other[0] ^= 1
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(b, []byte(args[1]), other), 0o600))
}

// digests FILE: sets FIRST and HEAD to the digests of the first and the last line of an exported ledger, and OTHER to one
// that no line has.
func digests(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	for name, text := range map[string]string{"FIRST": lines[0], "HEAD": lines[len(lines)-1], "OTHER": ""} {
		ts.Setenv(name, fmt.Sprintf("%x", sha256.Sum256([]byte(text))))
	}
}

// truncate FILE: keeps its first three pages. The end of a small store is allocated ahead and holds nothing.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.Truncate(ts.MkAbs(args[0]), 3*int64(os.Getpagesize())))
}

// lines FILE N FORMAT: appends N lines, with their numbers in the format.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, args[2]+"\n", i)
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	ts.Check(err)
	_, err = f.WriteString(b.String())
	ts.Check(errors.Join(err, f.Close()))
}

// invalid FILE: appends a line that isn't UTF-8.
func invalid(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString("secret\xff\n")
	ts.Check(errors.Join(err, f.Close()))
}
