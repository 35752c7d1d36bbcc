package keys

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// GroupRecord is what a queue knows of a message group. It is there as long as
// the group has messages, and a little longer while its rate or its share of
// the consumers' time must be remembered.
type GroupRecord struct {
	Fifo     bool   // see QueueEntry.Fifo
	Messages uint64 // wherever they are
	Out      uint64 // of them in flight and with pipes
	Dead     uint64 // of them dead and not yet claimed
	Loud     bool   // it has a mark under Loud

	FullNs     uint64 // the rate's bucket is full then; Unix nanoseconds
	WaitMs     int64  // it waits for its rate until then, with an alarm; else zero
	SentMs     int64  // when a message was sent to it last
	LingerMs   int64  // it has an alarm to look whether the record may go; else zero
	Busy       uint64 // milliseconds that consumers had its messages, halved with each period
	BusyPeriod uint64 // the period that Busy is of
	Lists      []GroupList
}

// GroupList are the visible messages of a group that have one priority; in a
// FIFO group also the delayed ones, since they keep their place. Its first
// messages are in the record, the others under Grouped.
type GroupList struct {
	Priority uint8
	Turn     Turn
	TurnAt   uint64       // of TurnReady: its order under Ready
	Front    []QueueEntry // without their group and priority; empty only if Stored is zero
	Stored   uint64       // how many are under Grouped
	Low      uint64       // none of those is below this number
	High     uint64       // nor above this one
}

// Turn says where it is remembered that a group has something to give. Part of
// the stored format.
type Turn byte

// The turns.
const (
	TurnNone  Turn = 0 // nowhere: it has nothing, is blocked, or waits for its rate
	TurnReady Turn = 1 // under Ready, among the visible messages
	TurnNoisy Turn = 2 // in the list of noisy groups
)

const groupRecordVersion = 1

// Append appends the stored form.
func (g *GroupRecord) Append(dst []byte) []byte {
	dst = model.AppendBool(append(dst, groupRecordVersion), g.Fifo)
	dst = model.AppendBool(dst, g.Loud)
	for _, v := range g.fields() {
		dst = binary.AppendUvarint(dst, *v)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(g.WaitMs)), uint64(g.LingerMs))
	dst = binary.AppendUvarint(dst, uint64(g.SentMs))
	dst = binary.AppendUvarint(dst, uint64(len(g.Lists)))
	for i := range g.Lists {
		l := &g.Lists[i]
		dst = append(dst, l.Priority, byte(l.Turn))
		for _, v := range []uint64{l.TurnAt, l.Stored, l.Low, l.High, uint64(len(l.Front))} {
			dst = binary.AppendUvarint(dst, v)
		}
		for j := range l.Front {
			dst = l.Front[j].AppendBare(dst)
		}
	}
	return dst
}

func (g *GroupRecord) fields() [6]*uint64 {
	return [...]*uint64{&g.Messages, &g.Out, &g.Dead, &g.FullNs, &g.Busy, &g.BusyPeriod}
}

// Decode reads what Append wrote. The entries of its lists do not say their
// group and priority before Belong.
func (g *GroupRecord) Decode(d *model.Decoder) {
	if d.Byte() != groupRecordVersion {
		d.Fail()
	}
	g.Fifo, g.Loud = d.Bool(), d.Bool()
	for _, v := range g.fields() {
		*v = d.Uvarint()
	}
	g.WaitMs, g.LingerMs, g.SentMs = int64(d.Uvarint()), int64(d.Uvarint()), int64(d.Uvarint())
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		l := GroupList{Priority: d.Byte(), Turn: Turn(d.Byte())}
		if l.Priority > model.MaxPriority || l.Turn > TurnNoisy {
			d.Fail()
		}
		l.TurnAt, l.Stored, l.Low, l.High = d.Uvarint(), d.Uvarint(), d.Uvarint(), d.Uvarint()
		for k := d.Count(); k > 0 && d.Err() == nil; k-- {
			var e QueueEntry
			e.Decode(d)
			l.Front = append(l.Front, e)
		}
		g.Lists = append(g.Lists, l)
	}
}

// Belong makes the entries of the lists say that they belong to the group of
// that name.
func (g *GroupRecord) Belong(name string) {
	for i := range g.Lists {
		l := &g.Lists[i]
		for j := range l.Front {
			l.Front[j].Belong(name, l.Priority, g.Fifo)
		}
	}
}

// NoisyGroups are the noisy groups whose turn it is, in the order of their
// turns.
type NoisyGroups []string

// Append appends the stored form.
func (n NoisyGroups) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(n)))
	for _, name := range n {
		dst = model.AppendString(dst, name)
	}
	return dst
}

// Decode reads what Append wrote.
func (n *NoisyGroups) Decode(d *model.Decoder) {
	for k := d.Count(); k > 0; k-- {
		*n = append(*n, d.String())
	}
}

// SentRecord remembers a message by its deduplication id.
type SentRecord struct {
	ID     model.MessageID
	Seq    uint64
	SentMs int64
}

// Append appends the stored form.
func (s *SentRecord) Append(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, s.ID[:]...), s.Seq), uint64(s.SentMs))
}

// Decode reads what Append wrote.
func (s *SentRecord) Decode(d *model.Decoder) {
	s.ID = model.MessageID(d.Fixed(len(s.ID)))
	s.Seq, s.SentMs = d.Uvarint(), int64(d.Uvarint())
}

// AttemptRecord remembers what a receive was given.
type AttemptRecord struct {
	AtMs  int64
	Nonce uint64
	Seqs  []uint64
}

// Append appends the stored form.
func (a *AttemptRecord) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(binary.AppendUvarint(dst, uint64(a.AtMs)), a.Nonce)
	dst = binary.AppendUvarint(dst, uint64(len(a.Seqs)))
	for _, seq := range a.Seqs {
		dst = binary.AppendUvarint(dst, seq)
	}
	return dst
}

// Decode reads what Append wrote.
func (a *AttemptRecord) Decode(d *model.Decoder) {
	a.AtMs, a.Nonce = int64(d.Uvarint()), binary.BigEndian.Uint64(d.Fixed(8))
	for n := d.Count(); n > 0; n-- {
		a.Seqs = append(a.Seqs, d.Uvarint())
	}
}
