package service

import (
	"context"
	"runtime"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

// Those who read old records can read without end, and every page costs a node
// as much as thousands of new records. While others put records or read those
// that have just come, they get a share of the processors: a page of old records
// is read in parts, and each part waits for its turn. With nobody to disturb,
// they read as fast as they can.

const (
	// laggardAge is how old the next record is for one who lags.
	laggardAge = time.Second
	// laggardPart is what is read at once, in bytes. A reader who does not lag gets
	// no more, and comes back.
	laggardPart = 256 << 10
	// laggardRate is the bytes of old records that a node gives in a second for each
	// processor while others use its streams: about a quarter of the processor.
	laggardRate = 24 << 20
	// tailQuiet is how long nobody may have put records, or read new ones, for
	// laggards to have the node to themselves.
	tailQuiet = 200 * time.Millisecond
	// maxLaggardWait bounds how long a part waits: with so many laggards that more
	// would be due, they get more than their share.
	maxLaggardWait = 2 * time.Second
	// longLaggardWait is the wait that ends a page: there are many who lag.
	longLaggardWait = 100 * time.Millisecond
)

// laggards shares a node out between those who read old records and the others.
type laggards struct {
	mu   sync.Mutex // guards what follows
	tail time.Time  // when records were last put, or read as soon as they had come
	next time.Time  // when the next part is due
}

// disturbed notes that somebody uses the stream's end.
func (l *laggards) disturbed(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = now
}

// reserve takes a turn for so many bytes and returns how long to wait for it.
func (l *laggards) reserve(now time.Time, bytes int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := now.Sub(l.tail); since > tailQuiet || since < 0 {
		return 0
	}
	if l.next.Before(now) || l.next.Sub(now) > maxLaggardWait { // the clock may have jumped
		l.next = now
	}
	wait := l.next.Sub(now)
	rate := int64(laggardRate) * int64(runtime.GOMAXPROCS(0))
	l.next = l.next.Add(time.Duration(int64(bytes) * int64(time.Second) / rate))
	return wait
}

// paced waits for the turn of so many bytes of old records.
func (s *Service) paced(ctx context.Context, bytes int) (waited time.Duration) {
	wait := s.laggards.reserve(s.clock.Now(), bytes)
	if wait == 0 {
		return 0
	}
	due := make(chan struct{})
	t := s.clock.AfterFunc(wait, func() { close(due) })
	defer t.Stop()
	select {
	case <-due:
	case <-ctx.Done():
	}
	return wait
}

// queryPage asks the shard's leader for a page: one part, or, for one who lags,
// as many as a page may have.
func (s *Service) queryPage(ctx context.Context, ref *StreamRef, st *Stream, at shardReader, limit int, wait time.Duration) (*model.RecordsResult, error) {
	found, err := s.queryRecords(ctx, ref, st, at, limit, wait)
	if err != nil {
		return nil, err
	}
	bytes, records := sizeOfRuns(found.Runs)
	part := bytes
	for s.lags(found) && part > 0 {
		waited := s.paced(ctx, part)
		if ctx.Err() != nil || waited > longLaggardWait || bytes >= model.MaxReadBytes-laggardPart || records >= limit {
			break
		}
		more, err := s.queryRecords(ctx, ref, st, shardReader{st, at.shard, found.Next}, limit-records, 0)
		if err != nil || more.First() > found.Next { // what has expired meanwhile is told by the next page
			break
		}
		var n int
		part, n = sizeOfRuns(more.Runs)
		bytes, records = bytes+part, records+n
		found.Runs = append(found.Runs, more.Runs...)
		found.Next, found.NextMs, found.Tip, found.Closed = more.Next, more.NextMs, more.Tip, more.Closed
	}
	if records > 0 && !s.lags(found) {
		s.laggards.disturbed(s.clock.Now())
	}
	return found, nil
}

// lags reports whether there is more, and old.
func (s *Service) lags(found *model.RecordsResult) bool {
	return found.NextMs > 0 && s.nowMs()-found.NextMs > laggardAge.Milliseconds()
}

func sizeOfRuns(runs []model.RecordRun) (bytes, records int) {
	for i := range runs {
		b := &runs[i].Batch
		bytes, records = bytes+b.Bytes(0, b.Len()), records+b.Len()
	}
	return bytes, records
}
