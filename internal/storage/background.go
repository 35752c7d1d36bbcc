package storage

import (
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// politeFS gives way after each block of a table that is written. Flushes and
// compactions are two goroutines each that hand blocks to each other, which the
// runtime takes for one that has just been woken: together they keep a processor
// for 10 ms while requests wait behind them. After a Gosched those go first.
type politeFS struct{ vfs.FS }

// Create implements vfs.FS.
func (f politeFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return file, err
	}
	return politeFile{file}, nil
}

// Unwrap implements vfs.FS.
func (f politeFS) Unwrap() vfs.FS { return f.FS }

type politeFile struct{ vfs.File }

// Write implements vfs.File.
func (f politeFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	runtime.Gosched()
	return n, err
}
