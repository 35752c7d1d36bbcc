package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

func options(fs journal.FS) journal.Options {
	return journal.Options{
		FS: fs, Dir: "journal", SegmentBytes: 4 << 10, CacheBytes: 1 << 10, Rand: base.NewRand(1),
		Fatal: func(err error) { panic(err) },
	}
}

func open(t testing.TB, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Kill)
	return j
}

func closeJournal(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func entry(index, term uint64, data string) *pb.Entry {
	return &pb.Entry{Index: &index, Term: &term, Data: []byte(data)}
}

func hard(term, vote, commit uint64) *pb.HardState {
	return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

// write submits and waits until all is durable.
func write(j *journal.Journal, ws ...journal.Write) {
	done := make(chan struct{})
	ws[len(ws)-1].Done = func() { close(done) }
	j.Submit(ws)
	<-done
}

func describe(t testing.TB, l *journal.Log) string {
	t.Helper()
	first, _ := l.FirstIndex()
	last, _ := l.LastIndex()
	term, err := l.Term(first - 1)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "after %d/%d:", first-1, term)
	if last >= first {
		entries, err := l.Entries(first, last+1, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintf(&b, " %d/%d=%s", e.GetIndex(), e.GetTerm(), e.GetData())
		}
	}
	if h := l.HardState(); h != nil {
		fmt.Fprintf(&b, " hard %d/%d/%d", h.GetTerm(), h.GetVote(), h.GetCommit())
	}
	return b.String()
}

func TestLogFollowsRaftStorage(t *testing.T) {
	fs := storage.NewCrashableFS()
	j := open(t, options(fs))
	write(j, journal.Write{Tablet: 7, Reset: &journal.LogStart{Index: 10, Term: 2}})
	write(j, journal.Write{Tablet: 7, Entries: []*pb.Entry{entry(11, 2, "a"), entry(12, 2, "b"), entry(13, 3, "c")}, Hard: hard(3, 1, 12)})
	check := func(l *journal.Log) {
		t.Helper()
		for _, c := range []struct {
			i, term uint64
			err     error
		}{{9, 0, raft.ErrCompacted}, {10, 2, nil}, {12, 2, nil}, {13, 3, nil}, {14, 0, raft.ErrUnavailable}} {
			if term, err := l.Term(c.i); term != c.term || !errors.Is(err, c.err) {
				t.Errorf("Term(%d) = %d, %v", c.i, term, err)
			}
		}
		for _, c := range []struct {
			lo, hi, max uint64
			n           int
			err         error
		}{{10, 12, 100, 0, raft.ErrCompacted}, {11, 15, 100, 0, raft.ErrUnavailable}, {11, 14, 0, 1, nil}, {11, 14, 1 << 20, 3, nil}, {12, 12, 9, 0, nil}} {
			if es, err := l.Entries(c.lo, c.hi, c.max); len(es) != c.n || !errors.Is(err, c.err) {
				t.Errorf("Entries(%d, %d, %d) = %d entries, %v", c.lo, c.hi, c.max, len(es), err)
			}
		}
		if got, want := describe(t, l), "after 10/2: 11/2=a 12/2=b 13/3=c hard 3/1/12"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	check(j.Log(7))
	closeJournal(t, j)
	j = open(t, options(fs))
	check(j.Log(7))
	if got := j.Tablets(); len(got) != 1 || got[0] != 7 {
		t.Errorf("tablets %v", got)
	}

	write(j, journal.Write{Tablet: 7, Entries: []*pb.Entry{entry(12, 4, "x")}})
	j.Compact(7, 11)
	j.Compact(7, 5)
	if got, want := describe(t, j.Log(7)), "after 11/2: 12/4=x hard 3/1/12"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	write(j, journal.Write{Tablet: 8, Hard: hard(1, 1, 0)}, journal.Write{Tablet: 7, Remove: true})
	closeJournal(t, j)
	j = open(t, options(fs))
	if got := fmt.Sprint(j.Tablets()); got != "[t8]" {
		t.Errorf("tablets %v", got)
	}
	if got := describe(t, j.Log(7)); got != "after 0/0:" {
		t.Errorf("removed tablet: %s", got)
	}
}

func TestDoneIsInOrder(t *testing.T) {
	j := open(t, options(storage.NewCrashableFS()))
	var got []int
	finished := make(chan struct{})
	for i := range 500 {
		j.Submit([]journal.Write{{Tablet: model.TabletID(i % 3), Hard: hard(uint64(i+1), 0, 0), Done: func() {
			if got = append(got, i); i == 499 {
				close(finished)
			}
		}}})
	}
	<-finished
	for i, v := range got {
		if v != i {
			t.Fatalf("write %d was done as number %d", v, i)
		}
	}
	if m := j.Metrics(); m.Writes != 500 || m.Queued != 0 {
		t.Errorf("metrics %+v", m)
	}
}

// mirror is what a journal should hold, as plain maps.
type mirror map[model.TabletID]*mirrorLog

type mirrorLog struct {
	start   journal.LogStart
	entries []*pb.Entry
	hard    string
}

func (m mirror) log(id model.TabletID) *mirrorLog {
	if m[id] == nil {
		m[id] = &mirrorLog{}
	}
	return m[id]
}

func (l *mirrorLog) last() uint64 { return uint64(l.start.Index) + uint64(len(l.entries)) }

func (l *mirrorLog) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "after %d/%d:", l.start.Index, l.start.Term)
	for _, e := range l.entries {
		fmt.Fprintf(&b, " %d/%d=%s", e.GetIndex(), e.GetTerm(), e.GetData())
	}
	return b.String() + l.hard
}

