package model

import "slices"

// Limits of streams, as Kinesis states them unless said otherwise.
const (
	// MaxStreamShards is how many open shards a stream may have: its shard map is
	// one record of the catalog, which every node holds.
	MaxStreamShards = 4096

	// MinRecordBytes and MaxRecordBytes bound what MaxRecordBytes of a stream may
	// be set to: 1 MiB, the default, to 10 MiB.
	MinRecordBytes = 1 << 20
	MaxRecordBytes = 10 << 20

	// MaxPutRecords and MaxPutRecordsBytes bound one PutRecords request: data and
	// partition keys.
	MaxPutRecords      = 500
	MaxPutRecordsBytes = 10 << 20

	// MaxReadRecords and MaxReadBytes bound one read of a shard. Kinesis gives up
	// to 10 MiB. A page of that size takes a processor for so long that readers far
	// behind hold up those at the tail; more calls for smaller pages do not.
	MaxReadRecords = 10_000
	MaxReadBytes   = 1 << 20

	// MaxRecordKey is how many characters a partition key has at most.
	MaxRecordKey = 256

	// Retention in hours: Kinesis' default, least and greatest. Weir takes longer
	// ones, and 0, which is for ever.
	DefaultRetentionHours = 24
	MinRetentionHours     = 24
	MaxRetentionHours     = 8760

	// MaxStreamConsumers is how many enhanced fan-out consumers a stream may have.
	MaxStreamConsumers = 50

	// MaxStreamGroups is how many consumer groups a stream may have; an extension.
	MaxStreamGroups = 256

	// MaxGroupBytes bounds the names of consumer groups and of their members.
	MaxGroupBytes = 128

	// MaxLeaseMs is for how long a member may hold a shard without renewing.
	MaxLeaseMs = 60 * 60 * 1000

	// HandoverMs is for how long a shard that was released to a member waits for
	// it: a member looks more often than that.
	HandoverMs = 10_000

	// TrimGraceMs is how long expired records stay in storage: so much may the
	// clock of the node that removes them be ahead of those of the nodes that
	// stamped them. Reads compare with the retention themselves and do not show
	// them.
	TrimGraceMs = 60_000
)

// StreamMode is who decides how many shards there are.
type StreamMode uint8

// The modes. The numbers are part of the stored format.
const (
	ModeProvisioned StreamMode = 1
	ModeOnDemand    StreamMode = 2
)

// StreamSpec is the Spec of a stream in the catalog. It is changed only by
// replacing it (OpUpdateResource with the version that was read), so what it
// says is decided once. Covers holds for every spec.
type StreamSpec struct {
	Mode           StreamMode
	RetentionHours uint32 // 0: for ever
	MaxRecordBytes uint32 // MinRecordBytes to MaxRecordBytes
	Encrypted      bool   // EncryptionType KMS, kept for clients that read it back
	KmsKey         string // KeyId as given; "" when none
	Metrics        []string
	Policy         string // JSON as given; "" when none
	WarmMiBps      uint32 // TargetMiBps of the warm throughput; 0: not set
	Shards         []Shard
	NextShard      ShardNumber
	Reshard        Reshard          // the resharding under way; Kind is zero when there is none
	Consumers      []StreamConsumer // enhanced fan-out, by name
	Groups         []StreamGroup    // by name
	Tags           []Tag            // by Key, each once
	CreatedMs      int64            // Unix milliseconds
	ModifiedMs     int64            // Unix milliseconds
}

// StreamConsumer is a consumer with enhanced fan-out.
type StreamConsumer struct {
	Name      string
	CreatedMs int64  // Unix milliseconds; its seconds are part of the ARN
	Policy    string // JSON as given; "" when none
	Tags      []Tag  // by Key, each once
}

// StreamGroup is a consumer group: a named consumer whose members share the
// shards. How far it has come is kept with each shard (CmdSetPosition); here is
// only where it begins.
type StreamGroup struct {
	Name      string
	CreatedMs int64 // Unix milliseconds
	// StartMs is what SetPosition.StartMs is set to in every shard: a group begins
	// with the records that arrived then or later. 0 begins with all there are.
	// Since it is one time for all shards, it does not matter when a member first
	// comes to a shard, or whether the shard was split before: nothing is skipped.
	StartMs int64
}

// NewStreamSpec is a stream with that many shards, 1 to MaxStreamShards, and
// Kinesis' defaults.
func NewStreamSpec(mode StreamMode, shards int, nowMs int64) StreamSpec {
	s := StreamSpec{
		Mode: mode, RetentionHours: DefaultRetentionHours, MaxRecordBytes: MinRecordBytes,
		NextShard: ShardNumber(shards), CreatedMs: nowMs, ModifiedMs: nowMs,
	}
	for i, r := range UniformRanges(shards) {
		s.Shards = append(s.Shards, Shard{Number: ShardNumber(i), Range: r, Epoch: uint64(nowMs / 1000), CreatedMs: nowMs})
	}
	return s
}

