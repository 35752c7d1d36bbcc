package model

import "sort"

// Limits of pipes.
const (
	// MaxPipeClaims is how many claims of one pipe may be unsettled in one slot
	// of its source: it bounds what a new worker has to roll forward and what a
	// target has to remember.
	MaxPipeClaims = 64

	// MaxMappingBytes bounds the plan of a claim without its TargetShards, which
	// are 21 bytes each at most; MaxPlanBytes bounds it with them.
	MaxMappingBytes = 64 << 10
	MaxPlanBytes    = MaxMappingBytes + 21*MaxStreamShards

	// MaxReasonBytes bounds the reason that is recorded for a rejected effect.
	MaxReasonBytes = 256
)

// PipeSpec is the Spec of a pipe in the catalog.
type PipeSpec struct {
	Source      ResourceID // a queue or a stream
	Target      ResourceID // a table, a queue or a stream; zero: the queue that each message died in
	TargetKind  ResourceKind
	SourceKind  ResourceKind
	StartMs     int64  // of a source that is a stream: the pipe begins with the first record that arrived then or later; Unix milliseconds
	SourceSlots uint32 // a queue's Partitions, 1 to MaxQueuePartitions; of a stream zero
	TargetSlots uint32 // the same of a target that is a queue, else zero
	// TargetShards are the open shards of a target that is a stream when the claim
	// was made, by their first hash keys. Only the plans of claims have them.
	TargetShards []ShardStart
	DeadLetters  ResourceID // the queue for messages whose effect is rejected; zero: they are dropped and counted
	// Mapping says how a message becomes an effect, in the pipe engine's own
	// form. It and Text are opaque to the machine.
	Mapping []byte
	Text    string // the mapping as its author wrote it, to show
	// RateMilli is the flat rate in thousandths of a message per second; zero is
	// no limit. Burst is how many messages may go at once after a quiet time.
	RateMilli uint64
	Burst     uint32
	BatchMax  uint32 // messages in one claim, 1 to MaxReceiveMessages
	MaxClaims uint32 // claims under way at once, 1 to MaxPipeClaims
	Paused    bool
	// Bounds divide the target's slots into parts: the first slots of the parts,
	// ascending, the first one zero. They are the tablets' first slots when the
	// pipe was made and stay as they are: see invariant 4 in docs/format/pipe.md.
	Bounds     []Slot
	Tags       []Tag // by Key, each once
	CreatedMs  int64 // Unix milliseconds
	ModifiedMs int64 // Unix milliseconds
}

// ShardStart is an open shard: it reaches to the next one's first hash key.
type ShardStart struct {
	Number ShardNumber
	Lo     HashKey
}

// ShardOf is the one of TargetShards that has the hash key.
func (s *PipeSpec) ShardOf(h HashKey) ShardNumber {
	i := sort.Search(len(s.TargetShards), func(i int) bool { return s.TargetShards[i].Lo.Compare(h) > 0 })
	return s.TargetShards[max(i, 1)-1].Number
}

// PartOf is the part that an effect on the slot belongs to, and the slot that
// the part's command names.
func (s *PipeSpec) PartOf(slot Slot) (part uint32, home Slot) {
	i := sort.Search(len(s.Bounds), func(i int) bool { return s.Bounds[i] > slot })
	if i == 0 {
		return 0, 0
	}
	return uint32(i - 1), s.Bounds[i-1]
}

// Slots are the slots of the source that the pipe claims from; of a stream,
// whose shards come and go, the one that decides where the pipe runs.
func (s *PipeSpec) Slots() []Slot {
	if s.SourceKind == KindStream {
		return []Slot{ShardSlot(s.Source, 0)}
	}
	return QueueSlots(s.Source, max(s.SourceSlots, 1))
}

// pipeSpecVersion begins every encoded PipeSpec.
const pipeSpecVersion = 1

// Append appends the stored form. See docs/format/pipe.md.
func (s *PipeSpec) Append(dst []byte) []byte {
	dst = append(dst, pipeSpecVersion, byte(s.TargetKind), byte(s.SourceKind))
	dst = AppendUvarint(dst, uint64(s.StartMs))
	dst = AppendUvarint(dst, uint64(s.Source))
	dst = AppendUvarint(dst, uint64(s.Target))
	dst = AppendUvarint(dst, uint64(s.DeadLetters))
	dst = AppendUvarint(dst, uint64(s.SourceSlots))
	dst = AppendUvarint(dst, uint64(s.TargetSlots))
	dst = AppendUvarint(dst, uint64(len(s.TargetShards)))
	for _, t := range s.TargetShards {
		dst = append(AppendUvarint(dst, uint64(t.Number)), t.Lo[:]...)
	}
	dst = AppendBytes(dst, s.Mapping)
	dst = AppendString(dst, s.Text)
	dst = AppendUvarint(dst, s.RateMilli)
	dst = AppendUvarint(dst, uint64(s.Burst))
	dst = AppendUvarint(dst, uint64(s.BatchMax))
	dst = AppendUvarint(dst, uint64(s.MaxClaims))
	dst = AppendBool(dst, s.Paused)
	dst = AppendUvarint(dst, uint64(len(s.Bounds)))
	for _, b := range s.Bounds {
		dst = AppendUvarint(dst, uint64(b))
	}
	dst = appendTags(dst, s.Tags)
	dst = AppendUvarint(dst, uint64(s.CreatedMs))
	return AppendUvarint(dst, uint64(s.ModifiedMs))
}

// Decode reads what Append wrote; Mapping is a copy.
func (s *PipeSpec) Decode(d *Decoder) {
	if d.Byte() != pipeSpecVersion {
		d.Fail()
	}
	s.TargetKind, s.SourceKind = ResourceKind(d.Byte()), ResourceKind(d.Byte())
	s.StartMs = int64(d.Uvarint())
	s.Source, s.Target, s.DeadLetters = ResourceID(d.Uvarint()), ResourceID(d.Uvarint()), ResourceID(d.Uvarint())
	s.SourceSlots, s.TargetSlots = uint32(d.Uvarint()), uint32(d.Uvarint())
	if s.SourceSlots > MaxQueuePartitions || s.TargetSlots > MaxQueuePartitions {
		d.Fail()
	}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		t := ShardStart{Number: d.shardNumber()}
		copy(t.Lo[:], d.Fixed(len(t.Lo)))
		s.TargetShards = append(s.TargetShards, t)
	}
	s.Mapping = append([]byte(nil), d.Bytes()...)
	s.Text = d.String()
	s.RateMilli = d.Uvarint()
	s.Burst, s.BatchMax, s.MaxClaims = uint32(d.Uvarint()), uint32(d.Uvarint()), uint32(d.Uvarint())
	s.Paused = d.Bool()
	for n := d.Count(); n > 0; n-- {
		b := d.Uvarint()
		if b >= SlotCount {
			d.Fail()
		}
		s.Bounds = append(s.Bounds, Slot(b))
	}
	s.Tags = decodeTags(d)
	s.CreatedMs, s.ModifiedMs = int64(d.Uvarint()), int64(d.Uvarint())
}
