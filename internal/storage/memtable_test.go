package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir.dev/weir/internal/machine"
)

// rig compares a state with plain maps, one for each commit.
type rig struct {
	t     *testing.T
	rnd   *rand.Rand
	disk  *CrashableFS
	db    *DB
	run   *Run
	batch *Batch
	// hold stops flushes while it is locked, so that frozen memtables stay.
	hold    sync.RWMutex
	held    bool
	past    []map[string]string // past[n] is the state after commit n
	flushed int                 // commits that are durable for sure
	readers []*openReader
}

// openReader is a snapshot or an iterator of an earlier moment.
type openReader struct {
	snap *Snapshot
	it   machine.Iterator
	want []string // what the iterator still has to show, or what is in the snapshot
}

const appliedKey = "applied"

func newRig(t *testing.T, rnd *rand.Rand) *rig {
	r := &rig{t: t, rnd: rnd, disk: NewCrashableFS(), past: []map[string]string{{}}}
	r.open()
	return r
}

// stallingFS is a disk on which flushes do not begin while hold is locked.
type stallingFS struct {
	*CrashableFS
	hold *sync.RWMutex
}

func (s stallingFS) pebble() vfs.FS { return stallingVFS{s.CrashableFS.pebble(), s.hold} }

type stallingVFS struct {
	vfs.FS
	hold *sync.RWMutex
}

func (s stallingVFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.Contains(name, stageDir) && strings.HasSuffix(name, ".sst") {
		s.hold.RLock()
		defer s.hold.RUnlock()
	}
	return s.FS.Create(name, c)
}

func (r *rig) open() {
	o := testOptions(stallingFS{r.disk, &r.hold})
	o.CheckNew, o.MemTableBytes = true, 1<<20
	r.db = openDB(r.t, o)
	r.run, r.batch = r.db.NewRun(), r.db.NewBatch()
}

func (r *rig) now() map[string]string { return r.past[len(r.past)-1] }

func (r *rig) close() {
	for len(r.readers) > 0 {
		r.endReader(0)
	}
	r.pause(false)
	r.run.Close()
	r.batch.Close()
	closeDB(r.t, r.db)
}

func (r *rig) pause(on bool) {
	switch {
	case on && !r.held:
		r.hold.Lock()
	case !on && r.held:
		r.hold.Unlock()
	}
	r.held = on
}

func (r *rig) key() string {
	return strings.Repeat("long/", r.rnd.IntN(2)*2) + fmt.Sprintf("k%02d", r.rnd.IntN(40))
}

func (r *rig) span() (lo, hi string) {
	lo, hi = r.key(), r.key()
	return min(lo, hi), max(lo, hi)
}

// command makes a few changes, through w and in the model.
func (r *rig) command(w machine.Writer, want map[string]string) {
	for range 1 + r.rnd.IntN(6) {
		k, v := r.key(), fmt.Sprintf("%d.%s", len(r.past), strings.Repeat("v", r.rnd.IntN(20)))
		_, there := want[k]
		switch n := r.rnd.IntN(12); {
		case n < 5 && !there:
			w.SetNew([]byte(k), []byte(v))
			want[k] = v
		case n < 6:
			w.Set([]byte(k), []byte(v))
			want[k] = v
		case n < 11:
			w.Delete([]byte(k))
			delete(want, k)
		default:
			lo, hi := r.span()
			w.DeleteRange([]byte(lo), []byte(hi))
			maps.DeleteFunc(want, func(k, _ string) bool { return lo <= k && k < hi })
		}
	}
}

func (r *rig) commit() {
	r.db.mu.RLock()
	ranges := len(r.db.tables[0].ranges)
	r.db.mu.RUnlock()
	if ranges > maxRanges/2 {
		r.pause(false) // or it may wait for ever
	}
	want := maps.Clone(r.now())
	number := fmt.Sprint(len(r.past))
	var err error
	if r.rnd.IntN(2) == 0 {
		r.command(r.batch, want)
		r.batch.Set([]byte(appliedKey), []byte(number))
		err = r.batch.Commit()
	} else {
		for range 1 + r.rnd.IntN(3) {
			before := maps.Clone(want)
			r.command(r.run, want)
			r.read(r.run, before) // not yet
			r.run.End()
			r.read(r.run, want)
		}
		err = r.run.Commit([]byte(appliedKey), []byte(number))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	want[appliedKey] = number
	r.past = append(r.past, want)
}

// pairs are the contents of a map in [lo, hi), of all of it when hi is empty.
func pairsOf(m map[string]string, lo, hi string, reverse bool) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k >= lo && (hi == "" || k < hi) {
			out = append(out, k+"="+m[k])
		}
	}
	if reverse {
		slices.Reverse(out)
	}
	return out
}

