// Command expunge deletes users from recommender datasets and off the disk they lie on; see 'expunge --help'.
//
// It is a thin layer over package engine: whatever it does to a store an embedder can do too. Results go to stdout,
// progress, messages and logs to stderr, so that stdout can be piped. The exit status is 0 when the work is done, 1 when
// a job or a check failed, and 2 for wrong usage.
//
// Only import, delete, suppress (but for its list) and quickstart write to a store; what they were stopped at goes on when
// the store is next opened by one of them. The other commands open it read-only and leave its file as it was, byte for byte.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
