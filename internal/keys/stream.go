package keys

import (
	"encoding/binary"
	"fmt"

	"weir.dev/weir/internal/model"
)

// The types of a stream's data keys. All of them go on with the shard's number
// (4 bytes BE), since two shards of a stream may share a slot. See
// docs/format/stream.md.
const (
	typeShard    = 'S' // a shard's head record
	typeRecords  = 'B' // records put together; rest: first number | arrival (Unix ms) | stored bytes before (8 bytes BE each)
	typePosition = 'P' // a consumer group's position; rest: its name
)

func shardKey(dst []byte, r model.ResourceID, slot model.Slot, typ byte, shard model.ShardNumber) []byte {
	return binary.BigEndian.AppendUint32(AppendData(dst, r, slot, typ), uint32(shard))
}

// ShardHead is the key of a shard's head record.
func ShardHead(dst []byte, r model.ResourceID, slot model.Slot, shard model.ShardNumber) []byte {
	return shardKey(dst, r, slot, typeShard, shard)
}

// BlockID is what the key of some records that were put together says of them.
type BlockID struct {
	First     uint64 // the first one's number
	ArrivalMs int64  // Unix milliseconds
	Before    uint64 // stored bytes of all records of the shard before them
}

// Block is the key of records that were put together.
func Block(dst []byte, r model.ResourceID, slot model.Slot, shard model.ShardNumber, b BlockID) []byte {
	dst = BlockFrom(dst, r, slot, shard, b.First)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.ArrivalMs))
	return binary.BigEndian.AppendUint64(dst, b.Before)
}

// BlockFrom is the least key of a block whose first number is n or greater.
func BlockFrom(dst []byte, r model.ResourceID, slot model.Slot, shard model.ShardNumber, n uint64) []byte {
	return binary.BigEndian.AppendUint64(shardKey(dst, r, slot, typeRecords, shard), n)
}

// SplitBlock takes a key made by Block apart.
func SplitBlock(key []byte) (b BlockID, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || len(rest) != 4+3*8 || typ != typeRecords {
		return BlockID{}, false
	}
	rest = rest[4:]
	return BlockID{
		First:     binary.BigEndian.Uint64(rest),
		ArrivalMs: int64(binary.BigEndian.Uint64(rest[8:])),
		Before:    binary.BigEndian.Uint64(rest[16:]),
	}, true
}

// GroupPosition is the key of a consumer group's position in a shard.
func GroupPosition(dst []byte, r model.ResourceID, slot model.Slot, shard model.ShardNumber, group string) []byte {
	return append(shardKey(dst, r, slot, typePosition, shard), group...)
}

// GroupPositions is the span of all groups' positions in a shard.
func GroupPositions(r model.ResourceID, slot model.Slot, shard model.ShardNumber) (lo, hi []byte) {
	lo = shardKey(nil, r, slot, typePosition, shard)
	return lo, Successor(lo)
}

// ShardRecord is a shard's head record. A shard without one has NewShardRecord.
type ShardRecord struct {
	Next       uint64 // the next record's number
	Low        uint64 // the first record that is kept, always the first of a block; Next when there is none
	LowMs      int64  // its arrival, Unix milliseconds; 0 when there is none
	LowBytes   uint64 // stored bytes of all records before it
	LastMs     int64  // the last record's arrival, Unix milliseconds; 0 before the first
	TotalBytes uint64 // stored bytes of all records ever put
	ClosedMs   int64  // Unix milliseconds; 0: open
	Groups     uint64 // consumer groups with a position
	RetriedMs  int64  // when a put that was a retry was last taken, Unix milliseconds; 0: never
}

// NewShardRecord is the head of a shard that was never used: records are
// numbered from 1.
func NewShardRecord() ShardRecord { return ShardRecord{Next: 1, Low: 1} }

const shardRecordVersion = 1

// Append appends the stored form.
func (s *ShardRecord) Append(dst []byte) []byte {
	dst = append(dst, shardRecordVersion)
	for _, v := range [...]uint64{s.Next, s.Low, uint64(s.LowMs), s.LowBytes, uint64(s.LastMs), s.TotalBytes, uint64(s.ClosedMs), s.Groups, uint64(s.RetriedMs)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// Decode reads what Append wrote.
func (s *ShardRecord) Decode(d *model.Decoder) {
	if d.Byte() != shardRecordVersion {
		d.Fail()
	}
	s.Next, s.Low, s.LowMs, s.LowBytes = d.Uvarint(), d.Uvarint(), int64(d.Uvarint()), d.Uvarint()
	s.LastMs, s.TotalBytes, s.ClosedMs, s.Groups = int64(d.Uvarint()), d.Uvarint(), int64(d.Uvarint()), d.Uvarint()
	s.RetriedMs = int64(d.Uvarint())
	if s.Low < 1 || s.Low > s.Next {
		d.Fail()
	}
}

// streamString prints the type and rest of a stream's data key; ok is false
// when it is none.
func streamString(typ byte, rest []byte) (s string, ok bool) {
	if len(rest) < 4 {
		return "", false
	}
	shard, rest := binary.BigEndian.Uint32(rest), rest[4:]
	switch typ {
	case typeShard:
		return fmt.Sprintf("shard/%d", shard), len(rest) == 0
	case typeRecords:
		if len(rest) != 3*8 {
			return "", false
		}
		return fmt.Sprintf("records/%d/%d/%d/%d", shard, binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:]), binary.BigEndian.Uint64(rest[16:])), true
	case typeUnit:
		return fmt.Sprintf("unit/%d", shard), len(rest) == 0
	case typePosition:
		return fmt.Sprintf("position/%d/%q", shard, rest), true
	default:
		return "", false
	}
}
