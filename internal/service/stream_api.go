package service

import (
	"weir.dev/weir/internal/model"
)

// The requests and results of the stream operations. They are typed and carry
// no wire form: a door reads protocols and ARNs and makes answers and ARNs.
//
// What a door checks before it calls: the shape of the request as the AWS model
// states it (presence, length, pattern and range of each parameter), and that
// an ARN is of this region and account. What the service checks: everything
// else, in AWS's words, as *StreamError.
//
// Shard ids, sequence numbers and hash keys are decimal texts as Kinesis writes
// them; times are Unix milliseconds. Slices that a result holds are the
// caller's; a *Stream is shared and read-only.
//
// The operations are methods of Service; each takes a context first:
//
//	CreateStream(ctx, *CreateStreamRequest) error
//	DeleteStream(ctx, *DeleteStreamRequest) error
//	GetStream(ctx, StreamRef) (*Stream, error)        // DescribeStreamSummary
//	DescribeStream(ctx, *DescribeStreamRequest) (*DescribeStreamResult, error)
//	ListStreams(ctx, *ListStreamsRequest) (*ListStreamsResult, error)
//	ListShards(ctx, *ListShardsRequest) (*ListShardsResult, error)
//	DescribeStreamLimits(ctx) (*StreamLimits, error)
//
//	PutRecords(ctx, *PutRecordsRequest) (*PutRecordsResult, error)
//	GetShardIterator(ctx, *ShardIteratorRequest) (string, error)
//	GetRecords(ctx, *GetRecordsRequest) (*GetRecordsResult, error)
//
//	SplitShard(ctx, *SplitShardRequest) error
//	MergeShards(ctx, *MergeShardsRequest) error
//	UpdateShardCount(ctx, *UpdateShardCountRequest) (*UpdateShardCountResult, error)
//
//	UpdateStreamMode(ctx, *UpdateStreamModeRequest) error
//	SetStreamRetention(ctx, *StreamRetentionRequest) error
//	UpdateMaxRecordSize(ctx, StreamRef, kib int64) error
//	UpdateWarmThroughput(ctx, StreamRef, mibps int64) (*Stream, error)
//	SetStreamEncryption(ctx, StreamRef, key string) error // "" stops it
//	SetShardMetrics(ctx, *ShardMetricsRequest) (*ShardMetricsResult, error)
//
//	TagStream(ctx, StreamRef, []model.Tag) error
//	UntagStream(ctx, StreamRef, keys []string) error
//	ListStreamTags(ctx, *ListStreamTagsRequest) (*ListStreamTagsResult, error)
//	PutStreamPolicy(ctx, StreamRef, policy string) error
//	GetStreamPolicy(ctx, StreamRef) (string, error)
//	DeleteStreamPolicy(ctx, StreamRef) error
//	(TagConsumer, UntagConsumer, ConsumerTags, PutConsumerPolicy,
//	GetConsumerPolicy and DeleteConsumerPolicy take a ConsumerRef)
//
//	RegisterConsumer(ctx, *RegisterConsumerRequest) (*Consumer, error)
//	DescribeConsumer(ctx, ConsumerRef) (*Consumer, error)
//	ListConsumers(ctx, *ListConsumersRequest) (*ListConsumersResult, error)
//	DeregisterConsumer(ctx, ConsumerRef) error
//	SubscribeToShard(ctx, *SubscribeRequest) (*Subscription, error)
//	(*Subscription).Next(ctx) (*SubscriptionEvent, error) // io.EOF: five minutes are over, or the shard
//	(*Subscription).Close(ctx)
//
// and for named consumers, an extension: LeaseShards, CommitPosition,
// ReleaseShards, StreamLag, ForgetNamedConsumer.

// StreamRef names a stream for a request. Account is only for messages.
type StreamRef struct {
	Name    string // "" when ID is given alone
	ID      string // StreamId, as Stream.StreamID writes it; "" when Name is given
	Account string // 12 digits
}

