package personalize

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say how a [Handler] serves. The zero value of each field is its default.
type Options struct {
	// Verifier decides whether a request may be served. nil lets all of them: then whoever reaches the server may delete
	// users.
	Verifier Verifier
	// MaxBody is the most bytes of a request's body. 0 means [DefaultMaxBody].
	MaxBody int64
	// Limits are the service's quotas that protect a shared service. They are off by default.
	Limits Limits
	// Logger gets a line for each request, never a value of one. nil discards.
	Logger *slog.Logger
	// Observe is called after each request, for metrics. It must be safe for use by several goroutines.
	Observe func(Call)
}

// DefaultMaxBody is enough for the greatest input of the API: 10 items with 32,000 characters of properties each.
const DefaultMaxBody = 2 << 20

// Verifier decides whether a request may be served, by its signature. body is the request's, which is read already.
// An error that is [ErrMissingSignature], [ErrIncompleteSignature], [ErrUnknownKey] or [ErrSignatureNotMatched] is sent in
// its own words. Package sigv4 has one.
type Verifier interface {
	Verify(r *http.Request, body []byte) error
}

// Call is a request that has been answered. It holds nothing of what was sent.
type Call struct {
	RequestID string
	Operation string // "" if the request names none that there is
	Code      string // of the exception; "" if there was none
	Status    int    // of HTTP
	Duration  time.Duration
}

// Keys of the log.
const (
	logRequest   = "request"
	logOperation = "operation"
	logStatus    = "status"
	logCode      = "code"
	logDuration  = "duration"
	logError     = "error"
)

// Handler serves both services on one address. It is safe for use by several goroutines.
type Handler struct {
	backend  Backend
	verifier Verifier
	maxBody  int64
	log      *slog.Logger
	observe  func(Call)
	byName   map[string]*operation // of the control plane
	byPath   map[string]*operation // of the events service
	tokenKey [32]byte

	limits   Limits
	creating sync.Mutex    // see limited
	large    chan struct{} // held while a large body is read, see readBody
}

// New returns a handler over an engine, which it doesn't close.
func New(b Backend, opts Options) *Handler {
	h := &Handler{
		backend: b, verifier: opts.Verifier, maxBody: opts.MaxBody, limits: opts.Limits, log: opts.Logger, observe: opts.Observe,
		byName: make(map[string]*operation), byPath: make(map[string]*operation), large: make(chan struct{}, maxLarge),
	}
	if h.maxBody == 0 {
		h.maxBody = DefaultMaxBody
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.observe == nil {
		h.observe = func(Call) {}
	}
	for i := range operations {
		if op := &operations[i]; op.path == "" {
			h.byName[op.name] = op
		} else {
			h.byPath[op.path] = op
		}
	}
	rand.Read(h.tokenKey[:]) // never fails: see its documentation
	return h
}

// Content types of the two protocols.
const (
	jsonRPC  = "application/x-amz-json-1.1"
	restJSON = "application/json"
)

// targetPrefix comes before the operation in X-Amz-Target.
const targetPrefix = "AmazonPersonalize."

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := Call{RequestID: requestID(), Status: http.StatusOK}
	began := time.Now()
	op, out, err := h.serve(w, r)
	if op != nil {
		call.Operation = op.name
	}
	attrs := []slog.Attr{slog.String(logRequest, call.RequestID), slog.String(logOperation, call.Operation)}
	if err != nil {
		wire := exceptionOf(op, err)
		call.Status, call.Code = wire.status, wire.code
		if wire.exception == internalFailure {
			attrs = append(attrs, slog.Any(logError, err)) // the engine's errors hold no user data
		}
		w.Header().Set("X-Amzn-Errortype", wire.code)
		out = wireBody{wire.code, wire.message}
	}
	contentType := jsonRPC
	if r.Header.Get("X-Amz-Target") == "" && r.URL.Path != "/" {
		contentType = restJSON
	}
	h.write(w, call, contentType, out)
	call.Duration = time.Since(began)
	attrs = append(attrs, slog.Int(logStatus, call.Status), slog.String(logCode, call.Code), slog.Duration(logDuration, call.Duration))
	level := slog.LevelInfo
	if call.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.log.LogAttrs(r.Context(), level, "request served", attrs...)
	h.observe(call)
}

