package personalize

import "context"

// operation is one operation of either service: what it takes, the exceptions that its model has, and what it does.
type operation struct {
	name  string
	path  string // of an operation of the events service; "" for the control plane
	input structure
	errs  []exception
	// call does it. The result is what is sent: nil for an operation without an output, whose body is empty.
	call func(ctx context.Context, h *Handler, in object) (any, error)
}

// operations is all of them, in the order of the service's documentation. The exceptions are those of the model, which
// has none for an unknown resource in a list's filter (the page is empty then), nor for an unknown tracking ID.
var operations = []operation{
	{"CreateDatasetGroup", "", structure{
		{"name", nameText, required}, {"roleArn", roleText, optional}, {"kmsKeyArn", kmsKeyText, optional},
		{"domain", domainText, optional}, {"tags", tagList, optional},
	}, []exception{invalidInput, alreadyExists, limitExceeded, tooManyTags}, createDatasetGroup},
	{"DescribeDatasetGroup", "", structure{{"datasetGroupArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeDatasetGroup},
	{"ListDatasetGroups", "", page(), []exception{invalidToken}, listDatasetGroups},
	{"DeleteDatasetGroup", "", structure{{"datasetGroupArn", arnText, required}},
		[]exception{invalidInput, notFound, inUse}, deleteDatasetGroup},

	{"CreateSchema", "", structure{
		{"name", nameText, required}, {"schema", avroText, required}, {"domain", domainText, optional},
	}, []exception{invalidInput, alreadyExists, limitExceeded}, createSchema},
	{"DescribeSchema", "", structure{{"schemaArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeSchema},
	{"ListSchemas", "", page(), []exception{invalidToken}, listSchemas},
	{"DeleteSchema", "", structure{{"schemaArn", arnText, required}},
		[]exception{invalidInput, notFound, inUse}, deleteSchema},

	{"CreateDataset", "", structure{
		{"name", nameText, required}, {"schemaArn", arnText, required}, {"datasetGroupArn", arnText, required},
		{"datasetType", typeText, required}, {"tags", tagList, optional},
	}, []exception{invalidInput, notFound, alreadyExists, limitExceeded, inUse, tooManyTags}, createDataset},
	{"DescribeDataset", "", structure{{"datasetArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeDataset},
	{"ListDatasets", "", page(member{"datasetGroupArn", arnText, optional}),
		[]exception{invalidInput, invalidToken}, listDatasets},
	{"UpdateDataset", "", structure{{"datasetArn", arnText, required}, {"schemaArn", arnText, required}},
		[]exception{invalidInput, notFound, inUse}, updateDataset},
	{"DeleteDataset", "", structure{{"datasetArn", arnText, required}},
		[]exception{invalidInput, notFound, inUse}, deleteDataset},

	{"CreateDatasetImportJob", "", structure{
		{"jobName", nameText, required}, {"datasetArn", arnText, required}, {"dataSource", dataSource, required},
		{"roleArn", roleText, optional}, // required in the guide of 2023, optional in the model
		{"tags", tagList, optional}, {"importMode", importMode, optional}, {"publishAttributionMetricsToS3", boolean{}, optional},
	}, []exception{invalidInput, notFound, alreadyExists, limitExceeded, inUse, tooManyTags}, createImportJob},
	{"DescribeDatasetImportJob", "", structure{{"datasetImportJobArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeImportJob},
	{"ListDatasetImportJobs", "", page(member{"datasetArn", arnText, optional}),
		[]exception{invalidInput, invalidToken}, listImportJobs},

	{"CreateDatasetExportJob", "", structure{
		{"jobName", nameText, required}, {"datasetArn", arnText, required}, {"ingestionMode", ingestionMode, optional},
		{"roleArn", roleText, required}, {"jobOutput", jobOutput, required}, {"tags", tagList, optional},
	}, []exception{invalidInput, notFound, alreadyExists, limitExceeded, inUse, tooManyTags}, createExportJob},
	{"DescribeDatasetExportJob", "", structure{{"datasetExportJobArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeExportJob},
	{"ListDatasetExportJobs", "", page(member{"datasetArn", arnText, optional}),
		[]exception{invalidInput, invalidToken}, listExportJobs},

	{"CreateDataDeletionJob", "", structure{
		{"jobName", nameText, required}, {"datasetGroupArn", arnText, required}, {"dataSource", dataSource, required},
		{"roleArn", roleText, required}, {"tags", tagList, optional},
	}, []exception{invalidInput, notFound, alreadyExists, limitExceeded, inUse, tooManyTags}, createDeletionJob},
	{"DescribeDataDeletionJob", "", structure{{"dataDeletionJobArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeDeletionJob},
	{"ListDataDeletionJobs", "", page(member{"datasetGroupArn", arnText, optional}),
		[]exception{invalidInput, invalidToken}, listDeletionJobs},

	{"TagResource", "", structure{{"resourceArn", arnText, required}, {"tags", tagList, required}},
		[]exception{invalidInput, notFound, tooManyTags, inUse, limitExceeded}, tagResource},
	{"UntagResource", "", structure{{"resourceArn", arnText, required}, {"tagKeys", tagKeys, required}},
		[]exception{invalidInput, notFound, tooManyTagKeys, inUse}, untagResource},
	{"ListTagsForResource", "", structure{{"resourceArn", arnText, required}},
		[]exception{invalidInput, notFound, inUse}, listTags},

	{"CreateEventTracker", "", structure{
		{"name", nameText, required}, {"datasetGroupArn", arnText, required}, {"tags", tagList, optional},
	}, []exception{invalidInput, alreadyExists, notFound, limitExceeded, inUse, tooManyTags}, createEventTracker},
	{"DescribeEventTracker", "", structure{{"eventTrackerArn", arnText, required}},
		[]exception{invalidInput, notFound}, describeEventTracker},
	{"ListEventTrackers", "", page(member{"datasetGroupArn", arnText, optional}),
		[]exception{invalidInput, invalidToken}, listEventTrackers},
	{"DeleteEventTracker", "", structure{{"eventTrackerArn", arnText, required}},
		[]exception{invalidInput, notFound, inUse}, deleteEventTracker},

	{"PutEvents", "/events", structure{
		{"trackingId", shortText, required}, {"userId", shortText, optional}, {"sessionId", shortText, required},
		{"eventList", eventList, required},
	}, []exception{invalidInput}, putEvents},
	{"PutUsers", "/users", structure{{"datasetArn", arnText, required}, {"users", userList, required}},
		[]exception{invalidInput, eventsNotFound, eventsInUse}, putUsers},
	{"PutItems", "/items", structure{{"datasetArn", arnText, required}, {"items", itemList, required}},
		[]exception{invalidInput, eventsNotFound, eventsInUse}, putItems},
}

// eventPaths are the paths of the events service for which there is no operation here.
var eventPaths = map[string]string{"/actions": "PutActions", "/action-interactions": "PutActionInteractions"}
