package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// Line is an index of what is visible in one priority: entries are appended at
// its end, under the queue's next number, and taken from its beginning.
type Line struct {
	Low    uint64 // no entry comes before it, nor a message of a block; see InBlock
	Count  uint64
	HeadMs int64 // the first message was sent then, or later; counts while Count is not zero
}

// Alarms is an index of what is to be done to groups at some time.
type Alarms struct {
	Count     uint64
	LowMs     int64 // none comes before this time and, within it, this number
	LowNumber uint64
}

// QueueRecord is a queue's head record: its counters, counts and low marks. It
// is comparable.
type QueueRecord struct {
	Fifo       bool   // messages were sent under the rules of FIFO queues
	NextSeq    uint64 // the next number of a message, or place in a line, in steps of NumberStep
	NextNumber uint64 // of the next entry under Grouped, or alarm
	NextDead   uint64 // of the next message that dies
	LowDead    uint64 // no dead message comes before it

	// No hidden message comes before this time and, within it, this number.
	LowHiddenMs  int64
	LowHiddenSeq uint64

	Lines [model.MaxPriority + 1]Line   // by priority
	Noisy [model.MaxPriority + 1]uint64 // groups in the lists of noisy ones, by priority

	Visible  uint64 // messages that nobody has, blocked ones of a FIFO group included
	Delayed  uint64 // messages under Hidden that were never received
	InFlight uint64 // messages under Hidden, or whose block is, that were received
	Claimed  uint64 // messages in claims
	Dead     uint64 // messages under Dead
	Bytes    uint64 // of all these messages' bodies and attributes
	Groups   uint64 // groups that have any of these messages

	Waiting    Alarms // groups that wait for their rate
	Lingering  Alarms // groups without messages
	FullNs     uint64 // the rate's bucket is full then; Unix nanoseconds
	Busy       uint64 // milliseconds that consumers had messages, halved with each period
	BusyPeriod uint64 // the period that Busy is of
	LowLately  uint64 // nothing is remembered of periods before it

	Blocked uint64 // messages of blocks that are in the line of priority 0

	// Unfiled messages are under no index, but under Message only: another region
	// takes the queue's writes, or took them a moment ago. None below Filed is one.
	Unfiled, Filed uint64

	PurgedBelow uint64 // messages below this number were purged
	PurgedMs    int64  // when; zero for never
}

const queueRecordVersion = 1

// fields are the record's numbers in their stored order.
func (q *QueueRecord) fields() [22]*uint64 {
	return [...]*uint64{
		&q.NextSeq, &q.NextNumber, &q.NextDead, &q.LowDead, &q.LowHiddenSeq,
		&q.Visible, &q.Delayed, &q.InFlight, &q.Claimed, &q.Dead, &q.Bytes, &q.Groups,
		&q.Waiting.Count, &q.Lingering.Count, &q.FullNs, &q.Busy, &q.BusyPeriod, &q.LowLately, &q.PurgedBelow,
		&q.Unfiled, &q.Filed, &q.Blocked,
	}
}

// Append appends the stored form.
func (q *QueueRecord) Append(dst []byte) []byte {
	dst = model.AppendBool(append(dst, queueRecordVersion), q.Fifo)
	for _, v := range q.fields() {
		dst = binary.AppendUvarint(dst, *v)
	}
	for _, ms := range [...]int64{q.LowHiddenMs, q.PurgedMs} {
		dst = binary.AppendUvarint(dst, uint64(ms))
	}
	for _, a := range [...]*Alarms{&q.Waiting, &q.Lingering} {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(a.LowMs)), a.LowNumber)
	}
	used := 0
	for p := range q.Lines {
		if q.Lines[p] != (Line{}) || q.Noisy[p] != 0 {
			used++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(used))
	for p := range q.Lines {
		if l := &q.Lines[p]; *l != (Line{}) || q.Noisy[p] != 0 {
			dst = append(dst, byte(p))
			for _, v := range [...]uint64{l.Low, l.Count, uint64(l.HeadMs), q.Noisy[p]} {
				dst = binary.AppendUvarint(dst, v)
			}
		}
	}
	return dst
}

// Decode reads what Append wrote.
func (q *QueueRecord) Decode(d *model.Decoder) {
	if d.Byte() != queueRecordVersion {
		d.Fail()
	}
	q.Fifo = d.Bool()
	for _, v := range q.fields() {
		*v = d.Uvarint()
	}
	q.LowHiddenMs, q.PurgedMs = int64(d.Uvarint()), int64(d.Uvarint())
	for _, a := range [...]*Alarms{&q.Waiting, &q.Lingering} {
		a.LowMs, a.LowNumber = int64(d.Uvarint()), d.Uvarint()
	}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		p := d.Byte()
		if p > model.MaxPriority {
			d.Fail()
			return
		}
		l := &q.Lines[p]
		l.Low, l.Count, l.HeadMs, q.Noisy[p] = d.Uvarint(), d.Uvarint(), int64(d.Uvarint()), d.Uvarint()
	}
}

