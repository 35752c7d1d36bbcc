package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/fakecluster"
	"weir.dev/weir/internal/model"
)

// newQueue returns a service that has the queue q, in one slot unless it says
// otherwise: the fake's time passes for one who waits at a time.
func newQueue(t *testing.T, attrs ...QueueAttribute) (*Service, *fakecluster.Cluster) {
	t.Helper()
	s, c := newFake(t, 4)
	if !slices.ContainsFunc(attrs, func(a QueueAttribute) bool { return a.Name == partitions }) {
		attrs = append(attrs, QueueAttribute{partitions, "1"})
	}
	if _, err := s.CreateQueue(context.Background(), &CreateQueueRequest{Name: "q", Attributes: attrs}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func send(s *Service, invocation byte, bodies ...string) ([]SentMessage, error) {
	req := SendRequest{Queue: "q", Sender: "me"}
	if invocation > 0 {
		req.Invocation = model.RequestID{invocation}
	}
	for _, b := range bodies {
		req.Messages = append(req.Messages, OutgoingMessage{Body: b})
	}
	return s.SendMessages(context.Background(), &req)
}

func mustSend(t *testing.T, s *Service, bodies ...string) {
	t.Helper()
	sent, err := send(s, 0, bodies...)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sent {
		if m.Err != nil {
			t.Fatal(m.Err)
		}
	}
}

func receive(t *testing.T, s *Service, req ReceiveRequest) []model.Received {
	t.Helper()
	req.Queue = "q"
	if req.Max == 0 {
		req.Max = 10
	}
	got, err := s.ReceiveMessages(context.Background(), &req)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func bodiesOf(got []model.Received) string {
	var bodies []string
	for i := range got {
		bodies = append(bodies, string(got[i].Body))
	}
	return strings.Join(bodies, ",")
}

func wantKind(t *testing.T, err error, kind model.ErrorKind) {
	t.Helper()
	if !isKind(err, kind) {
		t.Errorf("error %v, want kind %d", err, kind)
	}
}

// TestQueueRetries loses the answer of a send and of a receive: the client's
// retry has the outcome of the first try.
func TestQueueRetries(t *testing.T) {
	s, c := newQueue(t)
	c.Fault = func(model.TabletID) (error, bool) {
		c.Fault = nil
		return model.Errorf(model.ErrUnknownOutcome, "lost"), true
	}
	_, err := send(s, 1, "a", "b")
	wantKind(t, err, model.ErrUnknownOutcome)
	sent, err := send(s, 1, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	first := receive(t, s, ReceiveRequest{Invocation: model.RequestID{2}, Max: 1})
	if len(first) != 1 || first[0].ID != sent[0].ID {
		t.Fatalf("received %v, sent %v", first, sent)
	}
	again := receive(t, s, ReceiveRequest{Invocation: model.RequestID{2}, Max: 1, Retry: true})
	if len(again) != 1 || again[0].Receipt != first[0].Receipt {
		t.Errorf("the retry received %v", again)
	}
	if rest := receive(t, s, ReceiveRequest{}); bodiesOf(rest) != "b" {
		t.Errorf("left are %q", bodiesOf(rest))
	}
	// A retry whose first try never arrived waits like any other.
	wait := int64(5)
	before := c.Now()
	if got := receive(t, s, ReceiveRequest{Invocation: model.RequestID{3}, Retry: true, Wait: &wait}); len(got) != 0 || c.Now().Sub(before) != 5*time.Second {
		t.Errorf("received %v after %v", got, c.Now().Sub(before))
	}
}

// TestQueueReusedInvocation sends different requests under one id: each counts.
func TestQueueReusedInvocation(t *testing.T) {
	s, _ := newQueue(t)
	ctx, id := context.Background(), model.RequestID{9}
	for _, bodies := range [][]string{{"a"}, {"b"}, {"b"}, {"a", "b"}, {"ab"}, {"a", "b"}} {
		if _, err := send(s, 9, bodies...); err != nil {
			t.Fatal(err)
		}
	}
	one := receive(t, s, ReceiveRequest{Invocation: id, Max: 1})
	rest := receive(t, s, ReceiveRequest{Invocation: id, Max: 10})
	if got := bodiesOf(one) + ";" + bodiesOf(rest); got != "a;b,a,b,ab" {
		t.Fatalf("received %q", got)
	}
	for _, m := range rest {
		errs, err := s.ChangeVisibility(ctx, &ChangeVisibilityRequest{Invocation: id, Queue: "q", Changes: []VisibilityChange{{m.Receipt, 60}}})
		if err != nil || errs[0] != nil {
			t.Fatal(err, errs)
		}
		errs, err = s.DeleteMessages(ctx, &DeleteMessagesRequest{Invocation: id, Queue: "q", Handles: []string{m.Receipt}})
		if err != nil || errs[0] != nil {
			t.Fatal(err, errs)
		}
	}
	q, err := s.GetQueue(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountQueue(ctx, q); err != nil || n.InFlight != 1 || n.Visible != 0 {
		t.Errorf("left are %+v, %v", n, err)
	}
}

// TestQueueDropped works on a queue that its tablet has dropped already while
// the catalog still names it.
func TestQueueDropped(t *testing.T) {
	s, c := newQueue(t)
	mustSend(t, s, "a")
	ctx := context.Background()
	q, err := s.GetQueue(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	drop := model.Command{Kind: model.CmdDropResource, Resource: q.ID, Slot: model.QueueSlot(q.ID)}
	if _, err := c.Propose(ctx, &drop); err != nil {
		t.Fatal(err)
	}
	_, err = send(s, 0, "b")
	wantKind(t, err, model.ErrNotFound)
	wantKind(t, s.PurgeQueue(ctx, model.RequestID{}, "q"), model.ErrNotFound)
}

// TestQueueChangesRace changes a queue's settings while another change comes
// between reading and writing.
func TestQueueChangesRace(t *testing.T) {
	s, _ := newQueue(t)
	ctx := context.Background()
	between := true
	err := s.changeQueue(ctx, "q", func(_ *Queue, spec *model.QueueSpec) error {
		if between {
			between = false
			if err := s.TagQueue(ctx, "q", []model.Tag{{Key: "k", Value: "v"}}); err != nil {
				return err
			}
		}
		spec.DelaySeconds = 7
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.GetQueue(ctx, "q")
	if err != nil || q.Spec.DelaySeconds != 7 || len(q.Spec.Tags) != 1 {
		t.Errorf("%+v, %v", q.Spec, err)
	}
	err = s.changeQueue(ctx, "q", func(*Queue, *model.QueueSpec) error { return s.UntagQueue(ctx, "q", nil) })
	wantKind(t, err, model.ErrUnavailable)
	wantKind(t, s.changeQueue(ctx, "q", func(*Queue, *model.QueueSpec) error { return s.DeleteQueue(ctx, "q") }), model.ErrNotFound)
}

// TestQueueVisibilityLimit keeps a message invisible for too long in total.
func TestQueueVisibilityLimit(t *testing.T) {
	s, c := newQueue(t)
	mustSend(t, s, "a")
	handle := receive(t, s, ReceiveRequest{})[0].Receipt
	c.Advance(10 * time.Second)
	errs, err := s.ChangeVisibility(context.Background(), &ChangeVisibilityRequest{Queue: "q", Changes: []VisibilityChange{
		{Handle: handle, Seconds: 43200}, {Handle: handle, Seconds: 43190},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
	if errs[0] == nil || errs[0].Error() != want || errs[1] != nil {
		t.Errorf("%v", errs)
	}
}

// TestQueueRetention sends a message that nobody fetches in time.
func TestQueueRetention(t *testing.T) {
	s, c := newQueue(t, QueueAttribute{"MessageRetentionPeriod", "60"})
	mustSend(t, s, "a")
	c.Advance(61 * time.Second)
	mustSend(t, s, "b")
	if got := receive(t, s, ReceiveRequest{}); bodiesOf(got) != "b" {
		t.Errorf("received %q", bodiesOf(got))
	}
}

// TestManyQueues makes more queues than a page and than the cache starts with.
func TestManyQueues(t *testing.T) {
	s, _ := newFake(t, 4)
	ctx := context.Background()
	for i := range 30 {
		name := fmt.Sprintf("q%02d", i)
		if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for start := ""; ; {
		page, err := s.ListQueues(ctx, &ListQueuesRequest{Prefix: "q", Start: start, Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Names...)
		if start = page.Last; start == "" {
			break
		}
	}
	if len(all) != 30 || !slices.IsSorted(all) {
		t.Errorf("listed %v", all)
	}
	for _, name := range all[:29] {
		if err := s.DeleteQueue(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.ListQueues(ctx, &ListQueuesRequest{})
	if err != nil || !slices.Equal(page.Names, all[29:]) {
		t.Errorf("left are %v, %v", page, err)
	}
}

func TestQueueTags(t *testing.T) {
	s, _ := newQueue(t)
	ctx := context.Background()
	var many []model.Tag
	for i := range 51 {
		many = append(many, model.Tag{Key: fmt.Sprint(i)})
	}
	for _, tags := range [][]model.Tag{many, {{Key: ""}}, {{Key: strings.Repeat("k", 129)}}, {{Key: "k", Value: strings.Repeat("v", 257)}}} {
		var fault *QueueError
		if err := s.TagQueue(ctx, "q", tags); !errors.As(err, &fault) || fault.Fault != FaultParameter {
			t.Errorf("%d tags: %v", len(tags), err)
		}
	}
	if err := s.TagQueue(ctx, "q", many[:50]); err != nil {
		t.Error(err)
	}
}

// TestMessageIDs checks the form of a UUID of version 4.
func TestMessageIDs(t *testing.T) {
	s := New(nil, nil, base.NewRand(7))
	seen := map[model.MessageID]bool{}
	for range 1000 {
		id := s.newMessageID()
		if id[6]>>4 != 4 || id[8]>>6 != 2 || seen[id] {
			t.Fatalf("id %x", id)
		}
		seen[id] = true
	}
}

func FuzzCheckContents(f *testing.F) {
	for _, s := range []string{"", "abc\t\r\n", "\x00", "\x7f", "\ufffd", "\ufffe", "\xff", "\xed\xa0\x80", "\U0010ffff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := true
		for i, r := range s {
			bad := r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
			if bad || r == 0xfffd && !strings.HasPrefix(s[i:], "\ufffd") {
				want = false
			}
		}
		if got := checkContents(s, "text") == nil; got != want {
			t.Fatalf("%q: %v", s, got)
		}
	})
}
