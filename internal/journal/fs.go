package journal

// FS is the part of a file system that the journal needs. Names are paths with
// slashes. Implementations are safe for use by several goroutines.
//
// A created, renamed or removed name is durable only after SyncDir of its
// directory; a file's bytes only after its Sync. OSFS is the operating
// system's; package storage has one over Pebble's that can crash in memory.
type FS interface {
	// OpenReadWrite opens the file for reading and writing and creates an empty
	// one when there is none. It never truncates.
	OpenReadWrite(name string) (File, error)
	// Open opens an existing file for reading only.
	Open(name string) (File, error)
	// Remove deletes the file.
	Remove(name string) error
	// Rename gives the file another name; a file of that name is replaced.
	Rename(oldName, newName string) error
	// List returns the names in a directory, without the directory, in any order.
	List(dir string) ([]string, error)
	// MkdirAll creates the directory and its parents where they are missing.
	MkdirAll(dir string) error
	// SyncDir makes the names in the directory durable.
	SyncDir(dir string) error
	// Size returns the file's length in bytes. It returns an error for which
	// errors.Is(err, fs.ErrNotExist) holds when there is no such file.
	Size(name string) (int64, error)
	// Space returns the bytes that are free for this process and the total
	// bytes of the file system that holds dir. When that cannot be told, both
	// are zero.
	Space(dir string) (free, total uint64, err error)
}

// File is an open file. WriteAt and Sync are called by one goroutine at a
// time; ReadAt may be called by others meanwhile.
type File interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Sync makes all bytes written so far durable, and the length needed to
	// read them back (fdatasync). An error means that the state of the disk is
	// unknown: Sync is never tried again.
	Sync() error
	// Preallocate reserves room for size bytes from the file's beginning; it
	// may do nothing.
	Preallocate(size int64) error
	Close() error
}
