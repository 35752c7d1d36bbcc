package model

// A unit is what regions hold copies of in queues and streams: a slot of a
// queue, or a shard of a stream. Only one region writes it at a time. Its
// content has a version, as an item has: the stamp and the region of the last
// command that changed it. docs/adr/0009 has the rules.

// UnitKey names a unit within its resource: the Key of its changes in the log.
type UnitKey struct {
	Slot  Slot
	Shard ShardNumber // zero in a queue
}

// UnitChange is what one command did to a unit, or a page of a first copy of it.
// Regions name each other in it as in a Change.
type UnitChange struct {
	Version Version // of the content afterwards; of a page, of the content that it was read from
	Follows Version // of a change: of the content before. Zero: the unit was never used
	History History // of a page: what Version knows of
	Page    *UnitPage
	// Own says that the sender made the change and has no writes any more: a
	// region that took them over may add to its own what it did not have.
	Own  bool
	Body []byte // a QueueChange or a ShardChange
}

// UnitPage says what of a unit a page of a first copy brings: the messages or
// records with numbers in (After, UpTo].
type UnitPage struct {
	Run         uint64 // names the copy
	After, UpTo uint64 // After 0: the copy begins, what was there goes
	Last        bool
	Partial     bool // what it is copied from lacks something that the original had
}

const (
	unitPage = 1
	unitLast = 2
	unitOwn  = 4
	unitPart = 8
)

// Append appends the form that travels between regions. See docs/format/change.md.
func (c *UnitChange) Append(dst []byte) []byte {
	flags := packFlags(c.Page != nil, c.Page != nil && c.Page.Last, c.Own)
	if c.Page != nil && c.Page.Partial {
		flags |= unitPart
	}
	dst = c.Follows.Append(c.Version.Append(append(dst, flags)))
	dst = c.History.Append(dst)
	if p := c.Page; p != nil {
		dst = AppendUvarint(AppendUvarint(AppendUvarint(dst, p.Run), p.After), p.UpTo)
	}
	return AppendBytes(dst, c.Body)
}

// Decode reads what Append wrote; Body shares memory with d's input.
func (c *UnitChange) Decode(d *Decoder) {
	flags := d.Byte()
	c.Version.Decode(d)
	c.Follows.Decode(d)
	c.History = DecodeHistory(d)
	c.Own = flags&unitOwn != 0
	if flags&unitPage != 0 {
		c.Page = &UnitPage{Run: d.Uvarint(), After: d.Uvarint(), UpTo: d.Uvarint(), Last: flags&unitLast != 0, Partial: flags&unitPart != 0}
	}
	if flags > unitPage|unitLast|unitOwn|unitPart || flags&(unitLast|unitPart) != 0 && c.Page == nil || c.Page != nil && c.Page.UpTo < c.Page.After {
		d.Fail()
	}
	c.Body = d.Bytes()
}

// Rename changes the name of one region wherever the change names it. No version
// is of no region.
func (c *UnitChange) Rename(from, to RegionID) {
	for _, v := range []*Version{&c.Version, &c.Follows} {
		if *v != (Version{}) {
			*v = v.Rename(from, to)
		}
	}
	c.History = c.History.Rename(from, to)
}

// QueueChange is what a command did to a slot of a queue: first it purged it,
// then it added messages and removed some.
type QueueChange struct {
	NextSeq uint64 // of the next message, afterwards
	Purged  bool
	Added   []UnitMessage // ascending
	Gone    []uint64      // numbers of messages
	// Mends says that the command changed nothing, but tells what a copy may have
	// wrong: that the messages Gone are not there, what Mended there is, and that
	// this is what the slot counts.
	Mends  bool
	Mended []UnitMessage // ascending
	Count  QueueCount
}

// QueueCount is how much a slot of a queue holds.
type QueueCount struct{ Messages, Bytes uint64 }

// Append appends the stored form.
func (c *QueueCount) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, c.Messages), c.Bytes)
}

// UnitMessage is a message as another region holds it.
type UnitMessage struct {
	Seq   uint64
	DueMs int64 // when it becomes or became visible, if it was sent with a delay; else 0
	// Scheduled says that it may be cancelled until it is due.
	Scheduled bool
	Message   []byte // a Message, encoded
}

const (
	queuePurged = 1
	queueMends  = 2
)

// Append appends the stored form. See docs/format/change.md.
func (c *QueueChange) Append(dst []byte) []byte {
	dst = append(AppendUvarint(dst, c.NextSeq), packFlags(c.Purged, c.Mends, false))
	dst = AppendUvarint(appendUnitMessages(dst, c.Added), uint64(len(c.Gone)))
	for _, seq := range c.Gone {
		dst = AppendUvarint(dst, seq)
	}
	if c.Mends {
		dst = c.Count.Append(appendUnitMessages(dst, c.Mended))
	}
	return dst
}

