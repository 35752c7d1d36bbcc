package clients

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func (q queues) makeFifo(name string, attrs map[string]string) *string {
	q.t.Helper()
	all := map[string]string{"FifoQueue": "true"}
	for n, v := range attrs {
		all[n] = v
	}
	return q.make(name+".fifo", all)
}

// sendTo sends to a message group; dedup "" leaves the id to the queue.
func (q queues) sendTo(url *string, body, group, dedup string) *sqs.SendMessageOutput {
	q.t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body, MessageGroupId: &group}
	if dedup != "" {
		in.MessageDeduplicationId = &dedup
	}
	return must[*sqs.SendMessageOutput](q.t)(q.c.SendMessage(q.ctx, in))
}

func bodies(ms []types.Message) (list []string) {
	for _, m := range ms {
		list = append(list, aws.ToString(m.Body))
	}
	return list
}

// testFifo sends with ids, twice, in a batch, and by content.
func testFifo(q queues) {
	url := q.makeFifo("fifo", nil)
	attrs := q.attributes(url)
	for name, value := range map[string]string{
		"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue",
		"QueueArn": "arn:aws:sqs:us-east-1:000000000000:fifo.fifo",
	} {
		want(q.t, name, attrs[name], value)
	}
	one := q.sendTo(url, "one", "g", "d1")
	again := q.sendTo(url, "one again", "g", "d1")
	want(q.t, "the id of a duplicate", *again.MessageId, *one.MessageId)
	want(q.t, "the number of a duplicate", *again.SequenceNumber, *one.SequenceNumber)
	two := q.sendTo(url, "two", "g", "d2")
	if len(*one.SequenceNumber) != 20 || *two.SequenceNumber <= *one.SequenceNumber {
		q.t.Errorf("sequence numbers %s and %s", *one.SequenceNumber, *two.SequenceNumber)
	}
	batch := must[*sqs.SendMessageBatchOutput](q.t)(q.c.SendMessageBatch(q.ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("three"), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("d3")},
		{Id: aws.String("b"), MessageBody: aws.String("four"), MessageGroupId: aws.String("h"), MessageDeduplicationId: aws.String("d4")},
		{Id: aws.String("c"), MessageBody: aws.String("five"), MessageGroupId: aws.String("h"), MessageDeduplicationId: aws.String("d4")},
	}}))
	if len(batch.Successful) != 3 || *batch.Successful[1].MessageId != *batch.Successful[2].MessageId || *batch.Successful[0].SequenceNumber <= *two.SequenceNumber {
		q.t.Errorf("the batch gave %+v", batch.Successful)
	}
	got := q.receive(url, 5)
	if b := bodies(got); !slices.Equal(b, []string{"one", "two", "three", "four"}) {
		q.t.Fatalf("received %q", b)
	}
	m := got[0].Attributes
	if m["MessageGroupId"] != "g" || m["MessageDeduplicationId"] != "d1" || m["SequenceNumber"] != *one.SequenceNumber {
		q.t.Errorf("the message's attributes are %v", m)
	}
	for _, m := range got {
		q.delete(url, m)
	}
	want(q.t, "counts at the end", q.counts(url), "0/0/0")
	// A duplicate counts also when its message is gone.
	q.sendTo(url, "one", "g", "d1")
	want(q.t, "counts after a late duplicate", q.counts(url), "0/0/0")

	content := q.makeFifo("content", map[string]string{
		"ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId",
	})
	q.sendTo(content, "same", "g", "")
	q.sendTo(content, "same", "g", "")
	q.sendTo(content, "same", "h", "")
	want(q.t, "counts by content in each group", q.counts(content), "2/0/0")
}

// testFifoGroups receives from groups: in order, and none of a group that is
// in flight.
func testFifoGroups(q queues) {
	url := q.makeFifo("groups", map[string]string{"ContentBasedDeduplication": "true"})
	for i := range 12 {
		q.sendTo(url, fmt.Sprintf("%c%02d", 'a'+i%3, i/3), fmt.Sprint(i%3), "")
	}
	first := must[*sqs.ReceiveMessageOutput](q.t)(q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 5})).Messages
	if b := bodies(first); !slices.Equal(b, []string{"a00"}) {
		q.t.Fatalf("received %q first", b)
	}
	rest := q.receive(url, 5)
	if b := bodies(rest); slices.ContainsFunc(b, func(s string) bool { return s[0] == 'a' }) || len(b) != 8 {
		q.t.Errorf("received %q while group a is in flight", b)
	}
	order := map[byte]string{}
	for _, m := range rest {
		if b := *m.Body; order[b[0]] >= b {
			q.t.Errorf("%s after %s", b, order[b[0]])
		} else {
			order[b[0]] = b
		}
	}
	if got := q.receive(url, 0); len(got) != 0 {
		q.t.Errorf("received %q while all groups are in flight", bodies(got))
	}
	q.delete(url, first[0])
	if b := bodies(q.receive(url, 5)); !slices.Equal(b, []string{"a01", "a02", "a03"}) {
		q.t.Errorf("received %q after the first of the group was deleted", b)
	}
}

