package storage

import (
	"fmt"
	"testing"
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
