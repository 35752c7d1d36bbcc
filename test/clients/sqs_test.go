package clients

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// queues is a test's way to a server's queues.
type queues struct {
	t   *testing.T
	ctx context.Context
	c   *sqs.Client
}

func TestSQS(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	for name, test := range map[string]func(queues){
		"Queues": testQueues, "Attributes": testAttributes, "Messages": testMessages, "LongPoll": testLongPoll,
		"Visibility": testVisibility, "Delays": testDelays, "Batches": testMessageBatches, "Purge": testPurge,
		"Errors": testSQSErrors, "Tags": testTags, "Redrive": testRedrive,
		"Fifo": testFifo, "FifoGroups": testFifoGroups, "FifoAttempts": testFifoAttempts, "FifoErrors": testFifoErrors,
		"Permissions": testPermissions, "Moves": testMoves, "Peek": testPeek, "Scheduled": testScheduled, "Groups": testGroups,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(queues{t, testContext(t), awsclient.SQS(node.Endpoint())})
		})
	}
}

func (q queues) make(name string, attrs map[string]string) *string {
	q.t.Helper()
	return must[*sqs.CreateQueueOutput](q.t)(q.c.CreateQueue(q.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attrs})).QueueUrl
}

func (q queues) send(url *string, body string) string {
	q.t.Helper()
	return aws.ToString(must[*sqs.SendMessageOutput](q.t)(q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body})).MessageId)
}

// receive takes up to ten messages, waiting up to wait seconds for the first.
func (q queues) receive(url *string, wait int32) []types.Message {
	q.t.Helper()
	return must[*sqs.ReceiveMessageOutput](q.t)(q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: wait,
		MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})).Messages
}

// receiveOne takes the one message that is there.
func (q queues) receiveOne(url *string, wait int32) types.Message {
	q.t.Helper()
	got := q.receive(url, wait)
	if len(got) != 1 {
		q.t.Fatalf("received %d messages, want 1", len(got))
	}
	return got[0]
}

func (q queues) delete(url *string, m types.Message) {
	q.t.Helper()
	must[*sqs.DeleteMessageOutput](q.t)(q.c.DeleteMessage(q.ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}))
}

func (q queues) attributes(url *string) map[string]string {
	q.t.Helper()
	return must[*sqs.GetQueueAttributesOutput](q.t)(q.c.GetQueueAttributes(q.ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})).Attributes
}

// counts are the messages visible, in flight and delayed, "1/0/0".
func (q queues) counts(url *string) string {
	q.t.Helper()
	a := q.attributes(url)
	return a["ApproximateNumberOfMessages"] + "/" + a["ApproximateNumberOfMessagesNotVisible"] + "/" + a["ApproximateNumberOfMessagesDelayed"]
}

func testQueues(q queues) {
	attrs := map[string]string{"VisibilityTimeout": "45", "DelaySeconds": "0"}
	url := q.make("queues-one", attrs)
	if !strings.HasSuffix(*url, "/000000000000/queues-one") {
		q.t.Errorf("the queue's URL is %s", *url)
	}
	want(q.t, "the same queue made again", *q.make("queues-one", attrs), *url)
	want(q.t, "made again without attributes", *q.make("queues-one", nil), *url)
	_, err := q.c.CreateQueue(q.ctx, &sqs.CreateQueueInput{QueueName: aws.String("queues-one"), Attributes: map[string]string{"VisibilityTimeout": "46"}})
	exists := wantError[*types.QueueNameExists](q.t, err)
	if !strings.Contains(exists.ErrorMessage(), "VisibilityTimeout") {
		q.t.Errorf("the conflict says %q", exists.ErrorMessage())
	}
	got := must[*sqs.GetQueueUrlOutput](q.t)(q.c.GetQueueUrl(q.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("queues-one")}))
	want(q.t, "GetQueueUrl", *got.QueueUrl, *url)
	_, err = q.c.GetQueueUrl(q.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("nowhere")})
	wantError[*types.QueueDoesNotExist](q.t, err)

	var made []string
	for i := range 7 {
		made = append(made, *q.make(fmt.Sprintf("page-%d", i), nil))
	}
	var listed []string
	pages := 0
	for p := sqs.NewListQueuesPaginator(q.c, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("page-"), MaxResults: aws.Int32(3)}); p.HasMorePages(); pages++ {
		listed = append(listed, must[*sqs.ListQueuesOutput](q.t)(p.NextPage(q.ctx)).QueueUrls...)
	}
	if !slices.Equal(listed, made) || pages != 3 {
		q.t.Errorf("listed in %d pages: %q", pages, listed)
	}
	q.send(url, "old")
	must[*sqs.DeleteQueueOutput](q.t)(q.c.DeleteQueue(q.ctx, &sqs.DeleteQueueInput{QueueUrl: url}))
	_, err = q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x")})
	wantError[*types.QueueDoesNotExist](q.t, err)
	q.make("queues-one", nil)
	if got := q.receive(url, 0); len(got) != 0 {
		q.t.Errorf("a queue made anew has %d messages", len(got))
	}
}

