package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/expunge-db/expunge/engine"
)

// report prints an error of a command with what to do next, and returns the exit status.
func (a *app) report(err error, command string) int {
	if errors.Is(err, context.Canceled) { // of a command that only reads; a job says how to go on with it
		err = errStopped
	}
	a.status.printf("expunge: %v\n", err)
	var wrong *usageError
	if errors.As(err, &wrong) || errors.Is(err, engine.ErrInvalid) {
		a.status.printf("Run '%s --help' for usage.\n", command)
		return exitUsage
	}
	return exitFailed
}

// nextStepError is an error with a hint of what to do about it on a line of its own.
type nextStepError struct {
	err  error
	next string
}

func (e *nextStepError) Error() string { return e.err.Error() + "\n" + e.next }
func (e *nextStepError) Unwrap() error { return e.err }

func nextStep(err error, format string, args ...any) error {
	return &nextStepError{err, fmt.Sprintf(format, args...)}
}

// openError explains why a store can't be opened.
func (a *app) openError(err error) error {
	path := a.store
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("stopped before the store was open; nothing was started")
	case errors.Is(err, engine.ErrLocked):
		return nextStep(err, "One process at a time can write a store. Wait until the other one has ended, then run this again.\nIf it is 'expunge serve', create the job through it, with a client of Amazon Personalize.")
	case errors.Is(err, engine.ErrKey):
		return nextStep(err, "Give the file that holds it: --key-file FILE. A store that keeps its own key takes none.")
	case errors.Is(err, fs.ErrPermission):
		return nextStep(err, "Give this user the right to read the file, and for import and delete to write it and its folder.")
	case errors.Is(err, engine.ErrNotStore):
		return nextStep(err, "Give the path of a store; 'expunge import' makes one if the file is missing.")
	case errors.Is(err, fs.ErrNotExist):
		return nextStep(fmt.Errorf("there is no store at %s", path),
			"Create one: expunge import --store %s --group NAME --dataset users users.csv\nOr see how it works: expunge quickstart", quote(path))
	}
	return err
}

// groupError explains why a group or dataset can't be used.
func (a *app) groupError(err error) error {
	if errors.Is(err, engine.ErrNotFound) {
		return nextStep(err, "See what is in the store: expunge stat --store %s", quote(a.store))
	}
	return err
}
