package model

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// ShardNumber numbers the shards of a stream in the order of their making,
// from 0; a number is never used again.
type ShardNumber uint32

// String is the shard's id as clients see it: shardId-000000000007.
func (n ShardNumber) String() string { return fmt.Sprintf("shardId-%012d", uint32(n)) }

// ParseShardID reads what String wrote. Kinesis takes ids without leading
// zeros and those with other ones as well, and so does this.
func ParseShardID(id string) (ShardNumber, error) {
	const prefix = "shardId-"
	if len(id) <= len(prefix) || id[:len(prefix)] != prefix {
		return 0, fmt.Errorf("%q is not a shard id", id)
	}
	n, err := strconv.ParseUint(id[len(prefix):], 10, 32)
	if err != nil || id[len(prefix)] == '+' {
		return 0, fmt.Errorf("%q is not a shard id", id)
	}
	return ShardNumber(n), nil
}

// ShardSlot is the slot of a shard's records. Shards with numbers near to each
// other are far apart (multiples of the golden ratio of the ring), so that any
// run of them is spread evenly over the tablets. It is computed and not kept:
// the stream's id is not known when its first shards are made. Part of the
// stored format.
func ShardSlot(stream ResourceID, shard ShardNumber) Slot {
	const golden = 40503
	return QueueSlot(stream) + Slot(uint32(shard)*golden)
}

// ShardRequest is the id under which the part of a request that goes to one
// shard is deduplicated: a request has a part for each of its shards, and two of
// them may be in one tablet. The zero id stays zero.
func ShardRequest(id RequestID, shard ShardNumber) RequestID {
	if id.IsZero() {
		return id
	}
	mixed := (uint64(shard) + 1) * 0x9e3779b97f4a7c15
	for i := range 8 {
		id[i] ^= byte(mixed >> (8 * i))
	}
	return id
}

// Shard is a shard as the catalog holds it: open, or closed while its records
// may still be there.
type Shard struct {
	Number  ShardNumber
	Range   HashRange
	Parents []ShardNumber // none, one (a split) or two (a merge), ascending; they may have been forgotten
	// Epoch orders sequence numbers between shards: greater than the parents', and
	// else the Unix seconds at which the shard was made.
	Epoch     uint64
	CreatedMs int64  // Unix milliseconds
	ClosedMs  int64  // Unix milliseconds; 0: open
	End       uint64 // of a closed one: no record has this number or a higher one
	// RetriedMs is of a closed one: when it last took records by a retry (Unix
	// milliseconds; 0: never). A first try of the same call may come after that,
	// and must not put the records into a child.
	RetriedMs int64
}

// Open reports whether the shard takes records.
func (s *Shard) Open() bool { return s.ClosedMs == 0 }

// First is StartingSequenceNumber: it comes before every record of the shard.
func (s *Shard) First() Sequence { return Sequence{Epoch: s.Epoch, Secs: s.Epoch, Shard: s.Number} }

// Last is EndingSequenceNumber of a closed shard: it comes behind every record.
func (s *Shard) Last() Sequence { return s.Sequence(s.End, s.ClosedMs) }

// Sequence is the sequence number of the record n that arrived at arrivalMs.
func (s *Shard) Sequence(n uint64, arrivalMs int64) Sequence {
	return Sequence{Epoch: s.Epoch, N: n, Secs: uint64(arrivalMs / 1000), Shard: s.Number}
}

// Has reports whether q may be a sequence number of the shard.
func (s *Shard) Has(q Sequence) bool {
	return q.Epoch == s.Epoch && q.Shard == s.Number && (s.Open() || q.N <= s.End)
}

// Shard is the shard of that number, if the stream still knows it.
func (s *StreamSpec) Shard(n ShardNumber) (*Shard, bool) {
	i := sort.Search(len(s.Shards), func(i int) bool { return s.Shards[i].Number >= n })
	if i < len(s.Shards) && s.Shards[i].Number == n {
		return &s.Shards[i], true
	}
	return nil, false
}