func testAttributes(q queues) {
	url := q.make("attributes", nil)
	before := q.attributes(url)
	for name, value := range map[string]string{
		"VisibilityTimeout": "30", "DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0", "MessageRetentionPeriod": "345600",
		"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0", "ApproximateNumberOfMessagesDelayed": "0",
		"QueueArn": "arn:aws:sqs:us-east-1:000000000000:attributes",
	} {
		want(q.t, name, before[name], value)
	}
	must[*sqs.SetQueueAttributesOutput](q.t)(q.c.SetQueueAttributes(q.ctx, &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{
		"VisibilityTimeout": "7", "MaximumMessageSize": "2048", "ReceiveMessageWaitTimeSeconds": "1",
	}}))
	after := q.attributes(url)
	want(q.t, "VisibilityTimeout", after["VisibilityTimeout"], "7")
	want(q.t, "MaximumMessageSize", after["MaximumMessageSize"], "2048")
	want(q.t, "MessageRetentionPeriod", after["MessageRetentionPeriod"], "345600")
	_, err := q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(strings.Repeat("x", 2049))})
	wantCode(q.t, err, "InvalidParameterValue")
	one := must[*sqs.GetQueueAttributesOutput](q.t)(q.c.GetQueueAttributes(q.ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: url, AttributeNames: []types.QueueAttributeName{"DelaySeconds"},
	}))
	if !maps.Equal(one.Attributes, map[string]string{"DelaySeconds": "0"}) {
		q.t.Errorf("one attribute: got %v", one.Attributes)
	}
	for name, value := range map[string]string{"VisibilityTimeout": "43201", "DelaySeconds": "-1", "MessageRetentionPeriod": "59", "MaximumMessageSize": "abc"} {
		_, err := q.c.SetQueueAttributes(q.ctx, &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{name: value}})
		wantError[*types.InvalidAttributeValue](q.t, err)
	}
	_, err = q.c.SetQueueAttributes(q.ctx, &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"Colour": "red"}})
	wantError[*types.InvalidAttributeName](q.t, err)
}

// testMessages sends bodies and attributes of all kinds; the SDK verifies the
// MD5 digests of what is sent and received.
func testMessages(q queues) {
	url := q.make("messages", nil)
	attrs := map[string]types.MessageAttributeValue{
		"text":          {DataType: aws.String("String"), StringValue: aws.String("Grüße 世界")},
		"count":         {DataType: aws.String("Number"), StringValue: aws.String("-12.50")},
		"bytes":         {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 0xff}},
		"custom.type_1": {DataType: aws.String("String.mine"), StringValue: aws.String("x")},
	}
	trace := map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=1-5759e988-bd862e3fe1be46a994272793")}}
	for _, body := range []string{"plain", "Grüße, 世界 𝄞 \t\r\n <&>\"'", `{"post":"p1","weight":2}`, strings.Repeat("x", 250<<10)} {
		sent := must[*sqs.SendMessageOutput](q.t)(q.c.SendMessage(q.ctx, &sqs.SendMessageInput{
			QueueUrl: url, MessageBody: &body, MessageAttributes: attrs, MessageSystemAttributes: trace,
		}))
		m := q.receiveOne(url, 5)
		if aws.ToString(m.Body) != body || aws.ToString(m.MessageId) != aws.ToString(sent.MessageId) {
			q.t.Errorf("the message %.20q came as %.20q", body, aws.ToString(m.Body))
		}
		if len(m.MessageAttributes) != len(attrs) || string(m.MessageAttributes["bytes"].BinaryValue) != "\x00\x01\xff" ||
			aws.ToString(m.MessageAttributes["count"].StringValue) != "-12.50" || aws.ToString(m.MessageAttributes["custom.type_1"].DataType) != "String.mine" {
			q.t.Errorf("attributes: got %v", m.MessageAttributes)
		}
		want(q.t, "MD5OfMessageAttributes", aws.ToString(m.MD5OfMessageAttributes), aws.ToString(sent.MD5OfMessageAttributes))
		want(q.t, "receive count", m.Attributes["ApproximateReceiveCount"], "1")
		want(q.t, "trace header", m.Attributes["AWSTraceHeader"], *trace["AWSTraceHeader"].StringValue)
		for _, name := range []string{"SentTimestamp", "ApproximateFirstReceiveTimestamp", "SenderId"} {
			if m.Attributes[name] == "" {
				q.t.Errorf("the message has no %s", name)
			}
		}
		q.delete(url, m)
	}
	want(q.t, "counts at the end", q.counts(url), "0/0/0")
	q.send(url, "again")
	first := q.receiveOne(url, 5)
	q.delete(url, first)
	q.delete(url, first) // deleting twice is no error
	for what, in := range map[string]*sqs.SendMessageInput{
		"an empty body":           {MessageBody: aws.String("")},
		"a forbidden character":   {MessageBody: aws.String("a\x01b")},
		"a too large body":        {MessageBody: aws.String(strings.Repeat("x", 1<<20+1))},
		"a delay out of range":    {MessageBody: aws.String("x"), DelaySeconds: 901},
		"an attribute of no type": {MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("Colour"), StringValue: aws.String("red")}}},
		"a number that is none":   {MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("Number"), StringValue: aws.String("red")}}},
		"a forbidden name":        {MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{"AWS.a": {DataType: aws.String("String"), StringValue: aws.String("red")}}},
	} {
		in.QueueUrl = url
		if _, err := q.c.SendMessage(q.ctx, in); err == nil {
			q.t.Errorf("a message with %s was taken", what)
		}
	}
	want(q.t, "counts after refusals", q.counts(url), "0/0/0")
}

