package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// watchedFS calls hook before each change that the journal makes to the disk.
type watchedFS struct {
	*storage.CrashableFS
	hook    func(op string)
	reserve bool // preallocated files are as long as was asked for, as on most systems
}

func (w watchedFS) OpenReadWrite(name string) (journal.File, error) {
	w.hook("open " + name)
	f, err := w.CrashableFS.OpenReadWrite(name)
	return watchedFile{f, w.hook, w.reserve}, err
}

func (w watchedFS) Rename(oldName, newName string) error {
	w.hook("rename " + oldName)
	return w.CrashableFS.Rename(oldName, newName)
}

func (w watchedFS) Remove(name string) error {
	w.hook("remove " + name)
	return w.CrashableFS.Remove(name)
}

func (w watchedFS) SyncDir(dir string) error {
	w.hook("sync " + dir)
	return w.CrashableFS.SyncDir(dir)
}

type watchedFile struct {
	journal.File
	hook    func(op string)
	reserve bool
}

func (f watchedFile) Preallocate(size int64) error {
	if !f.reserve {
		return f.File.Preallocate(size)
	}
	_, err := f.File.WriteAt(make([]byte, size), 0)
	return err
}

func (f watchedFile) WriteAt(p []byte, off int64) (int, error) {
	f.hook("write")
	return f.File.WriteAt(p, off)
}

func (f watchedFile) Sync() error {
	f.hook("fsync")
	return f.File.Sync()
}

// TestCrashAnywhere cuts the power before every change to the disk, keeping
// none, some or all of what was not synced, and wants to find every write that
// was reported done, and no write without all those before it.
func TestCrashAnywhere(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashAnywhere(t, seed) })
	}
}

func crashAnywhere(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	crashes := rand.New(rand.NewPCG(seed, 3))
	states := []mirror{{}} // states[n] is that after n changes
	var done, submitted atomic.Int64
	type crash struct {
		fs     *storage.CrashableFS
		op     string
		lo, hi int64
	}
	var found []crash
	disk := storage.NewCrashableFS()
	fs := watchedFS{CrashableFS: disk, reserve: seed%2 == 1, hook: func(op string) {
		if crashes.IntN(4) == 0 { // a quarter of the places in each run
			lo := done.Load()
			clone := disk.CrashClone([]int{0, 10, 50, 90, 100}[crashes.IntN(5)], crashes)
			found = append(found, crash{clone, op, lo, submitted.Load()})
		}
	}}
	o := options(fs)
	o.SegmentBytes = 2 << 10
	j := open(t, o)
	m := mirror{}
	for range 400 {
		id := model.TabletID(rng.IntN(4))
		if l := m[id]; l != nil && rng.IntN(6) == 0 {
			to := l.last() - min(l.last(), rng.Uint64N(5))
			m.compact(id, to)
			// A compaction has no Done: it counts with the next write.
			states = append(states, m.clone())
			submitted.Add(1)
			j.Compact(id, model.Index(to))
			continue
		}
		w := m.randomWrite(rng, 4)
		m.apply(w)
		states = append(states, m.clone())
		n := submitted.Add(1)
		w.Done = func() { done.Store(n) }
		j.Submit([]journal.Write{w})
		if rng.IntN(3) == 0 {
			write(j, journal.Write{Tablet: 99}) // changes nothing, waits
		}
	}
	closeJournal(t, j)
	for _, c := range found {
		n := recoverFrom(t, c.fs, states, c.lo, c.hi, c.op)
		// Another crash during the recovery finds the same.
		nested := watchedFS{CrashableFS: c.fs, reserve: seed%2 == 1}
		nested.hook = func(op string) {
			if crashes.IntN(10) == 0 {
				clone := c.fs.CrashClone([]int{0, 50, 100}[crashes.IntN(3)], crashes)
				recoverFrom(t, clone, states, n, n, c.op+", then "+op)
			}
		}
		o := options(nested)
		o.SegmentBytes = 2 << 10
		j, err := journal.Open(o)
		if err != nil {
			t.Fatalf("after a crash before %s: %v", c.op, err)
		}
		j.Kill()
	}
}

