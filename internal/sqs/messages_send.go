package sqs

import (
	"slices"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// traceHeader is the only system attribute that senders may set.
const traceHeader = "AWSTraceHeader"

func sendMessage(c *call, in *SendMessageRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	msg, err := outgoing(&SendMessageBatchRequestEntry{
		MessageBody: in.MessageBody, DelaySeconds: in.DelaySeconds,
		MessageAttributes: in.MessageAttributes, MessageSystemAttributes: in.MessageSystemAttributes,
		MessageDeduplicationId: in.MessageDeduplicationId, MessageGroupId: in.MessageGroupId,
	})
	if err != nil {
		return nil, err
	}
	sent, err := c.door.service.SendMessages(c.ctx, &service.SendRequest{
		Invocation: c.req.Invocation, First: c.req.Attempt == 1, Queue: queue, Sender: c.sender(), Messages: []service.OutgoingMessage{msg},
	})
	if err != nil {
		return nil, err
	}
	if err := sent[0].Err; err != nil {
		return nil, err
	}
	t := newTexts(1, 0)
	return &SendMessageResult{
		MessageId: awsapi.Some(t.uuid(sent[0].ID)), SequenceNumber: optional(sent[0].Sequence), MD5OfMessageBody: t.bodyMD5(t.bytes(msg.Body)),
		MD5OfMessageAttributes: attributesMD5(msg.Attributes), MD5OfMessageSystemAttributes: systemMD5(msg.TraceHeader),
	}, nil
}

func sendMessageBatch(c *call, in *SendMessageBatchRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	n := len(in.Entries)
	err = c.checkBatch("SendMessageBatchRequestEntry", in.Entries != nil, n, func(i int) awsapi.Opt[string] { return in.Entries[i].Id })
	if err != nil {
		return nil, err
	}
	if err := c.checkOrdered(queue, in.Entries); err != nil {
		return nil, err
	}
	errs := make([]error, n)
	good := make([]int, 0, n) // the entry of each message
	req := service.SendRequest{Invocation: c.req.Invocation, First: c.req.Attempt == 1, Queue: queue, Sender: c.sender(), Batch: true}
	req.Messages = make([]service.OutgoingMessage, 0, n)
	for i := range in.Entries {
		msg, err := outgoing(&in.Entries[i])
		if err != nil {
			errs[i] = err
			continue
		}
		req.Messages, good = append(req.Messages, msg), append(good, i)
	}
	sent, err := c.door.service.SendMessages(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	out := &SendMessageBatchResult{}
	t := newTexts(len(good), 0)
	for k, i := range good {
		if errs[i] = sent[k].Err; errs[i] != nil {
			continue
		}
		if out.Successful == nil { // an empty list is left out
			out.Successful = make([]SendMessageBatchResultEntry, 0, len(good))
		}
		msg := &req.Messages[k]
		out.Successful = append(out.Successful, SendMessageBatchResultEntry{
			Id: in.Entries[i].Id, MessageId: awsapi.Some(t.uuid(sent[k].ID)), SequenceNumber: optional(sent[k].Sequence), MD5OfMessageBody: t.bodyMD5(t.bytes(msg.Body)),
			MD5OfMessageAttributes: attributesMD5(msg.Attributes), MD5OfMessageSystemAttributes: systemMD5(msg.TraceHeader),
		})
	}
	for i, err := range errs {
		if err != nil {
			out.Failed = append(out.Failed, c.failed(in.Entries[i].Id, err))
		}
	}
	return out, nil
}

// sender is who receivers see as SenderId.
func (c *call) sender() string {
	if c.req.Principal != "" {
		return c.req.Principal
	}
	return c.req.Account
}

// outgoing is an entry as the service takes it.
func outgoing(e *SendMessageBatchRequestEntry) (m service.OutgoingMessage, err error) {
	m.Body, m.Group, m.Dedup = e.MessageBody.V, e.MessageGroupId.V, e.MessageDeduplicationId.V
	if e.DelaySeconds.Set {
		m.Delay = &e.DelaySeconds.V
	}
	if len(e.MessageAttributes) > 0 {
		m.Attributes = make([]model.MessageAttr, 0, len(e.MessageAttributes))
	}
	for i := range e.MessageAttributes {
		a, err := attribute(e.MessageAttributes[i].Key, &e.MessageAttributes[i].Val)
		if err != nil {
			return m, err
		}
		m.Attributes = append(m.Attributes, a)
	}
	m.TraceHeader, err = systemAttributes(e.MessageSystemAttributes)
	return m, err
}

// checkOrdered refuses a batch to a FIFO queue when one of its messages lacks
// what orders it, or tells it from repetitions: AWS refuses the whole batch then.
func (c *call) checkOrdered(queue string, entries []SendMessageBatchRequestEntry) error {
	lacks := func(e *SendMessageBatchRequestEntry) bool {
		return e.MessageGroupId.V == "" || e.MessageDeduplicationId.V == ""
	}
	if !slices.ContainsFunc(entries, func(e SendMessageBatchRequestEntry) bool { return lacks(&e) }) {
		return nil
	}
	q, err := c.door.service.GetQueue(c.ctx, queue)
	if err != nil || !q.Spec.Fifo {
		return err
	}
	for i := range entries {
		if entries[i].MessageDeduplicationId.V == "" && !q.Spec.ContentDedup {
			return errInvalidParameter.error("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
		}
		if entries[i].MessageGroupId.V == "" {
			return errInvalidParameter.error("The request must contain the parameter MessageGroupId.")
		}
	}
	return nil
}

func attribute(name string, v *MessageAttributeValue) (a model.MessageAttr, err error) {
	if len(v.StringListValues) > 0 || len(v.BinaryListValues) > 0 {
		return a, errInvalidParameter.error("Message attribute list values in SendMessage operation are not supported.")
	}
	a.Name, a.DataType = name, v.DataType.V
	if isBinary(a.DataType) {
		a.Value = string(v.BinaryValue)
	} else {
		a.Value = v.StringValue.V
	}
	return a, nil
}

func systemAttributes(attrs awsapi.Map[MessageSystemAttributeValue]) (trace string, err error) {
	for i := range attrs {
		name, v := attrs[i].Key, &attrs[i].Val
		if name != traceHeader {
			return "", errInvalidParameter.error("Message system attribute name '%s' is invalid.", shortened(name))
		}
		if v.DataType.V != "String" {
			return "", errInvalidParameter.error("The type of message system attribute '%s' is invalid. "+
				"You must use only the following supported type prefixes: String.", traceHeader)
		}
		if v.StringValue.V == "" {
			return "", errInvalidParameter.error("Message system attribute '%s' must contain a non-empty value of type 'String'.", traceHeader)
		}
		trace = v.StringValue.V
	}
	return trace, nil
}

// systemMD5 is MD5OfMessageSystemAttributes.
func systemMD5(trace string) awsapi.Opt[string] {
	if trace == "" {
		return awsapi.Opt[string]{}
	}
	return attributesMD5([]model.MessageAttr{{Name: traceHeader, DataType: "String", Value: trace}})
}
