package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

func verify(t *testing.T, e *engine.Engine, group, list string) engine.VerifyReport {
	t.Helper()
	return must[engine.VerifyReport](t)(e.Verify(context.Background(), engine.Verify{Group: group, Absent: list}))
}

// verifyClosed verifies a store at rest, and that it is the same afterwards.
func verifyClosed(t *testing.T, path, group, list string) engine.VerifyReport {
	t.Helper()
	before := readFile(t, path)
	e := must[*engine.Engine](t)(engine.Open(context.Background(), path, engine.Options{ReadOnly: true}))
	report := verify(t, e, group, list)
	mustClose(t, e)
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("the file changed")
	}
	return report
}

func TestVerify(t *testing.T) {
	ctx := context.Background()
	for _, codec := range []engine.Codec{engine.CodecNone, engine.CodecPacked} {
		t.Run(string(codec), func(t *testing.T) {
			path := storePath(t)
			e := open(t, path, engine.Options{Codec: codec})
			list := importWide(t, e)
			importSmall(t, e)
			mustClose(t, e)
			// Of IDs from SECRET-0 on, 498 have 8 bytes or more. Each is in the dictionary, and most in raw bytes.
			there := verifyClosed(t, path, "w", list)
			if there.Clean() || there.IDs != 500 || there.Searched != 500 || there.Entries != 2000 || there.Blocks == 0 || there.Found < 1000 {
				t.Errorf("before: %d IDs, %d searched, %d entries, %d blocks, found %d", there.IDs, there.Searched, there.Entries, there.Blocks, there.Found)
			}
			if r := verifyClosed(t, path, "g", list); !r.Clean() || r.Entries != 50 || r.Living == 0 {
				t.Errorf("in another group: clean %t, %d entries, %d living, found %d", r.Clean(), r.Entries, r.Living, r.Found)
			}

			e = open(t, path, engine.Options{})
			sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "w"))
			job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "w", Source: list}))
			waitFor(t, e, job, "waited", isWaiting)
			if r := verify(t, e, "w", list); r.Clean() || r.Unfinished != 1 || r.Found < 1000 || len(r.Check.Problems) > 0 {
				t.Errorf("with a snapshot: unfinished %d, found %d, problems %v", r.Unfinished, r.Found, r.Check.Problems)
			}
			sn.Release()
			must[engine.Job](t)(e.Wait(ctx, job))
			if r := verify(t, e, "w", list); r.Found > 0 || r.Unfinished > 0 || r.Searched != 500 || r.Entries != 1500 {
				t.Errorf("after: found %d, %+v", r.Found, r.Findings)
			}
			mustClose(t, e)
			r := verifyClosed(t, path, "w", list)
			if !r.Clean() || r.Searched != 500 || r.Bytes != fileSize(t, path) || r.FreePages == 0 {
				t.Errorf("at rest: %+v", r.VerifyReport)
			}
			if r := verifyClosed(t, path, "", ""); !r.Clean() || r.IDs != 0 {
				t.Errorf("without a list: %+v", r.VerifyReport)
			}

			// A place is named, and never whose or what it is.
			if there := verifyClosed(t, path, "g", listFile(t, "user-01", "user-49")); there.Found < 3 {
				t.Errorf("of users who stay: found %d", there.Found)
			} else {
				for _, f := range there.Findings {
					if strings.Contains(f.What, "user-") {
						t.Errorf("a finding says %q", f.What)
					}
				}
			}
		})
	}
}

// TestVerifyManyIDs: a list of more IDs than one pass looks for counts what was looked at once.
func TestVerifyManyIDs(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{})
	importSmall(t, e)
	var b strings.Builder
	b.WriteString("USER_ID\nuser-07\n")
	for i := range 1<<20 + 10 {
		fmt.Fprintf(&b, "%07d\n", i) // too short to be searched
	}
	b.WriteString("user-08x\n")
	mustClose(t, e)
	r := verifyClosed(t, path, "", writeFile(t, t.TempDir(), "many.csv", b.String()))
	if r.IDs != 1<<20+12 || r.Searched != 1 || r.Entries != 50 || r.Blocks != 2 || r.Found < 2 {
		t.Errorf("%d IDs, %d searched, %d entries, %d blocks, found %d", r.IDs, r.Searched, r.Entries, r.Blocks, r.Found)
	}
}

func TestVerifyErrors(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	list := listFile(t, "nobody")
	if _, err := e.Verify(ctx, engine.Verify{Group: "nothing", Absent: list}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such group: %v", err)
	}
	var input *engine.InputError
	_, err := e.Verify(ctx, engine.Verify{Absent: listFile(t, "user-01", "SECRET,x")})
	if !errors.As(err, &input) || input.Line != 3 || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a bad list: %v", err)
	}
	createGroup(t, e, "h", testSchemas)
	if _, err := e.Verify(ctx, engine.Verify{Absent: list}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("which of two groups: %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Verify(stopped, engine.Verify{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
