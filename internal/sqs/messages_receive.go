package sqs

import (
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func receiveMessage(c *call, in *ReceiveMessageRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	system := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	if slices.Contains(system, peekName) {
		return c.peek(queue, system, in)
	}
	if err := checkSystemNames(system); err != nil {
		return nil, err
	}
	req := service.ReceiveRequest{
		Invocation: c.req.Invocation, Retry: c.req.Attempt > 1, Queue: queue, Max: int(in.MaxNumberOfMessages.Or(1)),
		Attempt: in.ReceiveRequestAttemptId.V, Client: c.req.Client,
	}
	if in.VisibilityTimeout.Set {
		req.Visibility = &in.VisibilityTimeout.V
	}
	if in.WaitTimeSeconds.Set {
		req.Wait = &in.WaitTimeSeconds.V
	}
	received, err := c.door.service.ReceiveMessages(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	if len(received) == 0 {
		return &ReceiveMessageResult{}, nil
	}
	out := &ReceiveMessageResult{Messages: make([]Message, len(received))}
	bytes := 0
	for i := range received {
		bytes += len(received[i].Body)
	}
	t := newTexts(len(received), bytes)
	for i := range received {
		c.message(&out.Messages[i], &received[i], t, system, in.MessageAttributeNames)
	}
	return out, nil
}

// message makes out a received message as the client asked to see it.
func (c *call) message(out *Message, m *model.Received, t *texts, system, names []string) {
	*out = Message{
		MessageId: awsapi.Some(t.uuid(m.ID)), ReceiptHandle: optional(m.Receipt),
		Body: awsapi.Some(t.add(m.Body)), MD5OfBody: t.bodyMD5(m.Body),
		Attributes: c.systemView(m, system),
	}
	var kept []model.MessageAttr
	for _, a := range byName(m.Attrs) {
		if !wanted(a.Name, names) {
			continue
		}
		kept = append(kept, a)
		v := MessageAttributeValue{DataType: awsapi.Some(a.DataType)}
		if isBinary(a.DataType) {
			v.BinaryValue = []byte(a.Value)
		} else {
			v.StringValue = awsapi.Some(a.Value)
		}
		out.MessageAttributes = append(out.MessageAttributes, awsapi.Entry[MessageAttributeValue]{Key: a.Name, Val: v})
	}
	out.MD5OfMessageAttributes = attributesMD5(kept)
}

// byName returns the attributes in the order of their names, which clients'
// digests need: pipes add some at the end.
func byName(attrs []model.MessageAttr) []model.MessageAttr {
	compare := func(a, b model.MessageAttr) int { return strings.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(attrs, compare) {
		return attrs
	}
	return slices.SortedStableFunc(slices.Values(attrs), compare)
}

// wanted reports whether a receiver asked for a message attribute: by its
// name, by a prefix as "foo.*" or "foo*", or by "All" or ".*".
func wanted(name string, names []string) bool {
	for _, n := range names {
		if n == name || n == "All" || n == ".*" {
			return true
		}
		prefix, ok := strings.CutSuffix(n, ".*")
		if !ok {
			prefix, ok = strings.CutSuffix(n, "*")
		}
		if ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// systemAttribute is one of the attributes that the queue itself gives to a
// message; ok is false when this message has none of that name.
type systemAttribute struct {
	name  string
	value func(c *call, m *model.Received) (value string, ok bool)
}

// systemTable is in the order of the names, in which they are answered.
var systemTable = []systemAttribute{
	{traceHeader, func(_ *call, m *model.Received) (string, bool) { return m.Trace, m.Trace != "" }},
	{"ApproximateFirstReceiveTimestamp", func(_ *call, m *model.Received) (string, bool) {
		return strconv.FormatInt(m.FirstReceiveMs, 10), true
	}},
	{"ApproximateReceiveCount", func(_ *call, m *model.Received) (string, bool) {
		return strconv.FormatUint(uint64(m.Receives), 10), true
	}},
	{"DeadLetterQueueSourceArn", func(c *call, m *model.Received) (string, bool) {
		name, ok := c.door.service.QueueName(m.DeadFrom)
		return c.queueARN(name), ok
	}},
	{"MessageDeduplicationId", func(_ *call, m *model.Received) (string, bool) { return m.Dedup, m.Dedup != "" }},
	{"MessageGroupId", func(_ *call, m *model.Received) (string, bool) { return m.Group, m.Group != "" }},
	{"SenderId", func(_ *call, m *model.Received) (string, bool) { return m.Sender, true }},
	{"SentTimestamp", func(_ *call, m *model.Received) (string, bool) { return strconv.FormatInt(m.SentMs, 10), true }},
	{"SequenceNumber", func(_ *call, m *model.Received) (string, bool) {
		return service.SequenceNumber(m.Seq), m.Dedup != "" // which all messages of FIFO queues have, and no others
	}},
}

func checkSystemNames(names []string) error {
	for _, n := range names {
		if n != "All" && !slices.ContainsFunc(systemTable, func(a systemAttribute) bool { return a.name == n }) {
			return errInvalidAttrName.error("Unknown Attribute %s.", shortened(n))
		}
	}
	return nil
}

func (c *call) systemView(m *model.Received, names []string) awsapi.Map[string] {
	if len(names) == 0 {
		return nil
	}
	all := slices.Contains(names, "All")
	var view awsapi.Map[string]
	for _, a := range systemTable {
		if !all && !slices.Contains(names, a.name) {
			continue
		}
		if v, ok := a.value(c, m); ok {
			view = append(view, awsapi.Entry[string]{Key: a.name, Val: v})
		}
	}
	return view
}