// testFifoAttempts receives again with the same attempt.
func testFifoAttempts(q queues) {
	url := q.makeFifo("attempts", map[string]string{"ContentBasedDeduplication": "true"})
	for i := range 3 {
		q.sendTo(url, fmt.Sprint(i), "g", "")
	}
	try := func(id string) []types.Message {
		return must[*sqs.ReceiveMessageOutput](q.t)(q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{
			QueueUrl: url, MaxNumberOfMessages: 10, ReceiveRequestAttemptId: &id,
		})).Messages
	}
	first, second := try("a"), try("a")
	if b := bodies(first); !slices.Equal(b, []string{"0", "1", "2"}) || !slices.Equal(b, bodies(second)) || *first[0].ReceiptHandle != *second[0].ReceiptHandle {
		q.t.Errorf("received %q, and with the same attempt %q", bodies(first), bodies(second))
	}
	if other := try("b"); len(other) != 0 {
		q.t.Errorf("another attempt received %q", bodies(other))
	}
}

func testFifoErrors(q queues) {
	url, standard := q.makeFifo("fifo-errors", nil), q.make("no-fifo", nil)
	send := func(url *string, in sqs.SendMessageInput) error {
		in.QueueUrl, in.MessageBody = url, aws.String("x")
		_, err := q.c.SendMessage(q.ctx, &in)
		return err
	}
	wantCode(q.t, send(url, sqs.SendMessageInput{MessageDeduplicationId: aws.String("d")}), "MissingParameter")
	wantCode(q.t, send(url, sqs.SendMessageInput{MessageGroupId: aws.String("g")}), "InvalidParameterValue")
	wantCode(q.t, send(url, sqs.SendMessageInput{MessageGroupId: aws.String("g g"), MessageDeduplicationId: aws.String("d")}), "InvalidParameterValue")
	wantCode(q.t, send(url, sqs.SendMessageInput{MessageGroupId: aws.String(strings.Repeat("g", 129)), MessageDeduplicationId: aws.String("d")}), "InvalidParameterValue")
	wantCode(q.t, send(url, sqs.SendMessageInput{MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("d"), DelaySeconds: 1}), "InvalidParameterValue")
	wantCode(q.t, send(standard, sqs.SendMessageInput{MessageDeduplicationId: aws.String("d")}), "InvalidParameterValue")
	if err := send(standard, sqs.SendMessageInput{MessageGroupId: aws.String("tenant")}); err != nil {
		q.t.Errorf("a group on a standard queue: %v", err)
	}
	_, err := q.c.SendMessageBatch(q.ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("x"), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("d")},
		{Id: aws.String("b"), MessageBody: aws.String("x"), MessageDeduplicationId: aws.String("e")},
	}})
	wantCode(q.t, err, "InvalidParameterValue")
	want(q.t, "counts after refusals", q.counts(url), "0/0/0")
	for name, attrs := range map[string]map[string]string{"plain": {"FifoQueue": "true"}, "named.fifo": {"FifoQueue": "false"}, "also.fifo": nil} {
		_, err := q.c.CreateQueue(q.ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attrs})
		wantCode(q.t, err, "InvalidParameterValue")
	}
	_, err = q.c.SetQueueAttributes(q.ctx, &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"FifoQueue": "false"}})
	wantError[*types.InvalidAttributeValue](q.t, err)
	_, err = q.c.SetQueueAttributes(q.ctx, &sqs.SetQueueAttributesInput{QueueUrl: standard, Attributes: map[string]string{"ContentBasedDeduplication": "true"}})
	wantError[*types.InvalidAttributeName](q.t, err)
	_, err = q.c.CreateQueue(q.ctx, &sqs.CreateQueueInput{QueueName: aws.String("mixed.fifo"), Attributes: map[string]string{
		"FifoQueue": "true", "RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:no-fifo","maxReceiveCount":1}`,
	}})
	wantCode(q.t, err, "InvalidParameterValue")
}
