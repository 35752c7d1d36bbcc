package model

import (
	"encoding/binary"
	"strconv"
)

// MaxClaimBytes bounds the stored records of one claim on a stream, but for a
// single record that is larger.
const MaxClaimBytes = 2 << 20

// ClaimRecords is the body of a CmdClaimRecords: Resource is the source stream
// and Slot its shard's. It hands the pipe the records from its position on: the
// position stays where it is, held by the claim, until a CmdSettleRecords. The
// result is StatusOK with a ClaimResult, whose messages are the records (see
// RecordMessage); StatusStale when a claim of the pipe on the shard is
// unsettled; StatusClosed when the shard was read to its end; StatusOverLimit
// when MaxPipeClaims are unsettled in the slot, the plan is over MaxPlanBytes or
// the shard has too many positions; StatusGone when the stream or the pipe was
// dropped.
type ClaimRecords struct {
	Pipe      ResourceID
	Shard     ShardNumber
	Max       uint32 // records, 1 to MaxReceiveMessages
	Nonce     uint64 // random, kept with the claim: tells whose claim it is
	StartMs   int64  // PipeSpec.StartMs: where a pipe begins that is new to the shard
	HorizonMs int64  // StreamSpec.HorizonMs: records that arrived before are passed over
	Plan      []byte // see Claim
}

// Append appends the stored form. See docs/format/pipe.md.
func (c *ClaimRecords) Append(dst []byte) []byte {
	for _, v := range []uint64{uint64(c.Pipe), uint64(c.Shard), uint64(c.Max), c.Nonce, uint64(c.StartMs), uint64(c.HorizonMs)} {
		dst = AppendUvarint(dst, v)
	}
	return AppendBytes(dst, c.Plan)
}

// Decode reads what Append wrote; Plan shares memory with d's input.
func (c *ClaimRecords) Decode(d *Decoder) {
	c.Pipe, c.Shard = ResourceID(d.Uvarint()), d.shardNumber()
	c.Max, c.Nonce = uint32(d.Uvarint()), d.Uvarint()
	c.StartMs, c.HorizonMs = int64(d.Uvarint()), int64(d.Uvarint())
	c.Plan = d.Bytes()
}

// PipeGroup is the name under which a shard keeps a pipe's position. Names of
// consumers have no zero byte.
func PipeGroup(pipe ResourceID) string { return "\x00pipe " + strconv.FormatUint(uint64(pipe), 10) }

// RecordMessage is a record as a pipe handles it: its number, its arrival as the
// time of sending, its partition key as the group, and an id of its own.
func RecordMessage(stream ResourceID, shard ShardNumber, n uint64, arrivalMs int64, r *Record) Received {
	m := Received{Seq: n}
	binary.BigEndian.PutUint32(m.ID[:], uint32(stream))
	binary.BigEndian.PutUint32(m.ID[4:], uint32(shard))
	binary.BigEndian.PutUint64(m.ID[8:], n)
	m.SentMs, m.Group, m.Body = arrivalMs, string(r.PartitionKey), r.Data
	return m
}