func (r *rig) bounds() (lo, hi string) {
	switch r.rnd.IntN(4) {
	case 0:
		return "", ""
	case 1:
		return r.key(), ""
	default:
		return r.span()
	}
}

func (r *rig) scan(rd machine.Reader, lo, hi string, reverse bool) machine.Iterator {
	var l, h []byte
	if lo != "" {
		l = []byte(lo)
	}
	if hi != "" {
		h = []byte(hi)
	}
	it, err := rd.Scan(l, h, reverse)
	if err != nil {
		r.t.Fatal(err)
	}
	return it
}

// read looks at one key and at one range.
func (r *rig) read(rd machine.Reader, want map[string]string) {
	r.t.Helper()
	k := r.key()
	v, ok, err := rd.Get([]byte(k))
	if w, there := want[k]; err != nil || ok != there || string(v) != w {
		r.t.Fatalf("Get(%s) = %q, %v, %v, want %q", k, v, ok, err, w)
	}
	lo, hi := r.bounds()
	reverse := r.rnd.IntN(2) == 0
	r.finish(r.scan(rd, lo, hi, reverse), pairsOf(want, lo, hi, reverse))
}

func (r *rig) finish(it machine.Iterator, want []string) {
	r.t.Helper()
	for i := 0; it.Next(); i++ {
		if got := fmt.Sprintf("%s=%s", it.Key(), it.Value()); i >= len(want) || got != want[i] {
			r.t.Fatalf("entry %d is %s, want %.200v", i, got, want[min(i, len(want)):])
		}
		if i == len(want)-1 {
			want, i = nil, -1
		}
	}
	if err := it.Close(); err != nil || len(want) > 0 {
		r.t.Fatalf("%d entries are missing, %v", len(want), err)
	}
}

func (r *rig) openReader() {
	if r.rnd.IntN(2) == 0 {
		r.readers = append(r.readers, &openReader{snap: r.db.Snapshot(), want: pairsOf(r.now(), "", "", false)})
		return
	}
	lo, hi := r.bounds()
	reverse := r.rnd.IntN(2) == 0
	r.readers = append(r.readers, &openReader{it: r.scan(r.db.View(), lo, hi, reverse), want: pairsOf(r.now(), lo, hi, reverse)})
}

// useReader takes a step of an iterator, or reads a snapshot.
func (r *rig) useReader(o *openReader) {
	if o.snap != nil {
		want := map[string]string{}
		for _, p := range o.want {
			k, v, _ := strings.Cut(p, "=")
			want[k] = v
		}
		r.read(o.snap, want)
		return
	}
	if len(o.want) == 0 {
		return
	}
	if !o.it.Next() || fmt.Sprintf("%s=%s", o.it.Key(), o.it.Value()) != o.want[0] {
		r.t.Fatalf("an open iterator is at %s=%s, want %s", o.it.Key(), o.it.Value(), o.want[0])
	}
	o.want = o.want[1:]
}

func (r *rig) endReader(i int) {
	o := r.readers[i]
	r.readers = slices.Delete(r.readers, i, i+1)
	if o.snap == nil {
		r.finish(o.it, o.want)
	} else if r.useReader(o); o.snap.Close() != nil {
		r.t.Fatal("cannot close a snapshot")
	}
}

// install replaces a span by what another state holds of it.
func (r *rig) install() {
	lo, hi := r.span()
	if lo == hi {
		return
	}
	from := openDB(r.t, testOptions(NewCrashableFS()))
	defer closeDB(r.t, from)
	want := maps.Clone(r.now())
	maps.DeleteFunc(want, func(k, _ string) bool { return lo <= k && k < hi })
	number := fmt.Sprint(len(r.past))
	for range 10 {
		if k := r.key(); lo <= k && k < hi {
			set(r.t, from, k, number)
			want[k] = number
		}
	}
	want[appliedKey] = number
	install(r.t, r.db, export(r.t, from.View(), span(lo, hi)), []Span{span(lo, hi)}, KV{[]byte(appliedKey), []byte(number)})
	r.past = append(r.past, want)
	r.flushed = len(r.past) - 1
}

