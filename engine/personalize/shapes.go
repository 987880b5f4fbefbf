package personalize

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// shape is a type of the API with its constraints. check adds what is broken to v; the error it returns is a value of
// another JSON type, after which there is no point in going on. member is the path of the value, for the texts: they
// never hold the value itself, which could be anything and is user data in many members.
type shape interface {
	check(v *violations, member string, value any) error
}

// violations are the broken constraints of one request, in the words of the service.
type violations []string

func (v *violations) add(member, format string, args ...any) {
	*v = append(*v, fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must %s", member, fmt.Sprintf(format, args...)))
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	plural := "s"
	if len(v) == 1 {
		plural = ""
	}
	return invalidf("%d validation error%s detected: %s", len(v), plural, strings.Join(v, "; "))
}

// wrongType is the error for a value of another JSON type.
func wrongType(member, want string) error {
	return wireError{serialization, fmt.Sprintf("The value at '%s' must be %s.", member, want)}
}

// text is a string. Lengths are in Unicode characters. The zero value of a field means no constraint.
type text struct {
	min, max int
	pattern  *regexp.Regexp // of the whole value, see whole
	rule     string         // the pattern as the API shows it
	enum     []string
}

// whole returns s with a pattern that values have to match from end to end: that the API's validators do is inferred from
// the words "Member must satisfy regular expression pattern".
func (s text) whole(rule string) text {
	s.rule = rule
	s.pattern = regexp.MustCompile(`^(?:` + rule + `)$`)
	return s
}

func (s text) check(v *violations, member string, value any) error {
	t, ok := value.(string)
	if !ok {
		return wrongType(member, "a string")
	}
	n := utf8.RuneCountInString(t)
	if n < s.min {
		v.add(member, "have length greater than or equal to %d", s.min)
	}
	if s.max > 0 && n > s.max {
		v.add(member, "have length less than or equal to %d", s.max)
		return nil // a pattern isn't matched against whatever is sent
	}
	if s.pattern != nil && n >= s.min && !s.pattern.MatchString(t) {
		v.add(member, "satisfy regular expression pattern: %s", s.rule)
	}
	if s.enum != nil && !slices.Contains(s.enum, t) {
		v.add(member, "satisfy enum value set: [%s]", strings.Join(s.enum, ", "))
	}
	return nil
}

// integer is a whole number.
type integer struct{ min, max int64 }

func (s integer) check(v *violations, member string, value any) error {
	number, ok := value.(json.Number)
	if !ok {
		return wrongType(member, "a whole number")
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return wrongType(member, "a whole number")
	}
	if n < s.min {
		v.add(member, "have value greater than or equal to %d", s.min)
	}
	if n > s.max {
		v.add(member, "have value less than or equal to %d", s.max)
	}
	return nil
}

func (o object) integer(name string) int {
	number, _ := o[name].(json.Number)
	n, _ := strconv.Atoi(string(number)) // 0 for a member that isn't there
	return n
}

// float is a number.
type float struct{}

func (float) check(_ *violations, member string, value any) error {
	if number, ok := value.(json.Number); ok {
		if _, err := number.Float64(); err == nil { // an error if it is out of range
			return nil
		}
	}
	return wrongType(member, "a number that fits a double")
}

// float returns nil for a member that isn't there.
func (o object) float(name string) *float64 {
	number, ok := o[name].(json.Number)
	if !ok {
		return nil
	}
	f, _ := number.Float64()
	return &f
}

// timestamp is seconds since 1970 as a number, with a fraction or without.
type timestamp struct{}

// maxSeconds is the end of the year 9999.
const maxSeconds = 253402300799

func (timestamp) check(v *violations, member string, value any) error {
	if err := (float{}).check(v, member, value); err != nil {
		return wrongType(member, "a number of seconds since 1970")
	}
	if f, _ := value.(json.Number).Float64(); math.Abs(f) > maxSeconds {
		v.add(member, "be a time before the year 10000, in seconds since 1970")
	}
	return nil
}

func (o object) time(name string) time.Time {
	f := o.float(name)
	if f == nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(*f * 1000))).UTC()
}

// boolean is true or false.
type boolean struct{}

func (boolean) check(_ *violations, member string, value any) error {
	if _, ok := value.(bool); !ok {
		return wrongType(member, "true or false")
	}
	return nil
}

func (o object) bool(name string) bool { b, _ := o[name].(bool); return b }

// list is a list of values of one shape.
type list struct {
	of       shape
	min, max int
}

func (s list) check(v *violations, member string, value any) error {
	values, ok := value.([]any)
	if !ok {
		return wrongType(member, "a list")
	}
	if len(values) < s.min {
		v.add(member, "have length greater than or equal to %d", s.min)
	}
	if len(values) > s.max {
		v.add(member, "have length less than or equal to %d", s.max)
		return nil
	}
	for i, value := range values {
		if err := s.of.check(v, member+"."+strconv.Itoa(i+1)+".member", value); err != nil {
			return err
		}
	}
	return nil
}

// structure is an object with these members, in the order of the model. Others are passed over, as the service does.
type structure []member

type member struct {
	name  string
	shape shape
	need  need
}

// need says whether a member may be left out.
type need bool

const (
	required need = true
	optional need = false
)

func (s structure) check(v *violations, path string, value any) error {
	o, ok := value.(object)
	if !ok {
		return wrongType(path, "an object")
	}
	for _, m := range s {
		at := m.name
		if path != "" {
			at = path + "." + m.name
		}
		value, ok := o[m.name]
		if !ok {
			if m.need == required {
				v.add(at, "not be null")
			}
			continue
		}
		if err := m.shape.check(v, at, value); err != nil {
			return err
		}
	}
	return nil
}

// validate checks an input against its shape.
func validate(s structure, in object) error {
	var v violations
	if err := s.check(&v, "", in); err != nil {
		return err
	}
	return v.err()
}
