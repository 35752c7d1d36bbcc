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

// FillQueue sends batches to a queue; with groups it is a FIFO queue. extra are
// more members of every message, each after a comma.
func (a *AWS) FillQueue(url string, groups int, extra string, q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		c, err := a.cycle(client, url, MaxBatch, groups, extra)
		if err != nil {
			return nil, err
		}
		return &quotaFiller{c, c.sendBatch, MaxBatch, q}, nil
	}
}

// Send only sends batches.
func (a *AWS) Send(url string) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := a.cycle(client, url, MaxBatch, 0, "")
		return &part{c, func() (int, error) { return MaxBatch, c.sendBatch() }}, err
	}
}

// Take only receives batches and deletes them; messages must be there.
func (a *AWS) Take(url string) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := a.cycle(client, url, MaxBatch, 0, "")
		return &part{c, c.takeAll}, err
	}
}

// part does a part of what a client does.
type part struct {
	Client
	do func() (int, error)
}

func (p *part) Do() (int, error) { return p.do() }

// drainer takes messages until nothing comes or the time is up.
type drainer struct {
	*cycle
	quota *Quota
}

// Drain receives and deletes until the queue is empty. Its quota only bounds
// the time and counts.
func (a *AWS) Drain(url string, q *Quota) func(client, clients int) (Client, error) {
	return func(client, _ int) (Client, error) {
		c, err := a.cycle(client, url, MaxBatch, 0, "")
		return &drainer{c, q}, err
	}
}

func (d *drainer) Do() (int, error) {
	if time.Now().After(d.quota.until) {
		return 0, ErrDone
	}
	n, err := d.takeAll() // it waits a second for a message
	d.quota.done.Add(int64(n))
	if err == nil && n == 0 {
		err = ErrDone
	}
	return n, err
}
