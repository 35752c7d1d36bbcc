package model

import "slices"

// The bodies and results of the commands on queues. A command's Resource is
// the queue and its Slot is QueueSlot(queue).

// SendEntry is one message to send and when it becomes visible.
type SendEntry struct {
	Message Message
	DelayMs int64 // from the command's stamp
	// AtMs schedules the message instead, for this Unix millisecond, however far
	// off: it is not visible before, its retention counts from then, and until
	// then a CmdCancelScheduled takes it away. Zero: not scheduled. Standard
	// queues only.
	AtMs int64
}

// Send is the body of a CmdSend. Its messages are sent all or none; the result
// is StatusOK with a SendResult. In a FIFO queue a message whose Dedup was sent
// within the last DedupeWindow, in the queue or in its group as the settings
// say, is not sent again.
type Send struct {
	Settings QueueSettings
	Entries  []SendEntry
}

// Append appends the stored form. See docs/format/queue.md.
func (c *Send) Append(dst []byte) []byte {
	dst = c.Settings.append(dst)
	dst = AppendUvarint(dst, uint64(len(c.Entries)))
	for i := range c.Entries {
		dst = c.Entries[i].Append(dst)
	}
	return dst
}

// Decode reads what Append wrote; the bodies share memory with d's input.
func (c *Send) Decode(d *Decoder) {
	c.Settings.decode(d)
	n := d.Count()
	c.Entries = make([]SendEntry, 0, min(n, 16))
	for ; n > 0 && d.Err() == nil; n-- {
		c.Entries = append(c.Entries, SendEntry{})
		e := &c.Entries[len(c.Entries)-1]
		if len(c.Entries) > 1 {
			e.Message.Sender = c.Entries[len(c.Entries)-2].Message.Sender
		}
		e.Decode(d)
	}
}

// Append appends the stored form.
func (e *SendEntry) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, uint64(e.DelayMs)), uint64(e.AtMs))
	return e.Message.Append(dst)
}

// Decode reads what Append wrote; the body shares memory with d's input.
func (e *SendEntry) Decode(d *Decoder) {
	e.DelayMs, e.AtMs = int64(d.Uvarint()), int64(d.Uvarint())
	e.Message.Decode(d)
}

// SentMessage is what the queue calls a message that was sent.
type SentMessage struct {
	ID  MessageID
	Seq uint64 // its number in the queue's slot: FIFO's SequenceNumber is made of it
}

// SendResult names the messages that were sent, in the command's order. They
// are the command's own unless the command or the message (Dedup) repeats an
// earlier one: then they are the earlier one's, and those to tell the client.
type SendResult struct {
	Sent []SentMessage
}

// Append appends the stored form.
func (r *SendResult) Append(dst []byte) []byte {
	dst = slices.Grow(dst, 2+len(r.Sent)*(len(MessageID{})+5)) // mostly enough
	dst = AppendUvarint(dst, uint64(len(r.Sent)))
	for i := range r.Sent {
		dst = AppendUvarint(append(dst, r.Sent[i].ID[:]...), r.Sent[i].Seq)
	}
	return dst
}

// Decode reads what Append wrote.
func (r *SendResult) Decode(d *Decoder) {
	n := d.Count()
	r.Sent = make([]SentMessage, 0, min(n, 16))
	for ; n > 0; n-- {
		r.Sent = append(r.Sent, SentMessage{ID: MessageID(d.Fixed(len(MessageID{}))), Seq: d.Uvarint()})
	}
}

// Receive is the body of a CmdReceive. The result is StatusOK with a
// ReceiveResult, or StatusOverLimit when MaxQueueInFlight messages are in
// flight.
type Receive struct {
	Settings     QueueSettings
	Max          uint32 // messages, 1 to MaxReceiveMessages
	VisibilityMs int64  // 0 to MaxVisibilityMs; 0: visible again at once
	Nonce        uint64 // random; part of the receipts
	// Attempt is a hash of FIFO's ReceiveRequestAttemptId; zero when none. Within
	// DedupeWindow a receive of the same attempt is given the same messages with
	// the same receipts, hidden anew, as long as all of them that still exist are
	// in flight by those receipts; else it receives afresh.
	Attempt RequestID
}

// Append appends the stored form. See docs/format/queue.md.
func (c *Receive) Append(dst []byte) []byte {
	dst = c.Settings.append(dst)
	dst = AppendUvarint(dst, uint64(c.Max))
	dst = AppendUvarint(dst, uint64(c.VisibilityMs))
	dst = AppendUvarint(dst, c.Nonce)
	return append(dst, c.Attempt[:]...)
}

