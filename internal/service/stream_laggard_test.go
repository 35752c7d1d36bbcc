package service

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestLaggardTurns: laggards have a quiet node to themselves; beside others their
// parts come at an even rate, and nobody waits without end.
func TestLaggardTurns(t *testing.T) {
	var l laggards
	now := time.UnixMilli(1_700_000_000_000)
	for range 3 {
		if wait := l.reserve(now, laggardPart); wait != 0 {
			t.Errorf("with nobody to disturb: %v", wait)
		}
	}
	l.disturbed(now)
	if wait := l.reserve(now, laggardPart); wait != 0 {
		t.Errorf("the first beside others: %v", wait)
	}
	each := l.reserve(now, laggardPart)
	if each <= 0 || each > laggardPart*time.Second/laggardRate {
		t.Errorf("the second waits %v", each)
	}
	if wait := l.reserve(now, laggardPart); wait != 2*each {
		t.Errorf("the third waits %v, want %v", wait, 2*each)
	}
	longest := time.Duration(0)
	for range 10_000 {
		longest = max(longest, l.reserve(now, laggardPart))
	}
	if longest > maxLaggardWait || longest < maxLaggardWait/2 {
		t.Errorf("with very many the longest wait is %v", longest)
	}
	if wait := l.reserve(now.Add(time.Hour), laggardPart); wait != 0 {
		t.Errorf("when the others are gone: %v", wait)
	}
	l.disturbed(now)
	if wait := l.reserve(now.Add(-time.Hour), laggardPart); wait != 0 {
		t.Errorf("when the clock went back: %v", wait)
	}
}

// TestLaggardPages: a page of old records is put together of parts, as large as a
// page may be; one of new records is one part.
func TestLaggardPages(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	const size, count = 10_000, 300
	put := func(from int) {
		for i := from; i < from+count; i += 50 {
			req := &PutRecordsRequest{StreamRef: testStream}
			for k := i; k < i+50; k++ {
				req.Records = append(req.Records, OutgoingRecord{Key: "k", Data: bytes.Repeat(fmt.Appendf(nil, "%5d", k), size/5)})
			}
			if _, err := s.PutRecords(ctx, req); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0)
	pages := func(from string) (sizes []int) {
		t.Helper()
		for at := 0; ; {
			res, err := s.GetRecords(ctx, &GetRecordsRequest{Iterator: from})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Records) == 0 {
				return sizes
			}
			total := 0
			for _, r := range res.Records {
				if got := fmt.Sprintf("%5d", at); string(r.Data[:5]) != got {
					t.Fatalf("record %s came where %s was wanted", r.Data[:5], got)
				}
				at++
				total += len(r.Data)
			}
			sizes, from = append(sizes, total), res.Next
		}
	}
	first, err := s.GetShardIterator(ctx, &ShardIteratorRequest{StreamRef: testStream, Shard: "shardId-0", Position: ShardPosition{Type: "TRIM_HORIZON"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range pages(first) {
		if n > laggardPart {
			t.Errorf("a page of new records has %d bytes", n)
		}
	}
	c.Advance(time.Minute)
	sizes := pages(first)
	if len(sizes) != 3 || sizes[0] > model.MaxReadBytes || sizes[0] < model.MaxReadBytes-2*laggardPart {
		t.Errorf("pages of old records: %v", sizes)
	}
}
