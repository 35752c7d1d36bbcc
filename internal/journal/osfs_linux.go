package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Sync implements File: the bytes and the length, without the times.
func (f osFile) Sync() error {
	if err := eintr(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
		return os.NewSyscallError("fdatasync", err)
	}
	return nil
}

// Preallocate implements File. File systems that cannot do it are not made to.
func (f osFile) Preallocate(size int64) error {
	err := eintr(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
	if err == nil || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return os.NewSyscallError("fallocate", err)
}

// Space implements FS.
func (OSFS) Space(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := eintr(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// eintr repeats calls that a signal interrupted before they did anything.
func eintr(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