// recoverFrom opens a copy of the disk and returns which of the states it
// holds, the first from lo to hi.
func recoverFrom(t *testing.T, fs *storage.CrashableFS, states []mirror, lo, hi int64, op string) int64 {
	t.Helper()
	o := options(fs.CrashClone(0, nil))
	o.SegmentBytes = 2 << 10
	j, err := journal.Open(o)
	if err != nil {
		t.Fatalf("after a crash before %s: %v", op, err)
	}
	defer j.Kill()
	for n := lo; n <= hi; n++ {
		if same(t, j, states[n]) {
			return n
		}
	}
	t.Fatalf("after a crash before %s the journal holds none of the states %d to %d: %v", op, lo, hi, j.Tablets())
	return 0
}

func same(t *testing.T, j *journal.Journal, m mirror) bool {
	ids := j.Tablets()
	for _, id := range ids {
		if m[id] == nil || describe(t, j.Log(id)) != m[id].String() {
			return false
		}
	}
	return len(ids) == len(m)
}

// filled returns a file system with a journal of several segments, and their
// names.
func filled(t *testing.T, end func(j *journal.Journal)) (*storage.CrashableFS, []string) {
	fs := storage.NewCrashableFS()
	o := options(fs)
	o.SegmentBytes = 600
	j := open(t, o)
	for i := range uint64(60) {
		write(j, journal.Write{Tablet: model.TabletID(1 + i%2), Entries: []*pb.Entry{entry(i/2+1, 1, "some data to damage")}, Hard: hard(1, 1, i)})
	}
	end(j)
	names, err := fs.List("journal")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return fs, slices.DeleteFunc(names, func(n string) bool { return path.Ext(n) != ".log" || n[0] == 's' })
}

// TestFlippedBits flips bits in a journal that was closed: each is found.
func TestFlippedBits(t *testing.T) {
	fs, names := filled(t, func(j *journal.Journal) { closeJournal(t, j) })
	if len(names) < 4 {
		t.Fatalf("only %d segments", len(names))
	}
	rng := rand.New(rand.NewPCG(1, 4))
	for i, name := range names {
		size, _ := fs.Size(path.Join("journal", name))
		if i == len(names)-1 {
			size -= 28 // the seal: without it, the last segment ends all the same
		}
		for off := int64(0); off < size; off += 1 + rng.Int64N(7) {
			copied := flip(t, fs, path.Join("journal", name), off, byte(1)<<rng.IntN(8))
			var damage *journal.Damage
			_, err := journal.Open(options(copied))
			if off >= 8 && off < 12 {
				if err == nil { // the version
					t.Fatalf("%s, offset %d: opened", name, off)
				}
			} else if !errors.As(err, &damage) || damage.File != name || damage.Offset > off {
				t.Fatalf("%s, offset %d: %v", name, off, err)
			}
			if err := journal.Verify(copied, "journal"); err == nil {
				t.Fatalf("%s, offset %d: verified", name, off)
			}
		}
	}
}