// Decode reads what Append wrote.
func (c *Receive) Decode(d *Decoder) {
	c.Settings.decode(d)
	c.Max = uint32(d.Uvarint())
	c.VisibilityMs = int64(d.Uvarint())
	c.Nonce = d.Uvarint()
	c.Attempt = d.RequestID()
}

// ReceiveResult is what a receive took, as machine.Expand makes it from the
// recorded result. When the command repeats an earlier one, messages that were
// deleted or received by others since are left out, so Messages may be fewer
// than Taken.
type ReceiveResult struct {
	Taken    uint64
	Messages []Received
}

// Append appends the form between nodes.
func (r *ReceiveResult) Append(dst []byte) []byte {
	size := 16
	for i := range r.Messages {
		size += 192 + len(r.Messages[i].Body) // mostly enough
	}
	dst = slices.Grow(dst, size)
	return appendReceived(AppendUvarint(dst, r.Taken), r.Messages)
}

// Decode reads what Append wrote; the bodies share memory with d's input.
func (r *ReceiveResult) Decode(d *Decoder) {
	r.Taken = d.Uvarint()
	r.Messages = decodeReceived(d)
}

// DeleteMessages is the body of a CmdDeleteMessages. The result is StatusOK,
// with EntryStatuses when not every entry is EntryOK. To delete a message that is
// gone is EntryOK, and so is, without effect, to delete one of a standard queue
// by a receipt when it was received again since. In a FIFO queue a receipt counts
// only while the message is in flight by it: else it is EntryNotInflight, and the
// message stays. All this is SQS's behaviour.
type DeleteMessages struct {
	Receipts []Receipt
}

// Append appends the stored form. See docs/format/queue.md.
func (c *DeleteMessages) Append(dst []byte) []byte {
	dst = slices.Grow(dst, 2+len(c.Receipts)*18) // mostly enough
	dst = AppendUvarint(dst, uint64(len(c.Receipts)))
	for i := range c.Receipts {
		dst = c.Receipts[i].append(dst)
	}
	return dst
}

// Decode reads what Append wrote.
func (c *DeleteMessages) Decode(d *Decoder) {
	n := d.Count()
	c.Receipts = make([]Receipt, 0, min(n, 16))
	for ; n > 0; n-- {
		var r Receipt
		r.decode(d)
		c.Receipts = append(c.Receipts, r)
	}
}

// append appends the parts of a receipt that its command's resource and slot
// do not say.
func (r *Receipt) append(dst []byte) []byte {
	dst = AppendUvarint(dst, r.Seq)
	dst = AppendUvarint(dst, uint64(r.Receives))
	return AppendUvarint(dst, r.Nonce)
}

func (r *Receipt) decode(d *Decoder) {
	r.Seq, r.Receives, r.Nonce = d.Uvarint(), uint32(d.Uvarint()), d.Uvarint()
}

// VisibilityChange asks for a message to become visible VisibilityMs after the
// command's stamp.
type VisibilityChange struct {
	Receipt      Receipt
	VisibilityMs int64 // 0 to MaxVisibilityMs; 0: at once
}

// ChangeVisibility is the body of a CmdChangeVisibility. The result is
// StatusOK with EntryStatuses.
type ChangeVisibility struct {
	Changes []VisibilityChange
	// GiveBack says that nobody has the receipts: they count for nothing from now
	// on, and a repeated receive is not given the messages again.
	GiveBack bool
}

// Append appends the stored form. See docs/format/queue.md.
func (c *ChangeVisibility) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(c.Changes)))
	for i := range c.Changes {
		dst = c.Changes[i].Receipt.append(dst)
		dst = AppendUvarint(dst, uint64(c.Changes[i].VisibilityMs))
	}
	return AppendBool(dst, c.GiveBack)
}

// Decode reads what Append wrote.
func (c *ChangeVisibility) Decode(d *Decoder) {
	for n := d.Count(); n > 0; n-- {
		var v VisibilityChange
		v.Receipt.decode(d)
		v.VisibilityMs = int64(d.Uvarint())
		c.Changes = append(c.Changes, v)
	}
	c.GiveBack = d.Bool()
}

// EntryStatus is the outcome of one entry of a command. The numbers are part
// of the stored format.
type EntryStatus uint8

