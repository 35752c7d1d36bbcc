package service

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestFifoQuota sends as often as SQS allows in a second, and once more.
func TestFifoQuota(t *testing.T) {
	for _, aws := range []bool{false, true} {
		s, c := newFake(t, 2)
		if aws {
			s.SetProfile(AWSProfile)
		}
		ctx := context.Background()
		high := fifoAttrs(QueueAttribute{"DeduplicationScope", "messageGroup"}, QueueAttribute{"FifoThroughputLimit", "perMessageGroupId"})
		for _, req := range []CreateQueueRequest{{Name: "f.fifo", Attributes: fifoAttrs()}, {Name: "h.fifo", Attributes: high}, {Name: "q"}} {
			if _, err := s.CreateQueue(ctx, &req); err != nil {
				t.Fatal(err)
			}
		}
		send := func(queue string, n, messages int) (throttled int) {
			t.Helper()
			for i := range n {
				req := SendRequest{Queue: queue, Batch: messages > 1}
				for k := range messages {
					m := OutgoingMessage{Body: "b"}
					if queue != "q" {
						m.Group, m.Dedup = "g", fmt.Sprint(i, k)
					}
					req.Messages = append(req.Messages, m)
				}
				var fault *QueueError
				if _, err := s.SendMessages(ctx, &req); errors.As(err, &fault) && fault.Fault == FaultThrottled {
					throttled++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			return throttled
		}
		want := 0
		if aws {
			want = 10
		}
		for _, queue := range []string{"q", "h.fifo"} {
			if got := send(queue, 310, 1); got != 0 {
				t.Errorf("aws %v: %d calls of 310 to %s were throttled", aws, got, queue)
			}
		}
		if got := send("f.fifo", 310, 1); got != want {
			t.Errorf("aws %v: %d calls of 310 were throttled", aws, got)
		}
		if _, err := s.ReceiveMessages(ctx, &ReceiveRequest{Queue: "f.fifo", Max: 1}); err != nil {
			t.Errorf("another kind of call: %v", err)
		}
		c.Advance(time.Second)
		if got := send("f.fifo", 310, 10); got != want {
			t.Errorf("aws %v: %d batches of 310 were throttled", aws, got)
		}
	}
}

func TestParseProfile(t *testing.T) {
	for name, want := range map[string]Profile{"": {}, "none": {}, "aws": AWSProfile} {
		if got, err := ParseProfile(name); err != nil || got != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	if _, err := ParseProfile("AWS"); err == nil {
		t.Error("AWS is taken for a profile")
	}
}
