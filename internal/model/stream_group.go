package model

import "slices"

// Consumer groups: any number of members share a stream's shards, without a
// table of leases. With each shard, in its slot, is kept how far each group has
// come and which member holds the shard for how long; every take-over raises
// the generation, and a commit of an older generation is refused, so that a
// member which lost a shard cannot move the position back or forth.
//
// A member goes round, at some pace and as soon as something changed:
//
//  1. QueryPositions of every shard, and ShareShards on the answers.
//  2. PositionAcquire for those to take, and those that were handed to it (it is
//     the Owner and does not read them yet); PositionAcquire with Want for those
//     to ask for.
//  3. For each shard that it holds: QueryRecords from N, do the work,
//     PositionCommit with the next N (which renews the lease too), or
//     PositionRenew when the work takes long. When the answer is StatusStale the
//     shard belongs to another: stop. When it names Wanted, finish what was
//     begun and PositionRelease with the next N.
//
// Shards with an ancestor that the group has not finished are left out in step
// 1, also when there was never a record in the shards between: that keeps the
// order of each partition key across a resharding. Nothing is skipped,
// since N only moves by a commit; what is repeated is what was not committed.

// PositionOp says what a CmdSetPosition does. Part of the stored format.
type PositionOp uint8

// The operations on a group's position in a shard.
const (
	// PositionAcquire takes the shard for Owner until LeaseMs from now: when
	// nobody has it, when its lease is over, or when Owner has it already, whose
	// generation then stays. Else StatusStale, and with Want the holder is told. A
	// group that is new to the shard begins at the first record that arrived at
	// StartMs or later.
	PositionAcquire PositionOp = 1
	// PositionRenew extends the lease of Generation.
	PositionRenew PositionOp = 2
	// PositionCommit sets the position to N and, if LeaseMs is not 0, extends the
	// lease. N must not be less than it was nor greater than the shard's next
	// number: StatusInvalid. A lease that is over still counts while nobody else
	// took the shard.
	PositionCommit PositionOp = 3
	// PositionRelease gives the shard up, at N unless that is 0. If another
	// member asked for it, that one has it from now on, for HandoverMs unless it
	// acquires it.
	PositionRelease PositionOp = 4
	// PositionSeek sets the position to N, forward or back, whoever has the shard,
	// and takes it from them: for an operator. N may be 0, which is the first
	// record kept, and is at most the shard's next number.
	PositionSeek PositionOp = 5
	// PositionForget removes what the shard knows of the group.
	PositionForget PositionOp = 6
)

// SetPosition is the body of a CmdSetPosition. The result is StatusOK with the
// Position afterwards; StatusStale with the Position as it is when the shard
// belongs to another generation or member; StatusNotFound when the group has no
// position here (only PositionAcquire and PositionSeek make one);
// StatusOverLimit when MaxStreamGroups+MaxStreamConsumers have one; StatusInvalid with the
// Position when N is out of range. It is harmless to repeat, and needs no ID.
type SetPosition struct {
	Op         PositionOp
	Shard      ShardNumber
	Group      string // 1 to MaxGroupBytes bytes
	Owner      string // PositionAcquire: the member, unique to one run of one process; 1 to MaxGroupBytes bytes
	Generation uint64 // Renew, Commit, Release: as Acquire answered
	N          uint64 // Commit, Release, Seek
	StartMs    int64  // Acquire: StreamGroup.StartMs
	LeaseMs    int64  // Acquire, Renew: 1 to MaxLeaseMs; Commit: 0 to MaxLeaseMs
	Want       bool   // Acquire: ask the holder to release it
}

// Append appends the stored form. See docs/format/stream.md.
func (c *SetPosition) Append(dst []byte) []byte {
	dst = AppendUvarint(append(dst, byte(c.Op)), uint64(c.Shard))
	dst = AppendString(AppendString(dst, c.Group), c.Owner)
	dst = AppendUvarint(AppendUvarint(dst, c.Generation), c.N)
	dst = AppendUvarint(AppendUvarint(dst, uint64(c.StartMs)), uint64(c.LeaseMs))
	return AppendBool(dst, c.Want)
}

// Decode reads what Append wrote.
func (c *SetPosition) Decode(d *Decoder) {
	c.Op, c.Shard = PositionOp(d.Byte()), d.shardNumber()
	c.Group, c.Owner = d.String(), d.String()
	c.Generation, c.N = d.Uvarint(), d.Uvarint()
	c.StartMs, c.LeaseMs = int64(d.Uvarint()), int64(d.Uvarint())
	c.Want = d.Bool()
	if c.Op < PositionAcquire || c.Op > PositionForget || c.Group == "" || len(c.Group) > MaxGroupBytes ||
		len(c.Owner) > MaxGroupBytes || c.LeaseMs < 0 || c.LeaseMs > MaxLeaseMs || (c.Op == PositionAcquire) != (c.Owner != "") {
		d.Fail()
	}
}

// Position is how far a group has come in a shard, and who holds the shard.
type Position struct {
	Group      string
	N          uint64 // all records before it are done
	Generation uint64 // grows with every change of the holder, from 1
	Owner      string // the member that holds the shard; "" when released
	ExpiresMs  int64  // until when it does, Unix milliseconds
	Wanted     string // the member that asked for it first; ""
	CommitMs   int64  // when N was last set, Unix milliseconds
}