func appendUnitMessages(dst []byte, ms []UnitMessage) []byte {
	dst = AppendUvarint(dst, uint64(len(ms)))
	for i := range ms {
		m := &ms[i]
		dst = AppendUvarint(AppendUvarint(dst, m.Seq), uint64(m.DueMs))
		dst = AppendBytes(AppendBool(dst, m.Scheduled), m.Message)
	}
	return dst
}

// Decode reads what Append wrote; messages share memory with d's input.
func (c *QueueChange) Decode(d *Decoder) {
	c.NextSeq = d.Uvarint()
	flags := d.Byte()
	c.Purged, c.Mends = flags&queuePurged != 0, flags&queueMends != 0
	c.Added = c.decodeMessages(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		c.Gone = append(c.Gone, d.Uvarint())
	}
	if c.Mends {
		c.Mended = c.decodeMessages(d)
		c.Count = QueueCount{d.Uvarint(), d.Uvarint()}
	}
	if c.NextSeq == 0 || flags > queuePurged|queueMends {
		d.Fail()
	}
}

func (c *QueueChange) decodeMessages(d *Decoder) (ms []UnitMessage) {
	last := uint64(0)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		m := UnitMessage{Seq: d.Uvarint(), DueMs: int64(d.Uvarint()), Scheduled: d.Bool(), Message: d.Bytes()}
		if m.Seq <= last || m.Seq >= c.NextSeq || m.DueMs < 0 {
			d.Fail()
		}
		last = m.Seq
		ms = append(ms, m)
	}
	return ms
}

// ShardChange is what a command did to a shard: the state that it left, and the
// blocks and positions that it wrote. A position comes without the member that
// holds the shard: leases are not told to other regions.
type ShardChange struct {
	State     ShardState
	Groups    uint64       // with a position
	Blocks    []ShardBlock // ascending, without a gap
	Positions []Position
	Forgotten []string // groups whose position went
	// Mends says that the command changed nothing, but tells what a copy may have
	// wrong: what blocks Mended there are, and that none is outside of what the
	// state says.
	Mends  bool
	Mended []ShardBlock // ascending
}

// ShardBlock is records that were put together.
type ShardBlock struct {
	First     uint64
	ArrivalMs int64
	Before    uint64 // stored bytes of all records of the shard before them
	Batch     []byte // a RecordBatch
}

// Append appends the stored form. See docs/format/change.md.
func (c *ShardChange) Append(dst []byte) []byte {
	dst = AppendUvarint(c.State.Append(dst), c.Groups)
	dst = AppendUvarint(appendBlocks(dst, c.Blocks), uint64(len(c.Positions)))
	for i := range c.Positions {
		dst = c.Positions[i].Append(dst)
	}
	dst = AppendUvarint(dst, uint64(len(c.Forgotten)))
	for _, name := range c.Forgotten {
		dst = AppendString(dst, name)
	}
	if dst = AppendBool(dst, c.Mends); c.Mends {
		dst = appendBlocks(dst, c.Mended)
	}
	return dst
}

func appendBlocks(dst []byte, bs []ShardBlock) []byte {
	dst = AppendUvarint(dst, uint64(len(bs)))
	for i := range bs {
		b := &bs[i]
		dst = AppendUvarint(AppendUvarint(AppendUvarint(dst, b.First), uint64(b.ArrivalMs)), b.Before)
		dst = AppendBytes(dst, b.Batch)
	}
	return dst
}

// Decode reads what Append wrote; batches share memory with d's input.
func (c *ShardChange) Decode(d *Decoder) {
	c.State.Decode(d)
	c.Groups = d.Uvarint()
	if c.State.Low < 1 || c.State.Low > c.State.Next || c.State.Bytes > c.State.TotalBytes {
		d.Fail()
	}
	c.Blocks = c.decodeBlocks(d, true)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var p Position
		if p.Decode(d); p.Group == "" || len(p.Group) > MaxGroupBytes {
			d.Fail()
		}
		c.Positions = append(c.Positions, p)
	}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		c.Forgotten = append(c.Forgotten, d.String())
	}
	if c.Mends = d.Bool(); c.Mends {
		c.Mended = c.decodeBlocks(d, false)
	}
}

// decodeBlocks reads blocks in their order; joined ones leave no gap.
func (c *ShardChange) decodeBlocks(d *Decoder, joined bool) (bs []ShardBlock) {
	next := uint64(0)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		b := ShardBlock{First: d.Uvarint(), ArrivalMs: int64(d.Uvarint()), Before: d.Uvarint(), Batch: d.Bytes()}
		batch, err := ParseRecordBatch(b.Batch)
		if err != nil || batch.Len() == 0 || b.First == 0 || b.First < next || joined && next != 0 && b.First != next || b.First+uint64(batch.Len()) > c.State.Next {
			d.Fail()
			return nil
		}
		next = b.First + uint64(batch.Len())
		bs = append(bs, b)
	}
	return bs
}
