package storage

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPoliteTables: what flushes and compactions write gives way, other files,
// which are written while locks are held, do not.
func TestPoliteTables(t *testing.T) {
	fs := politeFS{vfs.NewMem()}
	for name, want := range map[string]bool{"000001.sst": true, "MANIFEST-000001": false, "marker.manifest": false} {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, polite := f.(politeFile); polite != want {
			t.Errorf("%s: polite %v", name, polite)
		}
		if n, err := f.Write([]byte("block")); n != 5 || err != nil {
			t.Errorf("%s: wrote %d, %v", name, n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := DiskFS().pebble().(politeFS); !ok {
		t.Error("tables on the disk are not written politely")
	}
}
