package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// QueueRecord is a queue's head record: its counters, counts and low marks.
type QueueRecord struct {
	NextSeq   uint64 // of the next message
	NextOrder uint64 // of the next message that becomes visible
	LowOrder  uint64 // no visible message comes before it
	NextDead  uint64 // of the next message that dies
	LowDead   uint64 // no dead message comes before it

	// No hidden message comes before this time and, within it, this number.
	LowHiddenMs  int64
	LowHiddenSeq uint64

	Visible  uint64 // messages under Ready
	Delayed  uint64 // messages under Hidden that were never received
	InFlight uint64 // messages under Hidden that were received
	Claimed  uint64 // messages in claims
	Dead     uint64 // messages under Dead
	Bytes    uint64 // of all these messages' bodies and attributes

	HeadMs      int64  // the first visible message was sent then, or later; counts while Visible is not zero
	PurgedBelow uint64 // messages below this number were purged
	PurgedMs    int64  // when; zero for never
}

const queueRecordVersion = 1

// fields are the record's numbers in their stored order.
func (q *QueueRecord) fields() [13]*uint64 {
	return [...]*uint64{
		&q.NextSeq, &q.NextOrder, &q.LowOrder, &q.NextDead, &q.LowDead, &q.LowHiddenSeq,
		&q.Visible, &q.Delayed, &q.InFlight, &q.Claimed, &q.Dead, &q.Bytes, &q.PurgedBelow,
	}
}

// Append appends the stored form.
func (q *QueueRecord) Append(dst []byte) []byte {
	dst = append(dst, queueRecordVersion)
	for _, v := range q.fields() {
		dst = binary.AppendUvarint(dst, *v)
	}
	for _, ms := range [...]int64{q.LowHiddenMs, q.HeadMs, q.PurgedMs} {
		dst = binary.AppendUvarint(dst, uint64(ms))
	}
	return dst
}

// Decode reads what Append wrote.
func (q *QueueRecord) Decode(d *model.Decoder) {
	if d.Byte() != queueRecordVersion {
		d.Fail()
	}
	for _, v := range q.fields() {
		*v = d.Uvarint()
	}
	q.LowHiddenMs, q.HeadMs, q.PurgedMs = int64(d.Uvarint()), int64(d.Uvarint()), int64(d.Uvarint())
}

// QueueEntry is what the indexes of a queue hold of a message.
type QueueEntry struct {
	Seq            uint64
	SentMs         int64
	Size           uint64 // of body and attributes, in bytes
	Receives       uint32
	FirstReceiveMs int64 // zero while Receives is
}

// Append appends the stored form.
func (e *QueueEntry) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, e.Seq)
	dst = binary.AppendUvarint(dst, uint64(e.SentMs))
	dst = binary.AppendUvarint(dst, e.Size)
	dst = binary.AppendUvarint(dst, uint64(e.Receives))
	if e.Receives > 0 {
		dst = binary.AppendUvarint(dst, uint64(e.FirstReceiveMs))
	}
	return dst
}

// Decode reads what Append wrote.
func (e *QueueEntry) Decode(d *model.Decoder) {
	e.Seq = d.Uvarint()
	e.SentMs = int64(d.Uvarint())
	e.Size = d.Uvarint()
	e.Receives = uint32(d.Uvarint())
	if e.Receives > 0 {
		e.FirstReceiveMs = int64(d.Uvarint())
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