// Stream is a stream as the catalog has it.
type Stream struct {
	ID        model.ResourceID
	Name      string
	CreatedMs int64
	Status    StreamStatus
	Spec      *model.StreamSpec // shared and read-only

	OpenShards  int
	Consumers   int            // registered ones
	OnDemand    bool           // StreamMode ON_DEMAND
	Retention   int64          // hours; 0: without end, an extension
	KeyID       string         // EncryptionType KMS with this key; "": NONE
	Metrics     []string       // ShardLevelMetrics, in order
	MaxRecordKi int64          // MaxRecordSizeInKiB
	Warm        WarmThroughput // zero: none was set
	version     uint64         // of the catalog's resource
	open        []*model.Shard // by hash range
}

// StreamStatus is a stream's state.
type StreamStatus string

// The states. A deleted stream is gone at once, so none is DELETING, and a
// new one is usable at once, so none is CREATING.
const (
	StreamActive   StreamStatus = "ACTIVE"
	StreamUpdating StreamStatus = "UPDATING" // its shards are being split or merged
)

// WarmThroughput is what an on-demand stream shall be ready for. A Weir cluster
// needs no warming: what is asked is there at once.
type WarmThroughput struct {
	TargetMiBps, CurrentMiBps int64
}

// CreateStreamRequest asks for a new stream.
type CreateStreamRequest struct {
	StreamRef
	OnDemand    bool
	ShardCount  *int64      // provisioned: must be given; on-demand: must not, 4 to begin with
	Tags        []model.Tag // each key once
	WarmMiBps   *int64      // on-demand only
	MaxRecordKi *int64      // 1,024 to 10,240; nil is 1,024
	// RetentionHours is an extension: nil is 24, zero without end.
	RetentionHours *int64
}

// DeleteStreamRequest deletes a stream and all its records.
type DeleteStreamRequest struct {
	StreamRef
	EnforceConsumerDeletion bool // else registered consumers keep it
}

// Shard is one shard of a stream as DescribeStream and ListShards show it.
type Shard struct {
	ID             string
	Parent         string // "" when none, or when its data is gone
	AdjacentParent string
	HashFirst      string // StartingHashKey
	HashLast       string // EndingHashKey, inclusive
	First          string // StartingSequenceNumber
	Last           string // EndingSequenceNumber; "" while the shard is open
}

// ChildShard is a shard that goes on where a closed one ends.
type ChildShard struct {
	ID        string
	Parents   []string
	HashFirst string
	HashLast  string
}

// DescribeStreamRequest asks for a stream and a page of its shards.
type DescribeStreamRequest struct {
	StreamRef
	Limit int    // shards, 1 to 10,000; 0 is 100
	Start string // ExclusiveStartShardId; "" begins at the first
}

// DescribeStreamResult is a stream with a page of its shards.
type DescribeStreamResult struct {
	Stream *Stream
	Shards []Shard // by id
	More   bool
}

// ListStreamsRequest asks for streams by name.
type ListStreamsRequest struct {
	Start string // ExclusiveStartStreamName; "" begins at the first
	Token string // NextToken of the page before; "" for none
	Limit int    // 1 to 10,000; 0 is 100
}

// ListStreamsResult is one page of streams.
type ListStreamsResult struct {
	Streams []*Stream
	Next    string // NextToken; "" when there are no more
}

// ShardFilter selects shards for ListShards.
type ShardFilter struct {
	Type        string // AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP or FROM_TIMESTAMP
	ShardID     string // of AFTER_SHARD_ID
	TimestampMs *int64 // of AT_TIMESTAMP and FROM_TIMESTAMP
}

// ListShardsRequest asks for a stream's shards. Either the stream is named or a
// token is given, whose other parameters are those of the call that made it.
type ListShardsRequest struct {
	StreamRef
	Token     string // NextToken; "" for none
	Start     string // ExclusiveStartShardId
	Limit     int    // MaxResults, 1 to 10,000; 0 is 1,000
	CreatedMs *int64 // StreamCreationTimestamp: another stream of that name is not found
	Filter    *ShardFilter
}

