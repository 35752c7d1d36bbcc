package journal

import (
	"path/filepath"
	"testing"
	"time"
)

// TestSyncPace: after one slow sync, many quick ones must follow before a sync
// holds a processor again.
func TestSyncPace(t *testing.T) {
	if !severalProcessors() {
		if new(syncPace).quick() {
			t.Error("the only processor is held")
		}
		return
	}
	var p syncPace
	if !p.quick() {
		t.Error("not quick from the beginning")
	}
	p.took(quickSync)
	if !p.quick() {
		t.Error("a quick sync was taken for a slow one")
	}
	p.took(quickSync + 1)
	for i := range wary {
		if p.quick() {
			t.Fatalf("quick again %d syncs after a slow one", i)
		}
		p.took(time.Microsecond)
	}
	if !p.quick() {
		t.Errorf("still slow %d syncs after a slow one", wary)
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
