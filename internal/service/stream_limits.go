package service

import (
	"context"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

// AWS's quotas, which hold under the aws profile only.
const (
	awsShards          = 20_000 // of all provisioned streams, in the greatest regions
	awsOnDemandStreams = 50
	awsShardsScaled    = 10_000
	awsShardWriteBytes = 1 << 20
	awsShardRecords    = 1000
	awsShardReadBytes  = 2 << 20
	awsShardReads      = 5
	awsConsumers       = 20
	awsOnDemandWarm    = 10_240 // MiB/s

	// maxCount stands for no limit where Kinesis' model wants a number.
	maxCount = 1_000_000
)

// checkStreamCounts refuses, under the aws profile, more shards or on-demand
// streams than an account may have.
func (s *Service) checkStreamCounts(ctx context.Context, ref *StreamRef, shards, onDemand int64) error {
	if !s.awsLimits() {
		return nil
	}
	has, err := s.DescribeStreamLimits(ctx)
	if err != nil {
		return err
	}
	if shards > 0 && has.OpenShards+shards > awsShards {
		return tooManyShards(ref, has.OpenShards, shards, awsShards)
	}
	if onDemand > 0 && has.OnDemandStreams+onDemand > awsOnDemandStreams {
		return streamFault(FaultStreamLimit, "This request would exceed the on-demand stream limit for the account %s. "+
			"Current on-demand stream count for the account: %d. Limit: %d.", ref.account(), has.OnDemandStreams, awsOnDemandStreams)
	}
	return nil
}

// shardMeters measure what goes through this node to and from each shard, for
// the aws profile: buckets that hold one second of a shard's throughput. They
// are this node's own, so a cluster lets through up to its number of nodes
// times as much. Its zero value is ready.
type shardMeters struct {
	mu      sync.Mutex // guards buckets
	buckets map[meterKey]*shardBuckets
}

type meterKey struct {
	stream model.ResourceID
	shard  model.ShardNumber
	reads  bool
}

// shardBuckets are what is left of a second: bytes, and records or calls.
type shardBuckets struct {
	bytes, count float64
	at           time.Time
}

// maxMeters bounds the meters; when there are more they begin anew.
const maxMeters = 100_000

// take takes from the buckets of a shard, which fill by that much each second;
// false when they do not hold as much. An empty second always lets something
// through, even if it is more than a second's worth, as 10 MiB reads are: the
// bytes then run into debt.
func (m *shardMeters) take(key meterKey, now time.Time, bytes, count, bytesPerSec, countPerSec float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.buckets[key]
	if b == nil {
		if m.buckets == nil || len(m.buckets) >= maxMeters {
			m.buckets = map[meterKey]*shardBuckets{}
		}
		b = &shardBuckets{bytes: bytesPerSec, count: countPerSec, at: now}
		m.buckets[key] = b
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.bytes, b.count = min(bytesPerSec, b.bytes+passed*bytesPerSec), min(countPerSec, b.count+passed*countPerSec)
		b.at = now
	}
	if b.count < count || b.bytes < min(bytes, bytesPerSec) {
		return false
	}
	b.bytes -= bytes
	b.count -= count
	return true
}

// meterPut refuses, under the aws profile, what is more than a shard takes.
func (s *Service) meterPut(ref *StreamRef, st *Stream, n model.ShardNumber, bytes, records int) error {
	if !s.awsLimits() || s.streams.meters.take(meterKey{st.ID, n, false}, s.clock.Now(), float64(bytes), float64(records), awsShardWriteBytes, awsShardRecords) {
		return nil
	}
	return rateExceeded(ref, st, n)
}

// meterRead refuses, under the aws profile, calls that are more than a shard
// answers. What they read is charged afterwards, by chargeRead.
func (s *Service) meterRead(ref *StreamRef, st *Stream, n model.ShardNumber) error {
	if !s.awsLimits() || s.streams.meters.take(meterKey{st.ID, n, true}, s.clock.Now(), 1, 1, awsShardReadBytes, awsShardReads) {
		return nil
	}
	return rateExceeded(ref, st, n)
}

func (s *Service) chargeRead(st *Stream, n model.ShardNumber, bytes int) {
	if !s.awsLimits() {
		return
	}
	m := &s.streams.meters
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.buckets[meterKey{st.ID, n, true}]; b != nil {
		b.bytes -= float64(bytes)
	}
}

func rateExceeded(ref *StreamRef, st *Stream, n model.ShardNumber) error {
	return streamFault(FaultStreamThroughput, "Rate exceeded for shard %s in stream %s under account %s.", n, st.Name, ref.account())
}

// awsLimits reports whether AWS's quotas hold.
func (s *Service) awsLimits() bool { return s.profile.Streams }
