package base

import (
	"sync/atomic"
	"time"
)

// HistogramBounds are the upper bounds of a Histogram's classes. One more class
// is above them all.
var HistogramBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 20 * time.Second,
}

// Histogram counts durations by class. The zero value is empty; it may be used
// from any goroutine and must not be copied.
type Histogram struct {
	classes [len(HistogramBounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	class := 0
	for class < len(HistogramBounds) && d > HistogramBounds[class] {
		class++
	}
	h.classes[class].Add(1)
	h.sum.Add(int64(d))
}

// HistogramCounts is a picture of a Histogram.
type HistogramCounts struct {
	UpTo  [len(HistogramBounds)]uint64 // durations of at most that bound, shorter ones included
	Count uint64
	Sum   time.Duration
}

// Counts returns what was counted. It may miss what is observed meanwhile.
func (h *Histogram) Counts() (c HistogramCounts) {
	for i := range h.classes {
		c.Count += h.classes[i].Load()
		if i < len(c.UpTo) {
			c.UpTo[i] = c.Count
		}
	}
	c.Sum = time.Duration(h.sum.Load())
	return c
}
