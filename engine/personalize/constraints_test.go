package personalize

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// sample is an input of each operation that all constraints accept.
var sample = map[string]string{
	"CreateDatasetGroup":       `{"name":"n","roleArn":"R","kmsKeyArn":"K","domain":"ECOMMERCE","tags":[{"tagKey":"k","tagValue":"v"}]}`,
	"DescribeDatasetGroup":     `{"datasetGroupArn":"G"}`,
	"ListDatasetGroups":        `{"nextToken":"t","maxResults":1}`,
	"DeleteDatasetGroup":       `{"datasetGroupArn":"G"}`,
	"CreateSchema":             `{"name":"n","schema":"{}","domain":"VIDEO_ON_DEMAND"}`,
	"DescribeSchema":           `{"schemaArn":"S"}`,
	"ListSchemas":              `{"nextToken":"t","maxResults":1}`,
	"DeleteSchema":             `{"schemaArn":"S"}`,
	"CreateDataset":            `{"name":"n","schemaArn":"S","datasetGroupArn":"G","datasetType":"Users","tags":[{"tagKey":"k","tagValue":"v"}]}`,
	"DescribeDataset":          `{"datasetArn":"D"}`,
	"ListDatasets":             `{"datasetGroupArn":"G","nextToken":"t","maxResults":1}`,
	"UpdateDataset":            `{"datasetArn":"D","schemaArn":"S"}`,
	"DeleteDataset":            `{"datasetArn":"D"}`,
	"CreateDatasetImportJob":   `{"jobName":"n","datasetArn":"D","dataSource":{"dataLocation":"s3://b/k"},"roleArn":"R","tags":[{"tagKey":"k","tagValue":"v"}],"importMode":"FULL","publishAttributionMetricsToS3":false}`,
	"DescribeDatasetImportJob": `{"datasetImportJobArn":"D"}`,
	"ListDatasetImportJobs":    `{"datasetArn":"D","nextToken":"t","maxResults":1}`,
	"CreateDatasetExportJob":   `{"jobName":"n","datasetArn":"D","ingestionMode":"PUT","roleArn":"R","jobOutput":{"s3DataDestination":{"path":"s3://b/k","kmsKeyArn":"K"}},"tags":[{"tagKey":"k","tagValue":"v"}]}`,
	"DescribeDatasetExportJob": `{"datasetExportJobArn":"D"}`,
	"ListDatasetExportJobs":    `{"datasetArn":"D","nextToken":"t","maxResults":1}`,
	"CreateDataDeletionJob":    `{"jobName":"n","datasetGroupArn":"G","dataSource":{"dataLocation":"s3://b/k"},"roleArn":"R","tags":[{"tagKey":"k","tagValue":"v"}]}`,
	"DescribeDataDeletionJob":  `{"dataDeletionJobArn":"D"}`,
	"ListDataDeletionJobs":     `{"datasetGroupArn":"G","nextToken":"t","maxResults":1}`,
	"TagResource":              `{"resourceArn":"G","tags":[{"tagKey":"k","tagValue":"v"}]}`,
	"UntagResource":            `{"resourceArn":"G","tagKeys":["k"]}`,
	"ListTagsForResource":      `{"resourceArn":"G"}`,
	"CreateEventTracker":       `{"name":"n","datasetGroupArn":"G","tags":[{"tagKey":"k","tagValue":"v"}]}`,
	"DescribeEventTracker":     `{"eventTrackerArn":"D"}`,
	"ListEventTrackers":        `{"datasetGroupArn":"G","nextToken":"t","maxResults":1}`,
	"DeleteEventTracker":       `{"eventTrackerArn":"D"}`,
	"PutEvents": `{"trackingId":"t","userId":"u","sessionId":"s","eventList":[{"eventId":"e","eventType":"v","eventValue":1,"itemId":"i","properties":"{}",` +
		`"sentAt":1,"recommendationId":"r","impression":["i"],"metricAttribution":{"eventAttributionSource":"a"}}]}`,
	"PutUsers": `{"datasetArn":"D","users":[{"userId":"u","properties":"{}"}]}`,
	"PutItems": `{"datasetArn":"D","items":[{"itemId":"u","properties":"{}"}]}`,
}

