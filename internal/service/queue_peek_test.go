package service

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// deliveredAt is a message that is scheduled for a time.
func deliveredAt(body string, at time.Time) OutgoingMessage {
	return OutgoingMessage{Body: body, Attributes: []model.MessageAttr{{Name: deliverAt, DataType: "Number", Value: fmt.Sprint(at.Unix())}}}
}

// TestScheduled schedules messages and takes one back.
func TestScheduled(t *testing.T) {
	s, c := newQueue(t)
	ctx := context.Background()
	at := c.Now().Add(40 * 24 * time.Hour)
	kept, taken, past := sendOne(t, s, "q", deliveredAt("kept", at)), sendOne(t, s, "q", deliveredAt("taken", at)), sendOne(t, s, "q", deliveredAt("past", c.Now().Add(-time.Hour)))
	if got := receive(t, s, ReceiveRequest{}); bodiesOf(got) != "past" {
		t.Errorf("received %q", bodiesOf(got))
	}
	errs, err := s.CancelScheduled(ctx, &CancelScheduledRequest{Queue: "q", IDs: []model.MessageID{taken.ID, past.ID}})
	if err != nil || errs[0] != nil || !isKind(errs[1], model.ErrNotFound) {
		t.Fatalf("cancelled: %v, %v", errs, err)
	}
	c.Advance(40*24*time.Hour + time.Second)
	if got := receive(t, s, ReceiveRequest{}); len(got) != 1 || got[0].ID != kept.ID {
		t.Errorf("received %q", bodiesOf(got))
	}
	for _, n := range []int{0, 11} {
		if _, err := s.CancelScheduled(ctx, &CancelScheduledRequest{Queue: "q", IDs: make([]model.MessageID, n)}); err == nil {
			t.Errorf("%d ids are taken", n)
		}
	}
}

// TestPeek pages through a queue of several slots without taking anything.
func TestPeek(t *testing.T) {
	s, _ := newQueue(t, QueueAttribute{"weir.Partitions", "5"})
	var sent []string
	for i := range 20 {
		body := fmt.Sprintf("m%02d", i)
		if m := sendOne(t, s, "q", OutgoingMessage{Body: body, Group: fmt.Sprint("g", i%7)}); m.Err != nil {
			t.Fatal(m.Err)
		}
		sent = append(sent, body)
	}
	peek := func(req PeekRequest) (got []string) {
		t.Helper()
		req.Queue = "q"
		for range 100 {
			page, err := s.Peek(context.Background(), &req)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Messages) > req.Max {
				t.Fatalf("%d messages of %d", len(page.Messages), req.Max)
			}
			for i := range page.Messages {
				got = append(got, string(page.Messages[i].Body))
			}
			if req.Start = page.Next; req.Start == "" {
				slices.Sort(got)
				return got
			}
		}
		t.Fatal("there is no last page")
		return nil
	}
	for _, most := range []int{1, 3, 20, 1000} {
		if got := peek(PeekRequest{Max: most}); !slices.Equal(got, sent) {
			t.Errorf("pages of %d: %v", most, got)
		}
	}
	if got := peek(PeekRequest{Max: 5, Contains: "m1", Group: "g3"}); !slices.Equal(got, []string{"m10", "m17"}) {
		t.Errorf("filtered: %v", got)
	}
	for _, bad := range []PeekRequest{{Queue: "q"}, {Queue: "q", Max: 1001}, {Queue: "q", Max: 1, Start: "5.0"}, {Queue: "q", Max: 1, Start: "x"}, {Queue: "q", Max: 1, Start: "-1.0"}} {
		if _, err := s.Peek(context.Background(), &bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
