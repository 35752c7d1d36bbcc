package service

import (
	"context"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// sendOne sends a message to the queue and returns what became of it.
func sendOne(t *testing.T, s *Service, queue string, m OutgoingMessage) SentMessage {
	t.Helper()
	sent, err := s.SendMessages(context.Background(), &SendRequest{Queue: queue, Messages: []OutgoingMessage{m}})
	if err != nil {
		t.Fatal(err)
	}
	return sent[0]
}

// TestSendRules sends messages with one fault each.
func TestSendRules(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	for name, attrs := range map[string][]QueueAttribute{"q": nil, "f.fifo": fifoAttrs(), "c.fifo": fifoAttrs(QueueAttribute{"ContentBasedDeduplication", "true"})} {
		if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: name, Attributes: attrs}); err != nil {
			t.Fatal(err)
		}
	}
	one, none := int64(1), int64(0)
	attr := func(name, dataType, value string) []model.MessageAttr {
		return []model.MessageAttr{{Name: name, DataType: dataType, Value: value}}
	}
	for _, c := range []struct {
		queue string
		m     OutgoingMessage
		want  string
	}{
		{"q", OutgoingMessage{Group: "g"}, ""},
		{"q", OutgoingMessage{Group: "a b"}, "Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."},
		{"q", OutgoingMessage{Group: strings.Repeat("g", 129)}, "1 to 128 in length."},
		{"q", OutgoingMessage{Group: strings.Repeat("g", 128)}, ""},
		{"q", OutgoingMessage{Dedup: "d"}, "Value d for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not valid for this queue type."},
		{"f.fifo", OutgoingMessage{Dedup: "d"}, "The request must contain the parameter MessageGroupId."},
		{"f.fifo", OutgoingMessage{Delay: &one}, "The request must contain the parameter MessageGroupId."},
		{"f.fifo", OutgoingMessage{Group: "g", Delay: &one}, "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"},
		{"f.fifo", OutgoingMessage{Group: "g", Dedup: "ü"}, "MessageDeduplicationId can only include alphanumeric and punctuation characters."},
		{"f.fifo", OutgoingMessage{Group: "g", Dedup: "d", Delay: &one}, "Value 1 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type."},
		{"f.fifo", OutgoingMessage{Group: "g", Dedup: "d", Delay: &none}, ""},
		{"c.fifo", OutgoingMessage{Group: "g"}, ""},
		{"q", OutgoingMessage{Attributes: attr("weir.Priority", "Number", "9")}, ""},
		{"q", OutgoingMessage{Attributes: attr("weir.Priority", "Number", "10")}, "must be a Number from 0 to 9."},
		{"q", OutgoingMessage{Attributes: attr("weir.Priority", "String", "9")}, "must be a Number from 0 to 9."},
		{"q", OutgoingMessage{Attributes: attr("weir.Prio", "Number", "1")}, "Message (user) attribute 'weir.Prio' is unknown"},
		{"q", OutgoingMessage{Attributes: attr("Weir.priority", "Number", "1")}, "is unknown"},
		{"q", OutgoingMessage{Attributes: attr("weir.reason", "String", "x")}, ""},
		{"q", OutgoingMessage{Attributes: attr("weir.DeliverAt", "String", "tomorrow")}, "RFC 3339"},
		{"q", OutgoingMessage{Attributes: attr("weir.DeliverAt", "String", "2030-01-31T12:00:00+01:00")}, ""},
		{"q", OutgoingMessage{Attributes: attr("weir.DeliverAt", "Number", "1e400")}, "Can't cast the value"},
		{"q", OutgoingMessage{Attributes: attr("weir.DeliverAt", "Number", "253402300800")}, "RFC 3339"},
		{"q", OutgoingMessage{Attributes: attr("weir.DeliverAt", "Number", "-1")}, "RFC 3339"},
		{"q", OutgoingMessage{Attributes: attr("weir.DeliverAt", "Number", "1"), Delay: &one}, "cannot have both"},
		{"f.fifo", OutgoingMessage{Group: "g", Dedup: "e", Attributes: attr("weir.Priority", "Number", "1")}, "not valid for FIFO queues"},
	} {
		c.m.Body = "b"
		err := sendOne(t, s, c.queue, c.m).Err
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v, want %q", c.queue, c.m, err, c.want)
		}
	}
}

// TestExpiredReceipts: a message of a FIFO queue is deleted by a receipt while it
// is in flight by it; later that is refused in SQS's words, and the message stays.
func TestExpiredReceipts(t *testing.T) {
	s, c := newFake(t, 2)
	ctx := context.Background()
	attrs := fifoAttrs(QueueAttribute{"ContentBasedDeduplication", "true"}, QueueAttribute{"VisibilityTimeout", "5"})
	if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: "f.fifo", Attributes: attrs}); err != nil {
		t.Fatal(err)
	}
	take := func() (handles []string) {
		t.Helper()
		got, err := s.ReceiveMessages(ctx, &ReceiveRequest{Queue: "f.fifo", Max: 10})
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		return []string{got[0].Receipt, got[1].Receipt}
	}
	remove := func(want string, handles ...string) {
		t.Helper()
		errs, err := s.DeleteMessages(ctx, &DeleteMessagesRequest{Queue: "f.fifo", Handles: handles})
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range errs {
			switch {
			case want == "" && err != nil:
				t.Error(err)
			case want != "":
				wantError(t, err, model.ErrValidation, "Value "+handles[i]+" for parameter ReceiptHandle is invalid. Reason: "+want)
			}
		}
	}
	for _, body := range []string{"a", "b"} {
		if err := sendOne(t, s, "f.fifo", OutgoingMessage{Body: body, Group: "g"}).Err; err != nil {
			t.Fatal(err)
		}
	}
	first := take()
	c.Advance(5 * time.Second)
	remove("The receipt handle has expired.", first...)
	second := take()
	remove("The receipt handle has expired.", first...)
	remove("", second...)
	remove("", second...) // they are gone
	remove("", first...)
}