// QueueEntry is what the indexes of a queue hold of a message. It is
// comparable.
type QueueEntry struct {
	Seq            uint64
	SentMs         int64  // when it was sent, or for when it was scheduled: its retention counts from then
	Size           uint64 // of body and attributes, in bytes
	Receives       uint32
	FirstReceiveMs int64  // zero while Receives is
	Group          string // "" when none
	Priority       uint8
	Fifo           bool  // it keeps its place in its group, which may be the one without a name
	DueMs          int64 // of a FIFO message that was sent with a delay: when it becomes visible
	Turn           bool  // no message, but the turn of a group under Ready
	Block          bool  // it is in the block that its number says; else it is stored alone
}

// Grouped reports whether the message belongs to a group's list.
func (e *QueueEntry) Grouped() bool { return e.Fifo || e.Group != "" }

// Belong says what the entries of a group's list do not.
func (e *QueueEntry) Belong(group string, priority uint8, fifo bool) {
	e.Group, e.Priority, e.Fifo = group, priority, fifo
}

// What follows the numbers of an entry, if its receive count says so.
const (
	entryGroup    = 1
	entryPriority = 2
	entryFifo     = 4
	entryDue      = 8
	entryTurn     = 16
	entryBlock    = 32
)

// AppendBare appends the stored form in a group's list, which says the group
// and the priority.
func (e *QueueEntry) AppendBare(dst []byte) []byte {
	bare := *e
	bare.Belong("", 0, false)
	return bare.Append(dst)
}

// Append appends the stored form.
func (e *QueueEntry) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, e.Seq)
	dst = binary.AppendUvarint(dst, uint64(e.SentMs))
	dst = binary.AppendUvarint(dst, e.Size)
	more := e.more()
	receives := uint64(e.Receives) << 1
	if more != 0 {
		receives |= 1
	}
	dst = binary.AppendUvarint(dst, receives)
	if e.Receives > 0 {
		dst = binary.AppendUvarint(dst, uint64(e.FirstReceiveMs))
	}
	if more == 0 {
		return dst
	}
	dst = append(dst, more)
	if more&entryGroup != 0 {
		dst = model.AppendString(dst, e.Group)
	}
	if more&entryPriority != 0 {
		dst = append(dst, e.Priority)
	}
	if more&entryDue != 0 {
		dst = binary.AppendUvarint(dst, uint64(e.DueMs))
	}
	return dst
}

func (e *QueueEntry) more() (more byte) {
	if e.Group != "" {
		more |= entryGroup
	}
	if e.Priority != 0 {
		more |= entryPriority
	}
	if e.Fifo {
		more |= entryFifo
	}
	if e.DueMs != 0 {
		more |= entryDue
	}
	if e.Turn {
		more |= entryTurn
	}
	if e.Block {
		more |= entryBlock
	}
	return more
}

// Decode reads what Append wrote.
func (e *QueueEntry) Decode(d *model.Decoder) {
	e.Seq = d.Uvarint()
	e.SentMs = int64(d.Uvarint())
	e.Size = d.Uvarint()
	receives := d.Uvarint()
	if e.Receives = uint32(receives >> 1); e.Receives > 0 {
		e.FirstReceiveMs = int64(d.Uvarint())
	}
	if receives&1 == 0 {
		return
	}
	more := d.Byte()
	if more&entryGroup != 0 {
		e.Group = d.String()
	}
	if more&entryPriority != 0 {
		e.Priority = d.Byte()
	}
	if more&entryDue != 0 {
		e.DueMs = int64(d.Uvarint())
	}
	e.Fifo, e.Turn, e.Block = more&entryFifo != 0, more&entryTurn != 0, more&entryBlock != 0
	if more == 0 || more >= 2*entryBlock || e.Priority > model.MaxPriority {
		d.Fail()
	}
}

// Place says where a message that was received is. Part of the stored format.
type Place byte

// The places.
const (
	PlaceInFlight Place = 1 // under Hidden; At is when it becomes visible, Unix ms
	PlaceReady    Place = 2 // under Ready; At is its order
	PlaceDead     Place = 3 // under Dead; At is its order
	PlaceClaimed  Place = 4 // in a claim; At is the claim's number
)

// StateRecord is the state of a message that was received at least once. What
// its receipts refer to is found by it.
type StateRecord struct {
	QueueEntry
	Place      Place
	At         uint64
	ReceivedMs int64  // the last receive, Unix milliseconds
	Nonce      uint64 // of the last receive
}

// Append appends the stored form.
func (s *StateRecord) Append(dst []byte) []byte {
	dst = append(dst, byte(s.Place))
	dst = binary.AppendUvarint(dst, s.At)
	dst = binary.AppendUvarint(dst, uint64(s.ReceivedMs))
	dst = binary.BigEndian.AppendUint64(dst, s.Nonce)
	return s.QueueEntry.Append(dst)
}

// Decode reads what Append wrote.
func (s *StateRecord) Decode(d *model.Decoder) {
	s.Place = Place(d.Byte())
	if s.Place < PlaceInFlight || s.Place > PlaceClaimed {
		d.Fail()
	}
	s.At = d.Uvarint()
	s.ReceivedMs = int64(d.Uvarint())
	s.Nonce = binary.BigEndian.Uint64(d.Fixed(8))
	s.QueueEntry.Decode(d)
}
