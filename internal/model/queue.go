package model

// Limits of queues, as SQS states them unless said otherwise.
const (
	// MaxQueueInFlight is how many messages of one queue may be in flight.
	MaxQueueInFlight = 120_000

	// MaxVisibilityMs is the longest time from a receive for which its message
	// may be kept from others: 12 hours.
	MaxVisibilityMs = 12 * 60 * 60 * 1000

	// PurgeIntervalMs must pass between two purges of a queue.
	PurgeIntervalMs = 60_000

	// MaxPriority is the highest priority of a message; an extension. Messages
	// have priority 0 unless they say otherwise.
	MaxPriority = 9

	// MaxQueuePartitions is how many slots a standard queue may be spread over.
	MaxQueuePartitions = 64

	// DefaultQueuePartitions is how many slots a standard queue is spread over
	// unless it says otherwise: with three nodes each leads one of them.
	DefaultQueuePartitions = 3

	// A message group of a standard queue is a noisy neighbour while it has at
	// least NoisyInFlight messages in flight and more than NoisyPercent of all
	// that are in flight, or while its messages have taken more than NoisyPercent
	// of the consumers' time lately; and it is none once it was sent nothing for
	// NoisyQuietMs. Source: Amazon SQS Developer Guide, "How Amazon SQS fair queues
	// work".
	NoisyInFlight = 30
	NoisyPercent  = 10
	NoisyQuietMs  = 5 * 60 * 1000

	// MaxReceiveMessages is how many messages one receive or claim takes at
	// most. SQS's own limit of ten is for its door to hold.
	MaxReceiveMessages = 1000

	// MaxReceiveBytes bounds the bodies and attributes of the messages that one
	// receive or claim takes: ten of the largest fit, and so does a command that
	// carries them on. The first message is taken whatever its size.
	MaxReceiveBytes = 12 << 20
)

// QueueNumber is a numeric attribute of a queue: SQS's name of it, and the
// range and default that SQS states.
type QueueNumber struct {
	Name              string
	Min, Max, Default int64
}

// QueueNumbers are the numeric attributes that SetQueueAttributes takes.
var QueueNumbers = []QueueNumber{
	{Name: "DelaySeconds", Max: 900},
	{Name: "MaximumMessageSize", Min: 1024, Max: MaxMessageBytes, Default: MaxMessageBytes},
	{Name: "MessageRetentionPeriod", Min: 60, Max: 1209600, Default: 345600},
	{Name: "ReceiveMessageWaitTimeSeconds", Max: 20},
	{Name: "VisibilityTimeout", Max: 43200, Default: 30},
}

// QueueSpec is the Spec of a queue in the catalog. The fields named as SQS's
// attributes are in SQS's units: seconds and bytes.
type QueueSpec struct {
	DelaySeconds                  int64
	MaximumMessageSize            int64
	MessageRetentionPeriod        int64
	ReceiveMessageWaitTimeSeconds int64
	VisibilityTimeout             int64
	Redrive                       RedrivePolicy
	RedriveAllowPolicy            string // JSON as given; "" when none
	Policy                        string // JSON as given; "" when none
	ManagedEncryption             bool   // SqsManagedSseEnabled, kept for clients that read it back
	KmsKey                        string // KmsMasterKeyId, kept for clients that read it back; "" when none
	KmsReuseSeconds               int64  // KmsDataKeyReusePeriodSeconds; zero when not set
	Fifo                          bool   // FifoQueue: fixed at creation
	ContentDedup                  bool   // ContentBasedDeduplication
	DedupPerGroup                 bool   // DeduplicationScope is messageGroup, not queue
	PerGroupThroughput            bool   // FifoThroughputLimit is perMessageGroupId, not perQueue
	Partitions                    uint32 // slots that the queue is spread over, 1 to MaxQueuePartitions: fixed at creation; 1 for FIFO

	// Extensions; see docs/queues.md.
	KeepForever    bool   // messages never expire; MessageRetentionPeriod is only shown
	RateMilli      uint64 // messages delivered per 1,000 seconds; zero is no limit
	GroupRateMilli uint64 // the same for each message group

	Tags       []Tag // by Key, each once
	CreatedMs  int64 // Unix milliseconds
	ModifiedMs int64 // Unix milliseconds
}