// TestTornTail damages the last batch of a journal that was not closed, which
// may be a write that never finished, and the one before it, which may not.
func TestTornTail(t *testing.T) {
	fs, names := filled(t, func(j *journal.Journal) { j.Kill() })
	last := path.Join("journal", names[len(names)-1])
	size, _ := fs.Size(last)
	j, err := journal.Open(options(flip(t, fs, last, size-1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := j.Log(2).LastIndex(); n != 29 {
		t.Errorf("last index %d, want 29", n)
	}
	j.Kill()
	var damage *journal.Damage
	if _, err := journal.Open(options(flip(t, fs, last, size-100, 1))); !errors.As(err, &damage) {
		t.Errorf("damage before the last batch: %v", err)
	}
}

func flip(t *testing.T, fs *storage.CrashableFS, name string, off int64, bit byte) *storage.CrashableFS {
	t.Helper()
	copied := fs.CrashClone(100, rand.New(rand.NewPCG(1, 1)))
	f, err := copied.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= bit
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	return copied
}

// TestMissingSegment removes a segment in the middle.
func TestMissingSegment(t *testing.T) {
	fs, names := filled(t, func(j *journal.Journal) { closeJournal(t, j) })
	if err := fs.Remove(path.Join("journal", names[1])); err != nil {
		t.Fatal(err)
	}
	var damage *journal.Damage
	if _, err := journal.Open(options(fs)); !errors.As(err, &damage) || damage.File != names[1] {
		t.Errorf("got %v", err)
	}
}

// failingFS fails every sync once its flag is set.
type failingFS struct {
	*storage.CrashableFS
	broken *atomic.Bool
	syncs  *atomic.Int64 // after the first failure
}

func (f failingFS) OpenReadWrite(name string) (journal.File, error) {
	file, err := f.CrashableFS.OpenReadWrite(name)
	return failingFile{file, f}, err
}

type failingFile struct {
	journal.File
	fs failingFS
}

var errBroken = errors.New("input/output error")

func (f failingFile) Sync() error {
	if f.fs.broken.Load() {
		f.fs.syncs.Add(1)
		return errBroken
	}
	return f.File.Sync()
}

// TestFailedSync wants one call of Fatal, no Done, and no second sync.
func TestFailedSync(t *testing.T) {
	fs := failingFS{storage.NewCrashableFS(), &atomic.Bool{}, &atomic.Int64{}}
	o := options(fs)
	fatal := make(chan error, 10)
	o.Fatal = func(err error) { fatal <- err }
	j := open(t, o)
	write(j, journal.Write{Tablet: 1, Hard: hard(1, 1, 1)})
	fs.broken.Store(true)
	j.Submit([]journal.Write{{Tablet: 1, Hard: hard(2, 1, 1), Done: func() { t.Error("a write was done that was not synced") }}})
	if err := <-fatal; !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	j.Submit([]journal.Write{{Tablet: 1, Hard: hard(3, 1, 1), Done: func() { t.Error("a write was done after the failure") }}})
	if err := j.Close(); !errors.Is(err, errBroken) {
		t.Errorf("Close: %v", err)
	}
	if n := fs.syncs.Load(); n != 1 || len(fatal) != 0 {
		t.Errorf("%d syncs after the failure, %d more calls of Fatal", n, len(fatal))
	}
}

// TestIdleTablet holds back old segments by one old entry of a tablet that is
// never written again: it is written again, and the segments go.
func TestIdleTablet(t *testing.T) {
	fs := storage.NewCrashableFS()
	o := options(fs)
	j := open(t, o)
	write(j, journal.Write{Tablet: 1, Entries: []*pb.Entry{entry(1, 1, "idle"), entry(2, 1, "entries")}})
	for i := range uint64(400) {
		write(j, journal.Write{Tablet: 2, Entries: []*pb.Entry{entry(i+1, 1, "a busy tablet's entry, some bytes long")}})
		j.Compact(2, model.Index(i))
	}
	if m := j.Metrics(); m.Segments > 4 || m.OldestNeeded+3 < m.Newest {
		t.Errorf("segments are held back: %+v", m)
	}
	want := "after 0/0: 1/1=idle 2/1=entries"
	if got := describe(t, j.Log(1)); got != want {
		t.Errorf("got %s", got)
	}
	closeJournal(t, j)
	if got := describe(t, open(t, o).Log(1)); got != want {
		t.Errorf("after opening again: %s", got)
	}
}

func TestSpace(t *testing.T) {
	const gib = 1 << 30
	fs := storage.NewCrashableFS()
	o := options(fs)
	o.BallastBytes = 64 << 20
	fs.SetSpace(50*gib, 100*gib)
	j := open(t, o)
	for _, c := range []struct {
		free uint64
		full bool
	}{{50 * gib, false}, {4 * gib, true}, {1 << 20, true}, {5 * gib, true}, {6 * gib, false}} {
		fs.SetSpace(c.free, 100*gib)
		if j.CheckSpace(); j.Full() != c.full {
			t.Errorf("with %d free: full %v", c.free, j.Full())
		}
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	fs, names := filled(t, func(j *journal.Journal) { closeJournal(t, j) })
	_, err := journal.Open(options(flip(t, fs, path.Join("journal", names[0]), 8, 2)))
	const want = "cannot open the journal in journal: journal file 0000000000000001.log has format version 3, this version of Weir reads version 1: use the version of Weir that wrote it, or a newer one"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