// ListShardsResult is one page of shards, by id.
type ListShardsResult struct {
	Shards []Shard
	Next   string // NextToken, good for 300 seconds; "" when there are no more
}

// StreamLimits is what DescribeLimits answers.
type StreamLimits struct {
	ShardLimit, OpenShards         int64
	OnDemandStreams, OnDemandLimit int64
}

// OutgoingRecord is a record to put.
type OutgoingRecord struct {
	Data    []byte // shared until the call returns
	Key     string // PartitionKey
	HashKey string // ExplicitHashKey, decimal; "" when none
}

// PutRecordsRequest puts records, each by itself.
type PutRecordsRequest struct {
	StreamRef
	Invocation model.RequestID  // as in SendRequest
	Retry      bool             // the client may have sent this call before
	Records    []OutgoingRecord // 1 to 500
	Single     bool             // PutRecord: errors of the one record are the call's
	After      string           // PutRecord's SequenceNumberForOrdering; checked, and always obeyed
}

// PutRecord is what became of one record.
type PutRecord struct {
	Shard    string
	Sequence string
	// Err is nil when the record was put. Else it is a *StreamError or a
	// *model.Error; PutRecords answers ProvisionedThroughputExceededException or
	// InternalFailure for it.
	Err error
}

// PutRecordsResult has one entry for each record of the request, in order.
type PutRecordsResult struct {
	Records []PutRecord
	Failed  int
	KeyID   string // "" when the stream is not encrypted
}

// ShardPosition is where in a shard to begin.
type ShardPosition struct {
	Type        string // AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST or AT_TIMESTAMP
	Sequence    string // of the first two
	TimestampMs *int64 // of AT_TIMESTAMP
}

// ShardIteratorRequest asks for an iterator.
type ShardIteratorRequest struct {
	StreamRef
	Shard    string
	Position ShardPosition
}

// GetRecordsRequest reads records from a shard. Stream is what the client named
// beside the iterator; with an empty name and id the iterator alone says.
type GetRecordsRequest struct {
	StreamRef
	Iterator string
	Limit    int   // records, 1 to 10,000; 0 is 10,000
	WaitMs   int64 // an extension: wait this long for the first record, to 20,000
}

// Record is a record as it is read.
type Record struct {
	Sequence  string
	ArrivedMs int64
	Key       string
	Data      []byte
}

// GetRecordsResult is what a read found, at most 10 MiB of it.
type GetRecordsResult struct {
	Records      []Record
	Next         string       // NextShardIterator; "" at the end of a closed shard
	MillisBehind int64        // MillisBehindLatest
	Children     []ChildShard // with Next "", the shards that go on; else nil
	KeyID        string       // "" when the stream is not encrypted
}

// SplitShardRequest splits an open shard at a hash key, which begins the second
// child.
type SplitShardRequest struct {
	StreamRef
	Shard   string
	HashKey string // NewStartingHashKey
}

// MergeShardsRequest merges two open shards with adjacent hash ranges.
type MergeShardsRequest struct {
	StreamRef
	Shard, Adjacent string
}

// UpdateShardCountRequest asks for that many open shards of equal size.
type UpdateShardCountRequest struct {
	StreamRef
	Target int64
}

// UpdateShardCountResult says what was and what shall be.
type UpdateShardCountResult struct {
	Stream          *Stream
	Current, Target int64
}

// UpdateStreamModeRequest changes who decides on the number of shards.
type UpdateStreamModeRequest struct {
	StreamRef
	OnDemand  bool
	WarmMiBps *int64 // on-demand only
}

// StreamRetentionRequest changes how long records are kept. Hours zero, and
// more than 8,760, are extensions.
type StreamRetentionRequest struct {
	StreamRef
	Hours    int64 // zero: without end
	Decrease bool  // the client calls it a decrease; else an increase
}

// ShardMetricsRequest switches shard-level metrics on or off. Weir's metrics
// are always there; the setting is kept and shown.
type ShardMetricsRequest struct {
	StreamRef
	Metrics []string // of MetricsName; ALL stands for all
	Disable bool
}

