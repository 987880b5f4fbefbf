package personalize

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/expunge-db/expunge/engine"
)

// exception is a kind of error of the protocol: its code and the HTTP status that it comes with.
type exception struct {
	code   string
	status int
	kind   error // what errors.Is finds in an error of the engine that is this one; nil if none is
}

// The exceptions of the models. All those of the control plane are 400.
var (
	invalidInput   = exception{"InvalidInputException", 400, engine.ErrInvalid}
	notFound       = exception{"ResourceNotFoundException", 400, engine.ErrNotFound}
	alreadyExists  = exception{"ResourceAlreadyExistsException", 400, engine.ErrExists}
	limitExceeded  = exception{"LimitExceededException", 400, engine.ErrLimit}
	inUse          = exception{"ResourceInUseException", 400, engine.ErrInUse}
	tooManyTags    = exception{"TooManyTagsException", 400, engine.ErrTooManyTags}
	tooManyTagKeys = exception{"TooManyTagKeysException", 400, engine.ErrTooManyTagKeys}
	invalidToken   = exception{"InvalidNextTokenException", 400, errToken}
	eventsNotFound = exception{"ResourceNotFoundException", 404, engine.ErrNotFound}
	eventsInUse    = exception{"ResourceInUseException", 409, engine.ErrInUse}
)

// The common errors, of the page of 2026; three are on no page and have the names that the clients know.
var (
	unknownOperation  = exception{"UnknownOperationException", 404, nil}
	malformed         = exception{"MalformedHttpRequestException", 400, nil}
	tooLarge          = exception{"RequestEntityTooLargeException", 413, nil}
	validationError   = exception{"ValidationError", 400, nil}
	requestTimeout    = exception{"RequestTimeoutException", 408, nil}
	requestAborted    = exception{"RequestAbortedException", 400, nil}
	unavailable       = exception{"ServiceUnavailable", 503, nil}
	internalFailure   = exception{"InternalFailure", 500, nil}
	incomplete        = exception{"IncompleteSignature", 403, ErrIncompleteSignature}
	unrecognized      = exception{"UnrecognizedClientException", 403, ErrUnknownKey}
	serialization     = exception{"SerializationException", 400, nil}                       // on no page
	missingSignature  = exception{"MissingAuthenticationToken", 403, ErrMissingSignature}   // on no page
	signatureMismatch = exception{"InvalidSignatureException", 403, ErrSignatureNotMatched} // on no page
)

// Errors of a [Verifier], for errors.Is. Their texts are sent to the client.
var (
	ErrMissingSignature    = errors.New("request isn't signed")
	ErrIncompleteSignature = errors.New("signature is incomplete")
	ErrUnknownKey          = errors.New("access key is unknown")
	// ErrSignatureNotMatched is for one that is too old or too new as well: the code is the one on which clients set their
	// clock by the Date header and try again.
	ErrSignatureNotMatched = errors.New("signature doesn't match")
)

// errToken is a nextToken that this listing didn't hand out.
var errToken = errors.New("nextToken is not one that this operation returned for this filter: begin the list again without it")

// wireError is an error as it is sent.
type wireError struct {
	exception
	message string
}

func (e wireError) Error() string { return e.message }

// ruleError is a rule that the engine isn't asked about, and the kind of error of the engine that breaking it is.
type ruleError struct {
	kind error
	text string
}

func (e *ruleError) Error() string { return e.text }
func (e *ruleError) Unwrap() error { return e.kind }

func invalidf(format string, args ...any) error {
	return &ruleError{engine.ErrInvalid, fmt.Sprintf(format, args...)}
}

// authException is what is sent for an error of a Verifier.
func authException(err error) wireError {
	for _, x := range []exception{missingSignature, incomplete, unrecognized, signatureMismatch} {
		if errors.Is(err, x.kind) {
			return wireError{x, sentence(err)}
		}
	}
	return wireError{internalFailure, internalText}
}

const internalText = "The request failed inside of the server. Its log has the reason, under the ID of this request."

// exceptionOf is what is sent for an error of a call: the exception of the operation's model if it has one for it.
func exceptionOf(op *operation, err error) wireError {
	var wire wireError
	if errors.As(err, &wire) {
		return wire
	}
	// The special cases first: too many tags are invalid too.
	kinds := []exception{tooManyTags, tooManyTagKeys, invalidToken, alreadyExists, limitExceeded, notFound, eventsNotFound, inUse, eventsInUse, invalidInput}
	for _, x := range kinds {
		if errors.Is(err, x.kind) && slices.Contains(op.errs, x) {
			return wireError{x, sentence(err)}
		}
	}
	// A kind that the model doesn't have here is bad input: the tracking ID that isn't there, say. Two lists don't have that
	// either.
	if slices.ContainsFunc(kinds, func(x exception) bool { return errors.Is(err, x.kind) }) {
		if slices.Contains(op.errs, invalidInput) {
			return wireError{invalidInput, sentence(err)}
		}
		return wireError{validationError, sentence(err)}
	}
	switch {
	case errors.Is(err, engine.ErrReadOnly):
		return wireError{unavailable, "The store is open for reading only."}
	case errors.Is(err, engine.ErrClosed):
		return wireError{unavailable, "The server is stopping. Try again."}
	case errors.Is(err, engine.ErrFull):
		return wireError{unavailable, "The store has no room left."}
	case errors.Is(err, context.DeadlineExceeded):
		return wireError{requestTimeout, "The request took too long. Look whether it was carried out before trying again."}
	case errors.Is(err, context.Canceled):
		return wireError{requestAborted, "The request was cancelled."}
	}
	return wireError{internalFailure, internalText}
}

// bodyException is what is sent for an error of reading a body.
func bodyException(err error, most int64) wireError {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return wireError{tooLarge, fmt.Sprintf("The body has more than %d bytes.", most)}
	}
	return wireError{malformed, "The body could not be read to its end."}
}

// sentence is the text of an error in one line.
func sentence(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