func inputOf(t *testing.T, op operation) object {
	t.Helper()
	text := strings.NewReplacer(`"G"`, `"`+groupARN+`"`, `"D"`, `"`+datasetARN+`"`, `"S"`, `"arn:aws:personalize:r:a:schema/s"`, `"R"`, `"`+roleARN+`"`,
		`"K"`, `"arn:aws:kms:us-east-1:000000000000:key/k"`).Replace(sample[op.name])
	in, err := readObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// requiredMembers are those that the model marks, by operation.
var requiredMembers = map[string]string{
	"CreateDatasetGroup": "name", "DescribeDatasetGroup": "datasetGroupArn", "DeleteDatasetGroup": "datasetGroupArn",
	"CreateSchema": "name schema", "DescribeSchema": "schemaArn", "DeleteSchema": "schemaArn",
	"CreateDataset": "name schemaArn datasetGroupArn datasetType", "DescribeDataset": "datasetArn", "UpdateDataset": "datasetArn schemaArn",
	"DeleteDataset": "datasetArn", "CreateDatasetImportJob": "jobName datasetArn dataSource", "DescribeDatasetImportJob": "datasetImportJobArn",
	"CreateDatasetExportJob": "jobName datasetArn roleArn jobOutput", "DescribeDatasetExportJob": "datasetExportJobArn",
	"CreateDataDeletionJob": "jobName datasetGroupArn dataSource roleArn", "DescribeDataDeletionJob": "dataDeletionJobArn",
	"TagResource": "resourceArn tags", "UntagResource": "resourceArn tagKeys", "ListTagsForResource": "resourceArn",
	"CreateEventTracker": "name datasetGroupArn", "DescribeEventTracker": "eventTrackerArn", "DeleteEventTracker": "eventTrackerArn",
	"PutEvents": "trackingId sessionId eventList", "PutUsers": "datasetArn users", "PutItems": "datasetArn items",
}

func TestRequiredMembers(t *testing.T) {
	if len(sample) != len(operations) {
		t.Fatalf("%d samples for %d operations", len(sample), len(operations))
	}
	for _, op := range operations {
		if err := validate(op.input, inputOf(t, op)); err != nil {
			t.Errorf("%s: %v", op.name, err)
		}
		must := " " + requiredMembers[op.name] + " "
		for _, m := range op.input {
			in := inputOf(t, op)
			if in[m.name] == nil {
				t.Errorf("the sample of %s has no %s", op.name, m.name)
			}
			delete(in, m.name)
			err := validate(op.input, in)
			if want := strings.Contains(must, " "+m.name+" "); (err != nil) != want {
				t.Errorf("%s without %s: %v", op.name, m.name, err)
			}
			if err != nil && err.Error() != "1 validation error detected: Value at '"+m.name+"' failed to satisfy constraint: Member must not be null" {
				t.Errorf("%s without %s: %v", op.name, m.name, err)
			}
		}
	}
}

// TestConstraints goes through the members of the API, each with values at both sides of its bounds.
func TestConstraints(t *testing.T) {
	arn := func(n int) string {
		const head = "arn:aws:personalize:r:a:schema/"
		return head + strings.Repeat("s", n-len(head))
	}
	repeat := func(value any, n int) (out []any) {
		for range n {
			out = append(out, value)
		}
		return out
	}
	tag := func(key, value string) object { return object{"tagKey": key, "tagValue": value} }
	event := func(name string, value any) []any {
		return []any{object{"eventType": "v", "sentAt": json.Number("1"), name: value}}
	}
	user := func(name string, value any) []any { return []any{object{"userId": "u", name: value}} }
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		operation, member string
		good, bad         []any
	}{
		{"CreateSchema", "name", []any{"a", "9", x(63), "a-_Z"}, []any{"", x(64), "-a", "_a", "a b", "a.b", "é", "a\n"}},
		{"CreateDatasetImportJob", "jobName", []any{x(63)}, []any{"", x(64), "a/b"}},
		{"CreateSchema", "schema", []any{"", x(20000), strings.Repeat("é", 20000)}, []any{x(20001)}},
		{"CreateSchema", "domain", []any{"ECOMMERCE", "VIDEO_ON_DEMAND"}, []any{"", "ecommerce"}},
		{"DescribeSchema", "schemaArn", []any{arn(256), "arn:aws-us-gov:personalize:::recipe/x"}, []any{arn(257), "", "arn:aws:iam::0:x", "xarn:aws:personalize:r:a:s/x", "arn:aws:personalize:r:a:"}},
		{"CreateDataset", "datasetType", []any{"Interactions", "Action_Interactions", x(256)}, []any{"", x(257), "Event-Interactions", "Users "}},
		{"CreateDatasetGroup", "roleArn", []any{"arn:aws:iam::123456789012:role/a/b", "arn:aws-cn:iam::123456789012:rolex"}, []any{"arn:aws:iam::12345678901:role/a", "arn:aws:iam::123456789012:user/a", "arn:aws:iam::123456789012:role/" + x(256), "arn:aws:iam::123456789012:role/a b"}},
		{"CreateDatasetGroup", "kmsKeyArn", []any{"arn:aws:kms:r:123456789012:key/k", "arn:aws-cn:kms::123456789012:key/"}, []any{"arn:aws:kms:r:1234:key/k", "", "arn:aws:kms:r:123456789012:key/" + x(2048)}},
		{"CreateDataDeletionJob", "dataSource", []any{object{"dataLocation": "s3://" + x(251)}, object{"dataLocation": "https://a"}, object{}},
			[]any{object{"dataLocation": "s3://" + x(252)}, object{"dataLocation": "s3://"}, object{"dataLocation": ""}, object{"dataLocation": "file:///etc"}, object{"dataLocation": "/etc"}, object{"dataLocation": "S3://b/k"}}},
		{"CreateDatasetExportJob", "jobOutput", []any{object{"s3DataDestination": object{"path": "s3://b"}}}, []any{object{}, object{"s3DataDestination": object{}}, object{"s3DataDestination": object{"path": "b"}}, object{"s3DataDestination": object{"path": "s3://b", "kmsKeyArn": "k"}}}},
		{"CreateDatasetImportJob", "importMode", []any{"FULL", "INCREMENTAL"}, []any{"", "full", "APPEND"}},
		{"CreateDatasetExportJob", "ingestionMode", []any{"BULK", "PUT", "ALL"}, []any{"", "all"}},
		{"ListDatasets", "maxResults", []any{json.Number("1"), json.Number("100")}, []any{json.Number("0"), json.Number("-1"), json.Number("101"), json.Number("9223372036854775807")}},
		{"ListSchemas", "nextToken", []any{"", x(1500), "\x00\x7F"}, []any{x(1501), "é"}},
		{"TagResource", "tags", []any{[]any{}, repeat(tag("k", "v"), 200), []any{tag(x(128), x(256))}, []any{tag("é _.:/=+-@1", "")}},
			[]any{repeat(tag("k", "v"), 201), []any{tag("", "v")}, []any{tag(x(129), "v")}, []any{tag("k", x(257))}, []any{tag("a,b", "v")}, []any{tag("k", "<")}, []any{object{"tagKey": "k"}}, []any{object{"tagValue": "v"}}}},
		{"UntagResource", "tagKeys", []any{[]any{}, repeat("k", 200)}, []any{repeat("k", 201), []any{""}, []any{x(129)}, []any{"#"}}},
		{"PutEvents", "trackingId", []any{x(256)}, []any{"", x(257)}},
		{"PutEvents", "userId", []any{strings.Repeat("é", 256)}, []any{"", x(257)}},
		{"PutEvents", "sessionId", []any{x(256)}, []any{"", x(257)}},
		{"PutEvents", "eventList", []any{repeat(event("itemId", "i")[0], 10), event("properties", x(1024)), event("recommendationId", x(40)), event("impression", repeat("i", 25)), event("itemId", x(256)), event("metricAttribution", object{"eventAttributionSource": " a "}), event("eventValue", json.Number("-1.5e3"))},
			[]any{[]any{}, repeat(event("itemId", "i")[0], 11), event("properties", ""), event("properties", x(1025)), event("recommendationId", x(41)), event("recommendationId", ""), event("impression", []any{}), event("impression", repeat("i", 26)), event("itemId", ""), event("itemId", x(257)), event("eventId", x(257)), event("eventType", ""), event("metricAttribution", object{}), event("metricAttribution", object{"eventAttributionSource": "  "}), event("metricAttribution", object{"eventAttributionSource": x(1025)}), event("sentAt", json.Number("253402300800")), []any{object{"eventType": "v"}}, []any{object{"sentAt": json.Number("1")}}}},
		{"PutUsers", "users", []any{repeat(user("properties", x(24000))[0], 10), user("userId", x(256))}, []any{[]any{}, repeat(user("properties", "{}")[0], 11), user("properties", x(24001)), user("properties", ""), user("userId", ""), user("userId", x(257)), []any{object{}}}},
		{"PutItems", "items", []any{[]any{object{"itemId": "i", "properties": x(32000)}}}, []any{[]any{object{"itemId": "i", "properties": x(32001)}}, []any{}, repeat(object{"itemId": "i"}, 11)}},
	} {
		var op operation
		for _, o := range operations {
			if o.name == c.operation {
				op = o
			}
		}
		check := func(value any, want bool) {
			in := inputOf(t, op)
			in[c.member] = value
			err := validate(op.input, in)
			shown := fmt.Sprint(value)
			if (err == nil) != want {
				t.Errorf("%s %s: %.80s: %v", c.operation, c.member, shown, err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), "1 validation error detected: Value at '"+c.member) || strings.Contains(err.Error(), x(20))) {
				t.Errorf("%s %s: %.80s: %.300s", c.operation, c.member, shown, err)
			}
		}
		for _, value := range c.good {
			check(value, true)
		}
		for _, value := range c.bad {
			check(value, false)
		}
	}
}

