package jobs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func manyTags(n int) []Tag {
	tags := make([]Tag, n)
	for i := range tags {
		tags[i].Key = fmt.Sprintf("k%d", i)
	}
	return tags
}

func TestValidateAccepts(t *testing.T) {
	for name, edit := range map[string]func(*Spec){
		"plain":           func(s *Spec) {},
		"longest name":    func(s *Spec) { s.Name = strings.Repeat("a", 63) },
		"name characters": func(s *Spec) { s.Name = "0aZ-_" },
		"longest source":  func(s *Spec) { s.Source = strings.Repeat("s", 4096) },
		"role":            func(s *Spec) { s.RoleARN = "arn:aws:iam::123456789012:role/path/Reader+=,.@-_" },
		"role, no slash":  func(s *Spec) { s.RoleARN = "arn:aws:iam::123456789012:roleReader" },
		"tags": func(s *Spec) {
			s.Tags = []Tag{{"größe", ""}, {"a:b/c=d+e-f@g.h_i j", "aws:x"}, {"Größe", strings.Repeat("ü", 256)}, {strings.Repeat("ü", 128), "1"}}
		},
		"50 tags": func(s *Spec) { s.Tags = manyTags(50) },
		"import":  func(s *Spec) { *s = importing("i", "g") },
		"export":  func(s *Spec) { *s = exporting("e", "g") },
	} {
		s := deletion("job", "g")
		edit(&s)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		edit   func(*Spec)
		member string
	}{
		"no name":              {func(s *Spec) { s.Name = "" }, "jobName"},
		"long name":            {func(s *Spec) { s.Name = strings.Repeat("a", 64) }, "jobName"},
		"name begins with -":   {func(s *Spec) { s.Name = "-a" }, "jobName"},
		"name ends in newline": {func(s *Spec) { s.Name = "a\n" }, "jobName"},
		"name with a slash":    {func(s *Spec) { s.Name = "a/b" }, "jobName"},
		"no group":             {func(s *Spec) { s.GroupARN = "" }, "datasetGroupArn"},
		"group is a schema":    {func(s *Spec) { s.GroupARN = DefaultAccount().ARN("schema", "g") }, "datasetGroupArn"},
		"no source":            {func(s *Spec) { s.Source = "" }, "dataSource.dataLocation"},
		"long source":          {func(s *Spec) { s.Source = strings.Repeat("s", 4097) }, "dataSource.dataLocation"},
		"source not UTF-8":     {func(s *Spec) { s.Source = "a\xff" }, "dataSource.dataLocation"},
		"role":                 {func(s *Spec) { s.RoleARN = "arn:aws:iam::1:role/a" }, "roleArn"},
		"role with tail":       {func(s *Spec) { s.RoleARN = "arn:aws:iam::123456789012:role/a b" }, "roleArn"},
		"long role":            {func(s *Spec) { s.RoleARN = "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 256) }, "roleArn"},
		"kind":                 {func(s *Spec) { s.Kind = "campaign" }, "kind"},
		"no kind":              {func(s *Spec) { s.Kind = "" }, "kind"},
		"deletion, dataset":    {func(s *Spec) { s.DatasetARN = importing("i", "g").DatasetARN }, "datasetArn"},
		"deletion, mode":       {func(s *Spec) { s.Mode = ModeFull }, "importMode"},
		"import, no dataset":   {func(s *Spec) { *s = importing("i", "g"); s.DatasetARN = "" }, "datasetArn"},
		"import, other group":  {func(s *Spec) { *s = importing("i", "g"); s.GroupARN = groupARN("g2") }, "datasetArn"},
		"import, no mode":      {func(s *Spec) { *s = importing("i", "g"); s.Mode = "" }, "importMode"},
		"import, export's":     {func(s *Spec) { *s = importing("i", "g"); s.Destination = "x" }, "jobOutput.s3DataDestination.path"},
		"deletion, ingestion":  {func(s *Spec) { s.Ingestion = IngestionAll }, "ingestionMode"},
		"export, no dataset":   {func(s *Spec) { *s = exporting("e", "g"); s.DatasetARN = "" }, "datasetArn"},
		"export, no folder":    {func(s *Spec) { *s = exporting("e", "g"); s.Destination = "" }, "jobOutput.s3DataDestination.path"},
		"export, no ingestion": {func(s *Spec) { *s = exporting("e", "g"); s.Ingestion = "" }, "ingestionMode"},
		"export, source":       {func(s *Spec) { *s = exporting("e", "g"); s.Source = "x" }, "dataSource.dataLocation"},
		"export, mode":         {func(s *Spec) { *s = exporting("e", "g"); s.Mode = ModeFull }, "importMode"},
		"export, long key":     {func(s *Spec) { *s = exporting("e", "g"); s.KMSKeyARN = strings.Repeat("k", 2049) }, "jobOutput.s3DataDestination.kmsKeyArn"},
		"51 tags":              {func(s *Spec) { s.Tags = manyTags(51) }, "tags"},
		"no tag key":           {func(s *Spec) { s.Tags = []Tag{{"", "v"}} }, "tags.1.tagKey"},
		"long tag key":         {func(s *Spec) { s.Tags = []Tag{{"a", ""}, {strings.Repeat("k", 129), ""}} }, "tags.2.tagKey"},
		"tag key pattern":      {func(s *Spec) { s.Tags = []Tag{{"a;b", ""}} }, "tags.1.tagKey"},
		"reserved tag key":     {func(s *Spec) { s.Tags = []Tag{{"AWS:x", ""}} }, "tags.1.tagKey"},
		"tag key twice":        {func(s *Spec) { s.Tags = []Tag{{"a", "1"}, {"a", "2"}} }, "tags.2.tagKey"},
		"long tag value":       {func(s *Spec) { s.Tags = []Tag{{"a", strings.Repeat("v", 257)}} }, "tags.1.tagValue"},
		"tag value pattern":    {func(s *Spec) { s.Tags = []Tag{{"a", "x\n"}} }, "tags.1.tagValue"},
		"tag not UTF-8":        {func(s *Spec) { s.Tags = []Tag{{"a", "\xff"}} }, "tags.1.tagValue"},
	} {
		s := deletion("job", "g")
		tc.edit(&s)
		err := s.Validate()
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
			continue
		}
		want := "1 validation error detected: Value at '" + tc.member + "' failed to satisfy constraint: Member must "
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %q, want it to begin with %q", name, err, want)
		}
		if errors.Is(err, ErrTooManyTags) != (name == "51 tags") {
			t.Errorf("%s: ErrTooManyTags is wrong: %v", name, err)
		}
	}
}

// Every problem is told at once, and no value: not even of what is refused.
func TestValidateTellsAll(t *testing.T) {
	s := Spec{Kind: KindImport, Name: "se;cret", GroupARN: "secret", DatasetARN: "secret", RoleARN: "secret", Mode: "secret",
		Tags: []Tag{{"se;cret", "se;cret"}}}
	err := s.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	text := err.Error()
	if strings.Contains(text, "cret") {
		t.Errorf("a value is in the error: %s", text)
	}
	if !strings.HasPrefix(text, "8 validation errors detected: ") {
		t.Errorf("want 8 errors: %s", text)
	}
	for _, member := range []string{"jobName", "datasetGroupArn", "dataSource.dataLocation", "roleArn", "datasetArn", "importMode", "tags.1.tagKey", "tags.1.tagValue"} {
		if !strings.Contains(text, "'"+member+"'") {
			t.Errorf("%s is missing: %s", member, text)
		}
	}
}
