package journal

import "os"

// OSFS is the operating system's file system. Files are created for their
// owner only.
type OSFS struct{}

// OpenReadWrite implements FS.
func (OSFS) OpenReadWrite(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE)
}

// Open implements FS.
func (OSFS) Open(name string) (File, error) { return openFile(name, os.O_RDONLY) }

func openFile(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Remove implements FS.
func (OSFS) Remove(name string) error { return os.Remove(name) }

// Rename implements FS.
func (OSFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// List implements FS.
func (OSFS) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// MkdirAll implements FS.
func (OSFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// SyncDir implements FS.
func (OSFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Size implements FS.
func (OSFS) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// osFile is an open file of the operating system.
type osFile struct{ *os.File }
