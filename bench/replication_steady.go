package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"weir.dev/weir/bench/internal/load"
)

// Window is what clients saw while one thing happened to a cluster.
type Window struct {
	What      string  `json:"what"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50Micros float64 `json:"p50_us"` // from the moment at which an operation was due
	P99Micros float64 `json:"p99_us"`
	GapMillis float64 `json:"longest_gap_ms"` // without an answered write of one key
	Errors    uint64  `json:"errors"`         // tries that failed; each was followed by another one
	Load      float64 `json:"load_average"`
	Note      string  `json:"note,omitempty"`
}

const (
	// steadyProbes write one key each, so that every tablet is met, and the others
	// put and get random keys.
	steadyProbes = probes
	steadyOthers = 40
	// probeEvery is between two writes of a probe: a gap is known to that.
	probeEvery = 20 * time.Millisecond
	// steadyRetry is between two tries of a client that nobody answers.
	steadyRetry = 5 * time.Millisecond
)

// steady is a load at a fixed rate that goes on whatever happens: operations are
// due at fixed moments, and one that comes late was late from then on, as were
// those that were due meanwhile.
type steady struct {
	aws     load.AWS
	stop    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	seen   seen
	recent time.Duration           // the longest gap since takeGap
	acked  [steadyProbes]time.Time // the last write of each probe
}

// seen is what was measured since the last cut.
type seen struct {
	began   time.Time
	ops     uint64
	errors  uint64
	gap     time.Duration
	latency *load.Histogram
}

// startSteady starts clients of these nodes, who do perSecond operations, half of
// the random ones puts.
func startSteady(aws load.AWS, perSecond float64) *steady {
	s := &steady{aws: aws, stop: make(chan struct{}), seen: seen{began: time.Now(), latency: &load.Histogram{}}}
	for i := range s.acked {
		s.acked[i] = time.Now()
		s.running.Go(func() { s.client(i, i, probeEvery, aws.PutOne("bench", uint64(i+1))) })
	}
	rest := max(perSecond-steadyProbes/probeEvery.Seconds(), 0)
	if rest == 0 {
		return s
	}
	every := time.Duration(steadyOthers / rest * float64(time.Second))
	for i := range steadyOthers {
		dial := aws.Put("bench")
		if i%2 == 1 {
			dial = aws.Get("bench", true)
		}
		s.running.Go(func() { s.client(i, -1, every, dial) })
	}
	return s
}

// end stops the clients.
func (s *steady) end() {
	close(s.stop)
	s.running.Wait()
}

// client does one thing over and over, through node number i at first and
// through the next one when a try fails. probe is its number, or -1.
func (s *steady) client(i, probe int, every time.Duration, dial func(int) (load.Client, error)) {
	var c load.Client
	defer func() {
		if c != nil {
			_ = c.Close() // the load is over
		}
	}()
	for due := time.Now().Add(rand.N(every)); ; due = due.Add(every) {
		select {
		case <-s.stop:
			return
		case <-time.After(time.Until(due)):
		}
		for {
			var err error
			if c == nil {
				c, err = dial(i)
			}
			if err == nil {
				_, err = c.Do()
			}
			if err == nil {
				break
			}
			if c != nil {
				_ = c.Close() // it has failed
				c = nil
			}
			i++
			s.failed()
			select {
			case <-s.stop:
				return
			case <-time.After(steadyRetry):
			}
		}
		due = s.done(probe, due, every)
	}
}

func (s *steady) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.errors++
}

// done counts an operation that was due at due, and those that have become due
// since and are left out, and returns when the last of them was.
func (s *steady) done(probe int, due time.Time, every time.Duration) time.Time {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.ops++
	s.seen.latency.Add(now.Sub(due))
	for ; now.Sub(due) > every; due = due.Add(every) {
		s.seen.latency.Add(now.Sub(due.Add(every)))
	}
	if probe >= 0 {
		gap := now.Sub(s.acked[probe])
		s.seen.gap, s.recent = max(s.seen.gap, gap), max(s.recent, gap)
		s.acked[probe] = now
	}
	return due
}

// cut is what was measured since the last cut.
func (s *steady) cut(what string) Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, last := range s.acked { // those that wait now
		s.seen.gap = max(s.seen.gap, now.Sub(last))
	}
	took := now.Sub(s.seen.began).Seconds()
	us := func(q float64) float64 { return float64(s.seen.latency.Quantile(q)) / 1e3 }
	w := Window{
		What: what, Seconds: took, PerSecond: float64(s.seen.ops) / took, P50Micros: us(0.5), P99Micros: us(0.99),
		GapMillis: float64(s.seen.gap) / 1e6, Errors: s.seen.errors, Load: loadNow(),
	}
	s.seen = seen{began: now, latency: &load.Histogram{}}
	return w
}

// takeGap is the longest gap since it was asked before, that of keys which wait
// now included. The window keeps it, too.
func (s *steady) takeGap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, last := range s.acked {
		s.recent = max(s.recent, time.Since(last))
	}
	gap := s.recent
	s.recent = 0
	return gap
}
