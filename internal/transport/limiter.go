package transport

import (
	"context"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
)

// limiter spreads bytes evenly over time.
type limiter struct {
	clock          base.Clock
	bytesPerSecond int // 0 is no limit

	mu   sync.Mutex // guards next
	next time.Time  // when the next byte may go
}

// maxLimiterDebt bounds a wait, so that a jump of the wall clock cannot stop a
// snapshot.
const maxLimiterDebt = 10 * time.Second

// piece is how much to send at once: little enough that a slow limit is a
// trickle and not a series of bursts.
func (l *limiter) piece() int {
	if l.bytesPerSecond == 0 {
		return snapshotPiece
	}
	return max(1<<10, min(snapshotPiece, l.bytesPerSecond/10))
}

// wait returns when n bytes may be sent.
func (l *limiter) wait(ctx context.Context, n int) error {
	pause := l.reserve(n)
	if pause <= 0 {
		return ctx.Err()
	}
	over := make(chan struct{})
	timer := l.clock.AfterFunc(pause, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *limiter) reserve(n int) time.Duration {
	if l.bytesPerSecond == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	if l.next.Before(now) || l.next.After(now.Add(maxLimiterDebt)) {
		l.next = now
	}
	pause := l.next.Sub(now)
	l.next = l.next.Add(time.Duration(float64(n) / float64(l.bytesPerSecond) * float64(time.Second)))
	return pause
}
