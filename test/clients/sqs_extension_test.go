package clients

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// peek looks at messages without taking them; more are further names.
func (q queues) peek(url *string, most int32, more ...string) []types.Message {
	q.t.Helper()
	in := &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: most, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"weir.Peek"}}
	for _, name := range more {
		in.MessageSystemAttributeNames = append(in.MessageSystemAttributeNames, types.MessageSystemAttributeName(name))
	}
	return must[*sqs.ReceiveMessageOutput](q.t)(q.c.ReceiveMessage(q.ctx, in)).Messages
}

// testPeek pages through a queue that is spread over partitions, and searches.
func testPeek(q queues) {
	url := q.make("peek", nil)
	var sent []string
	for i := range 25 {
		sent = append(sent, fmt.Sprintf("body-%02d", i))
		q.send(url, sent[i])
	}
	var seen []string
	for next := ""; ; {
		var more []string
		if next != "" {
			more = append(more, "weir.PeekAfter="+next)
		}
		page := q.peek(url, 10, more...)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			if m.ReceiptHandle != nil || m.Attributes["weir.Place"] != "visible" {
				q.t.Errorf("a peeked message is %+v", m)
			}
		}
		seen = append(seen, bodies(page)...)
		if next = page[len(page)-1].Attributes["weir.PeekNext"]; next == "" {
			break
		}
	}
	slices.Sort(seen)
	if !slices.Equal(seen, sent) {
		q.t.Errorf("peeking saw %q", seen)
	}
	want(q.t, "counts after peeking", q.counts(url), "25/0/0")
	found := q.peek(url, 10, "weir.Contains=y-17")
	if b := bodies(found); !slices.Equal(b, []string{"body-17"}) {
		q.t.Errorf("searching found %q", b)
	}
	if none := q.peek(url, 10, "weir.Contains=nothing like it"); len(none) != 0 {
		q.t.Errorf("searching for nothing found %q", bodies(none))
	}
}

// testScheduled schedules messages, takes one back and gets the other.
func testScheduled(q queues) {
	url := q.make("scheduled", nil)
	schedule := func(body string, at time.Time) string {
		return *must[*sqs.SendMessageOutput](q.t)(q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body,
			MessageAttributes: map[string]types.MessageAttributeValue{"weir.DeliverAt": {DataType: aws.String("String"), StringValue: aws.String(at.Format(time.RFC3339Nano))}},
		})).MessageId
	}
	cancelled := schedule("in a year", time.Now().AddDate(1, 0, 0))
	soon := time.Now().Add(time.Second)
	kept := schedule("soon", soon)
	want(q.t, "counts of scheduled messages", q.counts(url), "0/0/2")
	cancel := func(id string) error {
		_, err := q.c.DeleteMessage(q.ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("scheduled:" + id)})
		return err
	}
	if err := cancel(cancelled); err != nil {
		q.t.Fatal(err)
	}
	wantCode(q.t, cancel(cancelled), "InvalidParameterValue")
	m := q.receiveOne(url, 10)
	want(q.t, "the message that came", *m.MessageId, kept)
	if early := time.Until(soon); early > 0 {
		q.t.Errorf("it came %v before its time", early)
	}
	wantCode(q.t, cancel(kept), "InvalidParameterValue")
	q.delete(url, m)
	want(q.t, "counts at the end", q.counts(url), "0/0/0")
}

// testGroups sends to groups of a standard queue: messages keep them, and one
// group does not hold another up.
func testGroups(q queues) {
	url := q.make("tenants", nil)
	for i := range 30 {
		q.sendTo(url, fmt.Sprint(i), fmt.Sprint("tenant-", i%3), "")
	}
	groups := map[string]int{}
	for _, m := range q.drain(url, 30) {
		groups[m.Attributes["MessageGroupId"]]++
		if m.Attributes["SequenceNumber"] != "" || m.Attributes["MessageDeduplicationId"] != "" {
			q.t.Errorf("a standard queue's message has %v", m.Attributes)
		}
	}
	for i := range 3 {
		want(q.t, "messages of a tenant", groups[fmt.Sprint("tenant-", i)], 10)
	}
}
