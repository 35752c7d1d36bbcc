package journal

import (
	"path/filepath"
	"testing"
	"time"
)

// TestSyncPace: syncs hold a processor while the disk is quick, whatever a
// single one took, and not while it is slow.
func TestSyncPace(t *testing.T) {
	if !severalProcessors() {
		if new(syncPace).quick() {
			t.Error("the only processor is held")
		}
		return
	}
	var p syncPace
	took := func(n int, d time.Duration) {
		for range n {
			p.took(d)
		}
	}
	took(10, time.Millisecond)
	took(1, 10*quickSync)
	if !p.quick() {
		t.Error("one slow sync makes a slow disk")
	}
	took(100, quickSync+quickSync/10)
	if p.quick() {
		t.Error("a slow disk was taken for a quick one")
	}
	took(100, time.Millisecond)
	if !p.quick() {
		t.Error("a disk that is quick again was taken for a slow one")
	}
	took(1, 10*time.Second)
	if p.quick() {
		t.Error("a disk that hung was taken for a quick one")
	}
}

// TestSyncErrors: both ways of syncing report what the system says.
func TestSyncErrors(t *testing.T) {
	f, err := OSFS{}.OpenReadWrite(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	fd := int(f.(osFile).Fd())
	if err := holdingFdatasync(fd); err != nil {
		t.Errorf("an open file: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("an open file: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if holdingFdatasync(-1) == nil || f.Sync() == nil {
		t.Error("a file that is not open was synced")
	}
}
