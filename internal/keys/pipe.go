package keys

import (
	"encoding/binary"
	"fmt"
	"math"

	"weir.dev/weir/internal/model"
)

// The types of the data keys that pipes leave: at the source queue, and at the
// target table or queue. See docs/format/pipe.md.
const (
	typeClaims  = 'k' // at the source, a pipe's claims record; rest: pipe (8 bytes BE)
	typeClaim   = 'c' // at the source, an unsettled claim; rest: pipe | claim (8 bytes BE)
	typeFloor   = 'f' // at the target; rest: pipe | source (8 bytes BE) | its slot (2) | part (4)
	typePartRun = 'a' // at the target, the result of a part that was applied; rest: as above | claim
)

const (
	pipeRest = 8
	partRest = pipeRest + 8 + 2 + 4
)

// Claims is the key of a pipe's claims record in a slot of its source.
func Claims(dst []byte, r model.ResourceID, slot model.Slot, pipe model.ResourceID) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeClaims), uint64(pipe))
}

// ClaimsSpan is the span of all pipes' claims records in a slot.
func ClaimsSpan(r model.ResourceID, slot model.Slot) (lo, hi []byte) {
	return AppendData(nil, r, slot, typeClaims), AppendData(nil, r, slot, typeClaims+1)
}

// SplitClaims returns the pipe in a key made by Claims.
func SplitClaims(key []byte) (pipe model.ResourceID, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || typ != typeClaims || len(rest) != pipeRest {
		return 0, false
	}
	return model.ResourceID(binary.BigEndian.Uint64(rest)), true
}

// Claim is the key of a claim.
func Claim(dst []byte, r model.ResourceID, slot model.Slot, pipe model.ResourceID, seq model.ClaimSeq) []byte {
	dst = binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeClaim), uint64(pipe))
	return binary.BigEndian.AppendUint64(dst, uint64(seq))
}

// ClaimSpan is the span of all pipes' claims in a slot.
func ClaimSpan(r model.ResourceID, slot model.Slot) (lo, hi []byte) {
	return AppendData(nil, r, slot, typeClaim), AppendData(nil, r, slot, typeClaim+1)
}

// SplitClaim takes a key made by Claim apart.
func SplitClaim(key []byte) (pipe model.ResourceID, seq model.ClaimSeq, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || typ != typeClaim || len(rest) != pipeRest+8 {
		return 0, 0, false
	}
	return model.ResourceID(binary.BigEndian.Uint64(rest)), model.ClaimSeq(binary.BigEndian.Uint64(rest[pipeRest:])), true
}

// PartID names one part of a pipe's work on one source, at its target.
type PartID struct {
	Pipe   model.ResourceID
	Source model.PipeSource
	Part   uint32
}

func (p *PartID) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Pipe))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Source.Resource))
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Source.Slot))
	return binary.BigEndian.AppendUint32(dst, p.Part)
}

// Floor is the key of the floor that a part has reached.
func Floor(dst []byte, r model.ResourceID, slot model.Slot, part PartID) []byte {
	return part.append(AppendData(dst, r, slot, typeFloor))
}

// PartRun is the key of the result of a part that was applied for a claim.
func PartRun(dst []byte, r model.ResourceID, slot model.Slot, part PartID, claim model.ClaimSeq) []byte {
	dst = part.append(AppendData(dst, r, slot, typePartRun))
	return binary.BigEndian.AppendUint64(dst, uint64(claim))
}

// IsPipeRecord reports whether the key is that of a record that a pipe left at
// its target. In a table such records lie between the items of several slots.
func IsPipeRecord(key []byte) bool {
	_, _, typ, _, ok := SplitData(key)
	return ok && (typ == typeFloor || typ == typePartRun)
}

// ClaimsRecord says what a pipe has under way in a slot of its source.
type ClaimsRecord struct {
	Next      model.ClaimSeq // the next claim's number
	Low       model.ClaimSeq // every claim below it is settled
	Unsettled uint64
	Settled   uint64 // messages settled without release
}

// Append appends the stored form.
func (c *ClaimsRecord) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(c.Next))
	dst = binary.AppendUvarint(dst, uint64(c.Low))
	return binary.AppendUvarint(binary.AppendUvarint(dst, c.Unsettled), c.Settled)
}

// Decode reads what Append wrote.
func (c *ClaimsRecord) Decode(d *model.Decoder) {
	c.Next, c.Low = model.ClaimSeq(d.Uvarint()), model.ClaimSeq(d.Uvarint())
	c.Unsettled, c.Settled = d.Uvarint(), d.Uvarint()
}

// ClaimRecord is an unsettled claim.
type ClaimRecord struct {
	Nonce   uint64
	Dead    bool
	Plan    []byte
	Entries []QueueEntry // of a queue
	// Of a stream: Count records of the shard from the number From on. Count is
	// zero for a queue.
	Shard model.ShardNumber
	From  uint64
	Count uint64
}

const claimRecordVersion = 1

// Append appends the stored form.
func (c *ClaimRecord) Append(dst []byte) []byte {
	dst = append(dst, claimRecordVersion)
	dst = binary.BigEndian.AppendUint64(dst, c.Nonce)
	dst = model.AppendBool(dst, c.Dead)
	dst = model.AppendBytes(dst, c.Plan)
	dst = binary.AppendUvarint(dst, uint64(len(c.Entries)))
	for i := range c.Entries {
		dst = c.Entries[i].Append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(c.Shard))
	return binary.AppendUvarint(binary.AppendUvarint(dst, c.From), c.Count)
}

// Decode reads what Append wrote; Plan shares memory with d's input.
func (c *ClaimRecord) Decode(d *model.Decoder) {
	if d.Byte() != claimRecordVersion {
		d.Fail()
	}
	c.Nonce = binary.BigEndian.Uint64(d.Fixed(8))
	c.Dead = d.Bool()
	c.Plan = d.Bytes()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var e QueueEntry
		e.Decode(d)
		c.Entries = append(c.Entries, e)
	}
	shard := d.Uvarint()
	if shard > math.MaxUint32 {
		d.Fail()
	}
	c.Shard, c.From, c.Count = model.ShardNumber(shard), d.Uvarint(), d.Uvarint()
}

// pipeString prints the type and rest of a data key that a pipe left; ok is
// false when it is none.
func pipeString(typ byte, rest []byte) (s string, ok bool) {
	number := func(at int) uint64 { return binary.BigEndian.Uint64(rest[at:]) }
	switch {
	case typ == typeClaims && len(rest) == pipeRest:
		return fmt.Sprintf("claims/r%d", number(0)), true
	case typ == typeClaim && len(rest) == pipeRest+8:
		return fmt.Sprintf("claim/r%d/%d", number(0), number(pipeRest)), true
	case typ == typeFloor && len(rest) == partRest:
		return "floor/" + partString(rest), true
	case typ == typePartRun && len(rest) == partRest+8:
		return fmt.Sprintf("applied/%s/%d", partString(rest), number(partRest)), true
	default:
		return "", false
	}
}

func partString(rest []byte) string {
	return fmt.Sprintf("r%d/r%d/s%04x/%d", binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:]),
		binary.BigEndian.Uint16(rest[16:]), binary.BigEndian.Uint32(rest[18:]))
}
