package base

import (
	"context"
	"time"
)

// Clock tells wall time and makes timers. All methods may be called from any
// goroutine.
type Clock interface {
	// Now is this node's wall time. It may jump and may differ between nodes.
	Now() time.Time
	// AfterFunc calls f on a goroutine of its own after d.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending AfterFunc.
type Timer interface {
	// Stop prevents the call; it reports whether it did.
	Stop() bool
}

// SystemClock is the operating system's clock moved by Offset, which is zero
// but in tests of clock skew.
type SystemClock struct{ Offset time.Duration }

// Now implements Clock.
func (c SystemClock) Now() time.Time { return time.Now().Add(c.Offset) }

// AfterFunc implements Clock.
func (c SystemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// Sleep waits for d, and up to 0.1 ms more so that those who began together do
// not move in step; false when ctx has ended.
func Sleep(ctx context.Context, c Clock, r *Rand, d time.Duration) bool {
	due := make(chan struct{})
	t := c.AfterFunc(d+time.Duration(r.IntN(int(100*time.Microsecond))), func() { close(due) })
	defer t.Stop()
	select {
	case <-due:
		return true
	case <-ctx.Done():
		return false
	}
}
