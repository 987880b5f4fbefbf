package console

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// order is what the form asks for.
type order struct {
	Group, JobName string
	File           string // the list's name where it came from, fit to be shown
	Size           int64  // of the list, in bytes

	list string // its name in the folder; whoever has the order must erase it or hand it on
}

// orderError is what is wrong with a form, for whoever filled it in.
type orderError struct {
	status int
	text   string
}

func (e *orderError) Error() string { return e.text }

const (
	maxField = 4 << 10  // bytes of a field that isn't the list
	maxRest  = 64 << 10 // bytes of a request besides the list
	maxName  = 80       // characters of a file name that are shown

	// stall is how long an upload may bring nothing.
	stall = 30 * time.Second
)

// readOrder reads the form, and stores the list as it comes. After an error there is no list; an [orderError] comes with
// what was filled in.
func (c *Console) readOrder(w http.ResponseWriter, r *http.Request) (o order, err error) {
	defer func() {
		if err != nil && o.list != "" {
			c.eraseList(o.list)
			o.list = ""
		}
	}()
	body := http.MaxBytesReader(w, r.Body, c.opts.MaxUpload+maxRest)
	r.Body = &patient{ReadCloser: body, rc: http.NewResponseController(w)}
	parts, err := r.MultipartReader()
	if err != nil {
		return o, &orderError{http.StatusBadRequest, "The request isn't a form with a file."}
	}
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = c.readPart(p, &o)
		}
		if err != nil {
			return o, c.uploadError(err)
		}
	}
	switch {
	case o.Group == "":
		return o, &orderError{http.StatusBadRequest, "Choose a dataset group."}
	case o.list == "":
		return o, &orderError{http.StatusBadRequest, "Choose a list of users: a CSV file with the header USER_ID."}
	}
	return o, nil
}

func (c *Console) readPart(p *multipart.Part, o *order) (err error) {
	switch field := p.FormName(); {
	case field == "group":
		o.Group, err = readField(p)
	case field == "jobName":
		o.JobName, err = readField(p)
	case field == "list" && p.FileName() == "":
		_, err = io.Copy(io.Discard, io.LimitReader(p, maxField)) // no file was chosen
	case field == "list" && o.list == "":
		o.File = showable(p.FileName())
		o.list, o.Size, err = c.folder.store(p, p.FileName(), c.opts.MaxUpload)
	default:
		err = &orderError{http.StatusBadRequest, "The form has a field that isn't known, or two lists."}
	}
	return err
}

func readField(p io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(p, maxField+1))
	if err == nil && len(b) > maxField {
		err = &orderError{http.StatusBadRequest, "A field of the form is too long."}
	}
	return strings.TrimSpace(string(b)), err
}

// uploadError says what stopped an upload.
func (c *Console) uploadError(err error) error {
	var known *orderError
	var tooLarge *http.MaxBytesError
	var onDisk interface{ Timeout() bool } // of fs.PathError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errTooLarge), errors.As(err, &tooLarge):
		return &orderError{http.StatusRequestEntityTooLarge, fmt.Sprintf(
			"The list is larger than %s. Compress it (.csv.gz or .csv.zst), split it, or use expunge delete.", size(c.opts.MaxUpload))}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &onDisk) && onDisk.Timeout():
		return &orderError{http.StatusBadRequest, "The upload was cut off. Send it again."}
	}
	c.log.Error("an uploaded list can't be stored", "err", err)
	return &orderError{http.StatusInternalServerError, "The list can't be stored: see the server's log."}
}

// showable makes of the name that a file has elsewhere one that can't mislead: its last element, without anything but
// letters, digits and a few signs, and not too long.
func showable(name string) string {
	name = filepath.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+@ ()", r) {
			return r
		}
		return '_'
	}, strings.ToValidUTF8(name, "_"))
	if runes := []rune(name); len(runes) > maxName {
		name = string(runes[:maxName]) + "…"
	}
	return name
}

// patient moves the deadlines of a connection while an upload brings something: how long it takes as a whole goes by its
// size.
type patient struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	// Where there is no connection, as in tests, there are no deadlines.
	next := time.Now().Add(stall)
	_ = p.rc.SetReadDeadline(next)
	_ = p.rc.SetWriteDeadline(next.Add(stall))
	return p.ReadCloser.Read(b)
}
