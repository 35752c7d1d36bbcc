package main

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/bench/internal/load"
)

// slow is a client whose calls take so long, and the first of which fail.
type slow struct {
	takes time.Duration
	fails *atomic.Int32
}

func (s slow) Do() (int, error) {
	if s.fails.Add(-1) >= 0 {
		return 0, errors.New("nobody answers")
	}
	time.Sleep(s.takes)
	return 1, nil
}

func (slow) Close() error { return nil }

// steadily lets one probe work for a second.
func steadily(t *testing.T, takes time.Duration, fails int32) (w Window, gap time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Int32
		left.Store(fails)
		now := time.Now()
		s := &steady{stop: make(chan struct{}), seen: seen{began: now, latency: &load.Histogram{}}}
		for i := range s.acked {
			s.acked[i] = now.Add(time.Hour) // only one writes
		}
		s.acked[0] = now
		s.running.Go(func() { s.client(0, 0, probeEvery, func(int) (load.Client, error) { return slow{takes, &left}, nil }) })
		time.Sleep(time.Second)
		gap = s.takeGap()
		w = s.cut("a second")
		s.end()
	})
	return w, gap
}

func TestSteadyCountsWhatIsLate(t *testing.T) {
	quick, gap := steadily(t, time.Millisecond, 0)
	if quick.PerSecond < 45 || quick.PerSecond > 51 || quick.P99Micros > 1100 || gap > 41*time.Millisecond || quick.Errors > 0 {
		t.Errorf("a client that is quick: %+v, gap %v", quick, gap)
	}
	late, gap := steadily(t, 300*time.Millisecond, 0) // three operations, and the 45 that were due meanwhile
	if late.PerSecond > 4 || late.P50Micros < 100_000 || gap < 300*time.Millisecond {
		t.Errorf("a client that is slow: %+v, gap %v", late, gap)
	}
	failing, gap := steadily(t, time.Millisecond, 100) // half a second of failures
	if failing.Errors != 100 || gap < 500*time.Millisecond || failing.P99Micros < 400_000 {
		t.Errorf("a client whose tries fail: %+v, gap %v", failing, gap)
	}
}

func TestPercentiles(t *testing.T) {
	var of []time.Duration
	for i := range 1000 {
		of = append(of, time.Duration(i+1)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 501 * time.Millisecond, 0.99: 990 * time.Millisecond, 0.999: 999 * time.Millisecond, 1: time.Second} {
		if got := at(of, q); got != want {
			t.Errorf("at %v: %v, want %v", q, got, want)
		}
	}
}
