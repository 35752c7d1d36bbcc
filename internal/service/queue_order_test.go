package service

import (
	"context"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestDeduplication sends a message again under its own id and its body's.
func TestDeduplication(t *testing.T) {
	s, c := newFake(t, 2)
	ctx := context.Background()
	if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: "c.fifo", Attributes: fifoAttrs(QueueAttribute{"ContentBasedDeduplication", "true"})}); err != nil {
		t.Fatal(err)
	}
	first := sendOne(t, s, "c.fifo", OutgoingMessage{Body: "a", Group: "g"})
	if len(first.Sequence) != 20 || !strings.HasPrefix(first.Sequence, "188") {
		t.Errorf("sequence number %q", first.Sequence)
	}
	for _, m := range []OutgoingMessage{{Body: "a", Group: "g"}, {Body: "a", Group: "h"}} {
		if again := sendOne(t, s, "c.fifo", m); again.ID != first.ID || again.Sequence != first.Sequence {
			t.Errorf("%+v was sent as %x %s, first as %x %s", m, again.ID, again.Sequence, first.ID, first.Sequence)
		}
	}
	other := sendOne(t, s, "c.fifo", OutgoingMessage{Body: "a", Group: "g", Dedup: "other"})
	if other.ID == first.ID || other.Sequence <= first.Sequence {
		t.Errorf("another id was sent as %x %s, first was %x %s", other.ID, other.Sequence, first.ID, first.Sequence)
	}
	c.Advance(model.DedupeWindow + time.Minute)
	if late := sendOne(t, s, "c.fifo", OutgoingMessage{Body: "a", Group: "g"}); late.ID == first.ID {
		t.Error("a message was taken for one of six minutes before")
	}
}

// TestFifoOrder receives a group in its order, and not before what is before it
// is done; a retried attempt has the same messages.
func TestFifoOrder(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: "f.fifo", Attributes: fifoAttrs()}); err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"a1", "b1", "a2"} {
		sendOne(t, s, "f.fifo", OutgoingMessage{Body: b, Group: b[:1], Dedup: b})
	}
	take := func(attempt string, most int) []model.Received {
		t.Helper()
		got, err := s.ReceiveMessages(ctx, &ReceiveRequest{Queue: "f.fifo", Max: most, Attempt: attempt})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := take("x", 1)
	if bodiesOf(first) != "a1" {
		t.Fatalf("received %q", bodiesOf(first))
	}
	if again := take("x", 1); bodiesOf(again) != "a1" || again[0].Receipt != first[0].Receipt {
		t.Errorf("the same attempt received %q", bodiesOf(again))
	}
	if rest := take("y", 10); bodiesOf(rest) != "b1" {
		t.Errorf("while a1 is in flight, received %q", bodiesOf(rest))
	}
	if errs, err := s.DeleteMessages(ctx, &DeleteMessagesRequest{Queue: "f.fifo", Handles: []string{first[0].Receipt}}); err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	if rest := take("", 10); bodiesOf(rest) != "a2" {
		t.Errorf("after a1, received %q", bodiesOf(rest))
	}
	_, err := s.ReceiveMessages(ctx, &ReceiveRequest{Queue: "f.fifo", Max: 1, Attempt: "a b"})
	if err == nil || !strings.Contains(err.Error(), "ReceiveRequestAttemptId can only include") {
		t.Errorf("a malformed attempt: %v", err)
	}
}
