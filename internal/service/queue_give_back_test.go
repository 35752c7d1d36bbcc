package service

import (
	"context"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// leaver is a client that goes away.
type leaver struct {
	watched, gone bool
}

func (l *leaver) Watch()     { l.watched = true }
func (l *leaver) Gone() bool { return l.gone }

// TestGiveBack: what a client that has gone was given is visible at once, and its
// own retry is not told that the message is there, nor tries for ever.
func TestGiveBack(t *testing.T) {
	lost := model.Errorf(model.ErrUnknownOutcome, "not heard")
	for _, test := range []struct {
		name  string
		attrs []QueueAttribute
		lose  bool // the answer to the command that took
	}{
		{"one slot", []QueueAttribute{{Name: partitions, Value: "1"}}, false},
		{"three slots", []QueueAttribute{{Name: partitions, Value: "3"}}, false},
		{"one slot, unheard", []QueueAttribute{{Name: partitions, Value: "1"}}, true},
		{"three slots, unheard", []QueueAttribute{{Name: partitions, Value: "3"}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := newQueue(t, test.attrs...)
			mustSend(t, s, "a")
			if test.lose {
				c.Unheard = lost
			}
			req := ReceiveRequest{Invocation: model.RequestID{7}, Queue: "q", Max: 10, Client: &leaver{gone: true}}
			if _, err := s.ReceiveMessages(context.Background(), &req); err != nil != test.lose {
				t.Fatal(err)
			}
			wait := int64(20)
			again := ReceiveRequest{Invocation: model.RequestID{7}, Retry: true, Queue: "q", Max: 10, Wait: &wait}
			before := c.Applied
			if got, err := s.ReceiveMessages(context.Background(), &again); err != nil || len(got) > 0 {
				t.Errorf("the retry is given %q, %v", bodiesOf(got), err)
			}
			if n := c.Applied - before; n > 10 {
				t.Errorf("the retry made %d commands", n)
			}
			if got := bodiesOf(receive(t, s, ReceiveRequest{Invocation: model.RequestID{8}, Queue: "q", Max: 10})); got != "a" {
				t.Errorf("another client is given %q", got)
			}
		})
	}
}

// TestStayingClientKeeps: a client that stays keeps what it was given, and is
// watched only when it has to wait.
func TestStayingClientKeeps(t *testing.T) {
	s, c := newQueue(t)
	mustSend(t, s, "a")
	wait := int64(20)
	client := &leaver{}
	req := ReceiveRequest{Invocation: model.RequestID{7}, Queue: "q", Max: 10, Wait: &wait, Client: client}
	if got := bodiesOf(receive(t, s, req)); got != "a" || client.watched {
		t.Errorf("given %q, watched %v", got, client.watched)
	}
	c.Advance(time.Second)
	req.Invocation = model.RequestID{8}
	if got := bodiesOf(receive(t, s, req)); got != "" || !client.watched {
		t.Errorf("given %q, watched %v", got, client.watched)
	}
}
