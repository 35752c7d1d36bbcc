package service

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestMoveRules starts, lists and cancels tasks with one fault each.
func TestMoveRules(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	dead := QueueAttribute{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":1}`}
	for _, req := range []CreateQueueRequest{{Name: "dead"}, {Name: "q", Attributes: []QueueAttribute{dead}}, {Name: "f.fifo", Attributes: fifoAttrs()}} {
		if _, err := s.CreateQueue(ctx, &req); err != nil {
			t.Fatal(err)
		}
	}
	want := func(err error, fault QueueFault, text string) {
		t.Helper()
		var q *QueueError
		if !errors.As(err, &q) || q.Fault != fault || !strings.Contains(q.Message, text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
	for _, c := range []struct {
		req   MoveTaskRequest
		fault QueueFault
		text  string
	}{
		{MoveTaskRequest{Source: "nobody"}, FaultNoResource, "The resource that you specified for the SourceArn parameter doesn't exist."},
		{MoveTaskRequest{Source: "q"}, FaultParameter, "Source queue must be configured as a Dead Letter Queue."},
		{MoveTaskRequest{Source: "dead", Destination: "nobody"}, FaultNoResource, "The resource that you specified for the DestinationArn parameter doesn't exist."},
		{MoveTaskRequest{Source: "dead", Destination: "dead"}, FaultParameter, "Source queue arn and destination queue arn cannot be the same."},
		{MoveTaskRequest{Source: "dead", Destination: "f.fifo"}, FaultParameter, "The source queue and destination queue must be of the same queue type."},
		{MoveTaskRequest{Source: "dead", MaxPerSec: 501}, FaultParameter, "You must enter a number that's between 1 and 500."},
		{MoveTaskRequest{Source: "dead", MaxPerSec: -1}, FaultParameter, "You must enter a number that's between 1 and 500."},
	} {
		_, err := s.StartMoveTask(ctx, &c.req)
		want(err, c.fault, c.text)
	}
	_, err := s.ListMoveTasks(ctx, "nobody", 1)
	want(err, FaultNoResource, "SourceArn")
	for _, most := range []int{0, 11} {
		_, err = s.ListMoveTasks(ctx, "dead", most)
		want(err, FaultParameter, "MaxResults")
	}
	for _, handle := range []string{"", "?", moveHandle("likes"), moveHandle("move/x/1")} {
		_, err = s.CancelMoveTask(ctx, handle)
		want(err, FaultParameter, "Value for parameter TaskHandle is invalid.")
	}
	for _, handle := range []string{moveHandle("move/99/1"), moveHandle("move/1/7")} {
		_, err = s.CancelMoveTask(ctx, handle)
		want(err, FaultNoResource, "Task does not exist.")
	}
}

// TestLastNumber finds the highest number of a slot, whatever was deleted.
func TestLastNumber(t *testing.T) {
	s, _ := newQueue(t)
	ctx := context.Background()
	last := func() uint64 {
		t.Helper()
		q, err := s.GetQueue(ctx, "q")
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.lastNumber(ctx, q, q.slots[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := last(); n != 0 {
		t.Errorf("an empty queue's last number is %d", n)
	}
	highest := uint64(0)
	for range 40 {
		mustSend(t, s, "a")
		got := receive(t, s, ReceiveRequest{Max: 1})
		if highest = got[0].Seq; last() != highest {
			t.Errorf("the last number is %d, want %d", last(), highest)
		}
		if highest%3 == 0 {
			if _, err := s.DeleteMessages(ctx, &DeleteMessagesRequest{Queue: "q", Handles: []string{got[0].Receipt}}); err != nil {
				t.Fatal(err)
			}
			mustSend(t, s, "b")
			receive(t, s, ReceiveRequest{Max: 1})
		}
	}
}
