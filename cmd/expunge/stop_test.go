package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/expunge-db/expunge/bench"
)

// expect runs a command line that has to exit with a status, and returns what it printed.
func expect(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), args, &out, &errs); got != status {
		t.Fatalf("expunge %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, status, &out, &errs)
	}
	return out.String(), errs.String()
}

// newShop makes a store with some users and interactions, and a list of those users and of many others, which takes a
// while to read.
func newShop(t *testing.T) (store, list string) {
	t.Helper()
	dir := t.TempDir()
	c := bench.Config{Users: 2000, Items: 100, Interactions: 20_000}
	files, err := bench.Generate(t.Context(), c, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, list = filepath.Join(dir, "s.expunge"), filepath.Join(dir, "list.csv")
	expect(t, exitDone, "import", "--store", store, "--group", "shop", "--dataset", "users", "--schema", files.UsersSchema, files.Users)
	expect(t, exitDone, "import", "--store", store, "--group", "shop", "--dataset", "interactions", files.Interactions)
	var b bytes.Buffer
	if err := c.WriteList(&b, 100); err != nil {
		t.Fatal(err)
	}
	for i := range 300_000 {
		fmt.Fprintf(&b, "some-unknown-user-%d\n", i)
	}
	if err := os.WriteFile(list, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return store, list
}

// interrupt starts a deletion in a process of its own, and sends a signal when its job has just been created.
func interrupt(t *testing.T, with os.Signal, args ...string) (status int, stderr string) {
	t.Helper()
	cmd := exec.Command("expunge", append(args, "--verbose")...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		fmt.Fprintln(&b, lines.Text())
		if strings.Contains(lines.Text(), "job created") {
			if err := cmd.Process.Signal(with); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // the exit status is looked at instead
	if stdout.Len() > 0 {
		t.Errorf("an interrupted command wrote to stdout: %s", &stdout)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}

// copyOf copies a store, so that it is made once.
func copyOf(t *testing.T, store string) string {
	t.Helper()
	b, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s.expunge")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInterrupted(t *testing.T) {
	shop, list := newShop(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			store := copyOf(t, shop)
			command := []string{"delete", "--store", store, "--group", "shop", "--job-name", "june", list}
			status, stderr := interrupt(t, sig, command...)
			if sig == syscall.SIGKILL {
				if status != -1 {
					t.Fatalf("exit status %d of a killed process", status)
				}
			} else {
				if status != exitFailed || !strings.Contains(stderr, "deletion job june is unfinished") {
					t.Fatalf("exit status %d\n%s", status, stderr)
				}
				if want := "expunge delete --store " + store + " --group shop --job-name june " + list; !strings.Contains(stderr, want) {
					t.Errorf("no %q in\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "%") {
				t.Errorf("a progress bar in a pipe:\n%s", stderr)
			}

			// Nothing that only reads resumes it, or changes a byte.
			before, err := os.ReadFile(store)
			if err != nil {
				t.Fatal(err)
			}
			out, _ := expect(t, exitDone, "jobs", "--store", store)
			if !strings.Contains(out, "PENDING") && !strings.Contains(out, "IN_PROGRESS") {
				t.Fatalf("no unfinished job:\n%s", out)
			}
			expect(t, exitDone, "delete", "--store", store, "--group", "shop", "--dry-run", list)
			if _, stderr := expect(t, exitFailed, "verify", "--store", store, "--absent", list); !strings.Contains(stderr, "unfinished jobs: let them end") {
				t.Errorf("%s", stderr)
			}
			if _, stderr := expect(t, exitFailed, "job", "--store", store, "june", "--html", store+".html"); !strings.Contains(stderr, "has no receipt") {
				t.Errorf("%s", stderr)
			}
			backup := filepath.Join(t.TempDir(), "backup.expunge")
			expect(t, exitDone, "backup", "--store", store, backup)
			after, err := os.ReadFile(store)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("a command that only reads changed the store")
			}

			// In the backup it goes on with whatever writes next.
			if _, stderr := expect(t, exitDone, "suppress", "on", "--store", backup, "--group", "shop"); !strings.Contains(stderr, "Finishing deletion job june") {
				t.Errorf("%s", stderr)
			}
			expect(t, exitDone, "verify", "--store", backup, "--absent", list)
			expect(t, exitDone, "ledger", "verify", "--store", backup)

			// The same command goes on with it, and only with it.
			out, stderr = expect(t, exitDone, command...)
			if !strings.Contains(stderr, "Going on with deletion job june") || !strings.Contains(out, "100 matched, 300,000 unknown, 0 repeated") {
				t.Errorf("%s\n%s", out, stderr)
			}
			if out, _ := expect(t, exitDone, "jobs", "--store", store); strings.Count(out, "june") != 1 {
				t.Errorf("not one job:\n%s", out)
			}
			if _, stderr := expect(t, exitFailed, command...); !strings.Contains(stderr, "exists already and is COMPLETED") {
				t.Errorf("%s", stderr)
			}
			expect(t, exitDone, "check", "--store", store)
		})
	}
	t.Run("others first", func(t *testing.T) { testOthersFirst(t, copyOf(t, shop), list) })
}

// testOthersFirst leaves a job unfinished that the next command that writes finishes.
func testOthersFirst(t *testing.T, store, list string) {
	t.Helper()
	interrupt(t, syscall.SIGINT, "delete", "--store", store, "--group", "shop", "--job-name", "june", list)
	none := filepath.Join(t.TempDir(), "none.csv")
	if err := os.WriteFile(none, []byte("USER_ID\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := expect(t, exitFailed, "delete", "--store", store, "--group", "shop", "--job-name", "june", none)
	if !strings.Contains(stderr, "was created with other arguments") {
		t.Errorf("%s", stderr)
	}
	interrupt(t, syscall.SIGINT, "delete", "--store", store, "--group", "shop", "--job-name", "july", list)
	out, stderr := expect(t, exitDone, "delete", "--store", store, "--group", "shop", "--job-name", "august", none)
	if !strings.Contains(stderr, "Finishing deletion job july of group shop first") || !strings.Contains(out, "august") {
		t.Errorf("%s\n%s", out, stderr)
	}
	if out, _ := expect(t, exitDone, "jobs", "--store", store); strings.Contains(out, "PENDING") || strings.Contains(out, "PROGRESS") {
		t.Errorf("unfinished jobs:\n%s", out)
	}
}

// TestStoppedBefore runs commands whose context has ended already.
func TestStoppedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"generate", "--out", filepath.Join(dir, "made"), "--interactions", "1000"},
		{"quickstart", "--dir", filepath.Join(dir, "quick"), "--interactions", "1000"},
	} {
		var out, errs bytes.Buffer
		if got := run(ctx, args, &out, &errs); got != exitFailed || !strings.Contains(errs.String(), "stopped") {
			t.Errorf("%s: exit status %d\n%s", args[0], got, &errs)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*.csv"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
