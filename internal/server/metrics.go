package server

import (
	"fmt"
	"io"
	"runtime"
)

// writeMetrics writes the node's metrics in the Prometheus text format. Names
// and meanings are listed in docs/metrics.md.
func (s *Server) writeMetrics(w io.Writer) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	f := s.front.srv.Stats()
	j := s.journal.Metrics()
	c := s.node.Counts()
	for _, m := range []struct {
		name, kind, help string
		value            float64
	}{
		{"weir_requests_total", "counter", "requests read on the AWS listener", float64(f.Requests)},
		{"weir_requests_active", "gauge", "requests being answered now", float64(f.Active)},
		{"weir_connections", "gauge", "open connections of clients", float64(f.Connections)},
		{"weir_refused_auth_total", "counter", "requests with bad or missing credentials", float64(f.RefusedAuth)},
		{"weir_tablets_held", "gauge", "tablets with a replica here", float64(c.Held)},
		{"weir_tablets_led", "gauge", "tablets led from here", float64(c.Led)},
		{"weir_tablets_leaderless", "gauge", "tablets held here whose leader is not known", float64(c.Leaderless)},
		{"weir_journal_syncs_total", "counter", "fsyncs of the journal", float64(j.Batches)},
		{"weir_journal_entries_total", "counter", "log entries written", float64(j.Entries)},
		{"weir_journal_bytes", "gauge", "size of the journal on disk", float64(j.SizeBytes)},
		{"weir_heap_bytes", "gauge", "heap in use", float64(mem.HeapInuse)},
		{"weir_goroutines", "gauge", "goroutines", float64(runtime.NumGoroutine())},
	} {
		// A client that is gone is no error of the node.
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %g\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
}
