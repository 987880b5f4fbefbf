package personalize

// The constraints of the service model, of both services (botocore 1.43, personalize/2018-05-22 and
// personalize-events/2018-03-22). Clients check few of them: none a maximum, a pattern or an enumeration.

// Strings.
var (
	nameText      = text{min: 1, max: 63}.whole(`[a-zA-Z0-9][a-zA-Z0-9\-_]*`)
	arnText       = text{max: 256}.whole(`arn:([a-z\d-]+):personalize:.*:.*:.+`)
	roleText      = text{max: 256}.whole(`arn:([a-z\d-]+):iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`)
	kmsKeyText    = text{max: 2048}.whole(`arn:aws.*:kms:.*:[0-9]{12}:key/.*`)
	locationText  = text{max: 256}.whole(`(s3|http|https)://.+`)
	typeText      = text{max: 256}.whole(`[A-Za-z_]+`)
	nextTokenText = text{max: 1500}.whole(`[\x00-\x7F]*`)
	domainText    = text{enum: []string{"ECOMMERCE", "VIDEO_ON_DEMAND"}}
	importMode    = text{enum: []string{"FULL", "INCREMENTAL"}}
	ingestionMode = text{enum: []string{"BULK", "PUT", "ALL"}}
	avroText      = text{max: 20000} // 10000 in the guide of 2023
	tagKeyText    = text{min: 1, max: 128}.whole(`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
	tagValueText  = text{max: 256}.whole(`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`)

	shortText       = text{min: 1, max: 256} // StringType and IDs of the events service
	attributionText = text{max: 1024}.whole(`[\x20-\x7E]*[\x21-\x7E]+[\x20-\x7E]*`)
	recommendation  = text{min: 1, max: 40}
	eventProperties = text{min: 1, max: 1024}
	userProperties  = text{min: 1, max: 24000}
	itemProperties  = text{min: 1, max: 32000}
)

// maxEvent is the most bytes of one event. It is a published quota and not in the model.
const maxEvent = 10 << 10

// Lists and structures.
var (
	tagList = list{max: 200, of: structure{{"tagKey", tagKeyText, required}, {"tagValue", tagValueText, required}}}
	tagKeys = list{max: 200, of: tagKeyText}

	// dataLocation isn't required by the model, and there is no job without one: the calls see to that.
	dataSource = structure{{"dataLocation", locationText, optional}}
	jobOutput  = structure{{"s3DataDestination", structure{{"path", locationText, required}, {"kmsKeyArn", kmsKeyText, optional}}, required}}

	eventList = list{min: 1, max: 10, of: structure{
		{"eventId", shortText, optional}, {"eventType", shortText, required}, {"eventValue", float{}, optional},
		{"itemId", shortText, optional}, {"properties", eventProperties, optional}, {"sentAt", timestamp{}, required},
		{"recommendationId", recommendation, optional}, {"impression", list{min: 1, max: 25, of: shortText}, optional},
		{"metricAttribution", structure{{"eventAttributionSource", attributionText, required}}, optional},
	}}
	userList = list{min: 1, max: 10, of: structure{{"userId", shortText, required}, {"properties", userProperties, optional}}}
	itemList = list{min: 1, max: 10, of: structure{{"itemId", shortText, required}, {"properties", itemProperties, optional}}}
)

// page are the members that all paged lists have.
func page(filter ...member) structure {
	return append(filter, member{"nextToken", nextTokenText, optional}, member{"maxResults", integer{1, 100}, optional})
}
