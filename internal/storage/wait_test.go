package storage

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gatedFS is a disk on which every flush waits for leave to begin: a nil, or the
// error that it fails with.
type gatedFS struct {
	*CrashableFS
	leave <-chan error
}

func (g gatedFS) pebble() vfs.FS { return gatedVFS{g.CrashableFS.pebble(), g.leave} }

type gatedVFS struct {
	vfs.FS
	leave <-chan error
}

func (g gatedVFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.Contains(name, stageDir) && strings.HasSuffix(name, ".sst") {
		if err := <-g.leave; err != nil {
			return nil, err
		}
	}
	return g.FS.Create(name, c)
}

// slowDisk is a state on a gatedFS with a writer that commits one key after the
// other, until a commit fails.
type slowDisk struct {
	t         *testing.T
	db        *DB
	leave     chan error
	fatal     error
	committed int           // by the writer, which is asleep when the test looks
	failed    chan error    // why the writer ended
	stop      chan struct{} // has the writer end
}

const (
	waitTableBytes = 64 << 10
	waitValueBytes = 1 << 10
)

func newSlowDisk(t *testing.T) *slowDisk {
	s := &slowDisk{t: t, leave: make(chan error), failed: make(chan error, 1), stop: make(chan struct{})}
	o := testOptions(gatedFS{NewCrashableFS(), s.leave})
	o.MemTableBytes, o.Fatal = waitTableBytes, func(err error) { s.fatal = err }
	o.Sequence = nil // one table for each flush
	s.db = openDB(t, o)
	go func() { s.failed <- s.write() }()
	synctest.Wait()
	return s
}

func (s *slowDisk) write() error {
	b := s.db.NewBatch()
	defer b.Close()
	for !closed(s.stop) {
		b.Set(s.key(s.committed), make([]byte, waitValueBytes))
		if err := b.Commit(); err != nil {
			return err
		}
		s.committed++
	}
	return nil
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *slowDisk) key(i int) []byte { return fmt.Appendf(nil, "k%06d", i) }

// wantWaiting requires that the writer waits, that memory is bounded, and that
// readers see what was committed and nothing of what waits.
func (s *slowDisk) wantWaiting() {
	s.t.Helper()
	m := s.db.Metrics()
	if m.MemTables != memTables || m.MemTableBytes < memTables*waitTableBytes || m.MemTableBytes > memTables*(waitTableBytes+4*waitValueBytes) {
		s.t.Fatalf("%d memtables of %d bytes after %d commits", m.MemTables, m.MemTableBytes, s.committed)
	}
	view := s.db.View()
	if _, ok, err := view.Get(s.key(s.committed - 1)); err != nil || !ok {
		s.t.Errorf("the last commit, %d, is not there: %v", s.committed-1, err)
	}
	if _, ok, err := view.Get(s.key(s.committed)); err != nil || ok {
		s.t.Errorf("what waits is there: %v, %v", ok, err)
	}
}

// TestWriterWaits: while flushes are behind, writers wait and take no memory.
// Each flush lets them go on by one memtable.
func TestWriterWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowDisk(t)
		s.wantWaiting()
		full := s.committed
		for range 3 {
			before := s.committed
			s.leave <- nil
			synctest.Wait()
			s.wantWaiting()
			if more := s.committed - before; more < full/memTables-2 || more > full/memTables+2 {
				t.Errorf("a flush let %d commits go on; %d filled %d memtables", more, full, memTables)
			}
		}
		// A second writer waits, too, and both go on.
		other := make(chan struct{})
		go func() { set(t, s.db, "other", "1"); close(other) }()
		synctest.Wait()
		if closed(other) {
			t.Error("a second writer did not wait")
		}
		close(s.stop) // after one commit more
		s.leave <- nil
		synctest.Wait()
		for _, done := range []bool{closed(other), len(s.failed) == 1} {
			if !done {
				t.Fatal("a flush made room for both writers, and one of them waits")
			}
		}
		if err := <-s.failed; err != nil {
			t.Error(err)
		}
		close(s.leave)
		flush(t, s.db)
		wantContents(t, s.db.View(), strings.TrimSpace(contents(t, s.db.View(), "k", "l", false)+" other=1"))
		for i := range s.committed {
			if v, ok, err := s.db.View().Get(s.key(i)); err != nil || !ok || len(v) != waitValueBytes {
				t.Fatalf("commit %d is lost: %v", i, err)
			}
		}
		closeDB(t, s.db)
	})
}

// TestWriterWaitsForNothing: a writer that waits hears that no flush will come,
// because one failed or the state is closed; a full disk alone lets it wait.
func TestWriterWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowDisk(t)
		broken := errors.New("the disk is broken")
		s.leave <- broken
		err := <-s.failed
		synctest.Wait() // the flush has said so to the node, too
		if !errors.Is(err, broken) || !errors.Is(s.fatal, broken) {
			t.Errorf("the writer hears %v, the node %v", err, s.fatal)
		}
		if err := s.db.Flush(); !errors.Is(err, broken) {
			t.Errorf("a flush says %v", err)
		}
		closeDB(t, s.db)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSlowDisk(t)
		for range 3 {
			s.leave <- syscall.ENOSPC // it is tried again some time later
			synctest.Wait()
			s.wantWaiting()
		}
		before := s.committed
		s.leave <- nil // there is room now
		synctest.Wait()
		if s.committed <= before {
			t.Error("the writer does not go on when there is room")
		}
		s.leave <- syscall.ENOSPC
		closeDB(t, s.db)
		if err := <-s.failed; !errors.Is(err, errClosed) || s.fatal != nil {
			t.Errorf("the writer hears %v, the node %v", err, s.fatal)
		}
	})
}