func (m mirror) clone() mirror {
	c := mirror{}
	for id, l := range m {
		d := *l
		d.entries = append([]*pb.Entry(nil), l.entries...)
		c[id] = &d
	}
	return c
}

// apply does to the mirror what the write does to the journal.
func (m mirror) apply(w journal.Write) {
	if w.Remove {
		delete(m, w.Tablet)
		if w.Reset == nil && len(w.Entries) == 0 && w.Hard == nil {
			return
		}
	}
	l := m.log(w.Tablet)
	if w.Reset != nil {
		l.start, l.entries = *w.Reset, nil
	}
	if len(w.Entries) > 0 {
		l.entries = append(l.entries[:w.Entries[0].GetIndex()-uint64(l.start.Index)-1:w.Entries[0].GetIndex()-uint64(l.start.Index)-1], w.Entries...)
	}
	if h := w.Hard; h != nil {
		l.hard = fmt.Sprintf(" hard %d/%d/%d", h.GetTerm(), h.GetVote(), h.GetCommit())
	}
}

func (m mirror) compact(id model.TabletID, index uint64) {
	l := m.log(id)
	index = min(index, l.last())
	if index <= uint64(l.start.Index) {
		return
	}
	n := index - uint64(l.start.Index)
	l.start = journal.LogStart{Index: model.Index(index), Term: model.Term(l.entries[n-1].GetTerm())}
	l.entries = l.entries[n:]
}

// randomWrite makes up a change that fits the mirror.
func (m mirror) randomWrite(rng *rand.Rand, tablets int) journal.Write {
	id := model.TabletID(rng.IntN(tablets))
	l := m[id]
	if l == nil {
		l = &mirrorLog{}
	}
	w := journal.Write{Tablet: id}
	switch k := rng.IntN(40); {
	case k == 0 && m[id] != nil:
		w.Remove = true
		return w
	case k == 1:
		w.Reset = &journal.LogStart{Index: model.Index(l.last() + rng.Uint64N(50)), Term: model.Term(rng.IntN(9))}
		return w
	case k < 5:
		w.Hard = hard(rng.Uint64N(100), rng.Uint64N(3), rng.Uint64N(100))
	}
	from := l.last() + 1
	if rng.IntN(8) == 0 {
		from -= min(uint64(len(l.entries)), rng.Uint64N(6))
	}
	for i := range rng.Uint64N(4) + 1 {
		w.Entries = append(w.Entries, entry(from+i, 1+rng.Uint64N(9), strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(90))))
	}
	return w
}

