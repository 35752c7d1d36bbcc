package server

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestMetricsPage holds docs/metrics.md to what a node writes: the same names,
// of the same types.
func TestMetricsPage(t *testing.T) {
	s := start(t, nil)
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
}

// types finds the types of metrics by name.
func types(text []byte, pattern string) map[string]string {
	found := map[string]string{}
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		found[string(m[1])] = string(m[2])
	}
	return found
}
