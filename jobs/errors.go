package jobs

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of errors, for errors.Is. The texts that come with them are whole sentences in the manner of the
// API that this package follows, so that a server can send them as they are.
var (
	// ErrInvalid: an argument breaks a rule. The text lists every rule that is broken.
	ErrInvalid = errors.New("invalid job argument")
	// ErrTooManyTags: more than [MaxTags] tags on one resource. Such an error is an ErrInvalid too.
	ErrTooManyTags = fmt.Errorf("%w: too many tags", ErrInvalid)
	// ErrTooManyTagKeys: more than [MaxTags] keys of tags to remove at once. Such an error is an ErrInvalid too.
	ErrTooManyTagKeys = fmt.Errorf("%w: too many tag keys", ErrInvalid)
	// ErrExists: the name is in use by a job of the same kind, finished or not.
	ErrExists = errors.New("job exists")
	// ErrLimit: the group has [MaxPending] deletion jobs waiting.
	ErrLimit = errors.New("too many pending jobs")
	// ErrNotFound: there is no such job.
	ErrNotFound = errors.New("job not found")
	// ErrConflict: the job isn't in the state that the caller took it to be in. Nothing was changed.
	ErrConflict = errors.New("job state has changed")
	// ErrStopped: the runner was stopped. It says nothing about the state of any job.
	ErrStopped = errors.New("job runner is stopped")
)

// CorruptError is damage to a stored job or to an index over the jobs.
type CorruptError struct {
	// Seq is the sequence number of the record, 0 if it can't be known.
	Seq uint64
	// Problem says what is wrong with it. It holds no stored bytes.
	Problem string
}

func (e *CorruptError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("job index is damaged: %s; restore the store from a backup", e.Problem)
	}
	return fmt.Sprintf("job record %d is damaged: %s; restore the store from a backup", e.Seq, e.Problem)
}

// apiError is a sentence for the caller of the API, of the kind that the sentinel names.
type apiError struct {
	kind error
	text string
}

func (e *apiError) Error() string { return e.text }
func (e *apiError) Unwrap() error { return e.kind }

func apiErrorf(kind error, format string, args ...any) error {
	return &apiError{kind, fmt.Sprintf(format, args...)}
}

// validationError lists all the broken rules of one request in one line.
type validationError struct{ broken []error }

func (e *validationError) Error() string {
	texts := make([]string, len(e.broken))
	for i, err := range e.broken {
		texts[i] = err.Error()
	}
	plural := "s"
	if len(e.broken) == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d validation error%s detected: %s", len(e.broken), plural, strings.Join(texts, "; "))
}

func (e *validationError) Unwrap() []error { return e.broken }

// validation collects broken rules. The zero value is ready for use.
type validation struct{ broken []error }

// err is nil if no rule was broken.
func (v *validation) err() error {
	if len(v.broken) == 0 {
		return nil
	}
	return &validationError{v.broken}
}

// add notes a broken rule of a member of the request. The member's value is left out: tags are sensitive, and
// whatever is refused here could be anything.
func (v *validation) add(kind error, member, format string, args ...any) {
	v.broken = append(v.broken, apiErrorf(kind, "Value at '%s' failed to satisfy constraint: Member must %s",
		member, fmt.Sprintf(format, args...)))
}
