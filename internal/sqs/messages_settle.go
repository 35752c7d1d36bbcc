package sqs

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func deleteMessage(c *call, in *DeleteMessageRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	errs, err := c.door.service.DeleteMessages(c.ctx, &service.DeleteMessagesRequest{
		Invocation: c.req.Invocation, Queue: queue, Handles: []string{in.ReceiptHandle.V},
	})
	if err != nil {
		return nil, err
	}
	return nil, errs[0]
}

func deleteMessageBatch(c *call, in *DeleteMessageBatchRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	id := func(i int) awsapi.Opt[string] { return in.Entries[i].Id }
	if err := c.checkBatch("DeleteMessageBatchRequestEntry", in.Entries != nil, len(in.Entries), id); err != nil {
		return nil, err
	}
	req := service.DeleteMessagesRequest{Invocation: c.req.Invocation, Queue: queue}
	for i := range in.Entries {
		req.Handles = append(req.Handles, in.Entries[i].ReceiptHandle.V)
	}
	errs, err := c.door.service.DeleteMessages(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	out := &DeleteMessageBatchResult{}
	for i, err := range errs {
		if err != nil {
			out.Failed = append(out.Failed, c.failed(id(i), err))
		} else {
			out.Successful = append(out.Successful, DeleteMessageBatchResultEntry{Id: id(i)})
		}
	}
	return out, nil
}

func changeMessageVisibility(c *call, in *ChangeMessageVisibilityRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if !in.VisibilityTimeout.Set {
		return nil, missing("VisibilityTimeout")
	}
	errs, err := c.door.service.ChangeVisibility(c.ctx, &service.ChangeVisibilityRequest{
		Invocation: c.req.Invocation, Queue: queue,
		Changes: []service.VisibilityChange{{Handle: in.ReceiptHandle.V, Seconds: in.VisibilityTimeout.V}},
	})
	if err != nil {
		return nil, err
	}
	return nil, errs[0]
}

func changeMessageVisibilityBatch(c *call, in *ChangeMessageVisibilityBatchRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	id := func(i int) awsapi.Opt[string] { return in.Entries[i].Id }
	if err := c.checkBatch("ChangeMessageVisibilityBatchRequestEntry", in.Entries != nil, len(in.Entries), id); err != nil {
		return nil, err
	}
	errs := make([]error, len(in.Entries))
	var asked []int // the entry of each change
	req := service.ChangeVisibilityRequest{Invocation: c.req.Invocation, Queue: queue}
	for i := range in.Entries {
		e := &in.Entries[i]
		if !e.VisibilityTimeout.Set {
			errs[i] = missing("VisibilityTimeout")
			continue
		}
		req.Changes = append(req.Changes, service.VisibilityChange{Handle: e.ReceiptHandle.V, Seconds: e.VisibilityTimeout.V})
		asked = append(asked, i)
	}
	changed, err := c.door.service.ChangeVisibility(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	for k, i := range asked {
		errs[i] = changed[k]
	}
	out := &ChangeMessageVisibilityBatchResult{}
	for i, err := range errs {
		if err != nil {
			out.Failed = append(out.Failed, c.failed(id(i), err))
		} else {
			out.Successful = append(out.Successful, ChangeMessageVisibilityBatchResultEntry{Id: id(i)})
		}
	}
	return out, nil
}
