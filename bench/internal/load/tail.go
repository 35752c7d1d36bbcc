package load

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// RecordBytes is the size of the records that streams are given.
const RecordBytes = 256

// A record begins with the moment when its batch was built: stampMark and
// microseconds since stampEpoch in decimal digits. In base64 they stand in the
// text as they are, which is 12 bytes of data.
const (
	stampMark   = 'T'
	stampEpoch  = 1_500_000_000_000_000 // microseconds since 1970; July 2017
	stampDigits = 15
	stampBytes  = 1 + stampDigits
)

// putStamp writes a stamp.
func putStamp(dst []byte, now time.Time) {
	dst[0] = stampMark
	putDigits(dst[1:stampBytes], uint64(now.UnixMicro()-stampEpoch), 10)
}

// readStamp reads a stamp as microseconds since 1970; ok is false when there
// is none.
func readStamp(b []byte) (micros int64, ok bool) {
	if len(b) < stampBytes || b[0] != stampMark {
		return 0, false
	}
	for _, d := range b[1:stampBytes] {
		if d < '0' || d > '9' {
			return 0, false
		}
		micros = micros*10 + int64(d-'0')
	}
	return micros + stampEpoch, true
}

// Reader is one connection that records come from. It belongs to one goroutine,
// but for Close.
type Reader interface {
	// Read waits for records, at most a few seconds, and calls on for each.
	Read(on func(record []byte)) error
	Close() error
}

// Tails are subscribers that read what is written while it is. Begin and End
// may be called from another goroutine than Close.
type Tails struct {
	wg      sync.WaitGroup
	readers []Reader

	mu       sync.Mutex // guards what follows
	counting bool
	closed   bool
	began    time.Time
	seconds  float64
	n        uint64
	latency  Histogram
	err      error
}

// Tail starts the readers.
func Tail(readers []Reader) *Tails {
	t := &Tails{readers: readers}
	for _, r := range readers {
		t.wg.Go(func() { t.follow(r) })
	}
	return t
}

func (t *Tails) follow(r Reader) {
	var stamps []int64
	var bad error
	on := func(record []byte) {
		s, ok := readStamp(record)
		if !ok {
			bad = fmt.Errorf("a record without a stamp: %.40q", record)
			return
		}
		stamps = append(stamps, s)
	}
	for {
		stamps = stamps[:0]
		err := errors.Join(r.Read(on), bad)
		now := time.Now().UnixMicro()
		t.mu.Lock()
		if t.counting {
			t.n += uint64(len(stamps))
			for _, s := range stamps {
				t.latency.Add(time.Duration(now-s) * time.Microsecond)
			}
		}
		if err != nil && !t.closed && t.err == nil {
			t.err = err
		}
		over := t.closed || err != nil
		t.mu.Unlock()
		if over {
			return
		}
	}
}

// Begin begins to count.
func (t *Tails) Begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counting, t.began = true, time.Now()
}

// End ends counting.
func (t *Tails) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counting, t.seconds = false, time.Since(t.began).Seconds()
}

// Tailed is what subscribers have seen while it counted.
type Tailed struct {
	PerSecond float64 // records, of all readers together
	Latency   Histogram
}

// Close ends the readers and says what they saw.
func (t *Tails) Close() (*Tailed, error) {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for _, r := range t.readers {
		_ = r.Close() // what it would say is of no use
	}
	t.wg.Wait()
	out := &Tailed{Latency: t.latency}
	if t.seconds > 0 {
		out.PerSecond = float64(t.n) / t.seconds
	}
	return out, t.err
}
