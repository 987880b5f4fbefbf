package personalize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a request may be nested. The deepest input of the API has 4 levels; members that it
// doesn't have are passed over, whatever they hold.
const maxDepth = 16

// object is a JSON object of a request. Its values are objects, []any, strings, numbers (json.Number) and booleans; members
// that are null are left out, as all clients mean by it.
//
// Package encoding/json by itself would take names in any case, the last of two members of one name, and bytes that
// aren't UTF-8: each would have the server do something else than what another reader of the same bytes expects.
type object map[string]any

// Its accessors return the zero value for a member that isn't there. They are for inputs that their shape has accepted.

func (o object) text(name string) string   { s, _ := o[name].(string); return s }
func (o object) object(name string) object { v, _ := o[name].(object); return v }
func (o object) list(name string) []any    { v, _ := o[name].([]any); return v }

// texts returns a list of strings.
func (o object) texts(name string) (out []string) {
	for _, v := range o.list(name) {
		out = append(out, v.(string))
	}
	return out
}

var errNotObject = errors.New("it must be one JSON object")

// readObject reads the JSON of a request. What the errors say holds nothing of the input but a position.
func readObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it isn't valid UTF-8")
	}
	if at := loneSurrogate(text); at >= 0 {
		return nil, fmt.Errorf("byte %d: half of a surrogate pair", at)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return object{}, nil // the protocol's form of an input without members, beside {}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	r := reader{d}
	value, err := r.value(1)
	if err != nil {
		return nil, err
	}
	o, ok := value.(object)
	if !ok {
		return nil, errNotObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("byte %d: something comes after the JSON object", d.InputOffset())
	}
	return o, nil
}

type reader struct{ *json.Decoder }

// value reads a value, which is nil for null.
func (r reader) value(depth int) (any, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("byte %d: nested deeper than %d levels", r.InputOffset(), maxDepth)
	}
	if delim == '[' {
		return r.list(depth)
	}
	return r.object(depth)
}

func (r reader) list(depth int) (any, error) {
	list := []any{}
	for r.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.next()
	return list, err
}

func (r reader) object(depth int) (any, error) {
	o := object{}
	seen := make(map[string]bool)
	for r.More() {
		token, err := r.next()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("byte %d: not valid JSON", r.InputOffset())
		}
		if seen[name] {
			return nil, fmt.Errorf("byte %d: an object has two members of one name", r.InputOffset())
		}
		seen[name] = true
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if v != nil {
			o[name] = v
		}
	}
	_, err := r.next()
	return o, err
}

// next returns the next token. The decoder's own errors can quote the input.
func (r reader) next() (json.Token, error) {
	token, err := r.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("it ends before the JSON does")
	}
	if err != nil {
		return nil, fmt.Errorf("byte %d: not valid JSON", r.InputOffset())
	}
	return token, nil
}

// loneSurrogate returns where a \u escape stands for half of a character, or -1. Package encoding/json makes the same
// replacement character of them all, so that two IDs could become one.
func loneSurrogate(text []byte) int {
	unit := func(i int) (rune, bool) {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		var n rune
		for _, c := range text[i+2 : i+6] {
			switch {
			case '0' <= c && c <= '9':
				n = n<<4 | rune(c-'0')
			case 'a' <= c|0x20 && c|0x20 <= 'f':
				n = n<<4 | rune(c|0x20-'a'+10)
			default:
				return 0, false
			}
		}
		return n, true
	}
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			i++
			continue
		}
		n, ok := unit(i)
		switch {
		case !ok:
			i += 2
		case n < 0xD800 || n > 0xDFFF:
			i += 6
		case n > 0xDBFF:
			return i
		default:
			if low, ok := unit(i + 6); !ok || low < 0xDC00 || low > 0xDFFF {
				return i
			}
			i += 12
		}
	}
	return -1
}