// The outcomes of an entry.
const (
	EntryOK EntryStatus = 0
	// EntryNotFound: the message is gone, or was received again since. SQS:
	// InvalidParameterValue, "Value ... for parameter ReceiptHandle is invalid.
	// Reason: Message does not exist or is not available for visibility timeout
	// change."
	EntryNotFound EntryStatus = 1
	// EntryNotInflight: the message is visible. SQS: MessageNotInflight. Of a
	// delete: the message is not in flight by this receipt. SQS: "The receipt handle
	// has expired."
	EntryNotInflight EntryStatus = 2
	// EntryOverLimit: it would be hidden for more than MaxVisibilityMs since its
	// receive. SQS: InvalidParameterValue, "... Reason: Total VisibilityTimeout
	// for the message is beyond the limit [43200 seconds]."
	EntryOverLimit EntryStatus = 3
)

// EntryStatuses are the outcomes of a command's entries, in their order.
type EntryStatuses []EntryStatus

// Append appends the stored form.
func (s EntryStatuses) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(s)))
	for _, e := range s {
		dst = append(dst, byte(e))
	}
	return dst
}

// Decode reads what Append wrote.
func (s *EntryStatuses) Decode(d *Decoder) {
	for n := d.Count(); n > 0; n-- {
		*s = append(*s, EntryStatus(d.Byte()))
	}
}

// Purge is the body of a CmdPurge: it deletes every message that was sent
// before it. The result is StatusOK, or StatusOverLimit when the queue was
// purged less than PurgeIntervalMs before.
type Purge struct {
	// Follows says that the queue's first slot was purged, and the interval is
	// its to judge.
	Follows bool
}

// Append appends the stored form. See docs/format/queue.md.
func (c *Purge) Append(dst []byte) []byte { return AppendBool(dst, c.Follows) }

// Decode reads what Append wrote.
func (c *Purge) Decode(d *Decoder) { c.Follows = d.Bool() }

// SetQueueSettings is the body of a CmdSetQueueSettings. It makes the settings
// felt at once, where they would otherwise wait for the next send or receive:
// due messages become visible and expired ones go, up to a bound. It keeps
// nothing, so it is also the sweeper's command. The result is StatusOK with a
// SweepResult.
type SetQueueSettings struct {
	Settings QueueSettings
}

// Append appends the stored form. See docs/format/queue.md.
func (c *SetQueueSettings) Append(dst []byte) []byte { return c.Settings.append(dst) }

// Decode reads what Append wrote.
func (c *SetQueueSettings) Decode(d *Decoder) { c.Settings.decode(d) }

// SweepResult says whether the bound was reached: then there may be more to
// do, and the sweeper sends its command again.
type SweepResult struct {
	More bool
}

// Append appends the stored form.
func (r *SweepResult) Append(dst []byte) []byte { return AppendBool(dst, r.More) }

// Decode reads what Append wrote.
func (r *SweepResult) Decode(d *Decoder) { r.More = d.Bool() }

// CancelScheduled is the body of a CmdCancelScheduled: messages that were
// scheduled (SendEntry.AtMs) and are not visible yet are deleted. The result is
// StatusOK with EntryStatuses: EntryOK, or EntryNotFound when no such message
// is waiting for its time.
type CancelScheduled struct {
	IDs []MessageID
}

// Append appends the stored form. See docs/format/queue.md.
func (c *CancelScheduled) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(c.IDs)))
	for i := range c.IDs {
		dst = append(dst, c.IDs[i][:]...)
	}
	return dst
}

// Decode reads what Append wrote.
func (c *CancelScheduled) Decode(d *Decoder) {
	for n := d.Count(); n > 0; n-- {
		c.IDs = append(c.IDs, MessageID(d.Fixed(len(MessageID{}))))
	}
}

// PeekQuery is the body of a QueryPeek: messages by number, wherever they are,
// without taking them. The result is StatusOK with a PeekResult.
type PeekQuery struct {
	NowMs int64  // Unix milliseconds: hidden messages that are due by then are shown as visible
	After uint64 // numbers greater than this; zero begins at the first
	Max   uint32 // messages, 1 to MaxReceiveMessages; a page is also bounded by MaxPageBytes
	// Contains is what a message's body, or one of its attributes' values, must
	// contain, byte for byte; "" is every message. A page may be short, or empty,
	// with More set, since the work of a query is bounded too.
	Contains string
	Group    string // only this message group; "" is every message
}