// HeldAt reports whether some member holds the shard at nowMs.
func (p *Position) HeldAt(nowMs int64) bool { return p.Owner != "" && nowMs < p.ExpiresMs }

// Append appends the stored form.
func (p *Position) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(AppendString(dst, p.Group), p.N), p.Generation)
	dst = AppendUvarint(AppendString(dst, p.Owner), uint64(p.ExpiresMs))
	return AppendUvarint(AppendString(dst, p.Wanted), uint64(p.CommitMs))
}

// Decode reads what Append wrote.
func (p *Position) Decode(d *Decoder) {
	p.Group, p.N, p.Generation = d.String(), d.Uvarint(), d.Uvarint()
	p.Owner, p.ExpiresMs = d.String(), int64(d.Uvarint())
	p.Wanted, p.CommitMs = d.String(), int64(d.Uvarint())
}

// PositionsQuery is the body of a QueryPositions; the result is StatusOK with
// a PositionsResult.
type PositionsQuery struct {
	Shard ShardNumber
	Group string // only this one; "" is every group
}

// Append appends the form between nodes.
func (q *PositionsQuery) Append(dst []byte) []byte {
	return AppendString(AppendUvarint(dst, uint64(q.Shard)), q.Group)
}

// Decode reads what Append wrote.
func (q *PositionsQuery) Decode(d *Decoder) { q.Shard, q.Group = d.shardNumber(), d.String() }

// GroupLag is a group's position in a shard and what it still has to read.
type GroupLag struct {
	Position
	Records uint64 // still to be read, of those that are kept
	Bytes   uint64 // stored bytes of these, to the precision of one put
	NextMs  int64  // arrival of the next one, Unix milliseconds; 0 when there is none
}

// PositionsResult is the positions in one shard, by group.
type PositionsResult struct {
	State  ShardState
	Groups []GroupLag
}

// Finished reports whether the group has read the shard to its end: the shard
// is closed and the position is behind its last record.
func (r *PositionsResult) Finished(g *GroupLag) bool {
	return r.State.ClosedMs != 0 && max(g.N, r.State.Low) >= r.State.Next
}

// Append appends the form between nodes.
func (r *PositionsResult) Append(dst []byte) []byte {
	dst = AppendUvarint(r.State.Append(dst), uint64(len(r.Groups)))
	for i := range r.Groups {
		g := &r.Groups[i]
		dst = AppendUvarint(AppendUvarint(g.Position.Append(dst), g.Records), g.Bytes)
		dst = AppendUvarint(dst, uint64(g.NextMs))
	}
	return dst
}

// Decode reads what Append wrote.
func (r *PositionsResult) Decode(d *Decoder) {
	r.State.Decode(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var g GroupLag
		g.Position.Decode(d)
		g.Records, g.Bytes, g.NextMs = d.Uvarint(), d.Uvarint(), int64(d.Uvarint())
		r.Groups = append(r.Groups, g)
	}
}

// ShardHolder is a shard that a group may read now, and its position there.
type ShardHolder struct {
	Shard    ShardNumber
	Position Position // zero when the group has none there yet
}

// ShareShards is one member's part in dividing the shards among the members
// that hold any, or asked for one, itself included: which free ones to take and
// which held ones to ask for. Members that all do so end up with shares that
// differ by at most one, and then nothing is taken or asked for any more.
// shards are those that the group has not finished, with all their ancestors finished.
func ShareShards(me string, shards []ShardHolder, nowMs int64) (take, ask []ShardNumber) {
	members := []shareMember{{name: me}}
	member := func(name string) *shareMember {
		i := slices.IndexFunc(members, func(m shareMember) bool { return m.name == name })
		if i < 0 {
			i = len(members)
			members = append(members, shareMember{name: name})
		}
		return &members[i]
	}
	var free []ShardNumber
	for i := range shards {
		s, p := shards[i].Shard, &shards[i].Position
		switch {
		case !p.HeldAt(nowMs):
			free = append(free, s)
		case p.Wanted != "":
			member(p.Owner)
			member(p.Wanted).shards++
		default:
			m := member(p.Owner)
			m.shards++
			m.held = append(m.held, s)
		}
	}
	mine, others := members[0].shards, members[1:]
	share := (len(shards) + len(members) - 1) / len(members)
	for i := range free { // each member begins elsewhere, so that they do not all try the same
		if mine < share {
			take = append(take, free[(i+int(SlotOf([]byte(me))))%len(free)])
			mine++
		}
	}
	for len(others) > 0 {
		most := 0
		for i := range others {
			if others[i].shards > others[most].shards {
				most = i
			}
		}
		from := &others[most]
		if from.shards <= mine+1 || len(from.held) == 0 {
			break
		}
		last := len(from.held) - 1
		ask = append(ask, from.held[last])
		from.held = from.held[:last]
		from.shards--
		mine++
	}
	return take, ask
}

// shareMember is a member as ShareShards sees it.
type shareMember struct {
	name   string
	shards int           // it has, or will have
	held   []ShardNumber // it has, and nobody asked for
}
