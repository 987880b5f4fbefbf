package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/expunge-db/expunge/ingest"
)

// request is what was asked of S3, for the error that says why it failed.
type request struct {
	ctx        context.Context
	name       string // the location or the file, as shown in errors
	bucket     string
	permission string // that it needs
	key        string // or the beginning of keys
}

// failedListed is failed for a request about an object that was listed: if it is gone, it was changed.
func (r request) failedListed(verb string, err error) error {
	if code(err) == "NoSuchKey" || status(err) == http.StatusPreconditionFailed {
		return ingest.ChangedError(r.name)
	}
	return r.failed(verb, err)
}

// failed makes the error of a request that failed for good. It has S3's word for what is wrong, and never more of the
// answer than that and one line of text.
func (r request) failed(verb string, err error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	e := &ingest.Error{File: r.name, Err: err}
	switch status := status(err); {
	case code(err) == "NoSuchBucket":
		e.Problem, e.Err = fmt.Sprintf("there is no bucket %s; check the location", r.bucket), fs.ErrNotExist
	case code(err) == "NoSuchKey":
		e.Problem, e.Err = "there is no such object; check the location, and end it with / if it is a folder", fs.ErrNotExist
	case code(err) == "InvalidObjectState":
		e.Problem = "the object is archived; restore it and start again"
	case code(err) == "AccessDenied", status == http.StatusForbidden && code(err) == "Forbidden":
		e.Err = fs.ErrPermission
		e.Problem = fmt.Sprintf("Insufficient privileges for accessing data in S3: the server's credentials lack %s on %s/%s. Fix the bucket policy on %s.",
			r.permission, r.bucket, r.key, r.bucket)
	default:
		e.Problem = fmt.Sprintf("%s: %s; put it right and start again", verb, rootText(err))
	}
	return e
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// rootText is what went wrong, without the layers of the SDK around it.
func rootText(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return "S3 answers " + oneLine(api.ErrorCode()+": "+api.ErrorMessage())
	}
	if sent := new(smithyhttp.RequestSendError); errors.As(err, &sent) {
		err = sent.Err
	}
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err
	}
	if op := new(smithy.OperationError); errors.As(err, &op) {
		err = op.Err
	}
	return oneLine(err.Error())
}

// oneLine bounds a text of somebody else's.
func oneLine(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > 300 {
		s = string(runes[:300]) + "..."
	}
	return strings.TrimRight(strings.TrimSpace(s), ".:")
}
