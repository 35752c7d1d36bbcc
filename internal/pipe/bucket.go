package pipe

import (
	"time"
)

// bucket meters a pipe's flow: tokens arrive at an even rate, each message
// takes one. It hands them out in small portions, many a second, so that the
// outflow is even, and keeps what has gathered while there was nothing to do
// only up to a burst, so that a new backlog does not leave in one gulp.
type bucket struct {
	rate   float64 // tokens per second; 0 is no limit
	tokens float64
	filled time.Time // when tokens was brought up to date
}

const (
	// portionTime is the flow that one claim carries: twenty claims a second.
	portionTime = 50 * time.Millisecond
	// burstTime is the flow that may gather.
	burstTime = 200 * time.Millisecond
	// maxPortion is the most messages of one claim.
	maxPortion = 500
)

func newBucket(rate float64, now time.Time) *bucket { return &bucket{rate: rate, filled: now} }

// setRate changes the rate from now on.
func (b *bucket) setRate(rate float64, now time.Time) {
	if b.rate != rate {
		b.fill(now)
		b.rate = rate
	}
}

func (b *bucket) fill(now time.Time) {
	if dt := now.Sub(b.filled).Seconds(); dt > 0 {
		b.tokens = min(b.tokens+dt*b.rate, max(1, b.rate*burstTime.Seconds()))
	}
	b.filled = now
}

// portion is the number of messages of one claim at full flow.
func (b *bucket) portion() int {
	return min(maxPortion, max(1, int(b.rate*portionTime.Seconds())))
}

// take returns how many messages may flow now, or how long to wait until a
// portion may.
func (b *bucket) take(now time.Time) (n int, wait time.Duration) {
	if b.rate == 0 {
		return maxPortion, 0
	}
	b.fill(now)
	want := float64(b.portion())
	if b.tokens < want {
		return 0, time.Duration((want-b.tokens)/b.rate*float64(time.Second)).Round(time.Microsecond) + time.Microsecond
	}
	n = min(maxPortion, int(b.tokens))
	b.tokens -= float64(n)
	return n, 0
}

// giveBack returns what was taken and not used.
func (b *bucket) giveBack(n int) { b.tokens += float64(n) }
