package region

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

// fakeWire carries requests between the engines of a test. It loses requests
// and answers, delivers some twice and late, and can be cut.
type fakeWire struct {
	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	at      map[string]*Engine // by address
	cut     bool
	lose    int // percent of the messages, each way
	twice   int // percent of the requests
	calls   map[Op]int
	largest int           // of the bodies
	delay   time.Duration // of each way, at most
}

func newFakeWire(seed uint64) *fakeWire {
	return &fakeWire{rng: rand.New(rand.NewPCG(seed, 1)), at: map[string]*Engine{}, calls: map[Op]int{}, delay: 20 * time.Millisecond}
}

func (f *fakeWire) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeWire) leg() (delay time.Duration, arrives, twice bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delay = time.Millisecond + time.Duration(f.rng.Int64N(int64(f.delay)))
	return delay, !f.cut && f.rng.IntN(100) >= f.lose, f.rng.IntN(100) < f.twice
}

// Call implements Dialer.
func (f *fakeWire) Call(ctx context.Context, target *Target, op Op, body []byte) ([]byte, error) {
	f.mu.Lock()
	f.calls[op]++
	f.largest = max(f.largest, len(body))
	f.mu.Unlock()
	type answer struct {
		body []byte
		err  error
	}
	done := make(chan answer, 2)
	delay, arrives, twice := f.leg()
	deliver := func() {
		f.mu.Lock()
		there := f.at[target.Addr]
		f.mu.Unlock()
		if there == nil {
			return
		}
		out, err := there.Receive(context.Background(), target.Inbound, target.Key, op, body)
		if back, arrives, _ := f.leg(); arrives {
			time.AfterFunc(back, func() { done <- answer{out, err} })
		}
	}
	if arrives {
		time.AfterFunc(delay, deliver)
		if twice {
			time.AfterFunc(3*delay, deliver)
		}
	}
	select {
	case a := <-done:
		return a.body, a.err
	case <-ctx.Done():
		return nil, model.Errorf(model.ErrUnavailable, "cannot reach the other region: %v", ctx.Err())
	}
}
