package load

import (
	"sync/atomic"
	"time"
)

// Quota is how much several clients fill together, and how long they may take.
type Quota struct {
	left, done atomic.Int64
	until      time.Time
}

// NewQuota allows n units, or what can be done before the limit.
func NewQuota(n int64, limit time.Duration) *Quota {
	q := &Quota{until: time.Now().Add(limit)}
	q.left.Store(n)
	return q
}

// Done is how many units were acknowledged.
func (q *Quota) Done() int64 { return q.done.Load() }

// quotaFiller does what one does, until the quota is used up.
type quotaFiller struct {
	Client
	one   func() error
	units int64
	quota *Quota
}

// Do adds a batch, or says ErrDone.
func (f *quotaFiller) Do() (int, error) {
	if f.quota.left.Add(-f.units) < 0 || time.Now().After(f.quota.until) {
		return 0, ErrDone
	}
	if err := f.one(); err != nil {
		return 0, err
	}
	f.quota.done.Add(f.units)
	return int(f.units), nil
}

// FillQueue sends batches to a queue; with groups it is a FIFO queue.
func (a *AWS) FillQueue(url string, groups int, q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		c, err := a.queue(url, MaxBatch, groups)(client)
		if err != nil {
			return nil, err
		}
		return &quotaFiller{c, c.(*cycle).sendBatch, MaxBatch, q}, nil
	}
}
