package server

import (
	"cmp"
	"context"
	"slices"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/service"
)

// tabletMetrics are about the tablets that this node holds.
func (s *Server) tabletMetrics() []metric {
	c, snaps := s.node.Counts(), s.node.SnapshotMetrics()
	leader := metric{"weir_tablet_leader", "gauge", "1 where this node leads the tablet, 0 where another does, -1 where nobody is known to", nil}
	term := metric{"weir_tablet_term", "gauge", "the tablet's raft term as this node knows it", nil}
	applied := metric{"weir_tablet_applied_index", "gauge", "the log entry up to which the state is", nil}
	lag := metric{"weir_tablet_lag_entries", "gauge", "by how many log entries another member is behind; only the leader tells", nil}
	entries := metric{"weir_tablet_log_entries", "gauge", "log entries kept", nil}
	bytes := metric{"weir_tablet_log_bytes", "gauge", "about how many bytes these take", nil}
	won := metric{"weir_tablet_elections_won_total", "counter", "how often this node became the tablet's leader", nil}
	refused := metric{"weir_tablet_refused_total", "counter", "proposals that this node did not take, by reason", nil}
	early := metric{"weir_async_answered_total", "counter", "commands at level async that this node answered before a majority had them", nil}
	ahead := metric{"weir_async_ahead", "gauge", "of those, commands that a majority is not known to have yet", nil}
	inDoubt := metric{"weir_async_in_doubt", "gauge", "commands answered early before leadership was lost, not yet known to be kept or lost", nil}
	gone := metric{"weir_async_lost_total", "counter", "writes at level async that were lost and are kept in a file, by whether the client surely was answered", nil}
	abroad := metric{"weir_region_sync_waiting", "gauge", "writes whose answers wait for other regions", nil}
	abroadShort := metric{"weir_region_sync_short_total", "counter", "writes that other regions did not have in the time or the number that they must, by what came of them", nil}
	add := func(m *metric, labels string, v float64) {
		m.samples = append(m.samples, sample{labels: labels, value: v})
	}
	tablets := s.node.TabletMetrics()
	for i := range tablets {
		t := &tablets[i]
		id := label("tablet", t.Tablet.String())
		add(&leader, id, leadership(t))
		add(&term, id, float64(t.Term))
		add(&applied, id, float64(t.Applied))
		add(&entries, id, float64(t.LogEntries))
		add(&bytes, id, float64(t.LogBytes))
		add(&won, id, float64(t.Won))
		for _, l := range t.Lags {
			add(&lag, id+","+label("node", l.Node.String()), float64(l.Entries))
		}
		add(&early, id, float64(t.Async.Answered))
		add(&ahead, id, float64(t.Async.Ahead))
		add(&inDoubt, id, float64(t.Async.InDoubt))
		add(&gone, id+`,answered="yes"`, float64(t.Async.Lost))
		add(&gone, id+`,answered="perhaps"`, float64(t.Async.Unsure))
		add(&abroad, id, float64(t.Abroad.Waiting))
		add(&abroadShort, id+`,outcome="failed"`, float64(t.Abroad.Short))
		add(&abroadShort, id+`,outcome="refused"`, float64(t.Abroad.Refused))
		add(&abroadShort, id+`,outcome="answered"`, float64(t.Abroad.Degraded))
		add(&refused, id+`,reason="not-leader"`, float64(t.Refused.NotLeader))
		add(&refused, id+`,reason="busy"`, float64(t.Refused.Busy))
		add(&refused, id+`,reason="disk-full"`, float64(t.Refused.DiskFull))
	}
	failovers := s.node.FailoverMetrics()
	return []metric{
		{"weir_failovers_total", "counter", "tablets that this node took over from a leader that was lost", one(failovers.Count)},
		{"weir_failover_seconds_total", "counter", "for how long these had no leader, all together", one(failovers.Total.Seconds())},
		{"weir_failover_longest_seconds", "gauge", "the longest of these since the start", one(failovers.Longest.Seconds())},
		{"weir_tablets_held", "gauge", "tablets with a replica here", one(c.Held)},
		{"weir_tablets_led", "gauge", "tablets led from here", one(c.Led)},
		{"weir_tablets_leaderless", "gauge", "tablets held here whose leader is not known", one(c.Leaderless)},
		leader, term, applied, lag, entries, bytes, won, refused, early, ahead, inDoubt, gone, abroad, abroadShort,
		{"weir_snapshots_sent_total", "counter", "snapshots sent to other nodes", one(snaps.Sent)},
		{"weir_snapshots_failed_total", "counter", "snapshots whose sending failed", one(snaps.Failed)},
		{"weir_snapshots_received_total", "counter", "snapshots received and installed", one(snaps.Received)},
		{"weir_snapshots_sending", "gauge", "snapshots being sent now", one(snaps.UnderWay)},
		{"weir_snapshot_sent_bytes_total", "counter", "bytes of snapshots sent", one(snaps.BytesSent)},
	}
}

