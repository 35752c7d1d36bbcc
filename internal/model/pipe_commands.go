package model

// The bodies and results of the commands of pipes. Why a message takes effect
// exactly once is in docs/format/pipe.md, with numbered invariants.
//
// A worker goes round: CmdClaim at the source, CmdPipeApply for each part at
// the target, CmdPipeApply for the rejected messages at the dead-letter queue,
// CmdSettle at the source. Whoever finds an unsettled claim (QueryClaims) goes
// on with the same steps from the second one; every step may be repeated.

// ClaimSeq numbers the claims of one pipe in one slot of its source, from 1.
type ClaimSeq uint64

// Claim is the body of a CmdClaim: Resource is the source queue and Slot its
// slot. It takes visible messages out of the queue for a pipe, which must
// settle them: no consumer gets them any more and no timeout returns them.
// Receive counts do not rise. The result is StatusOK with a ClaimResult, or
// StatusOverLimit when MaxPipeClaims of the pipe's claims are unsettled or the
// plan is over MaxPlanBytes, or StatusGone when the queue or the pipe was dropped.
type Claim struct {
	Settings QueueSettings
	// Pipe is the pipe. The mover of a queue's dead letters claims them under
	// the queue's own id.
	Pipe  ResourceID
	Max   uint32 // messages, 1 to MaxReceiveMessages
	Dead  bool   // take dead messages instead of visible ones
	Nonce uint64 // random, kept with the claim: tells whose claim it is
	// Plan is kept with the claim, opaque: what is to be done with the messages.
	// It is the spec of the pipe as it was, so that a changed pipe does not
	// roll an old claim forward in a new way.
	Plan []byte
}

// Append appends the stored form. See docs/format/pipe.md.
func (c *Claim) Append(dst []byte) []byte {
	dst = c.Settings.append(dst)
	dst = AppendUvarint(dst, uint64(c.Pipe))
	dst = AppendUvarint(dst, uint64(c.Max))
	dst = AppendBool(dst, c.Dead)
	dst = AppendUvarint(dst, c.Nonce)
	return AppendBytes(dst, c.Plan)
}

// Decode reads what Append wrote; Plan shares memory with d's input.
func (c *Claim) Decode(d *Decoder) {
	c.Settings.decode(d)
	c.Pipe = ResourceID(d.Uvarint())
	c.Max = uint32(d.Uvarint())
	c.Dead = d.Bool()
	c.Nonce = d.Uvarint()
	c.Plan = d.Bytes()
}

// ClaimResult is what a claim took, as machine.Expand makes it from the
// recorded result. A claim that took nothing leaves no trace and has Taken
// zero. Messages purged or deleted since are left out, and all of them are
// when the command repeats an earlier one that was settled since.
type ClaimResult struct {
	Taken    uint64
	Seq      ClaimSeq
	Floor    ClaimSeq // every claim of the pipe below it is settled
	Messages []Received
}

// Append appends the form between nodes.
func (r *ClaimResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, r.Taken)
	dst = AppendUvarint(dst, uint64(r.Seq))
	dst = AppendUvarint(dst, uint64(r.Floor))
	return appendReceived(dst, r.Messages)
}

// Decode reads what Append wrote; the bodies share memory with d's input.
func (r *ClaimResult) Decode(d *Decoder) {
	r.Taken = d.Uvarint()
	r.Seq, r.Floor = ClaimSeq(d.Uvarint()), ClaimSeq(d.Uvarint())
	r.Messages = decodeReceived(d)
}

// PipeSource says where a claim was made.
type PipeSource struct {
	Resource ResourceID
	Slot     Slot
}

// PipeEffect is what one message does to the target.
type PipeEffect struct {
	Message uint64 // Received.Seq
	// Kind is CmdPutItem, CmdUpdateItem or CmdDeleteItem for a table and CmdSend
	// for a queue; Body is that command's body, of a CmdSend one SendEntry.
	Kind CommandKind
	Body []byte
}

