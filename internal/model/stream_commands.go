package model

import "encoding/binary"

// The bodies and results of the commands and queries on streams. Resource is
// the stream and Slot is ShardSlot(stream, shard); each works on one shard.
// Records of a shard are numbered from 1, and a *position* n is before the
// record n. See docs/format/stream.md.

// PutRecords is the body of a CmdPutRecords. Its records are put all or none,
// with consecutive numbers. The result is StatusOK with a PutRecordsResult, or
// StatusClosed when the shard takes no more records: then nothing was put, and
// they go to its children, as soon as the caller's catalog has them. Its ID is
// ShardRequest of the request's.
type PutRecords struct {
	Shard ShardNumber
	// Retry says that the client has sent the request before, and that the try
	// before may still be on its way. The shard keeps when it last took such a put
	// (ShardState.RetriedMs).
	Retry bool
	Batch []byte // a RecordBatch of at least one record
}

// Append appends the stored form. See docs/format/stream.md.
func (c *PutRecords) Append(dst []byte) []byte { return append(c.appendHead(dst), c.Batch...) }

// AppendRecords is Append with a batch of the records, which are encoded in
// place; Batch does not count.
func (c *PutRecords) AppendRecords(dst []byte, records []Record) []byte {
	return AppendRecordBatch(c.appendHead(dst), records)
}

func (c *PutRecords) appendHead(dst []byte) []byte {
	return AppendBool(AppendUvarint(dst, uint64(c.Shard)), c.Retry)
}

// Decode reads what Append wrote, to the end of d's input, with which Batch
// shares memory. The batch is not looked into.
func (c *PutRecords) Decode(d *Decoder) {
	c.Shard, c.Retry = d.shardNumber(), d.Bool()
	c.Batch = d.Fixed(d.Len())
	if len(c.Batch) == 0 {
		d.Fail()
	}
}

// PutRecordsResult says what the records are called: First, First+1 and so on,
// by Shard.Sequence.
type PutRecordsResult struct {
	First     uint64
	Count     uint64
	ArrivalMs int64 // Unix milliseconds, of all of them; never less than that of a record before
}

// Append appends the stored form.
func (r *PutRecordsResult) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(AppendUvarint(dst, r.First), r.Count), uint64(r.ArrivalMs))
}

// Decode reads what Append wrote.
func (r *PutRecordsResult) Decode(d *Decoder) {
	r.First, r.Count, r.ArrivalMs = d.Uvarint(), d.Uvarint(), int64(d.Uvarint())
}

// CloseShard is the body of a CmdCloseShard: the shard takes no more records,
// for good. The result is StatusOK with a ShardState, also when it was closed
// before.
type CloseShard struct {
	Shard ShardNumber
}

// Append appends the stored form.
func (c *CloseShard) Append(dst []byte) []byte { return AppendUvarint(dst, uint64(c.Shard)) }

// Decode reads what Append wrote.
func (c *CloseShard) Decode(d *Decoder) { c.Shard = d.shardNumber() }

// TrimShard is the body of a CmdTrimShard: records that arrived before are
// removed. It is the sweeper's command; BeforeMs is StreamSpec.HorizonMs less
// TrimGraceMs, by a catalog that was up to date at that time: what had expired
// then is not wanted back by an increase of the retention that came later. The
// result is StatusOK with a ShardState.
type TrimShard struct {
	Shard    ShardNumber
	BeforeMs int64 // Unix milliseconds
}

// Append appends the stored form.
func (c *TrimShard) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(c.Shard)), uint64(c.BeforeMs))
}

// Decode reads what Append wrote.
func (c *TrimShard) Decode(d *Decoder) { c.Shard, c.BeforeMs = d.shardNumber(), int64(d.Uvarint()) }

// ShardState is what a shard's slot knows about it.
type ShardState struct {
	Next       uint64 // the number that the next record gets; of a closed shard, its End
	Low        uint64 // the first record that is kept; Next when there is none
	LowMs      int64  // its arrival, Unix milliseconds; 0 when there is none
	LastMs     int64  // the last record's arrival, Unix milliseconds; 0 before the first
	Bytes      uint64 // stored, of records that are kept
	TotalBytes uint64 // of all records ever put; with Next-1, their number, a load is the difference of two looks
	ClosedMs   int64  // Unix milliseconds; 0: open
	RetriedMs  int64  // when a put that was a retry was last taken, Unix milliseconds; 0: never
}

// Append appends the stored form.
func (s *ShardState) Append(dst []byte) []byte {
	for _, v := range []uint64{s.Next, s.Low, uint64(s.LowMs), uint64(s.LastMs), s.Bytes, s.TotalBytes, uint64(s.ClosedMs), uint64(s.RetriedMs)} {
		dst = AppendUvarint(dst, v)
	}
	return dst
}

// Decode reads what Append wrote.
func (s *ShardState) Decode(d *Decoder) {
	s.Next, s.Low, s.LowMs, s.LastMs = d.Uvarint(), d.Uvarint(), int64(d.Uvarint()), int64(d.Uvarint())
	s.Bytes, s.TotalBytes, s.ClosedMs, s.RetriedMs = d.Uvarint(), d.Uvarint(), int64(d.Uvarint()), int64(d.Uvarint())
}

// ShardQuery is the body of a QueryShard; the result is StatusOK with a
// ShardState.
type ShardQuery struct {
	Shard ShardNumber
}

// Append appends the form between nodes.
func (q *ShardQuery) Append(dst []byte) []byte { return AppendUvarint(dst, uint64(q.Shard)) }

