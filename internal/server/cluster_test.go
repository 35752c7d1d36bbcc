package server

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/service"
)

// patience bounds what takes real time: elections and growth on real sockets.
const patience = 20 * time.Second

func config(dir string) Config {
	return Config{
		DataDir: dir, AWSAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0",
		Tablets: 1, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) },
	}
}

func run(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) stopNow(t *testing.T) {
	t.Helper()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestJoinAndRestart: a second node joins over real sockets and serves; both
// keep what they know when they are started again.
func TestJoinAndRestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dirs := [2]string{t.TempDir(), t.TempDir()}
	first := run(t, config(dirs[0]))
	token, err := (*admin)(first).CreateToken(ctx, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	joining := config(dirs[1])
	joining.Join, joining.Token = first.Addresses().Peer, token
	second := run(t, joining)
	id1, cluster1 := first.Node()
	id2, cluster2 := second.Node()
	if id1 == id2 || cluster1 != cluster2 {
		t.Errorf("%s of %s and %s of %s", id1, cluster1, id2, cluster2)
	}
	third := config(t.TempDir())
	third.Join, third.Token = first.Addresses().Peer, token
	if s, err := Start(ctx, third); err == nil {
		s.stopNow(t)
		t.Error("a token was good for two nodes")
	}
	for second.node.SyncCatalog(ctx) != nil && ctx.Err() == nil {
	}
	if _, err := second.service.CreateQueue(ctx, &service.CreateQueueRequest{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	send := &service.SendRequest{Queue: "q", Messages: []service.OutgoingMessage{{Body: "m"}}}
	if _, err := second.service.SendMessages(ctx, send); err != nil {
		t.Fatal(err)
	}
	if s := first.node.Status(ctx); len(s.Nodes) != 2 || !s.Nodes[0].Up || !s.Nodes[1].Up {
		t.Errorf("status %+v", s)
	}

	// Started again, on other ports, and the second without a token.
	second.stopNow(t)
	first.stopNow(t)
	again := run(t, config(dirs[0]))
	defer again.stopNow(t)
	if id, cluster := again.Node(); id != id1 || cluster != cluster1 || again.record.Starts != 2 {
		t.Errorf("restarted as %s of %s, start %d", id, cluster, again.record.Starts)
	}
	q, err := again.service.GetQueue(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := again.service.CountQueue(ctx, q); err != nil || n.Visible != 1 {
		t.Errorf("after the restart: %+v, %v", n, err)
	}
}

// TestFirstNodeRestarts: the founding survives a crash between its steps: an
// identity without a record, and a record without a state.
func TestFirstNodeRestarts(t *testing.T) {
	dir := t.TempDir()
	s := run(t, config(dir))
	id, _ := s.Node()
	s.stopNow(t)
	for _, name := range []string{"state", "journal", "FORMAT"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	again := run(t, config(dir))
	if got, _ := again.Node(); got != id {
		t.Errorf("a record without a state: node %s became %s", id, got)
	}
	if c := again.node.Catalog(); len(c.Tablets) != 2 || len(c.Nodes) != 1 {
		t.Errorf("catalog %+v", c)
	}
	again.stopNow(t)
	for _, name := range []string{"state", "journal", "FORMAT", nodeFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	anew := run(t, config(dir))
	anew.stopNow(t)
}

func TestTakenPort(t *testing.T) {
	first := run(t, config(t.TempDir()))
	defer first.stopNow(t)
	cfg := config(filepath.Join(t.TempDir(), "new"))
	cfg.AWSAddr = first.Addresses().AWS
	s, err := Start(context.Background(), cfg)
	if err == nil {
		s.stopNow(t)
		t.Fatal("two nodes on one port")
	}
	if !strings.Contains(err.Error(), "--aws") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, nodeFile)); err == nil {
		t.Error("a node was made although its port is taken")
	}
}

// TestOpenMode: without keys only loopback is served, unless the operator
// insists.
func TestOpenMode(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.AWSAddr = "0.0.0.0:0"
	if s, err := Start(context.Background(), cfg); err == nil {
		s.stopNow(t)
		t.Error("an open node on all addresses")
	}
	cfg.Insecure = true
	run(t, cfg).stopNow(t)
}

func TestDump(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := Dump(&out, dir, "state"); err == nil || !strings.Contains(err.Error(), "holds no node") {
		t.Errorf("an empty directory: %v", err)
	}
	s := run(t, config(dir))
	if err := Dump(&out, dir, "state"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("of a running node: %v", err)
	}
	s.stopNow(t)
	if err := Dump(&out, dir, "nothing"); err == nil {
		t.Error("a dump of nothing")
	}
	for what, want := range map[string]string{"state": "t/t0/applied", "journal": "t0"} {
		out.Reset()
		if err := Dump(&out, dir, what); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %.300s, %v", what, out.String(), err)
		}
	}
}
