package model

import "time"

// Limits that hold everywhere. Each names its unit and why it is what it is.
const (
	// DedupeWindow is how long a tablet remembers a request id: AWS SDKs give
	// up long before, and SQS uses the same five minutes.
	DedupeWindow = 5 * time.Minute

	// MaxCommandBytes bounds one encoded command: SQS's batch of 1 MiB and
	// DynamoDB's 16 MB batch of 25 items of 400 KB both fit.
	MaxCommandBytes = 20 << 20

	// MaxBodyBytes bounds an HTTP request's body: DynamoDB's 16 MB batches.
	MaxBodyBytes = 16 << 20

	// MaxItemBytes is DynamoDB's item size limit of 400 KB.
	MaxItemBytes = 400 << 10
	// MaxMergedBytes bounds an item that several regions wrote at the same time,
	// each up to MaxItemBytes, and whose parts were merged.
	MaxMergedBytes = 10 * MaxItemBytes

	// MaxNesting is DynamoDB's limit on the depth of lists and maps.
	MaxNesting = 32

	// MaxMessageBytes is SQS's message size limit, body and attributes.
	MaxMessageBytes = 1 << 20

	// MaxPartitionKeyBytes and MaxSortKeyBytes are DynamoDB's.
	MaxPartitionKeyBytes = 2048
	MaxSortKeyBytes      = 1024

	// MaxPageBytes is what one Query or Scan page reads at most: DynamoDB's 1 MB.
	MaxPageBytes = 1 << 20
)