// look compares what a reader shows of a crash with the state after one commit.
func (r *rig) look(rd machine.Reader) (at int) {
	r.t.Helper()
	var got []string
	it := r.scan(rd, "", "", false) // once: what is durable grows
	for it.Next() {
		got = append(got, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
		if string(it.Key()) == appliedKey {
			if _, err := fmt.Sscan(string(it.Value()), &at); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	if err := it.Close(); err != nil {
		r.t.Fatal(err)
	}
	if at < r.flushed {
		r.t.Fatalf("commit %d is left of %d that were flushed", at, r.flushed)
	}
	if want := pairsOf(r.past[at], "", "", false); !slices.Equal(got, want) {
		r.t.Fatalf("after commit %d there is\n%.500v, want\n%.500v", at, got, want)
	}
	return at
}

// crash goes on with what a crash leaves.
func (r *rig) crash() {
	clone := r.disk.CrashClone([]int{0, 50, 100}[r.rnd.IntN(3)], r.rnd)
	r.close()
	r.disk = clone
	r.open()
	at := r.look(r.db.View())
	if r.look(r.db.Durable()) != at {
		r.t.Fatal("what is durable is not what a crash left")
	}
	r.past, r.flushed = r.past[:at+1], at
}

func (r *rig) step(n int) {
	switch {
	case n < 50:
		r.commit()
	case n < 62:
		r.read(r.db.View(), r.now())
	case n < 70 && len(r.readers) < 6:
		r.openReader()
	case n < 82 && len(r.readers) > 0:
		r.useReader(r.readers[r.rnd.IntN(len(r.readers))])
	case n < 88 && len(r.readers) > 0:
		r.endReader(r.rnd.IntN(len(r.readers)))
	case n < 92:
		r.db.mu.Lock()
		r.db.freeze()
		r.db.mu.Unlock()
	case n < 94:
		r.pause(!r.held)
	case n < 96:
		r.look(r.db.Durable())
	case n < 97:
		r.crash()
	case n < 98:
		r.pause(false)
		r.install()
	case n < 100:
		r.pause(false)
		flush(r.t, r.db)
		r.flushed = len(r.past) - 1
		r.look(r.db.Durable())
	}
}

// TestStateAgainstMaps makes commits, some of them with promises of new keys,
// reads with snapshots and iterators of several moments open, freezes, flushes,
// imports and crashes, and compares everything with maps.
func TestStateAgainstMaps(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t, rand.New(rand.NewPCG(seed, 7)))
		for range 500 {
			r.step(r.rnd.IntN(100))
		}
		r.read(r.db.View(), r.now())
		r.close()
	}
}

// FuzzState is the same with steps that the fuzzer chooses.
func FuzzState(f *testing.F) {
	f.Add(uint64(1), []byte{0, 0, 90, 0, 65, 0, 0, 93, 0, 90, 0, 75, 99, 0, 96, 0, 97, 70, 55})
	f.Add(uint64(2), bytes.Repeat([]byte{0, 65, 0, 90, 75}, 8))
	f.Fuzz(func(t *testing.T, seed uint64, steps []byte) {
		r := newRig(t, rand.New(rand.NewPCG(seed, 8)))
		for _, n := range steps[:min(len(steps), 300)] {
			r.step(int(n) % 100)
		}
		r.close()
	})
}

// TestManyAtOnce lets writers and readers meet while memtables are frozen and
// flushed: readers see commits whole.
func TestManyAtOnce(t *testing.T) {
	o := testOptions(NewCrashableFS())
	o.MemTableBytes = 128 << 10
	db := openDB(t, o)
	defer closeDB(t, db)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			b := db.NewBatch()
			defer b.Close()
			for i := range 1500 {
				for k := range 20 {
					b.Set(fmt.Appendf(nil, "%d/same/%02d", w, k), fmt.Append(nil, i))
				}
				fresh := fmt.Appendf(nil, "%d/new/%06d", w, i)
				b.SetNew(fresh, bytes.Repeat([]byte("x"), 100))
				if i%3 > 0 {
					b.Delete(fresh)
				}
				if err := b.Commit(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if !seesWhole(t, db, i%2, n == 0, i%3 == 0) {
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	for w := range 2 {
		if n := strings.Count(contents(t, db.View(), fmt.Sprintf("%d/new", w), fmt.Sprintf("%d/o", w), false), "="); n != 500 {
			t.Errorf("%d new keys are there, want 500", n)
		}
	}
}

// seesWhole reads the keys that a writer always sets alike.
func seesWhole(t *testing.T, db *DB, writer int, snapshot, reverse bool) bool {
	r := db.View()
	if snapshot {
		s := db.Snapshot()
		defer s.Close()
		r = s
	}
	lo := fmt.Sprintf("%d/same/", writer)
	if _, _, err := r.Get([]byte(lo + "07")); err != nil {
		t.Error(err)
		return false
	}
	it, err := r.Scan([]byte(lo), []byte(lo+"~"), reverse)
	if err != nil {
		t.Error(err)
		return false
	}
	first, n := "", 0
	for ; it.Next(); n++ {
		if n == 0 {
			first = string(it.Value())
		}
		if first != string(it.Value()) {
			t.Errorf("%s is %s, the first was %s", it.Key(), it.Value(), first)
			n = 0
			break
		}
	}
	if err := it.Close(); err != nil || n != 0 && n != 20 {
		t.Errorf("%d keys, %v", n, err)
	}
	return !t.Failed()
}

// TestScanPassesNewerEntries: a snapshot finds its few keys among many that were
// committed later or deleted, both ways.
func TestScanPassesNewerEntries(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	set(t, db, "k00000", "old", "k05000", "old", "k09999", "old")
	snap := db.Snapshot()
	b := db.NewBatch()
	defer b.Close()
	for i := range 10_000 {
		b.Set(fmt.Appendf(nil, "k%05d", i), []byte("new"))
		if i%2 == 0 {
			b.Delete(fmt.Appendf(nil, "k%05d", i))
		}
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	wantContents(t, snap, "k00000=old k05000=old k09999=old")
	if got := contents(t, snap, "k", "l", true); got != "k09999=old k05000=old k00000=old" {
		t.Errorf("reverse: %s", got)
	}
	if n := strings.Count(contents(t, db.View(), "k", "l", false), "="); n != 5000 {
		t.Errorf("%d keys, want 5000", n)
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDeletedFreshKeysLeaveNothing: they are gone from the memtable at once, or
// when the readers of their time have gone, and no flush writes them; a deletion
// of any other key is written.
func TestDeletedFreshKeysLeaveNothing(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	set(t, db, "below", "1", "kept", "1")
	flush(t, db)
	b := db.NewBatch()
	defer b.Close()
	commit := func(f func()) {
		f()
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	commit(func() { b.SetNew([]byte("fresh"), []byte("1")) })
	commit(func() { b.Delete([]byte("fresh")) })
	if n := db.tables[0].count; n != 0 {
		t.Errorf("%d entries are left", n)
	}
	commit(func() { b.SetNew([]byte("fresh"), []byte("2")) })
	snap := db.Snapshot()
	commit(func() { b.Delete([]byte("fresh")) })
	wantContents(t, snap, "below=1 fresh=2 kept=1")
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	commit(func() { b.Delete([]byte("below")) })
	if n := db.tables[0].count; n != 1 {
		t.Errorf("%d entries are left, want that of the deletion below", n)
	}
	wantContents(t, db.View(), "kept=1")
	flush(t, db)
	wantContents(t, db.Durable(), "kept=1")
	before := db.Metrics().BytesFlushed
	commit(func() { b.SetNew([]byte("fresh"), []byte("3")) })
	snap = db.Snapshot()
	commit(func() { b.Delete([]byte("fresh")) })
	flush(t, db)
	if after := db.Metrics().BytesFlushed; after != before {
		t.Errorf("a fresh key that was deleted is %d bytes on the disk", after-before)
	}
	wantContents(t, snap, "fresh=3 kept=1")
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
}
