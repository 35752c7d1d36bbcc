package storage

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func benchDB(b *testing.B) *DB {
	db := openDB(b, Options{FS: DiskFS(), Dir: b.TempDir(), Fatal: func(err error) { panic(err) }})
	b.Cleanup(func() { closeDB(b, db) })
	return db
}

// BenchmarkCommit commits batches of two keys.
func BenchmarkCommit(b *testing.B) {
	db := benchDB(b)
	batch := db.NewBatch()
	defer batch.Close()
	key, value := make([]byte, 24), make([]byte, 128)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key = fmt.Appendf(key[:0], "resource/slot/%010d", i%100_000)
		batch.Set(key, value)
		batch.Set([]byte("applied"), value[:16])
		if err := batch.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads from memory, and from tables in the block cache.
func BenchmarkRead(b *testing.B) {
	db := benchDB(b)
	value := string(make([]byte, 128))
	for i := range 100_000 {
		set(b, db, fmt.Sprintf("resource/slot/%010d", i), value)
	}
	for _, place := range []string{"memtable", "table"} {
		if place == "table" {
			flush(b, db)
		}
		view := db.View()
		get := func(name string, key func(i int) []byte, want bool) {
			b.Run(place+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, ok, err := view.Get(key(i)); err != nil || ok != want {
						b.Fatal(ok, err)
					}
				}
			})
		}
		hot, absent := []byte(fmt.Sprintf("resource/slot/%010d", 777)), []byte("resource/slot/0000000777x")
		buf := make([]byte, 0, 64)
		get("hot", func(int) []byte { return hot }, true)
		get("spread", func(i int) []byte { return fmt.Appendf(buf[:0], "resource/slot/%010d", i*7919%100_000) }, true)
		get("miss", func(int) []byte { return absent }, false)
		b.Run(place+"/scan1", func(b *testing.B) {
			b.ReportAllocs()
			hi := []byte("resource/slot/0000000778")
			for b.Loop() {
				it, err := view.Scan(hot, hi, false)
				if err != nil || !it.Next() {
					b.Fatal(err)
				}
				if err := it.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInsert adds batches of 100 new keys, an item and a record of its
// result each for every other, to a memtable that holds 100,000 to 200,000, and
// the same to Pebble's.
func BenchmarkInsert(b *testing.B) {
	const most, batch = 200_000, 100
	for _, form := range []string{"item", "ordered", "mixed"} {
		rnd := rand.New(rand.NewPCG(1, 1))
		keys := make([][]byte, most)
		for i := range keys {
			kind := form
			if kind == "mixed" {
				kind = []string{"item", "ordered"}[i%2]
			}
			if kind == "item" {
				keys[i] = fmt.Appendf([]byte(weirKey('d', 7, rnd.Uint32N(1<<16), 'i', 0)[:12]), "\x01user-%09d\x00\x01", rnd.Uint32N(1e9))
			} else {
				keys[i] = []byte(weirKey('t', uint64(i/batch%6), 0, 'D', uint64(i)))
			}
		}
		value := make([]byte, 160)
		perKey := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/key")
		}
		b.Run(form+"/memtable", func(b *testing.B) {
			m, at := newMemtable(1), 0
			add := func() {
				for range batch {
					m.set(keys[at%most], value, false)
					at++
				}
				m.publish()
			}
			for b.Loop() {
				if at == most || at == 0 {
					b.StopTimer()
					m, at = newMemtable(1), 0
					for at < most/2 {
						add()
					}
					b.StartTimer()
				}
				add()
			}
			perKey(b)
		})
		b.Run(form+"/pebble", func(b *testing.B) {
			var db *pebble.DB
			at := most
			open := func() {
				if db != nil {
					if err := db.Close(); err != nil {
						b.Fatal(err)
					}
				}
				var err error
				if db, err = pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, MemTableSize: 128 << 20, Logger: &pebbleLogger{opts: &benchOptions}}); err != nil {
					b.Fatal(err)
				}
				at = 0
			}
			add := func() {
				w := db.NewBatch()
				for range batch {
					_ = w.Set(keys[at], value, nil)
					at++
				}
				if err := w.Commit(pebble.NoSync); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if at == most {
					b.StopTimer()
					for open(); at < most/2; {
						add()
					}
					b.StartTimer()
				}
				add()
			}
			perKey(b)
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

var benchOptions = Options{Logger: slog.New(slog.DiscardHandler)}
