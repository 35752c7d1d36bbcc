package base

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, time.Millisecond, time.Second, time.Minute} {
		h.Observe(d)
	}
	c := h.Counts()
	for bound, want := range map[time.Duration]uint64{
		100 * time.Microsecond: 2, 250 * time.Microsecond: 3, time.Millisecond: 4, 500 * time.Millisecond: 4, time.Second: 5, 20 * time.Second: 5,
	} {
		for i, b := range HistogramBounds {
			if b == bound && c.UpTo[i] != want {
				t.Errorf("%d up to %v, want %d", c.UpTo[i], b, want)
			}
		}
	}
	if c.Count != 6 || c.Sum != 61*time.Second+1201*time.Microsecond {
		t.Errorf("%d durations, %v together", c.Count, c.Sum)
	}
	for i := range HistogramBounds[1:] {
		if HistogramBounds[i] >= HistogramBounds[i+1] {
			t.Errorf("bound %d is not below the next", i)
		}
	}
}

func BenchmarkHistogram(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Observe(3 * time.Millisecond)
	}
}
