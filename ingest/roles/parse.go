package roles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

// roleARN is the API's pattern for roles.
var roleARN = regexp.MustCompile(`^arn:([a-z\d-]+):iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$`)

// parse reads a roles file token by token, so that every problem has its place, and nothing that is given twice is lost.
func parse(path string, data []byte) (*File, error) {
	f := &File{make(map[string]grants)}
	p := &parser{path: path, data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	if err := p.file(f); err != nil {
		p.problem(p.syntax(err))
	}
	if len(p.problems) > 0 {
		return nil, errors.Join(p.problems...)
	}
	return f, nil
}

type parser struct {
	path     string
	data     []byte
	dec      *json.Decoder
	at       int64 // where the last token begins
	problems []error
}

// problem notes what is wrong with the last token.
func (p *parser) problem(what string) {
	before := p.data[:p.at]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	p.problems = append(p.problems, fmt.Errorf("%s: line %d, column %d: %s", p.path, line, column, what))
}

// syntax says what keeps the rest of the file from being read.
func (p *parser) syntax(err error) string {
	p.at = min(p.dec.InputOffset(), int64(len(p.data)))
	if bad := new(json.SyntaxError); errors.As(err, &bad) {
		p.at = min(max(bad.Offset-1, p.at), int64(len(p.data)))
		return "it is no JSON here: " + bad.Error()
	}
	return "the file ends too early"
}

func (p *parser) next() (json.Token, error) {
	p.at = p.dec.InputOffset()
	for p.at < int64(len(p.data)) && strings.IndexByte(" \t\r\n,:", p.data[p.at]) >= 0 {
		p.at++
	}
	return p.dec.Token()
}

// skip passes over the rest of a value that began with t.
func (p *parser) skip(t json.Token) error {
	depth := 0
	for {
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if t, err = p.dec.Token(); err != nil {
			return err
		}
	}
}

// members calls fn for each member of an object, with its name as the last token. A value that is none is a problem.
func (p *parser) members(what string, fn func(name string) error) error {
	t, err := p.next()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		p.problem(what)
		return p.skip(t)
	}
	for {
		t, err := p.next()
		if err != nil || t == json.Delim('}') {
			return err
		}
		if err := fn(t.(string)); err != nil { // other names are syntax errors
			return err
		}
	}
}

func (p *parser) file(f *File) error {
	err := p.members("the file must be an object with role ARNs as names", func(role string) error {
		if !roleARN.MatchString(role) {
			p.problem(fmt.Sprintf("%q is no role ARN; write it as arn:aws:iam::123456789012:role/name", role))
		}
		if _, twice := f.roles[role]; twice {
			p.problem("this role is in the file twice; put together what it may do")
		}
		g, err := p.role()
		f.roles[role] = g
		return err
	})
	if err != nil {
		return err
	}
	if _, err = p.next(); err != io.EOF {
		p.problem("there is something behind the object; remove it")
	}
	return nil
}

func (p *parser) role() (g grants, err error) {
	seen := make(map[string]bool)
	err = p.members(`what a role may do must be an object with "read" and "write"`, func(name string) error {
		if seen[name] {
			p.problem(fmt.Sprintf("%q is given twice; put the two together", name))
		}
		seen[name] = true
		var list *[]s3url.URL
		switch name {
		case "read":
			list = &g.read
		case "write":
			list = &g.write
		default:
			p.problem(fmt.Sprintf(`there is no %q; a role has "read" and "write"`, name))
			list = new([]s3url.URL)
		}
		return p.locations(list)
	})
	return g, err
}

func (p *parser) locations(list *[]s3url.URL) error {
	t, err := p.next()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		p.problem("this must be a list of s3:// locations")
		return p.skip(t)
	}
	for {
		t, err := p.next()
		if err != nil || t == json.Delim(']') {
			return err
		}
		location, ok := t.(string)
		if !ok {
			p.problem("this must be an s3:// location, as a string")
			if err := p.skip(t); err != nil {
				return err
			}
			continue
		}
		u, err := s3url.Parse(location)
		if err != nil {
			p.problem(strings.TrimPrefix(err.Error(), "open location: "))
			continue
		}
		*list = append(*list, u)
	}
}
