package server

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestMetricsPage holds docs/metrics.md to what a node writes: the same names,
// of the same types.
func TestMetricsPage(t *testing.T) {
	s, err := Start(context.Background(), Config{
		DataDir: t.TempDir(), AWSAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0",
		Tablets: 1, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	s.writeMetrics(&text)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
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
