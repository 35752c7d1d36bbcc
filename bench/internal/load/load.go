// Package load makes load: one goroutine per client, each with a connection of
// its own, asking the next thing as soon as the last one is answered.
//
// It is lean, because it shares the processors with what it measures: requests
// are built once and only their variable bytes are patched, responses are read
// into one buffer, and nothing is allocated per request. A Client belongs to
// one goroutine. Start with Run.
package load

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one closed-loop client.
type Client interface {
	// Do performs one operation and returns how many units it did (messages, for
	// batches; else 1). It must not outlive a few seconds: set deadlines.
	Do() (units int, err error)
	Close() error
}

// Result is what a run measured.
type Result struct {
	Clients int
	Seconds float64
	Ops     uint64 // units done
	Errors  uint64
	// FirstError is the text of the first error of any client.
	FirstError string
	Latency    Histogram // of Do
}

// PerSecond is the throughput in units.
func (r *Result) PerSecond() float64 { return float64(r.Ops) / r.Seconds }

// maxErrors ends a client that only sees errors.
const maxErrors = 100

// Options say how long a run is and what happens at its edges.
type Options struct {
	Clients int
	WarmUp  time.Duration
	Measure time.Duration
	// Edge is called when measuring begins and when it ends; may be nil.
	Edge func()
}

// Run connects the clients that dial makes, warms up, and measures.
func Run(o Options, dial func(client int) (Client, error)) (*Result, error) {
	clients := make([]Client, 0, o.Clients)
	defer func() {
		for _, c := range clients {
			_ = c.Close() // the measurement is over; nothing depends on it
		}
	}()
	for i := range o.Clients {
		c, err := dial(i)
		if err != nil {
			return nil, fmt.Errorf("cannot connect client %d: %w", i, err)
		}
		clients = append(clients, c)
	}
	const warming, measuring, over = 0, 1, 2
	var (
		phase atomic.Int32
		wg    sync.WaitGroup
		mu    sync.Mutex // guards res
		res   = &Result{Clients: o.Clients}
	)
	for _, c := range clients {
		wg.Go(func() {
			var part Result
			for phase.Load() != over {
				if p, ok := c.(pacer); ok {
					p.wait()
				}
				counted := phase.Load() == measuring
				start := time.Now()
				n, err := c.Do()
				took := time.Since(start)
				switch {
				case err != nil:
					part.Errors++
					if part.FirstError == "" {
						part.FirstError = err.Error()
					}
				case counted && phase.Load() == measuring:
					part.Ops += uint64(n)
					part.Latency.Add(took)
				}
				if part.Errors >= maxErrors && part.Ops == 0 {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			res.Ops += part.Ops
			res.Errors += part.Errors
			res.Latency.Merge(&part.Latency)
			if res.FirstError == "" {
				res.FirstError = part.FirstError
			}
		})
	}
	time.Sleep(o.WarmUp)
	edge(o.Edge)
	start := time.Now()
	phase.Store(measuring)
	time.Sleep(o.Measure)
	phase.Store(over)
	res.Seconds = time.Since(start).Seconds()
	edge(o.Edge)
	wg.Wait()
	return res, nil
}

func edge(f func()) {
	if f != nil {
		f()
	}
}
