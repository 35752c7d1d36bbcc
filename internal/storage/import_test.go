package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir.dev/weir/internal/machine"
)

func install(t testing.TB, db *DB, stream []byte, spans []Span, extra ...KV) {
	t.Helper()
	s, err := db.Stage(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Install(spans, extra...); err != nil {
		t.Fatal(err)
	}
}

func TestInstallReplacesSpans(t *testing.T) {
	from := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, from)
	set(t, from, "b1", "new", "b3", "new", "d5", "new", "x", "not exported")
	stream := export(t, from.View(), span("b", "c"), span("d", "e"))

	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	set(t, db, "a", "kept", "b0", "old", "b1", "old", "b2", "old", "c", "kept", "d9", "old")
	flush(t, db)
	set(t, db, "b2", "newer old", "f1", "old", "g", "kept")
	install(t, db, stream, []Span{span("b", "b2"), span("b2", "c"), span("f", "g")},
		KV{[]byte("b3"), []byte("extra")}, KV{[]byte("a5"), []byte("extra")}, KV{[]byte("z"), []byte("extra")})
	wantContents(t, db.View(), "a=kept a5=extra b1=new b3=extra c=kept d5=new g=kept z=extra")
	set(t, db, "b1", "later")
	wantContents(t, db.View(), "a=kept a5=extra b1=later b3=extra c=kept d5=new g=kept z=extra")
	install(t, db, export(t, from.View(), span("q", "r")), []Span{span("a", "{")})
	wantContents(t, db.View(), "")
	left, err := db.opts.FS.List("data/" + stageDir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestInstallManyTables imports more than fits into one table, with spans and
// extra keys across the borders, against a plain map.
func TestInstallManyTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	from, db := openDB(t, testOptions(NewCrashableFS())), openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, from)
	defer closeDB(t, db)
	want := map[string]string{}
	value := func() string { return fmt.Sprintf("%x", rng.Uint64()) }
	spans := []Span{span("k00100", "k00900"), span("k00900", "k00901"), span("k01200", "k02400"), span("k02500", "k02600")}
	inside := func(k string) bool {
		return slices.ContainsFunc(spans, func(s Span) bool { return k >= string(s[0]) && k < string(s[1]) })
	}
	for i := range 2700 {
		k := fmt.Sprintf("k%05d", i)
		if rng.IntN(2) == 0 {
			v := value()
			set(t, db, k, v)
			if !inside(k) {
				want[k] = v
			}
		}
		if rng.IntN(2) == 0 {
			v := value()
			set(t, from, k, v)
			if inside(k) {
				want[k] = v
			}
		}
	}
	var extra []KV
	for range 40 {
		k, v := fmt.Sprintf("k%05d", rng.IntN(2700)), value()
		if !slices.ContainsFunc(extra, func(e KV) bool { return string(e.Key) == k }) {
			extra = append(extra, KV{[]byte(k), []byte(v)})
			want[k] = v
		}
	}
	p, err := openPairs(bytes.NewReader(export(t, from.View(), spans...)))
	if err != nil {
		t.Fatal(err)
	}
	b := &tableBuilder{db: db, spans: mergeSpans(nil, p.spans), limit: 2 << 10}
	if err := b.build(p, extra); err != nil {
		t.Fatal(err)
	}
	if len(b.files) < 5 {
		t.Fatalf("only %d tables", len(b.files))
	}
	if err := db.install(b.files); err != nil {
		t.Fatal(err)
	}
	wantMap(t, db.View(), want)
}

func wantMap(t testing.TB, r machine.Reader, want map[string]string) {
	t.Helper()
	it, err := r.Scan(nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; it.Next(); n++ {
		if v, ok := want[string(it.Key())]; !ok || v != string(it.Value()) {
			t.Fatalf("%s=%s, want %q", it.Key(), it.Value(), v)
		}
	}
	if err := it.Close(); err != nil || n != len(want) {
		t.Fatalf("%d keys, want %d, %v", n, len(want), err)
	}
}

// TestInstallIsAtomic crashes before every change to the disk of an import and
// wants the old state or the new one, and the new one when Install returned.
func TestInstallIsAtomic(t *testing.T) {
	from := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, from)
	var olds, news []string
	for i := range 400 {
		set(t, from, fmt.Sprintf("b%04d", i*2), "new")
		news = append(news, fmt.Sprintf("b%04d=new", i*2))
	}
	stream := export(t, from.View(), span("b", "c"))
	rng := rand.New(rand.NewPCG(1, 6))
	disk := NewCrashableFS()
	var crashed []*CrashableFS
	var mu sync.Mutex
	watching := false
	watch := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		watching = on
	}
	fs := watched{disk, &watchedFS{disk.pebble(), func() {
		mu.Lock() // Pebble works in the background, too
		defer mu.Unlock()
		for _, percent := range []int{0, 30, 70, 100} {
			if watching {
				crashed = append(crashed, disk.CrashClone(percent, rng))
			}
		}
	}}}
	db := openDB(t, testOptions(fs))
	defer closeDB(t, db)
	set(t, db, "applied", "old")
	for i := range 300 {
		set(t, db, fmt.Sprintf("b%04d", i*3), "old")
		olds = append(olds, fmt.Sprintf("b%04d=old", i*3))
	}
	flush(t, db)
	watch(true)
	s, err := db.Stage(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Install([]Span{span("b", "c")}, KV{[]byte("applied"), []byte("new")}); err != nil {
		t.Fatal(err)
	}
	watch(false)
	after := disk.CrashClone(0, nil)
	oldState := "applied=old " + strings.Join(olds, " ")
	newState := "applied=new " + strings.Join(news, " ")
	if len(crashed) < 40 {
		t.Fatalf("only %d crashes", len(crashed))
	}
	seen := map[string]int{}
	for i, c := range crashed {
		db := openDB(t, testOptions(c))
		got := contents(t, db.View(), "\x00", "\xff", false)
		if got != oldState && got != newState {
			t.Fatalf("crash %d: %.300s", i, got)
		}
		seen[got]++
		closeDB(t, db)
	}
	if seen[oldState] == 0 || seen[newState] == 0 {
		t.Errorf("%d crashes found the old state, %d the new one", seen[oldState], seen[newState])
	}
	last := openDB(t, testOptions(after))
	wantContents(t, last.View(), newState)
	closeDB(t, last)
}

