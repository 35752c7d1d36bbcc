package journal

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sync implements File: the bytes and the length, without the times.
func (f osFile) Sync() error {
	fd, begin := int(f.Fd()), time.Now()
	call := unix.Fdatasync
	if pace.quick() {
		call = holdingFdatasync
	}
	if err := eintr(func() error { return call(fd) }); err != nil {
		return os.NewSyscallError("fdatasync", err)
	}
	pace.took(time.Since(begin))
	return nil
}

// WriteAt implements File, in the same way as Sync: what is written to the page
// cache is there sooner than another thread could be.
func (f osFile) WriteAt(p []byte, at int64) (int, error) {
	if !pace.quick() || len(p) == 0 || len(p) > quickBytes {
		return f.File.WriteAt(p, at)
	}
	moved, _, errno := unix.RawSyscall6(unix.SYS_PWRITE64, f.Fd(), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(at), 0, 0)
	n := int(moved)
	switch {
	case errno == unix.EINTR:
		n = 0
	case errno != 0:
		return 0, os.NewSyscallError("pwrite", errno)
	}
	if n == len(p) {
		return n, nil
	}
	more, err := f.File.WriteAt(p[n:], at+int64(n))
	return n + more, err
}

// quickBytes is the most that is written that way.
const quickBytes = 512 << 10

// holdingFdatasync keeps the runtime's processor while it waits for the disk.
// Otherwise the runtime takes the processor away after some 20 us, gives it to
// another thread, has to find one when the call returns, and wakes its monitor
// every 20 us in between: at two syncs in a millisecond that was a fifth of the
// CPU of a put on three nodes.
func holdingFdatasync(fd int) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_FDATASYNC, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// syncPace decides whether a sync may hold a processor: while it does, the
// others do its work, and a garbage collection that begins waits for it. That is
// no worse than a goroutine that computes for as long, which the runtime
// interrupts after 10 ms, if syncs are quicker than that.
type syncPace struct {
	mean atomic.Int64 // a time.Duration: of the last syncs, the newest counts a sixteenth
}

// quickSync is the mean time of syncs that may hold a processor.
const quickSync = 5 * time.Millisecond

// pace is that of all files: a node has one journal.
var pace syncPace

// quick reports whether the last syncs were, and there is another processor.
func (p *syncPace) quick() bool {
	return p.mean.Load() < int64(quickSync) && severalProcessors()
}

// took notes how long a sync took.
func (p *syncPace) took(d time.Duration) {
	mean := p.mean.Load()
	p.mean.Store(mean + (int64(d)-mean)/16)
}

var severalProcessors = sync.OnceValue(func() bool { return runtime.GOMAXPROCS(0) > 1 })

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
