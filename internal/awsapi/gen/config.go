package main

// service says how one model becomes Go.
type service struct {
	model string // file in models/
	pkg   string // package and directory
	java  string // package that AWS's type errors name
	// query names lists and maps in the Query protocol, by shape; nil for
	// services that have no such protocol.
	query map[string]queryName
	// custom maps shapes to hand-written Go in the door.
	custom map[string]custom
	// opaque shapes are skipped; only their presence is noted.
	opaque map[string]bool
	// omit leaves members of a structure out, as Structure.Member.
	omit map[string]bool
	// also names structures that answers hold though no operation's output reaches them.
	also []string
	// cbor tells that the service speaks CBOR as well as JSON.
	cbor bool
	// room is how many elements most of a list's requests have, by shape: that much
	// is made at once.
	room map[string]int
	// together words a broken constraint of a list's or map's scalars as the
	// list's or map's, which is how Kinesis does it.
	together bool
	// enums are sets of values in the order in which AWS lists them in its errors,
	// by shape, where that is known; other sets are in the model's order.
	enums map[string][]string
	// noEnums leaves sets of values to the door, which words the error itself.
	noEnums bool
	// sparse names members of answers, as Structure.Member, that are left out
	// when they are empty lists though the model requires them.
	sparse map[string]bool
}

// custom is a shape that the door reads and writes by hand. The format strings
// take the Go expression of the value.
type custom struct {
	goType string
	decode string // statement that reads a value, not null, into %s; %q is the member
	encode string // expression that appends %s to dst
}

// queryName is how the Query protocol calls the elements of a list or map;
// both are flattened: Name.1, Name.2, or Name.1.Key and Name.1.Value.
type queryName struct {
	element    string
	key, value string // of maps
}

// sqsQuery holds the names of the SQS API of 2012-11-05 before it moved to
// JSON; the model has lost them.
// Source: Amazon SQS API Reference, examples of the Query protocol.
var sqsQuery = map[string]queryName{
	"QueueAttributeMap":                            {"Attribute", "Name", "Value"},
	"MessageSystemAttributeMap":                    {"Attribute", "Name", "Value"},
	"MessageBodyAttributeMap":                      {"MessageAttribute", "Name", "Value"},
	"MessageBodySystemAttributeMap":                {"MessageSystemAttribute", "Name", "Value"},
	"TagMap":                                       {"Tag", "Key", "Value"},
	"TagKeyList":                                   {element: "TagKey"},
	"AttributeNameList":                            {element: "AttributeName"},
	"MessageSystemAttributeList":                   {element: "MessageSystemAttributeName"},
	"MessageAttributeNameList":                     {element: "MessageAttributeName"},
	"AWSAccountIdList":                             {element: "AWSAccountId"},
	"ActionNameList":                               {element: "ActionName"},
	"StringList":                                   {element: "StringListValue"},
	"BinaryList":                                   {element: "BinaryListValue"},
	"SendMessageBatchRequestEntryList":             {element: "SendMessageBatchRequestEntry"},
	"DeleteMessageBatchRequestEntryList":           {element: "DeleteMessageBatchRequestEntry"},
	"ChangeMessageVisibilityBatchRequestEntryList": {element: "ChangeMessageVisibilityBatchRequestEntry"},
	"SendMessageBatchResultEntryList":              {element: "SendMessageBatchResultEntry"},
	"DeleteMessageBatchResultEntryList":            {element: "DeleteMessageBatchResultEntry"},
	"ChangeMessageVisibilityBatchResultEntryList":  {element: "ChangeMessageVisibilityBatchResultEntry"},
	"BatchResultErrorEntryList":                    {element: "BatchResultErrorEntry"},
	"MessageList":                                  {element: "Message"},
	"QueueUrlList":                                 {element: "QueueUrl"},
	"ListMessageMoveTasksResultEntryList":          {element: "ListMessageMoveTasksResultEntry"},
}

var item = custom{goType: "model.Item", decode: "%s = decodeItem(d, %q)", encode: "appendItem(dst, %s)"}