// RetentionMs is for how long records are kept; 0 is for ever.
func (s *StreamSpec) RetentionMs() int64 { return int64(s.RetentionHours) * 3600 * 1000 }

// HorizonMs is the time before which records have expired at nowMs; 0 when
// none have.
func (s *StreamSpec) HorizonMs(nowMs int64) int64 {
	if s.RetentionHours == 0 {
		return 0
	}
	return max(0, nowMs-s.RetentionMs())
}

// ForgetShards removes the closed shards whose records have all expired, and
// reports whether there were any. Their slots keep the mark that they are closed.
func (s *StreamSpec) ForgetShards(nowMs int64) bool {
	horizon := s.HorizonMs(nowMs) - TrimGraceMs
	kept := slices.DeleteFunc(slices.Clone(s.Shards), func(sh Shard) bool { return !sh.Open() && sh.ClosedMs < horizon })
	changed := len(kept) < len(s.Shards)
	s.Shards = kept
	return changed
}

// streamSpecVersion begins every encoded StreamSpec.
const streamSpecVersion = 1

// Append appends the stored form. See docs/format/stream.md.
func (s *StreamSpec) Append(dst []byte) []byte {
	dst = append(dst, streamSpecVersion, byte(s.Mode))
	dst = AppendUvarint(dst, uint64(s.RetentionHours))
	dst = AppendUvarint(dst, uint64(s.MaxRecordBytes))
	dst = AppendBool(dst, s.Encrypted)
	dst = AppendString(dst, s.KmsKey)
	dst = AppendUvarint(dst, uint64(len(s.Metrics)))
	for _, m := range s.Metrics {
		dst = AppendString(dst, m)
	}
	dst = AppendString(dst, s.Policy)
	dst = AppendUvarint(dst, uint64(s.WarmMiBps))
	dst = AppendUvarint(dst, uint64(len(s.Shards)))
	for i := range s.Shards {
		dst = s.Shards[i].append(dst)
	}
	dst = AppendUvarint(dst, uint64(s.NextShard))
	dst = s.Reshard.append(dst)
	dst = AppendUvarint(dst, uint64(len(s.Consumers)))
	for i := range s.Consumers {
		c := &s.Consumers[i]
		dst = AppendUvarint(AppendString(dst, c.Name), uint64(c.CreatedMs))
		dst = appendTags(AppendString(dst, c.Policy), c.Tags)
	}
	dst = AppendUvarint(dst, uint64(len(s.Groups)))
	for i := range s.Groups {
		g := &s.Groups[i]
		dst = AppendUvarint(AppendString(dst, g.Name), uint64(g.CreatedMs))
		dst = AppendUvarint(dst, uint64(g.StartMs))
	}
	dst = appendTags(dst, s.Tags)
	dst = AppendUvarint(dst, uint64(s.CreatedMs))
	return AppendUvarint(dst, uint64(s.ModifiedMs))
}

// Decode reads what Append wrote. A spec that does not cover the ring is
// malformed.
func (s *StreamSpec) Decode(d *Decoder) {
	if d.Byte() != streamSpecVersion {
		d.Fail()
	}
	if s.Mode = StreamMode(d.Byte()); s.Mode != ModeProvisioned && s.Mode != ModeOnDemand {
		d.Fail()
	}
	s.RetentionHours, s.MaxRecordBytes = uint32(d.Uvarint()), uint32(d.Uvarint())
	s.Encrypted, s.KmsKey = d.Bool(), d.String()
	for n := d.Count(); n > 0; n-- {
		s.Metrics = append(s.Metrics, d.String())
	}
	s.Policy, s.WarmMiBps = d.String(), uint32(d.Uvarint())
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var sh Shard
		sh.decode(d)
		s.Shards = append(s.Shards, sh)
	}
	s.NextShard = d.shardNumber()
	s.Reshard.decode(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		s.Consumers = append(s.Consumers, StreamConsumer{Name: d.String(), CreatedMs: int64(d.Uvarint()), Policy: d.String(), Tags: decodeTags(d)})
	}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		s.Groups = append(s.Groups, StreamGroup{Name: d.String(), CreatedMs: int64(d.Uvarint()), StartMs: int64(d.Uvarint())})
	}
	s.Tags = decodeTags(d)
	s.CreatedMs, s.ModifiedMs = int64(d.Uvarint()), int64(d.Uvarint())
	if d.Err() == nil && s.Covers() != nil {
		d.Fail()
	}
}