func compare(t testing.TB, j *journal.Journal, m mirror) {
	t.Helper()
	ids := j.Tablets()
	if len(ids) != len(m) {
		t.Fatalf("journal holds %v, want %d tablets", ids, len(m))
	}
	for _, id := range ids {
		if m[id] == nil {
			t.Fatalf("journal holds tablet %v", id)
		}
		if got, want := describe(t, j.Log(id)), m[id].String(); got != want {
			t.Fatalf("tablet %v:\n got %s\nwant %s", id, got, want)
		}
	}
}

func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			fs := storage.NewCrashableFS()
			o := options(fs)
			j := open(t, o)
			m := mirror{}
			for step := range 1500 {
				switch k := rng.IntN(100); {
				case k == 0:
					closeJournal(t, j)
					if err := journal.Verify(fs, o.Dir); err != nil {
						t.Fatal(err)
					}
					j = open(t, o)
					compare(t, j, m)
				case k < 8:
					id := model.TabletID(rng.IntN(6))
					if l := m[id]; l != nil {
						to := l.last() - min(l.last(), rng.Uint64N(20))
						j.Compact(id, model.Index(to))
						m.compact(id, to)
					}
				default:
					w := m.randomWrite(rng, 6)
					j.Submit([]journal.Write{w})
					m.apply(w)
				}
				if step%100 == 0 {
					compare(t, j, m)
				}
			}
			closeJournal(t, j)
			j = open(t, o)
			compare(t, j, m)
			var all bytes.Buffer
			if err := journal.Dump(&all, fs, o.Dir); err != nil || !strings.Contains(all.String(), "checkpoint") {
				t.Errorf("dump: %v", err)
			}
		})
	}
}

// TestDelay runs on virtual time: a write takes as long as the simulated disk,
// those that come meanwhile share the next one, and every goroutine ends.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(storage.NewCrashableFS())
		o.Delay = func() time.Duration { return time.Second }
		j, err := journal.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		write(j, journal.Write{Tablet: 1, Hard: hard(1, 1, 1)})
		for i := range uint64(10) {
			j.Submit([]journal.Write{{Tablet: 1, Entries: []*pb.Entry{entry(i+1, 1, "x")}}})
			time.Sleep(50 * time.Millisecond)
		}
		write(j, journal.Write{Tablet: 1, Hard: hard(2, 1, 1)})
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		j.Submit([]journal.Write{{Tablet: 1, Hard: hard(9, 1, 1), Done: func() { t.Error("done after Kill") }}})
		j.Kill()
	})
}

// TestOnDisk is the model test's way through the operating system's files.
func TestOnDisk(t *testing.T) {
	o := options(journal.OSFS{})
	o.Dir, o.BallastBytes = path.Join(t.TempDir(), "journal"), 1<<20
	rng := rand.New(rand.NewPCG(1, 9))
	m := mirror{}
	for range 5 {
		j := open(t, o)
		compare(t, j, m)
		for range 40 {
			w := m.randomWrite(rng, 3)
			m.apply(w)
			write(j, w)
		}
		for id, l := range m {
			j.Compact(id, model.Index(l.last()/2))
			m.compact(id, l.last()/2)
		}
		compare(t, j, m)
		closeJournal(t, j)
	}
	if _, err := (journal.OSFS{}).Size(path.Join(o.Dir, "ballast")); err != nil {
		t.Error(err)
	}
	if err := journal.Verify(o.FS, o.Dir); err != nil {
		t.Error(err)
	}
}

// TestSizeAbove: what a follower lacks is told to within an entry's overhead
// for few entries, and by samples for many.
func TestSizeAbove(t *testing.T) {
	j := open(t, options(storage.NewCrashableFS()))
	defer closeJournal(t, j)
	l := j.Log(1)
	const count = 5000
	for i := uint64(1); i <= count; i += 500 {
		var entries []*pb.Entry
		for k := range uint64(500) {
			entries = append(entries, entry(i+k, 1, strings.Repeat("x", 100)))
		}
		write(j, journal.Write{Tablet: 1, Entries: entries})
	}
	for above, entries := range map[uint64]uint64{0: count, 4000: count - 4000, count - 1: 1, count: 0, count + 7: 0} {
		if got := l.SizeAbove(above); got < entries*100 || got > entries*160 {
			t.Errorf("above %d: %d bytes in %d entries of 100 bytes", above, got, entries)
		}
	}
}
