package server

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"weir.dev/weir/internal/base"
)

// metric is one metric with its samples.
type metric struct {
	name, kind, help string
	samples          []sample
}

// sample is one value of a metric. Of a histogram it is its counts.
type sample struct {
	labels string // as they stand between the braces; "" is none
	value  float64
	counts *base.HistogramCounts
}

// one is the sample of a metric that has no labels.
func one[N int | int64 | uint64 | float64](v N) []sample { return []sample{{value: float64(v)}} }

// yes is a gauge of 1 or 0.
func yes(is bool) []sample {
	if is {
		return one(1)
	}
	return one(0)
}

// label writes one label. Values are escaped as the text format wants it.
func label(name, value string) string {
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// writeMetrics writes the node's metrics in the Prometheus text format. Names
// and meanings are listed in docs/metrics.md.
func (s *Server) writeMetrics(w io.Writer) {
	for _, group := range []func() []metric{s.requestMetrics, s.tabletMetrics, s.journalMetrics, s.storageMetrics, s.backlogMetrics, s.regionMetrics, s.processMetrics} {
		writeAll(w, group())
	}
}

func writeAll(w io.Writer, metrics []metric) {
	out := bufio.NewWriter(w)
	for i := range metrics {
		metrics[i].write(out)
	}
	_ = out.Flush() // a client that is gone is no error of the node
}

func (m *metric) write(w *bufio.Writer) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
	for i := range m.samples {
		s := &m.samples[i]
		if s.counts != nil {
			s.writeHistogram(w, m.name)
			continue
		}
		w.WriteString(m.name)
		if s.labels != "" {
			w.WriteString("{" + s.labels + "}")
		}
		w.WriteString(" " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
	}
}

func (s *sample) writeHistogram(w *bufio.Writer, name string) {
	comma, braced := s.labels, ""
	if s.labels != "" {
		comma, braced = s.labels+",", "{"+s.labels+"}"
	}
	for i, bound := range base.HistogramBounds {
		fmt.Fprintf(w, "%s_bucket{%sle=\"%g\"} %d\n", name, comma, bound.Seconds(), s.counts.UpTo[i])
	}
	fmt.Fprintf(w, "%s_bucket{%sle=\"+Inf\"} %d\n%s_sum%s %g\n%s_count%s %d\n", name, comma, s.counts.Count, name, braced, s.counts.Sum.Seconds(), name, braced, s.counts.Count)
}

// processMetrics are about the process as a whole.
func (s *Server) processMetrics() []metric {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return []metric{
		{"weir_ready", "gauge", "1 while the node should be sent requests", yes(s.Ready() == nil)},
		{"weir_uptime_seconds", "gauge", "time since the node began to start", one(s.clock.Now().Sub(s.ready.begun).Seconds())},
		{"weir_heap_bytes", "gauge", "heap in use", one(mem.HeapInuse)},
		{"weir_goroutines", "gauge", "goroutines", one(runtime.NumGoroutine())},
	}
}

// requestMetrics are about the AWS listener.
func (s *Server) requestMetrics() []metric {
	f := s.front.srv.Stats()
	latency := metric{"weir_request_seconds", "histogram", "time from a request's head to its answer, by service and operation", nil}
	failed := metric{"weir_request_errors_total", "counter", "answers of 400 and above, by service, operation and whose fault it is", nil}
	operations := s.front.srv.Operations()
	for i := range operations {
		o := &operations[i]
		labels := label("service", serviceLabel(o.Service)) + "," + label("operation", o.Operation)
		latency.samples = append(latency.samples, sample{labels: labels, counts: &o.Latency})
		failed.samples = append(failed.samples, sample{labels: labels + `,by="client"`, value: float64(o.ClientErrors)},
			sample{labels: labels + `,by="server"`, value: float64(o.ServerErrors)})
	}
	return []metric{
		{"weir_requests_total", "counter", "requests read on the AWS listener", one(f.Requests)},
		{"weir_requests_active", "gauge", "requests being answered now", one(f.Active)},
		latency, failed,
		{"weir_connections", "gauge", "open connections of clients", one(f.Connections)},
		{"weir_refused_connections_total", "counter", "connections and HTTP/2 requests over a limit", one(f.RefusedConns)},
		{"weir_refused_auth_total", "counter", "requests with bad or missing credentials", one(f.RefusedAuth)},
		{"weir_panics_total", "counter", "requests that ran into a bug", one(f.Panics)},
		{"weir_body_bytes", "gauge", "memory that holds bodies of requests", one(f.BodyBytesInUse)},
	}
}

// serviceLabel is a service's short name: dynamodb, sqs, kinesis.
func serviceLabel(target string) string {
	name, _, _ := strings.Cut(target, "_")
	return strings.ToLower(strings.TrimPrefix(name, "Amazon"))
}

// journalMetrics are about the write-ahead log and the disk it is on.
func (s *Server) journalMetrics() []metric {
	j := s.journal.Metrics()
	latency := s.journal.Latency()
	free, total, reserve := s.journal.Space()
	return []metric{
		{"weir_journal_syncs_total", "counter", "fsyncs of the journal", one(j.Batches)},
		{"weir_journal_write_seconds", "histogram", "time of a write to the journal with its fsync", []sample{{counts: &latency}}},
		{"weir_journal_stalled_seconds", "gauge", "how long the write under way has taken already", one(s.journal.Stalled().Seconds())},
		{"weir_journal_entries_total", "counter", "log entries written", one(j.Entries)},
		{"weir_journal_written_bytes_total", "counter", "bytes written to the journal", one(j.Bytes)},
		{"weir_journal_bytes", "gauge", "size of the journal on disk", one(j.SizeBytes)},
		{"weir_disk_free_bytes", "gauge", "free space on the journal's disk", one(free)},
		{"weir_disk_size_bytes", "gauge", "size of the journal's disk", one(total)},
		{"weir_disk_reserve_bytes", "gauge", "free space below which new data is refused", one(reserve)},
		{"weir_disk_full", "gauge", "1 while new data is refused for want of space", yes(s.journal.Full())},
	}
}

// storageMetrics are about the state.
func (s *Server) storageMetrics() []metric {
	m := s.db.Metrics()
	return []metric{
		{"weir_state_bytes", "gauge", "size of the state on disk", one(m.DiskBytes)},
		{"weir_state_cache_hits_total", "counter", "blocks found in the cache", one(m.CacheHits)},
		{"weir_state_cache_misses_total", "counter", "blocks read from disk", one(m.CacheMisses)},
		{"weir_state_tables", "gauge", "tables that the state is in", one(m.Tables)},
		{"weir_state_flushed_bytes_total", "counter", "bytes of tables that flushes wrote", one(m.BytesFlushed)},
		{"weir_state_compacted_bytes_total", "counter", "bytes of tables that compactions wrote", one(m.BytesCompacted)},
		{"weir_state_compaction_debt_bytes", "gauge", "bytes still to be compacted", one(m.CompactionDebt)},
		{"weir_state_read_amplification", "gauge", "places to look for a key", one(m.ReadAmplification)},
	}
}

// scrapeTime bounds how long counting for one scrape may take.
const scrapeTime = 2 * time.Second
