package server

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"weir.dev/weir/internal/auth"
)

// start runs a small node for as long as the test.
func start(t *testing.T, keys *auth.Keys) *Server {
	t.Helper()
	s, err := Start(context.Background(), Config{
		DataDir: t.TempDir(), AWSAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0", Keys: keys,
		Tablets: 1, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestStopAtOnce stops a node before its listeners may have been served: that
// is no failure. start's Fatal panics if it is taken for one.
func TestStopAtOnce(t *testing.T) { start(t, nil) }

// TestUnsignedAdmin: with keys, the admin API refuses what is not signed, and
// health and metrics are open.
func TestUnsignedAdmin(t *testing.T) {
	keys, err := auth.ParseKeys("id:secret")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, keys)
	for path, want := range map[string]int{"/api/status": 403, "/api/pipes": 403, "/healthz": 200, "/metrics": 200} {
		resp, err := http.Get("http://" + s.Addresses().Console + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s unsigned: status %d, want %d", path, resp.StatusCode, want)
		}
	}
}