// PipeApply is the body of a CmdPipeApply: Resource is the target and Slot the
// part's home slot, QueueSlot for a queue. All items of its effects must be in
// the tablet that owns Slot. The result is StatusOK with a PipeApplyResult,
// the recorded one when the part was applied before; StatusStale when the
// claim was settled before; StatusInvalid when an effect's item is not in the
// tablet or its kind is none of PipeEffect's; StatusGone when the target was
// dropped. Only the first of these changes the target.
//
// A higher Floor than before makes the target forget the results of claims
// below it, also when the answer is StatusStale. A pipe that is deleted ends
// with Claim zero and Floor FloorEnd.
type PipeApply struct {
	Settings QueueSettings // of the target, when it is a queue
	Pipe     ResourceID
	Source   PipeSource
	Claim    ClaimSeq
	Floor    ClaimSeq
	Part     uint32
	Effects  []PipeEffect
}

const (
	// DeadPart is the part number of the messages that a claim sends to the
	// dead-letter queue.
	DeadPart = 1 << 20

	// FloorEnd is above every claim.
	FloorEnd ClaimSeq = 1<<64 - 1
)

// Append appends the stored form. See docs/format/pipe.md.
func (c *PipeApply) Append(dst []byte) []byte {
	dst = c.Settings.append(dst)
	dst = AppendUvarint(dst, uint64(c.Pipe))
	dst = AppendUvarint(dst, uint64(c.Source.Resource))
	dst = AppendUvarint(dst, uint64(c.Source.Slot))
	dst = AppendUvarint(dst, uint64(c.Claim))
	dst = AppendUvarint(dst, uint64(c.Floor))
	dst = AppendUvarint(dst, uint64(c.Part))
	dst = AppendUvarint(dst, uint64(len(c.Effects)))
	for i := range c.Effects {
		e := &c.Effects[i]
		dst = append(AppendUvarint(dst, e.Message), byte(e.Kind))
		dst = AppendBytes(dst, e.Body)
	}
	return dst
}

// Decode reads what Append wrote; the bodies share memory with d's input.
func (c *PipeApply) Decode(d *Decoder) {
	c.Settings.decode(d)
	c.Pipe = ResourceID(d.Uvarint())
	c.Source.Resource = ResourceID(d.Uvarint())
	slot := d.Uvarint()
	if slot >= SlotCount {
		d.Fail()
	}
	c.Source.Slot = Slot(slot)
	c.Claim, c.Floor = ClaimSeq(d.Uvarint()), ClaimSeq(d.Uvarint())
	part := d.Uvarint()
	if part >= 1<<32 {
		d.Fail()
	}
	c.Part = uint32(part)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		c.Effects = append(c.Effects, PipeEffect{Message: d.Uvarint(), Kind: CommandKind(d.Byte()), Body: d.Bytes()})
	}
}

// PipeApplyResult is the outcome of a part: every effect was applied but the
// rejected ones.
type PipeApplyResult struct {
	Effects  uint64 // how many there were
	Rejected []Rejected
}

// Rejected is an effect that the target refused, and why.
type Rejected struct {
	Message uint64
	Status  Status // StatusConditionFailed, StatusInvalid or StatusTooLarge
	Reason  string // of StatusInvalid, at most MaxReasonBytes
}

// Append appends the stored form.
func (r *PipeApplyResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, r.Effects)
	dst = AppendUvarint(dst, uint64(len(r.Rejected)))
	for i := range r.Rejected {
		j := &r.Rejected[i]
		dst = append(AppendUvarint(dst, j.Message), byte(j.Status))
		dst = AppendString(dst, j.Reason)
	}
	return dst
}

// Decode reads what Append wrote.
func (r *PipeApplyResult) Decode(d *Decoder) {
	r.Effects = d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		r.Rejected = append(r.Rejected, Rejected{Message: d.Uvarint(), Status: Status(d.Byte()), Reason: d.String()})
	}
}