// RedrivePolicy says when a message counts as dead and where it goes then. It
// is off while MaxReceives is zero.
type RedrivePolicy struct {
	DeadLetters ResourceID // the dead-letter queue
	TargetArn   string     // deadLetterTargetArn as given
	MaxReceives uint32     // maxReceiveCount, 1 to 1000
}

// MaxRedriveReceives is the largest maxReceiveCount.
const MaxRedriveReceives = 1000

// NewQueueSpec is a queue with SQS's defaults.
func NewQueueSpec() QueueSpec {
	s := QueueSpec{ManagedEncryption: true, Partitions: DefaultQueuePartitions}
	for _, n := range QueueNumbers {
		*s.Number(n.Name) = n.Default
	}
	return s
}

// Number is the field of the numeric attribute of that name; nil when there is
// no such attribute.
func (s *QueueSpec) Number(name string) *int64 {
	switch name {
	case "DelaySeconds":
		return &s.DelaySeconds
	case "MaximumMessageSize":
		return &s.MaximumMessageSize
	case "MessageRetentionPeriod":
		return &s.MessageRetentionPeriod
	case "ReceiveMessageWaitTimeSeconds":
		return &s.ReceiveMessageWaitTimeSeconds
	case "VisibilityTimeout":
		return &s.VisibilityTimeout
	default:
		return nil
	}
}

// Settings are the part of the spec that commands on the queue carry.
func (s *QueueSpec) Settings() QueueSettings {
	q := QueueSettings{
		RetentionMs: s.MessageRetentionPeriod * 1000, MaxReceives: s.Redrive.MaxReceives,
		Fifo: s.Fifo, DedupPerGroup: s.DedupPerGroup, RateMilli: s.RateMilli, GroupRateMilli: s.GroupRateMilli,
	}
	if s.KeepForever {
		q.RetentionMs = 0
	}
	if n := uint64(s.Partitions); n > 1 { // each slot delivers its share; a group is in one slot
		q.RateMilli = (q.RateMilli + n - 1) / n
	}
	return q
}

// queueSpecVersion begins every encoded QueueSpec.
const queueSpecVersion = 1

// Append appends the stored form. See docs/format/queue.md.
func (s *QueueSpec) Append(dst []byte) []byte {
	dst = append(dst, queueSpecVersion)
	for _, n := range QueueNumbers {
		dst = AppendUvarint(dst, uint64(*s.Number(n.Name)))
	}
	dst = AppendUvarint(dst, uint64(s.Redrive.DeadLetters))
	dst = AppendString(dst, s.Redrive.TargetArn)
	dst = AppendUvarint(dst, uint64(s.Redrive.MaxReceives))
	dst = AppendString(dst, s.RedriveAllowPolicy)
	dst = AppendString(dst, s.Policy)
	dst = AppendBool(dst, s.ManagedEncryption)
	dst = AppendString(dst, s.KmsKey)
	dst = AppendUvarint(dst, uint64(s.KmsReuseSeconds))
	for _, b := range s.switches() {
		dst = AppendBool(dst, *b)
	}
	dst = AppendUvarint(dst, uint64(s.Partitions))
	dst = AppendUvarint(dst, s.RateMilli)
	dst = AppendUvarint(dst, s.GroupRateMilli)
	dst = appendTags(dst, s.Tags)
	dst = AppendUvarint(dst, uint64(s.CreatedMs))
	return AppendUvarint(dst, uint64(s.ModifiedMs))
}

func (s *QueueSpec) switches() [5]*bool {
	return [...]*bool{&s.Fifo, &s.ContentDedup, &s.DedupPerGroup, &s.PerGroupThroughput, &s.KeepForever}
}

// Decode reads what Append wrote.
func (s *QueueSpec) Decode(d *Decoder) {
	if d.Byte() != queueSpecVersion {
		d.Fail()
	}
	for _, n := range QueueNumbers {
		*s.Number(n.Name) = int64(d.Uvarint())
	}
	s.Redrive.DeadLetters = ResourceID(d.Uvarint())
	s.Redrive.TargetArn = d.String()
	s.Redrive.MaxReceives = uint32(d.Uvarint())
	s.RedriveAllowPolicy = d.String()
	s.Policy = d.String()
	s.ManagedEncryption = d.Bool()
	s.KmsKey = d.String()
	s.KmsReuseSeconds = int64(d.Uvarint())
	for _, b := range s.switches() {
		*b = d.Bool()
	}
	if s.Partitions = uint32(d.Uvarint()); s.Partitions < 1 || s.Partitions > MaxQueuePartitions {
		d.Fail()
	}
	s.RateMilli, s.GroupRateMilli = d.Uvarint(), d.Uvarint()
	s.Tags = decodeTags(d)
	s.CreatedMs = int64(d.Uvarint())
	s.ModifiedMs = int64(d.Uvarint())
}

