package service

import "weir.dev/weir/internal/model"

// The requests and results of the queue operations. They are typed and carry
// no wire form: a door reads URLs and protocols, and makes digests and answers.
//
// What a door checks before it calls: the shape of the request and the rules
// about a batch's entry ids. What the service checks: everything else, in
// AWS's words, as *QueueError.
//
// Invocation is the id of the client's call, the same for all its retries
// (amz-sdk-invocation-id). With it a retried send adds its messages once, and
// a retried receive is given the same messages; zero means that the client
// sent none, and each request counts.

// QueueAttribute is one attribute of a queue, named and written as SQS does:
// VisibilityTimeout and "30".
type QueueAttribute struct {
	Name, Value string
}

// Queue is a queue as the catalog has it. It is shared and read-only.
type Queue struct {
	ID        model.ResourceID
	Name      string
	CreatedMs int64            // Unix milliseconds
	Spec      *model.QueueSpec // shared and read-only

	version uint64       // of the catalog's resource
	slots   []model.Slot // that it is spread over
	traffic *queueTraffic
}

// CreateQueueRequest asks for a new queue.
type CreateQueueRequest struct {
	Name       string
	Attributes []QueueAttribute // each name once; those not named have their defaults
	Tags       []model.Tag      // each key once
}

// ListQueuesRequest asks for queues whose names begin with Prefix, after Start.
type ListQueuesRequest struct {
	Prefix string
	Start  string // exclusive; "" begins at the first
	Limit  int    // 1 to 1,000; 0 is 1,000
}

// ListQueuesResult holds one page of names.
type ListQueuesResult struct {
	Names []string
	Last  string // "" when there are no more, else the next Start
}

// OutgoingMessage is a message to send.
type OutgoingMessage struct {
	Body        string
	Attributes  []model.MessageAttr // by name, each once
	TraceHeader string              // AWSTraceHeader; "" is none
	Delay       *int64              // seconds; nil is the queue's DelaySeconds
	Group       string              // MessageGroupId; "" is none
	Dedup       string              // MessageDeduplicationId; "" is none
}

// SendRequest sends messages, each by itself: some may be refused.
type SendRequest struct {
	Invocation model.RequestID
	First      bool // the client says that it has not sent this call before
	Queue      string
	Sender     string            // who sends, for SenderId
	Messages   []OutgoingMessage // 1 to 10
	Batch      bool              // count the messages together against the limit of a batch
}

// SentMessage is what became of one message of a SendRequest.
type SentMessage struct {
	ID       model.MessageID
	Sequence string // FIFO's SequenceNumber, 20 digits; "" for standard queues
	Err      error  // nil when the message was sent
}

// ReceiveRequest takes messages from a queue.
type ReceiveRequest struct {
	Invocation model.RequestID
	Retry      bool // the client may have sent this call before
	Queue      string
	Max        int    // messages, 1 to 10
	Visibility *int64 // seconds; nil is the queue's VisibilityTimeout
	Wait       *int64 // seconds; nil is the queue's ReceiveMessageWaitTimeSeconds
	Attempt    string // FIFO's ReceiveRequestAttemptId; "" is none
	Client     Client // who gets the messages; nil is somebody who surely stays
}

// Client is who waits for an answer that should not be lost.
type Client interface {
	// Watch is called before a wait: from then on the request's context must end
	// as soon as the client goes away.
	Watch()
	// Gone reports whether the client is known to have gone away.
	Gone() bool
}

// DeleteMessagesRequest deletes received messages, each by itself.
type DeleteMessagesRequest struct {
	Invocation model.RequestID
	Queue      string
	Handles    []string // 1 to 10
}

// VisibilityChange asks that a message stays invisible for some seconds from
// now on.
type VisibilityChange struct {
	Handle  string
	Seconds int64
}

// ChangeVisibilityRequest changes the visibility of received messages, each by
// itself.
type ChangeVisibilityRequest struct {
	Invocation model.RequestID
	Queue      string
	Changes    []VisibilityChange // 1 to 10
}

// CancelScheduledRequest takes back messages that were scheduled for a time
// that has not come. It is an extension.
type CancelScheduledRequest struct {
	Queue string
	IDs   []model.MessageID // 1 to 10
}

// PeekRequest shows messages without taking them. It is an extension.
type PeekRequest struct {
	Queue    string
	Start    string // "" begins at the first, else PeekResult.Next
	Max      int    // messages, 1 to 1,000
	Contains string // only messages whose body or an attribute's value contains it
	Group    string // only this message group
}

// PeekResult is one page of messages, by slot and number.
type PeekResult struct {
	Messages []model.Peeked
	Next     string // "" when there are no more, else the next Start
}

// MoveTaskRequest starts to move all messages of a dead-letter queue.
type MoveTaskRequest struct {
	Source      string // a queue that is the dead-letter queue of others
	Destination string // a queue; "": each message goes to the queue it died in
	MaxPerSec   int64  // 1 to 500; 0: as fast as it goes
}

// MoveTask is a task that moves messages, under way or finished lately.
type MoveTask struct {
	Handle      string // names it for CancelMoveTask; "" unless it runs
	Status      string // RUNNING, COMPLETED, CANCELLING, CANCELLED or FAILED
	Source      string
	Destination string
	MaxPerSec   int64
	Moved       uint64
	ToMove      uint64 // messages in the source when it began
	StartedMs   int64  // Unix milliseconds
	Reason      string // of a failure
}