// Settle is the body of a CmdSettle: Resource is the source queue and Slot its
// slot. It deletes the claim's messages and the claim. The result is StatusOK,
// also when the claim was settled before.
type Settle struct {
	Pipe  ResourceID
	Claim ClaimSeq
	// Release makes the messages visible again instead, dead ones too, which the
	// next receive finds dead again. It is legal only when no part of the claim
	// was applied and none ever can be: when every part answered StatusGone, or
	// none was sent and none ever will be.
	Release bool
	// Returned is how many of the messages were sent to the source anew: they do
	// not count as settled.
	Returned uint64
}

// Append appends the stored form. See docs/format/pipe.md.
func (c *Settle) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(c.Pipe))
	dst = AppendUvarint(dst, uint64(c.Claim))
	return AppendUvarint(AppendBool(dst, c.Release), c.Returned)
}

// Decode reads what Append wrote.
func (c *Settle) Decode(d *Decoder) {
	c.Pipe = ResourceID(d.Uvarint())
	c.Claim = ClaimSeq(d.Uvarint())
	c.Release = d.Bool()
	c.Returned = d.Uvarint()
}

// ClaimsQuery is the body of a QueryClaims: Resource is the source queue and
// Slot its slot. The result is StatusOK with a ClaimsResult.
type ClaimsQuery struct {
	Pipe  ResourceID // zero: of every pipe, to find claims of pipes that are no more
	After ClaimSeq   // claims behind it only; with Pipe zero it must be zero
}

// Append appends the form between nodes.
func (q *ClaimsQuery) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(q.Pipe)), uint64(q.After))
}

// Decode reads what Append wrote.
func (q *ClaimsQuery) Decode(d *Decoder) {
	q.Pipe, q.After = ResourceID(d.Uvarint()), ClaimSeq(d.Uvarint())
}

// ClaimsResult is a page of unsettled claims: as many as MaxReceiveBytes hold,
// at least one.
type ClaimsResult struct {
	Floor   ClaimSeq // of the pipe asked for: every claim below it is settled
	Settled uint64   // how many messages the pipe asked for has settled without release
	More    bool     // there are more behind the last one
	Claims  []UnsettledClaim
}

// UnsettledClaim is a claim that somebody has to roll forward.
type UnsettledClaim struct {
	Pipe     ResourceID
	Shard    ShardNumber // of a claim of records
	Seq      ClaimSeq
	Nonce    uint64
	Dead     bool
	Plan     []byte
	Messages []Received // those deleted since are left out
}

// Append appends the form between nodes.
func (r *ClaimsResult) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(r.Floor))
	dst = AppendUvarint(dst, r.Settled)
	dst = AppendBool(dst, r.More)
	dst = AppendUvarint(dst, uint64(len(r.Claims)))
	for i := range r.Claims {
		c := &r.Claims[i]
		dst = AppendUvarint(dst, uint64(c.Pipe))
		dst = AppendUvarint(dst, uint64(c.Shard))
		dst = AppendUvarint(dst, uint64(c.Seq))
		dst = AppendUvarint(dst, c.Nonce)
		dst = AppendBool(dst, c.Dead)
		dst = AppendBytes(dst, c.Plan)
		dst = appendReceived(dst, c.Messages)
	}
	return dst
}

// Decode reads what Append wrote; plans and bodies share memory with d's input.
func (r *ClaimsResult) Decode(d *Decoder) {
	r.Floor, r.Settled = ClaimSeq(d.Uvarint()), d.Uvarint()
	r.More = d.Bool()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		c := UnsettledClaim{Pipe: ResourceID(d.Uvarint()), Shard: d.shardNumber(), Seq: ClaimSeq(d.Uvarint()), Nonce: d.Uvarint(), Dead: d.Bool(), Plan: d.Bytes()}
		c.Messages = decodeReceived(d)
		r.Claims = append(r.Claims, c)
	}
}
