package storage

import (
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir.dev/weir/internal/journal"
)

// FS is a file system that both the state and the journal can live on.
type FS interface {
	journal.FS
	// pebble is the same file system as Pebble sees it.
	pebble() vfs.FS
}

// DiskFS is the operating system's file system.
func DiskFS() FS { return diskFS{} }

type diskFS struct{ journal.OSFS }

func (diskFS) pebble() vfs.FS { return politeFS{vfs.Default} }

// CrashableFS is a file system in memory that can be copied as a crash would
// leave it. It is for tests and the simulator.
type CrashableFS struct {
	mem *vfs.MemFS
	// linking keeps links and copies apart: MemFS.Link takes a read lock twice,
	// and would wait for itself if a copy asked for the lock in between.
	linking sync.Mutex
}

// NewCrashableFS returns an empty file system.
func NewCrashableFS() *CrashableFS { return &CrashableFS{mem: vfs.NewCrashableMem()} }

// CrashClone returns a copy as it would be found after a power cut at this
// moment: what was synced is there, and each block and each name that was not
// is there with a probability of percent in a hundred. Those who use the
// original may go on, without effect on the copy.
func (c *CrashableFS) CrashClone(percent int, rng *rand.Rand) *CrashableFS {
	c.linking.Lock()
	defer c.linking.Unlock()
	return &CrashableFS{mem: c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})}
}

// SetSpace sets what Space answers; zeros, the default, mean that it cannot be told.
func (c *CrashableFS) SetSpace(free, total uint64) {
	c.mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: total, UsedBytes: total - free})
}

func (c *CrashableFS) pebble() vfs.FS { return linkingFS{c.mem, &c.linking} }

// linkingFS is a file system whose links are made one at a time.
type linkingFS struct {
	vfs.FS
	one *sync.Mutex
}

// Link implements vfs.FS.
func (f linkingFS) Link(oldName, newName string) error {
	f.one.Lock()
	defer f.one.Unlock()
	return f.FS.Link(oldName, newName)
}

// Unwrap implements vfs.FS.
func (f linkingFS) Unwrap() vfs.FS { return f.FS }

// OpenReadWrite implements journal.FS.
func (c *CrashableFS) OpenReadWrite(name string) (journal.File, error) {
	return adapt(c.mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified))
}

// Open implements journal.FS.
func (c *CrashableFS) Open(name string) (journal.File, error) { return adapt(c.mem.Open(name)) }

// Remove implements journal.FS.
func (c *CrashableFS) Remove(name string) error { return c.mem.Remove(name) }

// Rename implements journal.FS.
func (c *CrashableFS) Rename(oldName, newName string) error { return c.mem.Rename(oldName, newName) }

// List implements journal.FS.
func (c *CrashableFS) List(dir string) ([]string, error) { return c.mem.List(dir) }

// MkdirAll implements journal.FS.
func (c *CrashableFS) MkdirAll(dir string) error { return c.mem.MkdirAll(dir, 0o700) }

// SyncDir implements journal.FS.
func (c *CrashableFS) SyncDir(dir string) error {
	f, err := c.mem.OpenDir(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Size implements journal.FS.
func (c *CrashableFS) Size(name string) (int64, error) {
	info, err := c.mem.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Space implements journal.FS.
func (c *CrashableFS) Space(dir string) (free, total uint64, err error) {
	usage, err := c.mem.GetDiskUsage(dir)
	if err != nil {
		return 0, 0, nil // SetSpace was not called
	}
	return usage.AvailBytes, usage.TotalBytes, nil
}

// adapted is a file of Pebble's as the journal wants it.
type adapted struct{ vfs.File }

func adapt(f vfs.File, err error) (journal.File, error) {
	if err != nil {
		return nil, err
	}
	return adapted{f}, nil
}

func (f adapted) Sync() error                  { return f.SyncData() }
func (f adapted) Preallocate(size int64) error { return f.File.Preallocate(0, size) }
