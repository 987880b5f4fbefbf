package bench

// The schemas of the three datasets, in the Avro JSON that Amazon Personalize takes, with the columns in the
// order of the files.
const (
	// UsersSchema is the schema of what WriteUsers writes.
	UsersSchema = `{
  "type": "record",
  "name": "Users",
  "namespace": "com.amazonaws.personalize.schema",
  "fields": [
    {"name": "USER_ID", "type": "string"},
    {"name": "AGE", "type": "int"},
    {"name": "MEMBERSHIP", "type": "string", "categorical": true}
  ],
  "version": "1.0"
}
`
	// ItemsSchema is the schema of what WriteItems writes.
	ItemsSchema = `{
  "type": "record",
  "name": "Items",
  "namespace": "com.amazonaws.personalize.schema",
  "fields": [
    {"name": "ITEM_ID", "type": "string"},
    {"name": "CATEGORY", "type": "string", "categorical": true},
    {"name": "PRICE", "type": "float"},
    {"name": "CREATION_TIMESTAMP", "type": "long"},
    {"name": "DESCRIPTION", "type": ["null", "string"], "textual": true}
  ],
  "version": "1.0"
}
`
	// InteractionsSchema is the schema of what WriteInteractions writes.
	InteractionsSchema = `{
  "type": "record",
  "name": "Interactions",
  "namespace": "com.amazonaws.personalize.schema",
  "fields": [
    {"name": "USER_ID", "type": "string"},
    {"name": "ITEM_ID", "type": "string"},
    {"name": "EVENT_TYPE", "type": "string"},
    {"name": "EVENT_VALUE", "type": "float"},
    {"name": "TIMESTAMP", "type": "long"}
  ],
  "version": "1.0"
}
`
)