func TestAllBrokenConstraintsAreListed(t *testing.T) {
	a := call(t, New(&fake{}, Options{}), "CreateDatasetImportJob", `{"jobName":"-","datasetArn":"x","dataSource":{"dataLocation":"/etc"},"tags":[{"tagKey":"k","tagValue":"v"},{"tagKey":""}]}`)
	mustFail(t, a, 400, "InvalidInputException")
	want := `"message":"5 validation errors detected: Value at 'jobName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9\\-_]*; ` +
		`Value at 'datasetArn' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:([a-z\\d-]+):personalize:.*:.*:.+; ` +
		`Value at 'dataSource.dataLocation' failed to satisfy constraint: Member must satisfy regular expression pattern: (s3|http|https)://.+; ` +
		`Value at 'tags.2.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1; ` +
		`Value at 'tags.2.member.tagValue' failed to satisfy constraint: Member must not be null"`
	if !strings.Contains(a.body, want) {
		t.Errorf("got\n%s\nwant\n%s", a.body, want)
	}
}

func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{`{}`, ``, `{"a":[1,"b",null,{"c":true}]}`, `{"a":1,"a":2}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := readObject(text)
		if err != nil {
			if len(text) > 8 && strings.Contains(err.Error(), string(text)) {
				t.Errorf("the error repeats the input: %v", err)
			}
			return
		}
		if len(strings.TrimSpace(string(text))) > 0 && !json.Valid(text) {
			t.Errorf("accepted %q, which is no JSON", text)
		}
		for _, op := range operations {
			_ = validate(op.input, o) // must not panic
		}
	})
}
