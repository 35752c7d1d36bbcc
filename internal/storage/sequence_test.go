package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// recordsOf says which of the keys of weirKey are records of a shard, or messages.
func recordsOf(key []byte) int {
	switch {
	case len(key) == 24 && key[0] == 'd' && key[11] == 'B':
		return 16
	case len(key) == 20 && key[0] == 'd' && key[11] == 'b':
		return 12
	default:
		return 0
	}
}

func blockKey(shard, n uint64) []byte {
	key := []byte(weirKey('d', 7, uint32(shard*40503), 'B', shard<<32))
	return binary.BigEndian.AppendUint64(key[:16], n)
}

var noise = func() []byte {
	n := make([]byte, 1<<20)
	for i, r := 0, rand.New(rand.NewPCG(7, 7)); i < len(n); i += 8 {
		binary.LittleEndian.PutUint64(n[i:], r.Uint64())
	}
	return n
}()

// someNoise is bytes that no compression makes smaller.
func someNoise(i uint64, n int) []byte {
	at := i * 7919 % uint64(len(noise)-n)
	return noise[at : at+uint64(n)]
}

// appends puts records, by turns into each shard, with what a put changes besides.
func appends(shards uint64, size int) func(b *Batch, n uint64) {
	return func(b *Batch, n uint64) {
		s := n % shards
		b.Set(blockKey(s, n/shards+1), someNoise(n, size))
		b.Set([]byte(weirKey('d', 7, uint32(s*40503), 'S', s)), someNoise(n, 40))
		b.SetNew([]byte(weirKey('t', s%6, 0, 'D', n)), someNoise(n, 60))
		b.Set([]byte(weirKey('t', s%6, 0, 'a', 0)), someNoise(n, 20))
	}
}

// TestRecordsAreWrittenOnce: flushes put the records of a shard where they stay,
// and removing the oldest writes none of those that stay again, but for a table of each shard.
func TestRecordsAreWrittenOnce(t *testing.T) {
	const shards, blocks, size, trim = 3, 1500, 16 << 10, 25
	synctest.Test(t, func(t *testing.T) {
		db := openDB(t, Options{FS: NewCrashableFS(), Dir: "data", CacheBytes: 1 << 20, MemTableBytes: 4 << 20, Sequence: recordsOf, Fatal: func(err error) { panic(err) }})
		defer closeDB(t, db)
		settle := func() (compacted uint64) {
			flush(t, db)
			synctest.Wait() // for compactions
			return db.Metrics().BytesCompacted
		}
		b, put := db.NewBatch(), appends(shards, size)
		for n := range uint64(blocks) {
			put(b, n)
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			if n%60 == 59 {
				settle()
			}
		}
		filling, m := settle(), db.Metrics()
		if filling > m.BytesFlushed/10 {
			t.Errorf("%d bytes were written by compactions beside %d by flushes", filling, m.BytesFlushed)
		}
		if m.Tables > m.Flushes*2*shards {
			t.Errorf("%d tables after %d flushes", m.Tables, m.Flushes)
		}
		table := uint64(m.DiskBytes) / (uint64(m.Flushes) * shards)
		for low := uint64(1); low < blocks/shards*3/4; low += trim {
			for s := range uint64(shards) {
				b.DeleteRange(blockKey(s, low), blockKey(s, low+trim))
				b.Set([]byte(weirKey('d', 7, uint32(s*40503), 'S', s)), someNoise(low, 40))
			}
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			settle()
		}
		trims := uint64(blocks / shards * 3 / 4 / trim)
		after := db.Metrics()
		if wrote := after.BytesCompacted - filling; wrote > trims*shards*table {
			t.Errorf("%d trims of %d shards wrote %d bytes, a table has %d", trims, shards, wrote, table)
		}
		if after.DiskBytes > m.DiskBytes*2/5 {
			t.Errorf("%d bytes are stored after trimming three fourths of %d", after.DiskBytes, m.DiskBytes)
		}
		t.Logf("%d flushed, %d compacted, %d tables; %d compacted by %d trims, %d bytes left of %d", m.BytesFlushed, filling, m.Tables, after.BytesCompacted-filling, trims, after.DiskBytes, m.DiskBytes)
	})
}

// randomItems sets items in no order.
func randomItems(b *Batch, n uint64) {
	r := rand.New(rand.NewPCG(3, n))
	for range 60 {
		b.Set([]byte(weirKey('d', 8, r.Uint32N(1<<16), 'i', r.Uint64N(1<<20))), someNoise(r.Uint64(), 400))
	}
}

// lagging is a queue in which each message is deleted when so many bytes more were
// sent, or up to twice as many.
func lagging(lag uint64, even bool) func(b *Batch, n uint64) {
	const size = 24 << 10
	return func(b *Batch, n uint64) {
		slot := func(n uint64) uint32 { return uint32(n % 6 * 10000) }
		b.SetNew([]byte(weirKey('d', 9, slot(n), 'b', n)), someNoise(n, size))
		b.Set([]byte(weirKey('d', 9, slot(n), 'q', 0)), someNoise(n, 60))
		b.Set([]byte(weirKey('t', n%6, 0, 'a', 0)), someNoise(n, 20))
		if !even {
			// n*k mod lag visits all: the messages of a stretch go in no order.
			stretch := lag / size
			n = n - n%stretch + n%stretch*7919%stretch
		}
		if n >= lag/size {
			old := n - lag/size
			b.Delete([]byte(weirKey('d', 9, slot(old), 'b', old)))
		}
	}
}

// BenchmarkAmplification writes 1 GiB of some kind, and says what compactions
// write of it, and what all that costs.
func BenchmarkAmplification(b *testing.B) {
	const total, step = 1 << 30, 24 << 10
	for _, l := range []struct {
		name string
		put  func(b *Batch, n uint64)
	}{
		{"append/3", appends(3, step)}, {"append/30", appends(30, step)}, {"append/300", appends(300, step)},
		{"items", randomItems},
		{"queue/16M", lagging(16<<20, true)}, {"queue/100M", lagging(100<<20, true)}, {"queue/500M", lagging(500<<20, true)}, {"queue/mixed", lagging(200<<20, false)},
	} {
		for _, of := range []struct {
			name     string
			sequence func([]byte) int
		}{{"apart", recordsOf}, {"together", nil}} {
			b.Run(fmt.Sprintf("%s/%s", l.name, of.name), func(b *testing.B) {
				for b.Loop() {
					db := openDB(b, Options{FS: DiskFS(), Dir: b.TempDir(), Fatal: func(err error) { panic(err) }, Sequence: of.sequence})
					before, batch := processorTime(b), db.NewBatch()
					for n := range uint64(total / step) {
						l.put(batch, n)
						if err := batch.Commit(); err != nil {
							b.Fatal(err)
						}
					}
					flush(b, db)
					for calm := 0; calm < 20; calm++ { // a compaction ends and the next begins
						if db.Metrics().CompactionsRunning > 0 {
							calm = 0
						}
						time.Sleep(10 * time.Millisecond)
					}
					m := db.Metrics()
					b.ReportMetric(float64(m.BytesCompacted)/float64(m.BytesFlushed), "compacted/flushed")
					b.ReportMetric(float64(m.Tables), "tables")
					b.ReportMetric(float64(m.DiskBytes)/(1<<20), "MiB-stored")
					b.ReportMetric((processorTime(b)-before).Seconds()*1e6/(total>>20), "cpu-us/MiB")
					closeDB(b, db)
				}
			})
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