func testLongPoll(q queues) {
	url := q.make("long-poll", nil)
	begun := time.Now()
	if got := q.receive(url, 1); len(got) != 0 {
		q.t.Errorf("an empty queue gave %d messages", len(got))
	}
	if took := time.Since(begun); took < 900*time.Millisecond || took > 5*time.Second {
		q.t.Errorf("a poll of 1 s took %v", took)
	}
	// A message that is sent 300 ms into the poll ends it.
	sent := make(chan time.Time, 1)
	timer := time.AfterFunc(300*time.Millisecond, func() {
		at := time.Now()
		if _, err := q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("wake")}); err != nil {
			q.t.Error(err)
		}
		sent <- at
	})
	defer timer.Stop()
	begun = time.Now()
	m := q.receiveOne(url, 20)
	woken := time.Since(<-sent)
	q.t.Logf("a poll was woken %v after its message was sent", woken.Round(time.Millisecond))
	if took := time.Since(begun); took < 250*time.Millisecond || woken > 2*time.Second {
		q.t.Errorf("the poll took %v, %v of it after the message was sent", took, woken)
	}
	q.delete(url, m)
	// Many polls wait, each is given one message.
	const polls = 20
	got := make(chan string, polls)
	for range polls {
		go func() {
			out, err := q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20})
			switch {
			case err != nil:
				got <- err.Error()
			case len(out.Messages) != 1:
				got <- fmt.Sprintf("%d messages", len(out.Messages))
			default:
				got <- aws.ToString(out.Messages[0].Body)
			}
		}()
	}
	var bodies, wanted []string
	for i := range polls {
		wanted = append(wanted, fmt.Sprintf("m%02d", i))
		q.send(url, wanted[i])
	}
	for range polls {
		bodies = append(bodies, <-got)
	}
	slices.Sort(bodies)
	if !slices.Equal(bodies, wanted) {
		q.t.Errorf("%d waiting polls were given %q", polls, bodies)
	}
}

func testVisibility(q queues) {
	url := q.make("visibility", map[string]string{"VisibilityTimeout": "1"})
	q.send(url, "m")
	first := q.receiveOne(url, 5)
	at := time.Now()
	want(q.t, "counts in flight", q.counts(url), "0/1/0")
	again := q.receiveOne(url, 10)
	if after := time.Since(at); after < 800*time.Millisecond || after > 5*time.Second {
		q.t.Errorf("the message came back after %v, want about 1 s", after)
	}
	want(q.t, "receive count", again.Attributes["ApproximateReceiveCount"], "2")
	change := func(m types.Message, seconds int32) error {
		_, err := q.c.ChangeMessageVisibility(q.ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds})
		return err
	}
	if err := change(again, 600); err != nil {
		q.t.Fatal(err)
	}
	if got := q.receive(url, 2); len(got) != 0 {
		q.t.Error("a message whose visibility was extended came back")
	}
	if err := change(again, 0); err != nil {
		q.t.Fatal(err)
	}
	third := q.receiveOne(url, 5)
	want(q.t, "the message", *third.MessageId, *first.MessageId)
	if err := change(third, 43201); err == nil {
		q.t.Error("a visibility of more than 12 hours was taken")
	}
	q.delete(url, third)
	if err := change(third, 10); err == nil {
		q.t.Error("the visibility of a deleted message was changed")
	}
	_, err := q.c.DeleteMessage(q.ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("nonsense")})
	wantError[*types.ReceiptHandleIsInvalid](q.t, err)
	wantError[*types.ReceiptHandleIsInvalid](q.t, change(types.Message{ReceiptHandle: aws.String("nonsense")}, 10))
}