func appendTags(dst []byte, tags []Tag) []byte {
	dst = AppendUvarint(dst, uint64(len(tags)))
	for _, t := range tags {
		dst = AppendString(AppendString(dst, t.Key), t.Value)
	}
	return dst
}

func decodeTags(d *Decoder) (tags []Tag) {
	for n := d.Count(); n > 0; n-- {
		tags = append(tags, Tag{Key: d.String(), Value: d.String()})
	}
	return tags
}

// QueueSlot is the first slot of a queue, and the only one of a FIFO queue.
func QueueSlot(id ResourceID) Slot {
	var b [8]byte
	for i := range b {
		b[i] = byte(uint64(id) >> (56 - 8*i))
	}
	return SlotOf(b[:])
}

// QueueSlots are the slots that a queue of that many partitions is spread
// over: at equal distances, so that they fall into different tablets. Each is
// a queue by itself: a message stays in the slot that it was sent to and its
// receipts name the slot. A message group is in the slot that GroupSlot says.
func QueueSlots(id ResourceID, partitions uint32) []Slot {
	slots := make([]Slot, partitions)
	first := uint32(QueueSlot(id))
	for i := range slots {
		slots[i] = Slot((first + uint32(i)*(SlotCount/partitions)) % SlotCount)
	}
	return slots
}

// GroupSlot is the one of a queue's slots that a message group is in.
func GroupSlot(slots []Slot, group string) Slot {
	return slots[int(SlotOf([]byte(group)))%len(slots)]
}

// QueueSettings are what of a queue's spec matters when a command is applied.
// They travel in the command rather than being kept in the queue's slot: a
// queue is usable as soon as the catalog has it, a change is one write to the
// catalog, and what a command does can be read from the command alone. A node
// whose catalog lags uses the old settings for a moment, as SQS does for up to
// a minute after a change.
type QueueSettings struct {
	RetentionMs int64  // a message older than this is gone; 0: never
	MaxReceives uint32 // a message received this often is dead; 0: never
	// Fifo: messages of a group are delivered in their order, and none while
	// another of the group is in flight; Dedup counts.
	Fifo          bool
	DedupPerGroup bool // Dedup counts within a message group, not within the queue
	// RateMilli and GroupRateMilli bound how many messages are delivered in 1,000
	// seconds, in all and of each message group; zero is no limit. What a pipe
	// claims counts as delivered.
	RateMilli, GroupRateMilli uint64
}

// Switches of the stored form.
const (
	settingFifo          = 1
	settingDedupPerGroup = 2
	settingRates         = 4 // RateMilli and GroupRateMilli follow
)

func (s *QueueSettings) append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, uint64(s.RetentionMs)), uint64(s.MaxReceives))
	var switches byte
	if s.Fifo {
		switches |= settingFifo
	}
	if s.DedupPerGroup {
		switches |= settingDedupPerGroup
	}
	if s.RateMilli|s.GroupRateMilli == 0 {
		return append(dst, switches)
	}
	return AppendUvarint(AppendUvarint(append(dst, switches|settingRates), s.RateMilli), s.GroupRateMilli)
}

func (s *QueueSettings) decode(d *Decoder) {
	s.RetentionMs, s.MaxReceives = int64(d.Uvarint()), uint32(d.Uvarint())
	switches := d.Byte()
	s.Fifo, s.DedupPerGroup = switches&settingFifo != 0, switches&settingDedupPerGroup != 0
	if switches&settingRates != 0 {
		s.RateMilli, s.GroupRateMilli = d.Uvarint(), d.Uvarint()
		if s.RateMilli|s.GroupRateMilli == 0 {
			d.Fail()
		}
	}
	if switches >= 2*settingRates {
		d.Fail()
	}
}
