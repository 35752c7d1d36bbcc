// Package weirstream reads Weir's streams by a named consumer: any number of
// members, in one process or many, share a stream's shards under one name, and
// Weir keeps how far the name has come. Nothing else is needed: no table of
// leases, no coordinator.
//
//	consumer := weirstream.Consumer{
//		Stream: "clicks", Name: "scores",
//		Handle: func(ctx context.Context, shard string, records []weirstream.Record) error { ... },
//	}
//	err := consumer.Run(ctx)
//
// Every record is handled at least once, and records of one partition key in
// their order, also across a resharding: a shard is begun when its parents are
// finished. What was handled is committed afterwards, so a member that dies has
// its last batch handled again by another.
//
// It speaks to the console's listener of any node. A Consumer is not to be
// changed while it runs; Handle is called for different shards at once. Start
// with Consumer; docs/streams.md has more.
package weirstream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Record is a record of a stream.
type Record struct {
	Sequence string    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	Key      string    `json:"key"` // the partition key
	Data     []byte    `json:"data"`
}

// Consumer is a member of a named consumer.
type Consumer struct {
	Addr   string // HOST:PORT of a node's console listener; "" is WEIR_CONSOLE, or 127.0.0.1:4580
	Stream string
	Name   string // of the consumer, 1 to 128 bytes; made when it is new

	// Start is where a new consumer begins: with records that arrived then or
	// later. The zero time begins with all there are.
	Start time.Time

	// Handle does the work for some records of one shard, in their order. When it
	// returns nil they are done and committed. An error ends Run; the records will
	// be handled again, by another member or the next run. ctx ends when Run's
	// does, and when the shard was lost to another member, which then handles the
	// same records.
	Handle func(ctx context.Context, shard string, records []Record) error

	// Member names this run of this process; "" is a random name.
	Member string
	// Lease is how long a shard stays with a member that is not heard of; zero is
	// ten seconds. A member that ends without notice holds its shards up that long.
	Lease time.Duration
	// Batch is how many records Handle gets at once, at most 1,000; zero is 1,000.
	Batch int
	// AccessKey and SecretKey sign the requests to a node that has keys; "" are
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
	AccessKey, SecretKey string

	mu      sync.Mutex // guards workers and failed
	workers map[string]*worker
	failed  error
	tasks   sync.WaitGroup
}

const (
	defaultLease = 10 * time.Second
	readWait     = 5 * time.Second // of a read for the first record
	retryPause   = 200 * time.Millisecond
	// leaveTimeout bounds how long a member that stops tries to say so.
	leaveTimeout = 3 * time.Second
)

// Run takes part until ctx ends, and then finishes what Handle has begun,
// commits it and gives its shards up. It returns nil when ctx ended, else the
// error of Handle, or of a request that no retry mends.
func (c *Consumer) Run(ctx context.Context) error {
	if err := c.prepare(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer c.tasks.Wait()
	defer stop()
	for ctx.Err() == nil {
		res, err := c.lease(ctx)
		switch {
		case errors.Is(err, errRefused):
			return err
		case err == nil:
			c.assign(ctx, stop, res.Leases)
		}
		pause(ctx, c.Lease/5)
	}
	c.tasks.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func (c *Consumer) prepare() error {
	if c.Stream == "" || c.Name == "" || c.Handle == nil {
		return errors.New("a weirstream.Consumer needs a Stream, a Name and a Handle")
	}
	env := func(s *string, name, def string) {
		if *s == "" {
			if *s = os.Getenv(name); *s == "" {
				*s = def
			}
		}
	}
	env(&c.Addr, "WEIR_CONSOLE", "127.0.0.1:4580")
	env(&c.AccessKey, "AWS_ACCESS_KEY_ID", "")
	env(&c.SecretKey, "AWS_SECRET_ACCESS_KEY", "")
	if c.Member == "" {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails: it ends the process instead
		host, _ := os.Hostname()
		c.Member = fmt.Sprintf("%.64s-%d-%s", host, os.Getpid(), hex.EncodeToString(b[:]))
	}
	if c.Lease <= 0 {
		c.Lease = defaultLease
	}
	if c.Batch <= 0 || c.Batch > 1000 {
		c.Batch = 1000
	}
	c.workers, c.failed = map[string]*worker{}, nil
	return nil
}

// assign starts workers for the shards that are new, tells the others what
// their lease says, and stops those that have none any more.
func (c *Consumer) assign(ctx context.Context, stop func(), leases []shardLease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := map[string]bool{}
	for _, l := range leases {
		held[l.Shard] = true
		w := c.workers[l.Shard]
		if w != nil && w.lease.Generation == l.Generation {
			if l.Wanted {
				w.leave()
			}
			continue
		}
		if w != nil { // it ends soon; the next round starts another
			w.cancel()
			continue
		}
		w = &worker{consumer: c, lease: l, leaving: make(chan struct{})}
		w.ctx, w.cancel = context.WithCancel(ctx)
		c.workers[l.Shard] = w
		c.tasks.Go(func() {
			defer w.cancel()
			err := w.run()
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.workers, l.Shard)
			if err != nil && c.failed == nil {
				c.failed = err
				stop()
			}
		})
	}
	for shard, w := range c.workers {
		if !held[shard] {
			w.cancel()
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