func testDelays(q queues) {
	url := q.make("delays", map[string]string{"DelaySeconds": "1"})
	begun := time.Now()
	q.send(url, "by the queue")
	must[*sqs.SendMessageOutput](q.t)(q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("longer"), DelaySeconds: 2}))
	want(q.t, "counts delayed", q.counts(url), "0/0/2")
	m := q.receiveOne(url, 10)
	after := time.Since(begun)
	if aws.ToString(m.Body) != "by the queue" || after < 900*time.Millisecond || after > 6*time.Second {
		q.t.Errorf("%q came after %v", aws.ToString(m.Body), after)
	}
	m = q.receiveOne(url, 10)
	if after := time.Since(begun); aws.ToString(m.Body) != "longer" || after < 1900*time.Millisecond || after > 8*time.Second {
		q.t.Errorf("%q came after %v", aws.ToString(m.Body), after)
	}
}

func testMessageBatches(q queues) {
	url := q.make("batches", nil)
	entries := make([]types.SendMessageBatchRequestEntry, 10)
	for i := range entries {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint("e", i)), MessageBody: aws.String(fmt.Sprint("m", i)),
			MessageAttributes: map[string]types.MessageAttributeValue{"i": {DataType: aws.String("Number"), StringValue: aws.String(fmt.Sprint(i))}}}
	}
	entries[4].MessageBody = aws.String("bad \x02 character")
	sent := must[*sqs.SendMessageBatchOutput](q.t)(q.c.SendMessageBatch(q.ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries}))
	if len(sent.Successful) != 9 || len(sent.Failed) != 1 || aws.ToString(sent.Failed[0].Id) != "e4" || !sent.Failed[0].SenderFault {
		q.t.Errorf("batch: %d sent, failed %v", len(sent.Successful), sent.Failed)
	}
	var got []types.Message
	for len(got) < 9 {
		page := q.receive(url, 2)
		if len(page) == 0 {
			q.t.Fatalf("only %d of 9 messages came", len(got))
		}
		got = append(got, page...)
	}
	changes := make([]types.ChangeMessageVisibilityBatchRequestEntry, 9)
	deletes := make([]types.DeleteMessageBatchRequestEntry, 9)
	for i, m := range got {
		changes[i] = types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 100}
		deletes[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle}
	}
	changes[0].ReceiptHandle, deletes[0].ReceiptHandle = aws.String("nonsense"), aws.String("nonsense")
	changed := must[*sqs.ChangeMessageVisibilityBatchOutput](q.t)(q.c.ChangeMessageVisibilityBatch(q.ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url, Entries: changes}))
	deleted := must[*sqs.DeleteMessageBatchOutput](q.t)(q.c.DeleteMessageBatch(q.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: deletes}))
	if len(changed.Successful) != 8 || len(changed.Failed) != 1 || len(deleted.Successful) != 8 || len(deleted.Failed) != 1 {
		q.t.Errorf("changed %d, failed %d; deleted %d, failed %d", len(changed.Successful), len(changed.Failed), len(deleted.Successful), len(deleted.Failed))
	}
	want(q.t, "the failed deletion's code", aws.ToString(deleted.Failed[0].Code), "ReceiptHandleIsInvalid")
	want(q.t, "counts", q.counts(url), "0/1/0")

	one := types.SendMessageBatchRequestEntry{Id: aws.String("a"), MessageBody: aws.String("x")}
	odd := one
	odd.Id = aws.String("no spaces")
	half := types.SendMessageBatchRequestEntry{Id: aws.String("h"), MessageBody: aws.String(strings.Repeat("x", 600<<10))}
	other := half
	other.Id = aws.String("o")
	refused := func(entries ...types.SendMessageBatchRequestEntry) error {
		_, err := q.c.SendMessageBatch(q.ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
		return err
	}
	wantError[*types.TooManyEntriesInBatchRequest](q.t, refused(slices.Concat(entries, []types.SendMessageBatchRequestEntry{one})...))
	wantError[*types.BatchEntryIdsNotDistinct](q.t, refused(one, one))
	wantError[*types.InvalidBatchEntryId](q.t, refused(odd))
	wantError[*types.BatchRequestTooLong](q.t, refused(half, other))
	_, err := q.c.SendMessageBatch(q.ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{}})
	wantError[*types.EmptyBatchRequest](q.t, err)
}

