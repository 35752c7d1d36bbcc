package model

// CommandKind says what a command does. The numbers are part of the stored
// format and never change their meaning; a changed meaning gets a new number.
type CommandKind uint8

// Commands on any resource.
const (
	CmdDropResource CommandKind = 1 // forget the resource's data in this tablet; later commands on it answer StatusGone
)

// Commands on tables; bodies in table.go.
const (
	CmdPutItem    CommandKind = 16
	CmdUpdateItem CommandKind = 17
	CmdDeleteItem CommandKind = 18
	CmdBatchWrite CommandKind = 19
)

// Commands on queues; bodies in queue.go.
const (
	CmdSend             CommandKind = 32
	CmdReceive          CommandKind = 33
	CmdDeleteMessages   CommandKind = 34
	CmdChangeVisibility CommandKind = 35
	CmdPurge            CommandKind = 36
	CmdSetQueueSettings CommandKind = 37
	CmdCancelScheduled  CommandKind = 38
)

// Commands of pipes; bodies in pipe.go.
const (
	CmdClaim     CommandKind = 48 // at the source: hand a batch of messages to a pipe
	CmdPipeApply CommandKind = 49 // at the target: apply a claim's effects once
	CmdSettle    CommandKind = 50 // at the source: the claim is done, delete its messages

	CmdClaimRecords  CommandKind = 51 // at a shard of the source: hand its next records to a pipe
	CmdSettleRecords CommandKind = 52 // at the shard: the claim is done, the pipe's position is behind it
)

// Commands on streams; bodies in stream_commands.go and stream_group.go.
const (
	CmdPutRecords  CommandKind = 80
	CmdCloseShard  CommandKind = 81
	CmdTrimShard   CommandKind = 82
	CmdSetPosition CommandKind = 83
)

// Commands on the catalog; bodies in catalog.go.
const (
	CmdCatalog CommandKind = 64
)

// Command is one replicated change as it travels and is stored. Everything
// that could differ between replicas (time, random ids) is in it.
type Command struct {
	Kind     CommandKind
	ID       RequestID  // zero: harmless to repeat, not deduplicated
	Resource ResourceID // zero for the catalog
	Slot     Slot       // the slot the command works in; it also decides the tablet
	Stamp    Stamp      // zero until the leader stamps it
	Body     []byte     // by Kind
}

// Append appends the command's stored form: kind, id, resource, slot, stamp,
// body. See docs/format/command.md.
func (c *Command) Append(dst []byte) []byte {
	dst = append(dst, byte(c.Kind))
	dst = append(dst, c.ID[:]...)
	dst = AppendUvarint(dst, uint64(c.Resource))
	dst = AppendUvarint(dst, uint64(c.Slot))
	dst = AppendUvarint(dst, uint64(c.Stamp))
	return AppendBytes(dst, c.Body)
}

// Decode reads what Append wrote; Body shares memory with d's input.
func (c *Command) Decode(d *Decoder) {
	c.Kind = CommandKind(d.Byte())
	c.ID = d.RequestID()
	c.Resource = ResourceID(d.Uvarint())
	slot := d.Uvarint()
	if slot >= SlotCount {
		d.Fail()
	}
	c.Slot = Slot(slot)
	c.Stamp = Stamp(d.Uvarint())
	c.Body = d.Bytes()
}

// QueryKind says what a query reads. Queries are never stored, but nodes send
// them to each other, so the numbers stay.
type QueryKind uint8

// The queries.
const (
	QueryGetItem   QueryKind = 16 // one item by key
	QueryItems     QueryKind = 17 // items of one partition key in sort order
	QueryScan      QueryKind = 18 // items of a slot range
	QueryGetBatch  QueryKind = 19 // several items of one table by key
	QueryQueue     QueryKind = 32 // a queue's counts
	QueryPeek      QueryKind = 33 // a queue's messages, without taking them
	QueryClaims    QueryKind = 48 // a pipe's unsettled claims
	QueryRecords   QueryKind = 80 // a shard's records from a position on
	QueryShard     QueryKind = 81 // a shard's state
	QueryShardAt   QueryKind = 82 // where a shard's records of a time begin
	QueryPositions QueryKind = 83 // how far consumer groups have come in a shard
)

// Query is one read of a tablet's state.
type Query struct {
	Kind     QueryKind
	Resource ResourceID
	Slot     Slot
	Body     []byte // by Kind
}

// Append appends the query's form between nodes.
func (q *Query) Append(dst []byte) []byte {
	dst = append(dst, byte(q.Kind))
	dst = AppendUvarint(dst, uint64(q.Resource))
	dst = AppendUvarint(dst, uint64(q.Slot))
	return AppendBytes(dst, q.Body)
}

// Decode reads what Append wrote; Body shares memory with d's input.
func (q *Query) Decode(d *Decoder) {
	q.Kind = QueryKind(d.Byte())
	q.Resource = ResourceID(d.Uvarint())
	slot := d.Uvarint()
	if slot >= SlotCount {
		d.Fail()
	}
	q.Slot = Slot(slot)
	q.Body = d.Bytes()
}

// Status is a command's or query's outcome. All of them are ordinary results,
// the same on every replica. The numbers are part of the stored format.
type Status uint8

// The outcomes.
const (
	StatusOK              Status = 0
	StatusGone            Status = 1  // the resource was dropped
	StatusConditionFailed Status = 2  // body: the item, when it was asked for
	StatusInvalid         Status = 3  // body: the message, in AWS's words, of a fault that only the stored item shows
	StatusTooLarge        Status = 4  // the item would grow over MaxItemBytes
	StatusExists          Status = 5  // catalog: the name is taken
	StatusNotFound        Status = 6  // catalog: no such name; queue: no such message
	StatusOverLimit       Status = 7  // a limit of the resource was reached (messages in flight)
	StatusStale           Status = 8  // catalog: the state changed since the caller read it; pipes: the claim was settled before
	StatusClosed          Status = 9  // streams: the shard takes no more records
	StatusPassive         Status = 10 // another region takes the writes of this table; nothing was done, and a retry is a new try
)

// Result is what a command or query answers.
type Result struct {
	Status Status
	Body   []byte // by the command's kind and the status
	// Repeated says that the command's request id had been applied before. It is
	// for the node that answers, and neither stored nor sent.
	Repeated bool
	// Received stands for the body of what a receive took, on the node where it was
	// applied and nowhere else; nil in every other result.
	Received *ReceiveResult
}

// Bytes is the body, whether it is encoded yet or not.
func (r Result) Bytes() []byte {
	if r.Received != nil {
		return r.Received.Append(nil)
	}
	return r.Body
}

// Append appends the result's stored form.
func (r *Result) Append(dst []byte) []byte {
	return AppendBytes(append(dst, byte(r.Status)), r.Bytes())
}

// Decode reads what Append wrote; Body shares memory with d's input.
func (r *Result) Decode(d *Decoder) {
	r.Status = Status(d.Byte())
	r.Body = d.Bytes()
}
