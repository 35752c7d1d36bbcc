package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecoverInterrupted: a directory that weir recover has begun to change does
// not start until it has ended, and recovering again ends it.
func TestRecoverInterrupted(t *testing.T) {
	dir := t.TempDir()
	config := Config{DataDir: dir, AWSAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0", Tablets: 2, CacheBytes: 1 << 20,
		Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) }}
	run := func() error {
		s, err := Start(context.Background(), config)
		if err != nil {
			return err
		}
		return s.Shutdown(context.Background())
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	rec, _, err := d.load()
	if err != nil {
		t.Fatal(err)
	}
	rec.Recovering = true
	if err := errors.Join(d.save(rec), d.close()); err != nil {
		t.Fatal(err)
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Fatalf("a directory in the middle of a recovery: %v", err)
	}
	var log bytes.Buffer
	asked := 0
	recovery := RecoverConfig{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil)), Confirm: func(r *Recovery) error {
		if asked++; len(r.Tablets) != 3 || len(r.Others) != 0 || len(r.Alive) != 0 {
			t.Errorf("known beforehand: %+v", r)
		}
		return nil
	}}
	if err := Recover(context.Background(), recovery); err != nil || asked != 1 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	for _, want := range []string{"step=begun", "step=done"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, log.String())
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, recoveriesFile)); err != nil || bytes.Count(text, []byte("\n")) != 2 {
		t.Errorf("the record: %s, %v", text, err)
	}
	if err := run(); err != nil {
		t.Errorf("after the recovery: %v", err)
	}
	refused := errors.New("no")
	recovery.Confirm = func(*Recovery) error { return refused }
	if err := Recover(context.Background(), recovery); !errors.Is(err, refused) {
		t.Errorf("not confirmed: %v", err)
	}
	recovery.DataDir = t.TempDir()
	if err := Recover(context.Background(), recovery); err == nil || !strings.Contains(err.Error(), "holds no node") {
		t.Errorf("an empty directory: %v", err)
	}
}
