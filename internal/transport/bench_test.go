package transport

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCalls measures 200-byte calls with 64 in flight between two nodes
// over loopback TLS; cpu-us/op is the CPU of both sides.
func BenchmarkCalls(b *testing.B) {
	w := newWorld(b)
	a := w.start(1, newRecorder(), nil)
	z := w.start(2, newRecorder(), nil)
	mustCall(b, a, 2, []byte("x"))
	mustCall(b, z, 1, []byte("x"))
	req := make([]byte, 200)
	const inFlight = 64
	b.ReportAllocs()
	b.ResetTimer()
	before, writes := cpuTime(), a.Stats().Writes+z.Stats().Writes
	var wg sync.WaitGroup
	for c := range inFlight {
		wg.Go(func() {
			ended := make(chan error, 1)
			for n := c; n < b.N; n += inFlight {
				a.Call(2, req, time.Minute, func(_ []byte, err error) { ended <- err })
				if err := <-ended; err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(a.Stats().Writes+z.Stats().Writes-writes)/float64(b.N), "writes/op")
}

// BenchmarkOneCall is a call's latency when nothing else happens.
func BenchmarkOneCall(b *testing.B) {
	w := newWorld(b)
	a := w.start(1, newRecorder(), nil)
	z := w.start(2, newRecorder(), nil)
	mustCall(b, a, 2, []byte("x"))
	mustCall(b, z, 1, []byte("x"))
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		if _, err := call(a, 2, make([]byte, 200), time.Minute); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}

func batchMsg(entries int) *raftpb.Message {
	m := appendMsg(1000, 200)
	for len(m.Entries) < entries {
		m.Entries = append(m.Entries, m.Entries[0])
	}
	return m
}

func BenchmarkRaftEncode(b *testing.B) {
	m := batchMsg(10)
	b.Run("hand", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			_ = raftSize(m)
			buf = appendRaft(buf[:0], m)
		}
	})
	b.Run("generic", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			_ = proto.Size(m)
			buf, _ = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(buf[:0], m)
		}
	})
}

func BenchmarkRaftDecode(b *testing.B) {
	buf := appendRaft(nil, batchMsg(10))
	b.Run("hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = decodeRaft(buf)
		}
	})
	b.Run("generic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = proto.Unmarshal(buf, new(raftpb.Message))
		}
	})
}

// BenchmarkRaftMessages sends turns of 16 messages for one tablet each.
func BenchmarkRaftMessages(b *testing.B) {
	w := newWorld(b)
	h := newRecorder()
	a := w.start(1, newRecorder(), nil)
	w.start(2, h, nil)
	mustCall(b, a, 2, []byte("x"))
	msgs := []*raftpb.Message{appendMsg(1, 200)}
	before := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += 16 {
		for tablet := range 16 {
			a.Send(2, model.TabletID(tablet), msgs)
		}
		a.Flush()
		for range 16 {
			<-h.raft
		}
	}
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}