// ShardMetricsResult says what was switched on, and what is.
type ShardMetricsResult struct {
	Stream        *Stream
	Before, After []string
}

// ListStreamTagsRequest asks for a stream's tags by key.
type ListStreamTagsRequest struct {
	StreamRef
	Start string // ExclusiveStartTagKey
	Limit int    // 0 is all
}

// ListStreamTagsResult is one page of tags.
type ListStreamTagsResult struct {
	Tags []model.Tag
	More bool
}

// ConsumerRef names a registered consumer. CreatedMs is what its ARN ends with,
// in seconds there; zero accepts any.
type ConsumerRef struct {
	StreamRef
	Consumer  string
	CreatedMs int64 // rounded down to seconds
}

// Consumer is a registered consumer; it is usable at once, so always ACTIVE.
type Consumer struct {
	Name      string
	CreatedMs int64
	Stream    *Stream
}

// RegisterConsumerRequest registers a consumer.
type RegisterConsumerRequest struct {
	StreamRef
	Consumer string
	Tags     []model.Tag
}

// ListConsumersRequest asks for a stream's registered consumers.
type ListConsumersRequest struct {
	StreamRef
	Token     string
	Limit     int // 1 to 10,000; 0 is 100
	CreatedMs *int64
}

// ListConsumersResult is one page, by name.
type ListConsumersResult struct {
	Consumers []Consumer
	Next      string
}

// SubscribeRequest starts a subscription of a registered consumer to a shard.
type SubscribeRequest struct {
	ConsumerRef
	Shard    string
	Position ShardPosition
}

// SubscriptionEvent is what a subscription delivers: records as soon as they
// are there, or none about every five seconds.
type SubscriptionEvent struct {
	Records      []Record
	Continuation string // ContinuationSequenceNumber: go on with AFTER_SEQUENCE_NUMBER of it; "" at the shard's end
	MillisBehind int64
	Children     []ChildShard // at the end of a closed shard, the last event
	KeyID        string
}

// Named consumers are an extension: any number of members share a stream's
// shards under one name, and how far the name has come is kept with each shard.

// LeaseRequest is one round of a member: it keeps the shards that it holds,
// takes its part of those that nobody holds, and asks for some of those that
// others have too many of. A member goes round every second or so, and at least
// three times in LeaseMs.
type LeaseRequest struct {
	StreamRef
	Group   string // the consumer's name, 1 to 128 bytes
	Member  string // unique to one run of one process, 1 to 128 bytes
	LeaseMs int64  // 1,000 to 3,600,000; 0 is 10,000
	// Start is where a name that is new begins: TRIM_HORIZON (the default),
	// LATEST or AT_TIMESTAMP.
	Start ShardPosition
}

// LeaseResult is what a member holds.
type LeaseResult struct {
	Leases []ShardLease // by shard
	Shards int          // how many shards there are to share
}

// ShardLease says that a member holds a shard for a while.
type ShardLease struct {
	Shard      string
	Generation uint64 // for commits; grows with every change of the holder
	Iterator   string // of the first record that is not committed
	ExpiresMs  int64
	Wanted     bool // another member waits for it: finish what was begun and release it
}

// CommitRequest says how far a member has come with a shard that it holds.
type CommitRequest struct {
	StreamRef
	Group      string
	Shard      string
	Generation uint64
	Sequence   string // of the last record that is done; "" to keep the position
	End        bool   // the shard was read to its end and all of it is done
	LeaseMs    int64  // 0 keeps the lease as it is
	Release    bool   // give the shard up
}

// GroupLag is how far a named consumer has come in a shard.
type GroupLag struct {
	Group     string
	Shard     string
	Open      bool
	Position  uint64 // the number of the next record; records of a shard count from 1
	Tip       uint64 // the number that the shard's next record will get
	Records   uint64 // still to be read
	Bytes     uint64 // of these, about
	LagMs     int64  // how long the next one has been there
	Member    string // who holds the shard; "" when nobody does
	ExpiresMs int64  // until when
	CommitMs  int64  // when the position was last set; 0: never
}
