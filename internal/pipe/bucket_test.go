package pipe

import (
	"math"
	"testing"
	"time"
)

// TestBucketKeepsTheRate runs a backlog through buckets of many rates, with a
// worker that is late now and then, and holds every 10 seconds to 2 percent.
func TestBucketKeepsTheRate(t *testing.T) {
	for _, rate := range []float64{1, 7, 33.3, 200, 999, 12345} {
		start := time.Unix(1000, 0)
		b := newBucket(rate, start)
		var at []time.Time
		late := 0
		for now := start; now.Sub(start) < 40*time.Second; {
			n, wait := b.take(now)
			for range n {
				at = append(at, now)
			}
			late++
			if wait == 0 {
				wait = time.Duration(late%7) * 3 * time.Millisecond
			}
			now = now.Add(wait)
		}
		for from := start.Add(2 * time.Second); from.Sub(start) < 29*time.Second; from = from.Add(time.Second) {
			n := 0
			for _, x := range at {
				if !x.Before(from) && x.Before(from.Add(10*time.Second)) {
					n++
				}
			}
			if off := math.Abs(float64(n) - 10*rate); off > 0.02*10*rate+1 {
				t.Errorf("rate %v: %d messages in the 10 s from %v", rate, n, from.Sub(start))
			}
		}
	}
}

func TestBucketDoesNotSaveUp(t *testing.T) {
	start := time.Unix(1000, 0)
	b := newBucket(100, start)
	n, _ := b.take(start.Add(time.Hour))
	if n > 20 {
		t.Errorf("after an idle hour %d messages leave at once; the burst is 0.2 s of 100/s", n)
	}
}

func TestBucketWithoutLimit(t *testing.T) {
	b := newBucket(0, time.Unix(1000, 0))
	for range 10 {
		if n, wait := b.take(time.Unix(1000, 0)); n != maxPortion || wait != 0 {
			t.Fatalf("take = %d, %v", n, wait)
		}
	}
}
