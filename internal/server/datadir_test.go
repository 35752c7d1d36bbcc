package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// opens opens a data directory, reads its record and closes it again.
func opens(path string) (rec nodeRecord, found bool, err error) {
	d, err := openDataDir(path)
	if err != nil {
		return rec, false, err
	}
	rec, found, err = d.load()
	if closed := d.close(); err == nil {
		err = closed
	}
	return rec, found, err
}

func TestDataDirIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	if _, found, err := opens(path); found || err != nil {
		t.Errorf("a new directory: %v, %v", found, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it is open to others: %v, %v", info, err)
	}
}

func TestDataDirRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, text, says string }{
		"a foreign directory": {"photo.jpg", "x", "is not a Weir data directory"},
		"a newer format":      {nodeFile, `{"Format": 2, "Node": {"of": "another type"}, "ClusterID": "c"}`, "newer Weir"},
		"no format":           {nodeFile, `{"Node": "n0000000000000001", "ClusterID": "c"}`, "names no node"},
		"no node":             {nodeFile, `{"Format": 1, "ClusterID": "c"}`, "names no node"},
		"no cluster":          {nodeFile, `{"Format": 1, "Node": "n0000000000000001"}`, "names no node"},
		"half a record":       {nodeFile, `{"Format": 1, "No`, "cannot read"},
		"an empty record":     {nodeFile, "", "cannot read"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, c.file), c.text)
		_, found, err := opens(dir)
		if found || err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, c.says)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	if _, _, err := opens(file); err == nil {
		t.Error("a file was taken for a directory")
	}
}

// TestForeignFilesOfAMadeDirectory: once it is a node's, other files there are
// the operator's business.
func TestForeignFilesOfAMadeDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, nodeFile), `{"Format": 1, "Node": "n0000000000000005", "ClusterID": "c"}`)
	write(t, filepath.Join(dir, "notes.txt"), "x")
	if rec, found, err := opens(dir); err != nil || !found || rec.Node != 5 {
		t.Errorf("%+v, %v, %v", rec, found, err)
	}
}

func TestDataDirIsLocked(t *testing.T) {
	dir := t.TempDir()
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := opens(dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second one: %v", err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := opens(dir); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

// TestHalfMade: a crash while the record was written for the first time leaves
// a directory that begins anew; later, the old record is still there.
func TestHalfMade(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, nodeFile+".new"), `{"Form`)
	write(t, filepath.Join(dir, peersDir, "left over"), "x")
	if _, found, err := opens(dir); found || err != nil {
		t.Errorf("half-made: %v, %v", found, err)
	}
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := nodeRecord{Format: dataVersion, ClusterID: "c", Node: 9, Tablets: 3, Starts: 1}
	if err := d.save(want); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, nodeFile+".new"), `{"Form`)
	rec, found, err := opens(dir)
	if err != nil || !found || rec.Node != model.NodeID(9) || rec.Starts != 1 || rec.Tablets != 3 {
		t.Errorf("%+v, %v, %v", rec, found, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"too many tablets":      {Config{Tablets: 1025}, "1 to 1024"},
		"fewer than none":       {Config{Tablets: -1}, "1 to 1024"},
		"join without a token":  {Config{Join: "a:1"}, "weir token create"},
		"a token without join":  {Config{Token: "t"}, "--join"},
		"no port":               {Config{PeerAddr: "localhost"}, "HOST:PORT"},
		"all addresses":         {Config{PeerAddr: ":4590"}, "--advertise"},
		"all addresses, spelt":  {Config{PeerAddr: "0.0.0.0:4590"}, "--advertise"},
		"all addresses of IPv6": {Config{PeerAddr: "[::]:4590"}, "--advertise"},
	} {
		if err := c.cfg.fill(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := Config{PeerAddr: "0.0.0.0:4590", Advertise: "me:4590"}
	if err := cfg.fill(); err != nil {
		t.Error(err)
	}
	if cfg.AWSAddr != DefaultAWSAddr || cfg.DataDir != DefaultDataDir || cfg.Tablets < 1 || cfg.Lanes < 1 || cfg.CacheBytes == 0 {
		t.Errorf("filled: %+v", cfg)
	}
}
