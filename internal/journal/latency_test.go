package journal

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStalled: a write that does not end is seen while it lasts.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &Journal{opened: time.Now()}
		if got := j.Stalled(); got != 0 {
			t.Errorf("before any write: %v", got)
		}
		begun := j.began()
		time.Sleep(7 * time.Second)
		if got := j.Stalled(); got < 7*time.Second-time.Microsecond || got > 7*time.Second+time.Microsecond {
			t.Errorf("a write of 7 s: %v", got)
		}
		j.ended(begun)
		if got := j.Stalled(); got != 0 {
			t.Errorf("after it: %v", got)
		}
		if c := j.Latency(); c.Count != 1 || c.Sum != 7*time.Second {
			t.Errorf("latency %+v", c)
		}
	})
}