var services = []service{
	{
		model: "kinesis.json", pkg: "kinesis", java: "com.amazonaws.kinesis.v20131202", cbor: true, together: true,
		// Source: kinesalite, which recorded it from AWS.
		enums: map[string][]string{
			"ShardIteratorType": {"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"},
		},
		omit: set("SubscribeToShardOutput.EventStream"), // which is no member: the events follow the answer
		also: []string{"SubscribeToShardEvent"},
	},
	{
		model: "sqs.json", pkg: "sqs", java: "com.amazonaws.sqs", query: sqsQuery, noEnums: true,
		room: map[string]int{"SendMessageBatchRequestEntryList": 10, "DeleteMessageBatchRequestEntryList": 10, "ChangeMessageVisibilityBatchRequestEntryList": 10},
		sparse: set(
			"ChangeMessageVisibilityBatchResult.Successful", "ChangeMessageVisibilityBatchResult.Failed",
			"DeleteMessageBatchResult.Successful", "DeleteMessageBatchResult.Failed",
			"SendMessageBatchResult.Successful", "SendMessageBatchResult.Failed",
		),
	},
	{
		model: "dynamodb.json", pkg: "dynamo", java: "com.amazonaws.dynamodb.v20120810",
		// Source: dynalite, which recorded them from AWS.
		enums: map[string][]string{
			"BillingMode":                 {"PROVISIONED", "PAY_PER_REQUEST"},
			"ComparisonOperator":          {"IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"},
			"ConditionalOperator":         {"OR", "AND"},
			"KeyType":                     {"HASH", "RANGE"},
			"ProjectionType":              {"ALL", "INCLUDE", "KEYS_ONLY"},
			"ReturnConsumedCapacity":      {"INDEXES", "TOTAL", "NONE"},
			"ReturnItemCollectionMetrics": {"SIZE", "NONE"},
			"ReturnValue":                 {"ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"},
			"ScalarAttributeType":         {"B", "N", "S"},
			"Select":                      {"SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"},
		},
		custom: map[string]custom{
			"AttributeValue":                {goType: "model.Value", decode: "%s = decodeValue(d, %q)", encode: "appendValue(dst, &%s)"},
			"AttributeMap":                  item,
			"Key":                           item,
			"PutItemInputAttributeMap":      item,
			"ExpressionAttributeValueMap":   item,
			"ItemCollectionKeyAttributeMap": item,
		},
		opaque: set(
			"LocalSecondaryIndexList", "GlobalSecondaryIndexList", "GlobalSecondaryIndexUpdateList",
			"GlobalTableWitnessGroupUpdateList", "WarmThroughput", "OnDemandThroughput", "ResourcePolicy",
			"ReplicaGlobalSecondaryIndexList", "ProvisionedThroughputOverride", "OnDemandThroughputOverride",
		),
		omit: set(
			"ConsumedCapacity.LocalSecondaryIndexes", "ConsumedCapacity.GlobalSecondaryIndexes",
			"TableDescription.LocalSecondaryIndexes", "TableDescription.GlobalSecondaryIndexes",
			"TableDescription.StreamSpecification", "TableDescription.LatestStreamLabel", "TableDescription.LatestStreamArn",
			"TableDescription.GlobalTableWitnesses",
			"ReplicaDescription.ProvisionedThroughputOverride", "ReplicaDescription.OnDemandThroughputOverride",
			"ReplicaDescription.WarmThroughput", "ReplicaDescription.GlobalSecondaryIndexes", "ReplicaDescription.KMSMasterKeyId",
			"ReplicaDescription.ReplicaInaccessibleDateTime", "ReplicaDescription.GlobalTableSettingsReplicationMode",
			"TableDescription.GlobalTableSettingsReplicationMode", "TableDescription.RestoreSummary",
			"TableDescription.ArchivalSummary", "TableDescription.OnDemandThroughput", "TableDescription.MultiRegionConsistency",
			"TableDescription.WarmThroughput",
		),
	},
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}
