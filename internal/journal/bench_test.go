package journal_test

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/model"
)

// BenchmarkGroupCommit has callers wait for one entry of 256 bytes each, next
// to fdatasync of the same bytes in a preallocated file.
func BenchmarkGroupCommit(b *testing.B) {
	b.Run("fdatasync", func(b *testing.B) {
		f, err := journal.OSFS{}.OpenReadWrite(path.Join(b.TempDir(), "raw"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := f.Preallocate(64 << 20); err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 320)
		for i := 0; b.Loop(); i++ {
			if _, err := f.WriteAt(buf, int64(i)*320%(60<<20)); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkCallers(b, callers) })
	}
}

func benchmarkCallers(b *testing.B, callers int) {
	j, err := journal.Open(journal.Options{FS: journal.OSFS{}, Dir: path.Join(b.TempDir(), "journal"), Fatal: func(err error) { panic(err) }})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Kill()
	data := string(make([]byte, 256))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for c := range callers {
		wg.Go(func() {
			done := make(chan struct{}, 1)
			tell := func() { done <- struct{}{} }
			ws := make([]journal.Write, 1)
			for i := uint64(1); left.Add(-1) >= 0; i++ {
				ws[0] = journal.Write{Tablet: model.TabletID(c), Entries: []*pb.Entry{entry(i, 1, data)}, Done: tell}
				j.Submit(ws)
				<-done
				if i%256 == 0 {
					j.Compact(model.TabletID(c), model.Index(i-10))
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	m := j.Metrics()
	b.ReportMetric(float64(m.Writes)/float64(m.Batches), "writes/sync")
}