// Append appends the form between nodes.
func (q *PeekQuery) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(AppendUvarint(dst, uint64(q.NowMs)), q.After), uint64(q.Max))
	return AppendString(AppendString(dst, q.Contains), q.Group)
}

// Decode reads what Append wrote.
func (q *PeekQuery) Decode(d *Decoder) {
	q.NowMs, q.After, q.Max = int64(d.Uvarint()), d.Uvarint(), uint32(d.Uvarint())
	q.Contains, q.Group = d.String(), d.String()
}

// MessagePlace says where a peeked message is.
type MessagePlace uint8

// The places of messages. The numbers are part of the form between nodes.
const (
	MessageVisible  MessagePlace = 1
	MessageDelayed  MessagePlace = 2
	MessageInFlight MessagePlace = 3
	MessageClaimed  MessagePlace = 4 // with a pipe
	MessageDead     MessagePlace = 5 // on its way to the dead-letter queue
)

// String is the place in one word, for people and tools.
func (p MessagePlace) String() string {
	switch p {
	case MessageVisible:
		return "visible"
	case MessageDelayed:
		return "delayed"
	case MessageInFlight:
		return "in-flight"
	case MessageClaimed:
		return "claimed"
	case MessageDead:
		return "dead"
	default:
		return "unknown"
	}
}

// Peeked is a message as PeekQuery shows it; its Receipt is empty.
type Peeked struct {
	Received
	Place MessagePlace
	AtMs  int64 // when a delayed message or one in flight becomes visible, Unix milliseconds
}

// PeekResult is one page of messages, by number.
type PeekResult struct {
	Messages []Peeked
	Next     uint64 // the next After
	More     bool
}

// Append appends the form between nodes.
func (r *PeekResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(r.Messages)))
	for i := range r.Messages {
		m := &r.Messages[i]
		dst = m.append(dst)
		dst = AppendUvarint(append(dst, byte(m.Place)), uint64(m.AtMs))
	}
	return AppendBool(AppendUvarint(dst, r.Next), r.More)
}

// Decode reads what Append wrote; the bodies share memory with d's input.
func (r *PeekResult) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var m Peeked
		m.decode(d)
		m.Place, m.AtMs = MessagePlace(d.Byte()), int64(d.Uvarint())
		r.Messages = append(r.Messages, m)
	}
	r.Next, r.More = d.Uvarint(), d.Bool()
}

// QueueQuery is the body of a QueryQueue; the result is StatusOK with
// QueueCounts.
type QueueQuery struct {
	NowMs int64 // Unix milliseconds: hidden messages that are due by then count as visible
}

// Append appends the form between nodes.
func (q *QueueQuery) Append(dst []byte) []byte { return AppendUvarint(dst, uint64(q.NowMs)) }

// Decode reads what Append wrote.
func (q *QueueQuery) Decode(d *Decoder) { q.NowMs = int64(d.Uvarint()) }

// QueueCounts are a queue's messages by what they wait for. They are exact but
// for messages past their retention, which count until they are swept.
type QueueCounts struct {
	Visible  uint64
	Delayed  uint64
	InFlight uint64 // with consumers
	Claimed  uint64 // with pipes; SQS's door adds them to those in flight
	Dead     uint64 // waiting to be moved to the dead-letter queue
	Bytes    uint64 // of bodies and attributes of all of them
	OldestMs int64  // when the message at the head was sent, or a little earlier; zero when none is visible
	// Groups is how many message groups have messages; Noisy how many of them
	// count as noisy neighbours in a standard queue, by SQS's published thresholds.
	Groups, Noisy uint64
}

// Append appends the form between nodes.
func (c *QueueCounts) Append(dst []byte) []byte {
	for _, v := range []uint64{c.Visible, c.Delayed, c.InFlight, c.Claimed, c.Dead, c.Bytes, uint64(c.OldestMs), c.Groups, c.Noisy} {
		dst = AppendUvarint(dst, v)
	}
	return dst
}

// Decode reads what Append wrote.
func (c *QueueCounts) Decode(d *Decoder) {
	for _, v := range []*uint64{&c.Visible, &c.Delayed, &c.InFlight, &c.Claimed, &c.Dead, &c.Bytes} {
		*v = d.Uvarint()
	}
	c.OldestMs = int64(d.Uvarint())
	c.Groups, c.Noisy = d.Uvarint(), d.Uvarint()
}