func leadership(t *cluster.TabletMetrics) float64 {
	switch {
	case t.Leads:
		return 1
	case t.Leaderless:
		return -1
	default:
		return 0
	}
}

// Bounds of the series about queues and streams: what has the most waiting is
// told by name, and all together as a total.
const (
	backlogsCounted = 500
	backlogsShown   = 20
)

// backlogMetrics are about the queues and streams that this node looks after.
func (s *Server) backlogMetrics() []metric {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	return slices.Concat(s.queueMetrics(ctx), s.streamMetrics(ctx), s.consumerMetrics(ctx), s.pipeMetrics(ctx))
}

func (s *Server) queueMetrics(ctx context.Context) []metric {
	list, all := s.service.QueueBacklogs(ctx, backlogsCounted)
	slices.SortStableFunc(list, func(a, b service.QueueBacklog) int {
		return cmp.Compare(b.Counts.Visible+b.Counts.InFlight, a.Counts.Visible+a.Counts.InFlight)
	})
	now := s.clock.Now().UnixMilli()
	visible := metric{"weir_queue_visible", "gauge", "messages that can be received, of the queues with the most messages", nil}
	inFlight := metric{"weir_queue_in_flight", "gauge", "messages with consumers or pipes, of the same queues", nil}
	oldest := metric{"weir_queue_oldest_seconds", "gauge", "age of the oldest message that can be received, of the same queues", nil}
	var visibles, inFlights, delayed uint64
	var eldest float64
	for i := range list {
		n := &list[i].Counts
		age := 0.0
		if n.OldestMs > 0 {
			age = max(0, float64(now-n.OldestMs)/1000)
		}
		visibles, inFlights, delayed, eldest = visibles+n.Visible, inFlights+n.InFlight+n.Claimed, delayed+n.Delayed, max(eldest, age)
		if i < backlogsShown {
			name := label("queue", list[i].Name)
			visible.samples = append(visible.samples, sample{labels: name, value: float64(n.Visible)})
			inFlight.samples = append(inFlight.samples, sample{labels: name, value: float64(n.InFlight + n.Claimed)})
			oldest.samples = append(oldest.samples, sample{labels: name, value: age})
		}
	}
	return []metric{
		{"weir_queues", "gauge", "queues that this node looks after", one(all)},
		{"weir_queues_visible", "gauge", "messages of these that can be received", one(visibles)},
		{"weir_queues_delayed", "gauge", "messages of these that cannot be received yet", one(delayed)},
		{"weir_queues_in_flight", "gauge", "messages of these that are with consumers or pipes", one(inFlights)},
		{"weir_queues_oldest_seconds", "gauge", "age of the oldest message of these that can be received", one(eldest)},
		visible, inFlight, oldest,
	}
}

