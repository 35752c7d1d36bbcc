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

// TestGiveBack: what a client that has gone was given is visible at once.
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
			req := ReceiveRequest{Queue: "q", Max: 10, Client: &leaver{gone: true}}
			if _, err := s.ReceiveMessages(context.Background(), &req); err != nil != test.lose {
				t.Fatal(err)
			}
			if got := bodiesOf(receive(t, s, ReceiveRequest{Invocation: model.RequestID{8}, Queue: "q", Max: 10})); got != "a" {
				t.Errorf("another client is given %q", got)
			}
		})
	}
}

// TestRetryKeeps: a client that gave up one try of a call and is given the
// messages by the next one keeps them, whenever it is noticed that the first
// connection is closed.
func TestRetryKeeps(t *testing.T) {
	for _, slots := range []string{"1", "3"} {
		s, _ := newQueue(t, QueueAttribute{Name: partitions, Value: slots})
		mustSend(t, s, "a")
		first := ReceiveRequest{Invocation: model.RequestID{7}, Queue: "q", Max: 10, Client: &leaver{gone: true}}
		if _, err := s.ReceiveMessages(context.Background(), &first); err != nil {
			t.Fatal(err)
		}
		again := ReceiveRequest{Invocation: model.RequestID{7}, Retry: true, Queue: "q", Max: 10}
		if got := bodiesOf(receive(t, s, again)); got != "a" {
			t.Errorf("%s slots: the retry is given %q", slots, got)
		}
		if got := bodiesOf(receive(t, s, ReceiveRequest{Invocation: model.RequestID{8}, Queue: "q", Max: 10})); got != "" {
			t.Errorf("%s slots: another client is given %q", slots, got)
		}
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
