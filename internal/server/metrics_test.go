package server

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/service"
)

// TestMetricsPage holds docs/metrics.md to what a node writes: the same names,
// of the same types, with the same labels.
func TestMetricsPage(t *testing.T) {
	s := start(t, nil)
	useAll(t, s)
	var text bytes.Buffer
	s.writeMetrics(&text)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	written := types(text.Bytes(), `(?m)^# TYPE (\S+) (\S+)$`)
	listed := types(page, "(?m)^\\| `(weir_[a-z_]+)` \\| ([a-z]+) \\| ")
	if len(written) == 0 || !maps.Equal(written, listed) {
		t.Errorf("the node writes   %v\ndocs/metrics.md has %v", written, listed)
	}
	labels := types(page, "(?m)^\\| `(weir_[a-z_]+)` \\| [a-z]+ \\| ([^|]*) \\| ")
	seen := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(weir_[a-z_]+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? `).FindAllStringSubmatch(text.String(), -1) {
		seen[m[1]] = strings.Join(labelNames(m[2]), ", ")
	}
	for name, want := range labels {
		if got, ok := seen[name]; ok && got != want || !ok && want == "" {
			t.Errorf("%s has the labels %q, docs/metrics.md says %q", name, got, want)
		}
	}
	for _, name := range []string{"weir_request_seconds", "weir_tablet_leader", "weir_queue_visible", "weir_journal_write_seconds"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("there is no sample of %s:\n%s", name, text.String())
		}
	}
}

// useAll makes a queue, a message and a request, so that there is something to
// tell of each.
func useAll(t *testing.T, s *Server) {
	t.Helper()
	ctx := context.Background()
	if _, err := s.service.CreateQueue(ctx, &service.CreateQueueRequest{Name: "jobs"}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+s.Addresses().AWS+"/", "application/x-www-form-urlencoded", strings.NewReader("Action=ListQueues"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// labelNames are the names of labels, as docs/metrics.md writes them.
func labelNames(text string) (names []string) {
	for _, m := range regexp.MustCompile(`([a-z_]+)="[^"]*"`).FindAllStringSubmatch(text, -1) {
		if m[1] != "le" {
			names = append(names, "`"+m[1]+"`")
		}
	}
	return names
}

// TestMetricText holds the text to Prometheus's format: escapes, and classes
// that add up.
func TestMetricText(t *testing.T) {
	var h base.Histogram
	h.Observe(3_000_000)
	counts := h.Counts()
	m := metric{"m_seconds", "histogram", "help", []sample{{labels: label("a", "x\"\\\ny"), counts: &counts}}}
	var text bytes.Buffer
	writeAll(&text, []metric{m, {"n", "gauge", "help", []sample{{labels: `b="c"`, value: 1.5}, {value: 3}}}})
	lines := strings.Split(text.String(), "\n")
	for _, want := range []string{
		"# HELP m_seconds help", "# TYPE m_seconds histogram", `m_seconds_bucket{a="x\"\\\ny",le="0.0025"} 0`, `m_seconds_bucket{a="x\"\\\ny",le="0.005"} 1`,
		`m_seconds_bucket{a="x\"\\\ny",le="+Inf"} 1`, `m_seconds_sum{a="x\"\\\ny"} 0.003`, `m_seconds_count{a="x\"\\\ny"} 1`, `n{b="c"} 1.5`, "n 3",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s in\n%s", want, text.String())
		}
	}
}

// types finds the types of metrics by name.
func types(text []byte, pattern string) map[string]string {
	found := map[string]string{}
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		found[string(m[1])] = string(m[2])
	}
	return found
}
