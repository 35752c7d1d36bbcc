package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir.dev/weir/internal/machine"
)

func testOptions(f FS) Options {
	return Options{FS: f, Dir: "data", CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Sequence: tens, SequenceBytes: 24, Fatal: func(err error) { panic(err) }}
}

// tens says of keys that end in a number that those up to the last digit are a sequence.
func tens(key []byte) int { return max(len(key)-1, 0) }

func openDB(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// set commits pairs of keys and values.
func set(t testing.TB, db *DB, pairs ...string) {
	t.Helper()
	b := db.NewBatch()
	defer b.Close()
	for i := 0; i < len(pairs); i += 2 {
		b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
}

// contents is what r holds in [lo, hi).
func contents(t testing.TB, r machine.Reader, lo, hi string, reverse bool) string {
	t.Helper()
	it, err := r.Scan([]byte(lo), []byte(hi), reverse)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for it.Next() {
		fmt.Fprintf(&b, "%s=%s ", it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func wantContents(t testing.TB, r machine.Reader, want string) {
	t.Helper()
	if got := contents(t, r, "\x00", "\xff", false); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReaders(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	set(t, db, "a", "1", "b", "2", "c", "")
	flush(t, db)
	snap := db.Snapshot()
	set(t, db, "b", "3", "d", "4")
	wantContents(t, db.View(), "a=1 b=3 c= d=4")
	wantContents(t, db.Durable(), "a=1 b=2 c=")
	wantContents(t, snap, "a=1 b=2 c=")
	if got := contents(t, db.View(), "b", "d", true); got != "c= b=3" {
		t.Errorf("reverse: %s", got)
	}
	for _, c := range []struct {
		name string
		r    machine.Reader
		key  string
		want string
		ok   bool
	}{
		{"view", db.View(), "b", "3", true}, {"view", db.View(), "c", "", true}, {"view", db.View(), "x", "", false},
		{"snapshot", snap, "b", "2", true}, {"snapshot", snap, "d", "", false},
		{"durable", db.Durable(), "b", "2", true}, {"durable", db.Durable(), "aa", "", false}, {"durable", db.Durable(), "d", "", false},
	} {
		v, ok, err := c.r.Get([]byte(c.key))
		if err != nil || ok != c.ok || string(v) != c.want || ok && v == nil {
			t.Errorf("%s: Get(%s) = %q, %v, %v", c.name, c.key, v, ok, err)
		}
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBatch(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	set(t, db, "a", "1", "b", "2", "c", "3", "d", "4")
	b := db.NewBatch()
	defer b.Close()
	key := []byte("a")
	b.Delete(key)
	key[0] = 'z' // slices may be used again
	b.DeleteRange([]byte("b"), []byte("d"))
	b.DeleteRange([]byte("d"), []byte("d"))
	wantContents(t, db.View(), "a=1 b=2 c=3 d=4")
	if b.Len() != 2 {
		t.Errorf("%d changes", b.Len())
	}
	for range 2 { // the second is empty
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	wantContents(t, db.View(), "d=4")
	b.Set([]byte("e"), []byte("5"))
	b.Reset()
	b.Set([]byte("f"), []byte("6"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	wantContents(t, db.View(), "d=4 f=6")
}

// TestCrashKeepsWholeBatches commits numbered batches, crashes anywhere, and
// wants an unbroken run of whole batches, all of the flushed ones included.
func TestCrashKeepsWholeBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	fs := NewCrashableFS()
	db := openDB(t, testOptions(fs))
	flushed := 0
	big := strings.Repeat("x", 3000)
	for i := 1; i <= 600; i++ {
		n := fmt.Sprintf("%06d", i)
		set(t, db, "applied", n, "k1/"+n, big, "k2/"+n, "y")
		if rng.IntN(100) == 0 {
			flush(t, db)
			flushed = i
		}
		if rng.IntN(25) != 0 {
			continue
		}
		crashed := openDB(t, testOptions(fs.CrashClone([]int{0, 50, 100}[rng.IntN(3)], rng)))
		at := 0
		if v, ok, _ := crashed.View().Get([]byte("applied")); ok {
			_, _ = fmt.Sscanf(string(v), "%d", &at)
		}
		if at < flushed || at > i {
			t.Fatalf("found batch %d after flushing %d and committing %d", at, flushed, i)
		}
		for _, p := range []string{"k1/", "k2/"} {
			if n := strings.Count(contents(t, crashed.View(), p, p+"~", false), "="); n != at {
				t.Fatalf("found %d keys of %s with applied at %d", n, p, at)
			}
		}
		wantSame(t, crashed.View(), crashed.Durable())
		closeDB(t, crashed)
	}
	closeDB(t, db)
}

func wantSame(t testing.TB, a, b machine.Reader) {
	t.Helper()
	if x, y := contents(t, a, "\x00", "\xff", false), contents(t, b, "\x00", "\xff", false); x != y {
		t.Errorf("got %.200s\nwant %.200s", x, y)
	}
}

// TestDurableIsWhatACrashLeaves compares the durable view with a crash.
func TestDurableIsWhatACrashLeaves(t *testing.T) {
	fs := NewCrashableFS()
	db := openDB(t, testOptions(fs))
	defer closeDB(t, db)
	for i := range 300 {
		set(t, db, fmt.Sprintf("%04d", i), strings.Repeat("v", 2000))
		if i%10 != 0 {
			continue
		}
		durable := contents(t, db.Durable(), "\x00", "\xff", false)
		crashed := openDB(t, testOptions(fs.CrashClone(0, nil)))
		if found := contents(t, crashed.View(), "\x00", "\xff", false); !strings.HasPrefix(found, durable) {
			t.Fatal("a crash lost what was said to be durable")
		}
		closeDB(t, crashed)
	}
}

func TestOnFlush(t *testing.T) {
	calls := make(chan struct{}, 100)
	o := testOptions(NewCrashableFS())
	o.OnFlush = func() { calls <- struct{}{} }
	db := openDB(t, o)
	set(t, db, "a", "1")
	flush(t, db)
	<-calls
	closeDB(t, db)
}

func TestFormatFile(t *testing.T) {
	fs := NewCrashableFS()
	closeDB(t, openDB(t, testOptions(fs)))
	name := path.Join("data", formatFile)
	text, err := readSmall(fs.mem, name)
	if err != nil || text != "weir data format 2\n" {
		t.Fatalf("%q, %v", text, err)
	}
	for _, c := range []struct{ text, want string }{
		{"weir data format 3\n", "cannot open the state in data: cannot use the data in data: it has format version 3, this version of Weir reads version 2: use the version of Weir that wrote it, or a newer one"},
		{"something else", "cannot open the state in data: cannot use the data in data: the file FORMAT does not say which format it has"},
		{"", "cannot open the state in data: cannot use the data in data: the file FORMAT does not say which format it has"},
	} {
		f, err := fs.mem.Create(name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write([]byte(c.text))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testOptions(fs)); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	fs := NewCrashableFS()
	db := openDB(t, testOptions(fs))
	if _, err := Open(testOptions(fs)); err == nil {
		t.Error("opened twice")
	}
	closeDB(t, db)
}

func TestFatalDoesNotReturn(t *testing.T) {
	var told error
	l := &pebbleLogger{opts: &Options{Fatal: func(err error) { told = err }}}
	defer func() {
		if r := recover(); r == nil || told == nil || !strings.Contains(told.Error(), "disk on fire") {
			t.Errorf("recovered %v, told %v", r, told)
		}
	}()
	l.Fatalf("disk on %s", "fire")
	t.Error("Fatalf returned")
}

func TestDiskUsage(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 200 {
		v := make([]byte, 500)
		for i := range v {
			v[i] = byte(rng.Uint32())
		}
		set(t, db, fmt.Sprintf("a%04d", i), string(v))
	}
	flush(t, db)
	a, err := db.DiskUsage([]Span{{[]byte("a"), []byte("b")}})
	b, err2 := db.DiskUsage([]Span{{[]byte("b"), []byte("c")}})
	if a < 50_000 || b != 0 || errors.Join(err, err2) != nil {
		t.Errorf("%d and %d bytes, %v", a, b, errors.Join(err, err2))
	}
	if m := db.Metrics(); m.Flushes == 0 || m.DiskBytes < 50_000 || m.Tables == 0 {
		t.Errorf("%+v", m)
	}
}

func export(t testing.TB, r machine.Reader, spans ...Span) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Export(r, spans, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func span(lo, hi string) Span { return Span{[]byte(lo), []byte(hi)} }

// TestCopyWhileLinking copies a file system while files are linked in it, as
// flushes do.
func TestCopyWhileLinking(t *testing.T) {
	fs := NewCrashableFS()
	f, err := fs.pebble().Create("a", vfs.WriteCategoryUnspecified)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var linked sync.WaitGroup
	linked.Go(func() {
		for i := range 20_000 {
			if err := fs.pebble().Link("a", fmt.Sprint("b", i%2)); err != nil {
				t.Error(err)
				return
			}
			if err := fs.Remove(fmt.Sprint("b", i%2)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	done := make(chan struct{})
	go func() { linked.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		default:
			fs.CrashClone(0, nil)
		}
	}
}