func testPurge(q queues) {
	url := q.make("purge", nil)
	for i := range 5 {
		q.send(url, fmt.Sprint(i))
	}
	q.receive(url, 1)
	must[*sqs.PurgeQueueOutput](q.t)(q.c.PurgeQueue(q.ctx, &sqs.PurgeQueueInput{QueueUrl: url}))
	want(q.t, "counts after a purge", q.counts(url), "0/0/0")
	_, err := q.c.PurgeQueue(q.ctx, &sqs.PurgeQueueInput{QueueUrl: url})
	wantError[*types.PurgeQueueInProgress](q.t, err)
	q.send(url, "new")
	want(q.t, "a message after the purge", aws.ToString(q.receiveOne(url, 5).Body), "new")
}

// testRedrive moves a message that nobody can handle to the dead-letter queue.
func testRedrive(q queues) {
	dead := q.make("redrive-dead", nil)
	url := q.make("redrive", map[string]string{
		"VisibilityTimeout": "0", "RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:redrive-dead","maxReceiveCount":"2"}`,
	})
	id := q.send(url, "poison")
	for range 2 {
		want(q.t, "the message before", aws.ToString(q.receiveOne(url, 5).MessageId), id)
	}
	if got := q.receive(url, 1); len(got) != 0 {
		q.t.Errorf("a message came a third time, of at most two")
	}
	m := q.receiveOne(dead, 10)
	if aws.ToString(m.MessageId) != id || aws.ToString(m.Body) != "poison" {
		q.t.Errorf("the dead letter is %s, %q, want %s", aws.ToString(m.MessageId), aws.ToString(m.Body), id)
	}
	sources := must[*sqs.ListDeadLetterSourceQueuesOutput](q.t)(q.c.ListDeadLetterSourceQueues(q.ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: dead})).QueueUrls
	if !slices.Equal(sources, []string{*url}) {
		q.t.Errorf("the dead-letter queue's sources are %q", sources)
	}
}

func testTags(q queues) {
	url := q.make("tags", nil)
	must[*sqs.TagQueueOutput](q.t)(q.c.TagQueue(q.ctx, &sqs.TagQueueInput{QueueUrl: url, Tags: map[string]string{"a": "1", "b": "2"}}))
	must[*sqs.UntagQueueOutput](q.t)(q.c.UntagQueue(q.ctx, &sqs.UntagQueueInput{QueueUrl: url, TagKeys: []string{"a", "none"}}))
	got := must[*sqs.ListQueueTagsOutput](q.t)(q.c.ListQueueTags(q.ctx, &sqs.ListQueueTagsInput{QueueUrl: url})).Tags
	if !maps.Equal(got, map[string]string{"b": "2"}) {
		q.t.Errorf("tags: got %v", got)
	}
}

func testSQSErrors(q queues) {
	url := q.make("errors", nil)
	nowhere := aws.String(strings.Replace(*url, "errors", "nowhere", 1))
	_, err := q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{QueueUrl: nowhere})
	wantError[*types.QueueDoesNotExist](q.t, err)
	_, err = q.c.DeleteQueue(q.ctx, &sqs.DeleteQueueInput{QueueUrl: nowhere})
	wantError[*types.QueueDoesNotExist](q.t, err)
	for _, max := range []int32{-1, 11} {
		_, err = q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: max})
		wantCode(q.t, err, "InvalidParameterValue")
	}
	_, err = q.c.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 21})
	wantCode(q.t, err, "InvalidParameterValue")
	for _, name := range []string{"", "no spaces", strings.Repeat("x", 81), "dots.are.not"} {
		_, err = q.c.CreateQueue(q.ctx, &sqs.CreateQueueInput{QueueName: &name})
		wantCode(q.t, err, "InvalidParameterValue")
	}
	_, err = q.c.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x"), MessageDeduplicationId: aws.String("d")})
	wantCode(q.t, err, "InvalidParameterValue")
}
