package base

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCheck(t *testing.T) {
	Check(true, "never said")
	defer func() {
		if p, _ := recover().(string); p != "BUG: 3 is not 4" {
			t.Errorf("panic %q", p)
		}
	}()
	Check(false, "%d is not %d", 3, 4)
}

func TestRandRepeats(t *testing.T) {
	a, b, other := NewRand(7), NewRand(7), NewRand(8)
	for range 10 {
		if a.Uint64() != b.Uint64() || a.IntN(1000) != b.IntN(1000) || a.Bytes16() != b.Bytes16() {
			t.Fatal("the same seed gives other numbers")
		}
	}
	if a.Bytes16() == other.Bytes16() {
		t.Error("two seeds give the same numbers")
	}
	if x, y := NewSystemRand(), NewSystemRand(); x.Bytes16() == y.Bytes16() {
		t.Error("two system seeds are the same")
	}
}

func TestRandIsSafe(t *testing.T) {
	r := NewRand(1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				r.Uint64()
				r.IntN(3)
				r.Bytes16()
			}
		})
	}
	wg.Wait()
}

func TestSystemClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := SystemClock{Offset: time.Hour}
		start := time.Now()
		if got := c.Now().Sub(start); got != time.Hour {
			t.Errorf("the clock is off by %v", got)
		}
		called := make(chan time.Duration, 1)
		c.AfterFunc(5*time.Second, func() { called <- time.Since(start) })
		stopped := c.AfterFunc(time.Second, func() { t.Error("a stopped timer went off") })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop does not say whether it prevented the call")
		}
		if got := <-called; got != 5*time.Second {
			t.Errorf("called after %v", got)
		}
	})
}