// OpenShards are the shards that take records, by hash range. The slice is the
// caller's, what it points to is not.
func (s *StreamSpec) OpenShards() []*Shard {
	var open []*Shard
	for i := range s.Shards {
		if s.Shards[i].Open() {
			open = append(open, &s.Shards[i])
		}
	}
	slices.SortFunc(open, func(a, b *Shard) int { return a.Range.Lo.Compare(b.Range.Lo) })
	return open
}

// ShardOf is the one of a stream's OpenShards that a hash key belongs to. The
// open shards cover the whole ring, so there is one.
func ShardOf(open []*Shard, h HashKey) *Shard {
	return open[sort.Search(len(open), func(i int) bool { return open[i].Range.Hi.Compare(h) >= 0 })]
}

// ChildrenOf are the shards that were made of the shard n.
func (s *StreamSpec) ChildrenOf(n ShardNumber) []*Shard {
	var children []*Shard
	for i := range s.Shards {
		if slices.Contains(s.Shards[i].Parents, n) {
			children = append(children, &s.Shards[i])
		}
	}
	return children
}

// Covers checks the invariant of every stream: the ranges of its open shards
// cover the whole ring without a hole or an overlap, numbers ascend, and no
// shard is as old as its parents.
func (s *StreamSpec) Covers() error {
	for i := range s.Shards {
		sh := &s.Shards[i]
		if i > 0 && sh.Number <= s.Shards[i-1].Number || sh.Number >= s.NextShard {
			return fmt.Errorf("shard %v is out of order", sh.Number)
		}
		for _, p := range sh.Parents {
			if parent, ok := s.Shard(p); ok && (parent.Number >= sh.Number || parent.Epoch >= sh.Epoch || parent.Open()) {
				return fmt.Errorf("shard %v does not come after its parent %v", sh.Number, p)
			}
		}
	}
	var next HashKey
	open := s.OpenShards()
	for i, sh := range open {
		if sh.Range.Lo != next || i > 0 && next == (HashKey{}) {
			return fmt.Errorf("shard %v begins at %v, not at %v", sh.Number, sh.Range.Lo, next)
		}
		next = sh.Range.Hi.Next()
	}
	if len(open) == 0 || next != (HashKey{}) {
		return fmt.Errorf("no shard has the hash key %v", next)
	}
	return nil
}

func (s *Shard) append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(s.Number))
	dst = s.Range.append(dst)
	dst = appendShardNumbers(dst, s.Parents)
	dst = AppendUvarint(dst, s.Epoch)
	dst = AppendUvarint(dst, uint64(s.CreatedMs))
	dst = AppendUvarint(dst, uint64(s.ClosedMs))
	return AppendUvarint(AppendUvarint(dst, s.End), uint64(s.RetriedMs))
}

func (s *Shard) decode(d *Decoder) {
	s.Number = d.shardNumber()
	s.Range.decode(d)
	s.Parents = decodeShardNumbers(d)
	if s.Epoch = d.Uvarint(); s.Epoch >= maxSequencePart || len(s.Parents) > 2 {
		d.Fail()
	}
	s.CreatedMs, s.ClosedMs = int64(d.Uvarint()), int64(d.Uvarint())
	s.End, s.RetriedMs = d.Uvarint(), int64(d.Uvarint())
}

func (d *Decoder) shardNumber() ShardNumber {
	n := d.Uvarint()
	if n > 1<<32-1 {
		d.Fail()
	}
	return ShardNumber(n)
}

func appendShardNumbers(dst []byte, ns []ShardNumber) []byte {
	dst = AppendUvarint(dst, uint64(len(ns)))
	for _, n := range ns {
		dst = AppendUvarint(dst, uint64(n))
	}
	return dst
}

func decodeShardNumbers(d *Decoder) (ns []ShardNumber) {
	for n := d.Count(); n > 0; n-- {
		ns = append(ns, d.shardNumber())
	}
	return ns
}