// Decode reads what Append wrote.
func (q *ShardQuery) Decode(d *Decoder) { q.Shard = d.shardNumber() }

// ShardAtQuery is the body of a QueryShardAt: where the records begin that
// arrived at AtMs or later. The result is StatusOK with a ShardAtResult.
type ShardAtQuery struct {
	Shard ShardNumber
	AtMs  int64 // Unix milliseconds
}

// Append appends the form between nodes.
func (q *ShardAtQuery) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(q.Shard)), uint64(q.AtMs))
}

// Decode reads what Append wrote.
func (q *ShardAtQuery) Decode(d *Decoder) { q.Shard, q.AtMs = d.shardNumber(), int64(d.Uvarint()) }

// ShardAtResult is the first record at or behind the time, or the shard's next
// number when there is none.
type ShardAtResult struct {
	N         uint64
	ArrivalMs int64 // of that record, Unix milliseconds; 0 when there is none
}

// Append appends the form between nodes.
func (r *ShardAtResult) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, r.N), uint64(r.ArrivalMs))
}

// Decode reads what Append wrote.
func (r *ShardAtResult) Decode(d *Decoder) { r.N, r.ArrivalMs = d.Uvarint(), int64(d.Uvarint()) }

// RecordsQuery is the body of a QueryRecords: the records from position N on.
// A position before the first record that is kept is one at it. The result is
// StatusOK with a RecordsResult. One may wait for it (cluster.ReadWhenReady):
// it is ready when there are records or the shard is closed.
type RecordsQuery struct {
	Shard      ShardNumber
	N          uint64
	MaxRecords uint32 // 1 to MaxReadRecords
	MaxBytes   uint32 // stored bytes of records; the first is given whatever its size
	HorizonMs  int64  // StreamSpec.HorizonMs: records that arrived before are passed over
}

// Append appends the form between nodes.
func (q *RecordsQuery) Append(dst []byte) []byte {
	for _, v := range []uint64{uint64(q.Shard), q.N, uint64(q.MaxRecords), uint64(q.MaxBytes), uint64(q.HorizonMs)} {
		dst = AppendUvarint(dst, v)
	}
	return dst
}

// Decode reads what Append wrote.
func (q *RecordsQuery) Decode(d *Decoder) {
	q.Shard, q.N = d.shardNumber(), d.Uvarint()
	q.MaxRecords, q.MaxBytes, q.HorizonMs = uint32(d.Uvarint()), uint32(d.Uvarint()), int64(d.Uvarint())
}

// RecordsResult is a page of a shard's records.
type RecordsResult struct {
	Runs []RecordRun
	Next uint64 // the position behind the page: where to go on
	// NextMs is the arrival of the record at Next, Unix milliseconds; 0 when there
	// is none. MillisBehindLatest is now less this, or 0.
	NextMs int64
	// Tip is the shard's next number. A closed shard is read to its end when Next
	// is Tip.
	Tip    uint64
	Closed bool
}

// RecordRun is records with consecutive numbers that were put together.
type RecordRun struct {
	First     uint64
	ArrivalMs int64 // Unix milliseconds
	Batch     RecordBatch
}

// Ended reports whether the shard was read to its end: no record will come,
// and the children's turn is next.
func (r *RecordsResult) Ended() bool { return r.Closed && r.Next >= r.Tip }

// First is the number of the page's first record; Next when it has none. It is
// behind the position that was asked for when records have expired.
func (r *RecordsResult) First() uint64 {
	if len(r.Runs) == 0 {
		return r.Next
	}
	return r.Runs[0].First
}

// Append appends the form between nodes.
func (r *RecordsResult) Append(dst []byte) []byte {
	dst = r.AppendHead(dst)
	for i := range r.Runs {
		u := &r.Runs[i]
		dst = AppendRecordRun(dst, u.First, u.ArrivalMs, &u.Batch, 0, u.Batch.Len())
	}
	return dst
}

// AppendHead appends the result without its runs, always of one size, so that
// it can be written over when the runs are behind it.
func (r *RecordsResult) AppendHead(dst []byte) []byte {
	for _, v := range []uint64{r.Next, uint64(r.NextMs), r.Tip} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return AppendBool(dst, r.Closed)
}

// AppendRecordRun appends the records [lo, hi) of a batch as a run; first is
// the number of record lo.
func AppendRecordRun(dst []byte, first uint64, arrivalMs int64, b *RecordBatch, lo, hi int) []byte {
	dst = AppendUvarint(AppendUvarint(dst, first), uint64(arrivalMs))
	dst = AppendUvarint(dst, uint64(b.PartSize(lo, hi)))
	return b.AppendPart(dst, lo, hi)
}

// Decode reads what Append wrote; the batches share memory with d's input.
func (r *RecordsResult) Decode(d *Decoder) {
	r.Next = binary.BigEndian.Uint64(d.Fixed(8))
	r.NextMs = int64(binary.BigEndian.Uint64(d.Fixed(8)))
	r.Tip = binary.BigEndian.Uint64(d.Fixed(8))
	r.Closed = d.Bool()
	for d.Len() > 0 {
		u := RecordRun{First: d.Uvarint(), ArrivalMs: int64(d.Uvarint())}
		batch, err := ParseRecordBatch(d.Bytes())
		if err != nil {
			d.Fail()
			return
		}
		u.Batch = batch
		r.Runs = append(r.Runs, u)
	}
}