func TestStageRefusesDamage(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	for i := range 50 {
		set(t, db, fmt.Sprintf("b%04d", i), "value")
	}
	stream := export(t, db.View(), span("b", "c"))
	for i := range stream {
		if _, err := db.Stage(bytes.NewReader(stream[:i])); err == nil {
			t.Fatalf("took a stream cut at %d", i)
		}
		damaged := bytes.Clone(stream)
		damaged[i] ^= 4
		if s, err := db.Stage(bytes.NewReader(damaged)); err == nil {
			s.Discard()
			t.Fatalf("took a stream damaged at %d", i)
		}
	}
	var none *Staged
	none.Discard()
	if left, _ := db.opts.FS.List("data/" + stageDir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSpansAreChecked(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	for _, spans := range [][]Span{{span("b", "b")}, {span("c", "b")}, {span("a", "c"), span("b", "d")}, {span("c", "d"), span("a", "b")}} {
		if err := Export(db.View(), spans, &bytes.Buffer{}); err == nil {
			t.Errorf("exported %s", spans)
		}
	}
}

func FuzzStream(f *testing.F) {
	db := openDB(f, testOptions(NewCrashableFS()))
	f.Cleanup(func() { closeDB(f, db) })
	set(f, db, "b", "1", "c", "2")
	stream := export(f, db.View(), span("a", "d"), span("e", "f"))
	f.Add(stream)
	f.Add(stream[:len(stream)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := openPairs(bytes.NewReader(data))
		last := ""
		for ok := true; ok && err == nil; {
			var k []byte
			if k, _, ok, err = p.next(); ok && err == nil {
				if string(k) <= last && last != "" {
					t.Fatalf("%q after %q", k, last)
				}
				last = string(k)
			}
		}
	})
}

// watched calls hook before each change that is made to the disk.
type watched struct {
	*CrashableFS
	watching *watchedFS
}

func (w watched) pebble() vfs.FS { return w.watching }

type watchedFS struct {
	vfs.FS
	hook func()
}

func (w *watchedFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return watchedFile{f, w.hook}, nil
}

func (w *watchedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	w.hook()
	return w.file(w.FS.Create(name, c))
}

func (w *watchedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	w.hook()
	return w.file(w.FS.OpenReadWrite(name, c, opts...))
}

func (w *watchedFS) OpenDir(name string) (vfs.File, error) { return w.file(w.FS.OpenDir(name)) }

func (w *watchedFS) Link(a, b string) error {
	w.hook()
	return w.FS.Link(a, b)
}

func (w *watchedFS) Rename(a, b string) error {
	w.hook()
	return w.FS.Rename(a, b)
}

func (w *watchedFS) Remove(name string) error {
	w.hook()
	return w.FS.Remove(name)
}

type watchedFile struct {
	vfs.File
	hook func()
}

func (w watchedFile) Write(p []byte) (int, error) {
	w.hook()
	return w.File.Write(p)
}

func (w watchedFile) Sync() error {
	w.hook()
	return w.File.Sync()
}

func (w watchedFile) SyncData() error {
	w.hook()
	return w.File.SyncData()
}

// TestGoldenStream holds the form of an exported snapshot to the example in
// docs/format/datadir.md.
func TestGoldenStream(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	set(t, db, "b", "1", "c", "")
	const want = "120000008541f5770157454952534e415001000000010161016408000000eaf600ec020162013101630002000000bcafbd240302"
	if got := fmt.Sprintf("%x", export(t, db.View(), span("a", "d"))); got != want {
		t.Errorf("the stream has changed:\n got %s\nwant %s", got, want)
	}
}
