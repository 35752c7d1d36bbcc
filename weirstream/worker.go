package weirstream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// worker handles one shard for as long as the member holds it.
type worker struct {
	consumer *Consumer
	lease    shardLease
	ctx      context.Context // ends with the member, and when the shard is lost
	cancel   context.CancelFunc
	leaving  chan struct{} // closed when another member waits for the shard
	once     sync.Once
}

func (w *worker) leave() { w.once.Do(func() { close(w.leaving) }) }

func (w *worker) asked() bool {
	select {
	case <-w.leaving:
		return true
	default:
		return false
	}
}

// run reads, handles and commits until the shard ends, is lost or is to be
// given up. Its error is Handle's.
func (w *worker) run() error {
	at := w.lease.Iterator
	for w.ctx.Err() == nil && !w.asked() {
		page, err := w.read(at)
		if err != nil {
			if errors.Is(err, errRefused) {
				break // an iterator that is too old, or a stream that is gone: begin anew
			}
			pause(w.ctx, retryPause)
			continue
		}
		if len(page.Records) > 0 {
			if err := w.consumer.Handle(w.ctx, w.lease.Shard, page.Records); err != nil {
				if w.ctx.Err() != nil {
					break // it was told to stop
				}
				w.release()
				return err
			}
			if !w.commit(commit{Sequence: page.Records[len(page.Records)-1].Sequence}) {
				return nil
			}
		}
		if page.Next == "" {
			w.commit(commit{End: true, Release: true})
			return nil
		}
		at = page.Next
	}
	w.release()
	return nil
}

func (w *worker) read(at string) (page records, err error) {
	err = w.consumer.ask(w.ctx, "POST", w.consumer.path("/read"), read{Iterator: at, Limit: w.consumer.Batch, WaitMs: readWait.Milliseconds()}, &page)
	return page, err
}

// commit says how far the worker has come; false when the shard belongs to
// another member. What was handled is committed also when the member stops.
func (w *worker) commit(c commit) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.consumer.Lease)
	defer cancel()
	c.Shard, c.Generation = w.lease.Shard, w.lease.Generation
	if !c.Release {
		c.LeaseMs = w.consumer.Lease.Milliseconds()
	}
	for {
		err := w.consumer.ask(ctx, "POST", w.consumer.consumerPath("/commit"), c, nil)
		if err == nil || errors.Is(err, errRefused) || ctx.Err() != nil {
			return err == nil
		}
		pause(ctx, retryPause)
	}
}

// release gives the shard up, if that can be said soon; else its lease ends by
// itself.
func (w *worker) release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), min(leaveTimeout, w.consumer.Lease))
	defer cancel()
	body := commit{Shard: w.lease.Shard, Generation: w.lease.Generation, Release: true}
	_ = w.consumer.ask(ctx, "POST", w.consumer.consumerPath("/commit"), body, nil)
}

// The bodies of the admin API; package console has their meaning.
type (
	lease struct {
		Member  string     `json:"member"`
		LeaseMs int64      `json:"lease_ms"`
		Start   string     `json:"start,omitempty"`
		Time    *time.Time `json:"time,omitempty"`
	}
	leases struct {
		Leases []shardLease `json:"leases"`
	}
	shardLease struct {
		Shard      string `json:"shard"`
		Generation uint64 `json:"generation"`
		Iterator   string `json:"iterator"`
		Wanted     bool   `json:"wanted"`
	}
	read struct {
		Iterator string `json:"iterator"`
		Limit    int    `json:"limit"`
		WaitMs   int64  `json:"wait_ms"`
	}
	records struct {
		Records []Record `json:"records"`
		Next    string   `json:"next"`
	}
	commit struct {
		Shard      string `json:"shard"`
		Generation uint64 `json:"generation"`
		Sequence   string `json:"sequence,omitempty"`
		End        bool   `json:"end,omitempty"`
		LeaseMs    int64  `json:"lease_ms,omitempty"`
		Release    bool   `json:"release,omitempty"`
	}
)
