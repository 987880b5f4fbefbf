package jobs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of what a job is created with.
const (
	MaxName     = 63   // characters of a name
	MaxSource   = 4096 // bytes of a location
	MaxKey      = 2048 // bytes of the ARN of a key
	MaxTags     = 50   // tags of one resource
	MaxTagKey   = 128  // characters of a tag's key
	MaxTagValue = 256  // characters of a tag's value
	MaxPending  = 5    // deletion jobs of one group that are PENDING
)

// The patterns are the API's, anchored at both ends. The messages show them without the anchors.
const (
	nameRule = `[a-zA-Z0-9][a-zA-Z0-9\-_]*`
	roleRule = `arn:([a-z\d-]+):iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`
	tagRule  = `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`
)

var (
	namePattern = regexp.MustCompile(`^(?:` + nameRule + `)$`)
	rolePattern = regexp.MustCompile(`^(?:` + roleRule + `)$`)
	tagPattern  = regexp.MustCompile(`^(?:` + tagRule + `)$`)
)

// Validate checks the fields by themselves: lengths, patterns, and which of them go with which kind of job. It
// doesn't look for the group or the dataset, nor at the source. The error is an [ErrInvalid] and lists every
// rule that is broken, by the names that the fields have in the API.
func (s Spec) Validate() error {
	var v validation
	v.text("jobName", s.Name, 1, MaxName, namePattern, nameRule)
	_, groupKind, group, err := ParseARN(s.GroupARN)
	groupOK := err == nil && groupKind == "dataset-group"
	if !groupOK {
		v.add(ErrInvalid, "datasetGroupArn", "be the ARN of a dataset group")
	}
	if s.RoleARN != "" {
		v.text("roleArn", s.RoleARN, 0, MaxARN, rolePattern, roleRule)
	}
	switch s.Kind {
	case KindDeletion:
		if s.DatasetARN != "" {
			v.add(ErrInvalid, "datasetArn", "be empty for a deletion job, which covers the whole group")
		}
	case KindImport, KindExport:
		_, kind, id, err := ParseARN(s.DatasetARN)
		if err != nil || kind != "dataset" {
			v.add(ErrInvalid, "datasetArn", "be the ARN of a dataset")
		} else if groupOK && !strings.HasPrefix(id, group+"/") {
			v.add(ErrInvalid, "datasetArn", "be the ARN of a dataset of the group")
		}
	default:
		v.add(ErrInvalid, "kind", "satisfy enum value set: [%s, %s, %s]", KindDeletion, KindImport, KindExport)
	}
	if s.Kind == KindExport {
		v.location("jobOutput.s3DataDestination.path", s.Destination)
		if s.Ingestion != IngestionBulk && s.Ingestion != IngestionPut && s.Ingestion != IngestionAll {
			v.add(ErrInvalid, "ingestionMode", "satisfy enum value set: [%s, %s, %s]", IngestionBulk, IngestionPut, IngestionAll)
		}
		if len(s.KMSKeyARN) > MaxKey || !utf8.ValidString(s.KMSKeyARN) {
			v.add(ErrInvalid, "jobOutput.s3DataDestination.kmsKeyArn", "be the ARN of a key, of at most %d bytes", MaxKey)
		}
		v.empty("dataSource.dataLocation", s.Source, s.Kind)
	} else {
		v.location("dataSource.dataLocation", s.Source)
		v.empty("jobOutput.s3DataDestination.path", s.Destination, s.Kind)
		v.empty("ingestionMode", string(s.Ingestion), s.Kind)
		v.empty("jobOutput.s3DataDestination.kmsKeyArn", s.KMSKeyARN, s.Kind)
	}
	if s.Kind != KindImport {
		v.empty("importMode", string(s.Mode), s.Kind)
	} else if s.Mode != ModeFull && s.Mode != ModeIncremental {
		v.add(ErrInvalid, "importMode", "satisfy enum value set: [%s, %s]", ModeFull, ModeIncremental)
	}
	v.tags(s.Tags)
	return v.err()
}

func (v *validation) location(member, location string) {
	switch {
	case location == "":
		v.add(ErrInvalid, member, "have length greater than or equal to 1")
	case len(location) > MaxSource:
		v.add(ErrInvalid, member, "have length less than or equal to %d bytes", MaxSource)
	case !utf8.ValidString(location):
		// A record is JSON, which would replace such bytes, and the job would use another location.
		v.add(ErrInvalid, member, "be valid UTF-8")
	}
}

// empty refuses a member that goes with another kind of job.
func (v *validation) empty(member, value string, kind Kind) {
	if value != "" {
		v.add(ErrInvalid, member, "be empty for a %s", kind)
	}
}

// ValidateName checks a name by the rules that the API has for the names of all resources. member is the field that the
// error, an [ErrInvalid], is to name.
func ValidateName(member, name string) error {
	var v validation
	v.text(member, name, 1, MaxName, namePattern, nameRule)
	return v.err()
}

// ValidateTags checks the tags of one resource. The error is an [ErrInvalid] and lists every rule that is broken.
func ValidateTags(tags []Tag) error {
	var v validation
	v.tags(tags)
	return v.err()
}

// text checks a string's length in characters and its pattern.
func (v *validation) text(member, value string, least, most int, pattern *regexp.Regexp, rule string) {
	n := utf8.RuneCountInString(value)
	if n < least {
		v.add(ErrInvalid, member, "have length greater than or equal to %d", least)
		return
	}
	if n > most {
		v.add(ErrInvalid, member, "have length less than or equal to %d", most)
	}
	if !pattern.MatchString(value) {
		v.add(ErrInvalid, member, "satisfy regular expression pattern: %s", rule)
	}
}

// tags checks all tags of one job.
func (v *validation) tags(tags []Tag) {
	if len(tags) > MaxTags {
		v.add(ErrTooManyTags, "tags", "have length less than or equal to %d", MaxTags)
	}
	seen := make(map[string]bool, len(tags))
	for i, t := range tags {
		member := fmt.Sprintf("tags.%d.tagKey", i+1)
		v.text(member, t.Key, 1, MaxTagKey, tagPattern, tagRule)
		if len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:") {
			v.add(ErrInvalid, member, "not begin with aws:, which is reserved")
		}
		if seen[t.Key] {
			v.add(ErrInvalid, member, "be unique among the keys of the resource")
		}
		seen[t.Key] = true
		v.text(fmt.Sprintf("tags.%d.tagValue", i+1), t.Value, 0, MaxTagValue, tagPattern, tagRule)
	}
}
