package journal

import (
	"time"

	"weir.dev/weir/internal/base"
)

// began notes that a write to the disk begins; ended must follow when it has
// not failed.
func (j *Journal) began() time.Time {
	now := time.Now()
	j.writing.Store(max(1, int64(now.Sub(j.opened))))
	return now
}

func (j *Journal) ended(begun time.Time) {
	j.writing.Store(0)
	j.latency.Observe(time.Since(begun))
}

// Latency counts how long the writes took, each with its sync.
func (j *Journal) Latency() base.HistogramCounts { return j.latency.Counts() }

// Stalled is how long the write under way has taken already; 0 when there is
// none.
func (j *Journal) Stalled() time.Duration {
	begun := j.writing.Load()
	if begun == 0 {
		return 0
	}
	return max(0, time.Since(j.opened.Add(time.Duration(begun))))
}
