//go:build !linux

package journal

// Sync implements File.
func (f osFile) Sync() error { return f.File.Sync() }

// Preallocate implements File: nothing is reserved.
func (f osFile) Preallocate(int64) error { return nil }

// Space implements FS: it cannot be told.
func (OSFS) Space(string) (free, total uint64, err error) { return 0, 0, nil }