// wireBody is the one form of an error that all clients read, together with the header X-Amzn-ErrorType: the code without
// a namespace or a suffix.
type wireBody struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

// serve carries a request out. op is nil if it names no operation that there is.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (op *operation, out any, err error) {
	if r.ContentLength > h.maxBody {
		return nil, nil, bodyException(&http.MaxBytesError{Limit: h.maxBody}, h.maxBody)
	}
	body, err := h.readBody(w, r)
	if err != nil {
		return nil, nil, bodyException(err, h.maxBody)
	}
	if h.verifier != nil {
		if err := h.verifier.Verify(r, body); err != nil {
			return nil, nil, authException(err)
		}
	}
	op, err = h.route(r)
	if err != nil {
		return nil, nil, err
	}
	in, err := readObject(body)
	if err != nil {
		return op, nil, wireError{serialization, "The body isn't a JSON object that can be read: " + err.Error() + "."}
	}
	if err := validate(op.input, in); err != nil {
		return op, nil, err
	}
	out, err = op.call(r.Context(), h, in)
	return op, out, err
}

const (
	smallBody = 64 << 10 // bytes; hardly any request has more
	maxLarge  = 16       // bodies larger than that are read at once
)

// readBody reads the body of a request. Whose it is isn't known before: so that clients without a key can't fill the memory
// with bodies that they don't end, few large ones are read at once. The others wait, and small ones pass them.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	all := http.MaxBytesReader(w, r.Body, h.maxBody)
	body, err := io.ReadAll(io.LimitReader(all, smallBody))
	if err != nil || len(body) < smallBody {
		return body, err
	}
	select {
	case h.large <- struct{}{}:
		defer func() { <-h.large }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	rest, err := io.ReadAll(all)
	return append(body, rest...), err
}

// operationName is what names of operations look like: no other is repeated to the client.
var operationName = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// route finds the operation that a request is for. Requests with X-Amz-Target are of the control plane, those with a path
// of the events service.
func (h *Handler) route(r *http.Request) (*operation, error) {
	target, contentType := r.Header.Get("X-Amz-Target"), jsonRPC
	op := h.byPath[r.URL.Path]
	switch {
	case r.Method != http.MethodPost:
		return nil, wireError{unknownOperation, "Operations are called with POST."}
	case target != "":
		name, ok := strings.CutPrefix(target, targetPrefix)
		if !ok || !operationName.MatchString(name) || r.URL.Path != "/" {
			return nil, wireError{unknownOperation, "X-Amz-Target must be " + targetPrefix + " and an operation, and the path /."}
		}
		if op = h.byName[name]; op == nil {
			return nil, noOperation(name)
		}
	case op != nil:
		contentType = restJSON
	case eventPaths[r.URL.Path] != "":
		return nil, noOperation(eventPaths[r.URL.Path])
	default:
		return nil, wireError{unknownOperation, "The request names no operation: it has neither the header X-Amz-Target nor a path of the events service."}
	}
	// Clients can add a character set.
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != contentType {
		return nil, wireError{malformed, "Content-Type must be " + contentType + "."}
	}
	return op, nil
}

func noOperation(name string) error {
	return wireError{unknownOperation, fmt.Sprintf("There is no operation %s here. Expunge keeps datasets and deletes users from them; it has no models, and no datasets of actions.", name)}
}

// write sends an answer: the headers of the real service and no others, since one client reads headers as members.
func (h *Handler) write(w http.ResponseWriter, call Call, contentType string, out any) {
	var body bytes.Buffer
	if out != nil {
		e := json.NewEncoder(&body)
		e.SetEscapeHTML(false)
		if err := e.Encode(out); err != nil {
			panic(fmt.Sprintf("personalize: encode output: %v", err)) // all outputs are structs of this package
		}
		body.Truncate(body.Len() - 1) // the line feed
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("X-Amzn-Requestid", call.RequestID)
	w.WriteHeader(call.Status)
	w.Write(body.Bytes()) // a client that went away is nobody's problem here
}

// requestID returns a random UUID.
func requestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: see its documentation
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

var _ http.Handler = (*Handler)(nil)
