package ingest

import (
	"errors"
	"fmt"
)

// rules is what the compatible service asks of one dataset type's fields.
type rules struct {
	dataset     DatasetType
	name        string           // of the Avro record
	required    []Field          // with their exact type; they can't be null
	reserved    map[string]Field // with their type, if they are there
	ids         int              // required fields at the beginning of the list that hold IDs
	maxMetadata int              // fields beyond the required ones (and, for interactions, the reserved ones)
}

var allRules = []*rules{
	{
		dataset: Interactions, name: "Interactions", ids: 2, maxMetadata: 5,
		required: []Field{{Name: "USER_ID", Type: String}, {Name: "ITEM_ID", Type: String}, {Name: "TIMESTAMP", Type: Long}},
		reserved: byName(
			Field{Name: "EVENT_TYPE", Type: String},
			Field{Name: "EVENT_VALUE", Type: Float, Nullable: true},
			Field{Name: "IMPRESSION", Type: String, Nullable: true},
			Field{Name: "RECOMMENDATION_ID", Type: String, Nullable: true},
			Field{Name: "EVENT_ATTRIBUTION_SOURCE", Type: String, Nullable: true},
		),
	},
	{
		dataset: Users, name: "Users", ids: 1, maxMetadata: 25,
		required: []Field{{Name: "USER_ID", Type: String}},
	},
	{
		dataset: Items, name: "Items", ids: 1, maxMetadata: 100,
		required: []Field{{Name: "ITEM_ID", Type: String}},
		reserved: byName(Field{Name: "CREATION_TIMESTAMP", Type: Long, Nullable: true}),
	},
}

func byName(fields ...Field) map[string]Field {
	m := make(map[string]Field, len(fields))
	for _, f := range fields {
		m[f.Name] = f
	}
	return m
}

func rulesOf(t DatasetType) *rules {
	for _, r := range allRules {
		if r.dataset == t {
			return r
		}
	}
	return nil
}

func rulesNamed(name string) *rules {
	for _, r := range allRules {
		if r.name == name {
			return r
		}
	}
	return nil
}

// check returns every rule that the fields break. Fields with an empty type
// were refused before and are only looked at for their presence.
func (r *rules) check(fields []Field) (broken []error) {
	refuse := func(format string, args ...any) {
		broken = append(broken, fmt.Errorf("parse schema: "+format, args...))
	}
	given := byName(fields...)
	for _, want := range r.required {
		f, ok := given[want.Name]
		switch {
		case !ok:
			refuse("field %s: is missing; %s needs it, with type %s", want.Name, r.name, want.Type)
		case f.Type != "" && (f.Type != want.Type || f.Nullable):
			refuse("field %s: type has to be %s, without null", want.Name, want.Type)
		}
	}
	metadata, textual := 0, 0
	for _, f := range fields {
		if f.Textual {
			textual++
		}
		if want, ok := r.reserved[f.Name]; ok {
			if f.Type != "" && f.Type != want.Type {
				refuse("field %s: is reserved and its type has to be %s; change the type, or rename the field", f.Name, want.Type)
			}
			if want.Type == String && f.Categorical {
				refuse("field %s: is reserved and can't be categorical; remove categorical", f.Name)
			}
			if r.dataset == Interactions {
				continue
			}
		}
		if !r.requires(f.Name) {
			metadata++
		}
		if f.Textual && r.dataset != Items {
			refuse("field %s: textual is for Items only; remove it", f.Name)
		}
	}
	if textual > 1 {
		refuse("%d fields are textual; one at most can be", textual)
	}
	if metadata > r.maxMetadata {
		refuse("%d metadata fields; %s can have %d", metadata, r.name, r.maxMetadata)
	}
	if metadata == 0 && r.dataset != Interactions {
		refuse("no metadata field; %s needs at least one beside %s", r.name, r.required[0].Name)
	}
	return broken
}

// Domains of dataset groups whose datasets have more rules. "" is the domain of a group without any.
const (
	ECommerce     = "ECOMMERCE"
	VideoOnDemand = "VIDEO_ON_DEMAND"
)

// domainRequires is what a domain asks of a dataset type beyond the rules that all have.
var domainRequires = map[string]map[DatasetType][]Field{
	ECommerce: {
		Interactions: {{Name: "EVENT_TYPE", Type: String}},
		Items:        {{Name: "PRICE", Type: Float}, {Name: "CATEGORY_L1", Type: String, Categorical: true}},
	},
	VideoOnDemand: {
		Interactions: {{Name: "EVENT_TYPE", Type: String}},
		Items:        {{Name: "CREATION_TIMESTAMP", Type: Long}, {Name: "GENRES", Type: String, Categorical: true}},
	},
}

// CheckDomain returns every rule of a domain that the schema breaks: the fields that it lacks, or that have another type
// than the domain's. Null is allowed or not, as the schema wants.
func (s *Schema) CheckDomain(domain string) error {
	if domain == "" {
		return nil
	}
	required, ok := domainRequires[domain]
	if !ok {
		return fmt.Errorf("domain is unknown; give %s or %s, or none", ECommerce, VideoOnDemand)
	}
	given := byName(s.Fields...)
	var broken []error
	for _, want := range required[s.Type] {
		f, ok := given[want.Name]
		switch {
		case !ok:
			broken = append(broken, fmt.Errorf("field %s: is missing; %s of domain %s needs it, with type %s", want.Name, s.Type, domain, want.Type))
		case f.Type != want.Type || want.Categorical && !f.Categorical:
			broken = append(broken, fmt.Errorf("field %s: has to be of type %s for domain %s, and categorical: %t", want.Name, want.Type, domain, want.Categorical))
		}
	}
	return errors.Join(broken...)
}

func (r *rules) requires(name string) bool {
	for _, f := range r.required {
		if f.Name == name {
			return true
		}
	}
	return false
}

// isID says whether the field holds user or item IDs.
func (r *rules) isID(name string) bool {
	for _, f := range r.required[:r.ids] {
		if f.Name == name {
			return true
		}
	}
	return false
}