func (s *Server) streamMetrics(ctx context.Context) []metric {
	list, all := s.service.StreamBacklogs(ctx, backlogsCounted)
	slices.SortStableFunc(list, func(a, b service.StreamBacklog) int { return cmp.Compare(b.Bytes, a.Bytes) })
	now := s.clock.Now().UnixMilli()
	shards := metric{"weir_stream_open_shards", "gauge", "open shards, of the streams with the most bytes", nil}
	records := metric{"weir_stream_records", "gauge", "records stored, of the same streams", nil}
	stored := metric{"weir_stream_bytes", "gauge", "bytes of these records", nil}
	oldest := metric{"weir_stream_oldest_seconds", "gauge", "age of the oldest record stored, of the same streams", nil}
	newest := metric{"weir_stream_idle_seconds", "gauge", "time since the last record came, of the same streams", nil}
	var open int
	var total, bytes uint64
	for i := range list {
		b := &list[i]
		open, total, bytes = open+b.OpenShards, total+b.Records, bytes+b.Bytes
		if i >= backlogsShown {
			continue
		}
		name := label("stream", b.Name)
		shards.samples = append(shards.samples, sample{labels: name, value: float64(b.OpenShards)})
		records.samples = append(records.samples, sample{labels: name, value: float64(b.Records)})
		stored.samples = append(stored.samples, sample{labels: name, value: float64(b.Bytes)})
		oldest.samples = append(oldest.samples, sample{labels: name, value: secondsSince(now, b.OldestMs)})
		newest.samples = append(newest.samples, sample{labels: name, value: secondsSince(now, b.NewestMs)})
	}
	return []metric{
		{"weir_streams", "gauge", "streams that this node looks after", one(all)},
		{"weir_streams_open_shards", "gauge", "open shards of these", one(open)},
		{"weir_streams_records", "gauge", "records of these that are stored", one(total)},
		{"weir_streams_bytes", "gauge", "bytes of these records", one(bytes)},
		shards, records, stored, oldest, newest,
	}
}

// secondsSince is how long ago a time was, 0 when there is none.
func secondsSince(nowMs, thenMs int64) float64 {
	if thenMs == 0 {
		return 0
	}
	return max(0, float64(nowMs-thenMs)/1000)
}

func (s *Server) consumerMetrics(ctx context.Context) []metric {
	list, all := s.service.ConsumerBacklogs(ctx, backlogsCounted)
	slices.SortStableFunc(list, func(a, b service.ConsumerBacklog) int { return cmp.Compare(b.Records, a.Records) })
	records := metric{"weir_stream_consumer_lag_records", "gauge", "records still to be read, of the named consumers with the most", nil}
	seconds := metric{"weir_stream_consumer_lag_seconds", "gauge", "how long the oldest of these has been there", nil}
	var total uint64
	var longest int64
	for i, c := range list {
		total, longest = total+c.Records, max(longest, c.LagMs)
		if i < backlogsShown {
			names := label("stream", c.Stream) + "," + label("consumer", c.Consumer)
			records.samples = append(records.samples, sample{labels: names, value: float64(c.Records)})
			seconds.samples = append(seconds.samples, sample{labels: names, value: float64(c.LagMs) / 1000})
		}
	}
	return []metric{
		{"weir_stream_consumers", "gauge", "named consumers of the streams that this node looks after", one(all)},
		{"weir_stream_consumers_lag_records", "gauge", "records that these have still to read", one(total)},
		{"weir_stream_consumers_lag_seconds", "gauge", "how long the oldest of these has been there", one(float64(longest) / 1000)},
		records, seconds,
	}
}

func (s *Server) pipeMetrics(ctx context.Context) []metric {
	list, all := s.service.PipeBacklogs(ctx, backlogsCounted)
	slices.SortStableFunc(list, func(a, b service.PipeBacklog) int { return cmp.Compare(b.Records, a.Records) })
	records := metric{"weir_pipe_lag_records", "gauge", "records still to be applied, of the pipes from streams with the most", nil}
	seconds := metric{"weir_pipe_lag_seconds", "gauge", "how long the oldest of these has been there", nil}
	for _, p := range list[:min(len(list), backlogsShown)] {
		records.samples = append(records.samples, sample{labels: label("pipe", p.Name), value: float64(p.Records + p.UnderWay)})
		seconds.samples = append(seconds.samples, sample{labels: label("pipe", p.Name), value: float64(p.LagMs) / 1000})
	}
	return []metric{{"weir_pipes_from_streams", "gauge", "pipes from streams that this node looks after", one(all)}, records, seconds}
}
