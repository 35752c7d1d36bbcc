package sqs

import (
	"encoding/hex"
	"slices"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func deleteMessage(c *call, in *DeleteMessageRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	errs, err := c.deleteAll(queue, []string{in.ReceiptHandle.V})
	if err != nil {
		return nil, err
	}
	return nil, errs[0]
}

// deleteAll deletes received messages, and takes back scheduled ones. The
// errors are in the order of the handles.
func (c *call) deleteAll(queue string, handles []string) ([]error, error) {
	if !slices.ContainsFunc(handles, func(h string) bool { return strings.HasPrefix(h, scheduledPrefix) }) {
		return c.door.service.DeleteMessages(c.ctx, &service.DeleteMessagesRequest{Invocation: c.req.Invocation, Queue: queue, Handles: handles})
	}
	errs := make([]error, len(handles))
	received := service.DeleteMessagesRequest{Invocation: c.req.Invocation, Queue: queue}
	scheduled := service.CancelScheduledRequest{Queue: queue}
	var receivedAt, scheduledAt []int // the handle of each
	for i, h := range handles {
		switch id, ok, err := scheduledID(h); {
		case err != nil:
			errs[i] = err
		case ok:
			scheduled.IDs, scheduledAt = append(scheduled.IDs, id), append(scheduledAt, i)
		default:
			received.Handles, receivedAt = append(received.Handles, h), append(receivedAt, i)
		}
	}
	if len(scheduledAt) > 0 {
		results, err := c.door.service.CancelScheduled(c.ctx, &scheduled)
		if err != nil {
			return nil, err
		}
		for k, i := range scheduledAt {
			if isNotFound(results[k]) {
				errs[i] = notScheduled(handles[i])
			} else {
				errs[i] = results[k]
			}
		}
	}
	if len(receivedAt) > 0 {
		results, err := c.door.service.DeleteMessages(c.ctx, &received)
		if err != nil {
			return nil, err
		}
		for k, i := range receivedAt {
			errs[i] = results[k]
		}
	}
	return errs, nil
}

// scheduledPrefix begins what stands in place of a receipt handle for a message
// that waits for its time: its MessageId follows. No receipt handle begins so.
const scheduledPrefix = "scheduled:"

// scheduledID reads such a handle; ok is false for receipt handles.
func scheduledID(handle string) (id model.MessageID, ok bool, err error) {
	text, ok := strings.CutPrefix(handle, scheduledPrefix)
	if !ok {
		return id, false, nil
	}
	n, err := hex.Decode(id[:], []byte(strings.ReplaceAll(text[:min(len(text), 36)], "-", "")))
	if whole := uuid(id); err != nil || n != len(id) || string(whole[:]) != text {
		return id, true, errReceiptHandle.error("The input receipt handle \"%s\" is not a valid receipt handle.", shortened(handle))
	}
	return id, true, nil
}

func notScheduled(handle string) error {
	return errInvalidParameter.error("Value %s for parameter ReceiptHandle is invalid. "+
		"Reason: No message of that id waits for its time.", handle)
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
	handles := make([]string, len(in.Entries))
	for i := range in.Entries {
		handles[i] = in.Entries[i].ReceiptHandle.V
	}
	errs, err := c.deleteAll(queue, handles)
	if err != nil {
		return nil, err
	}
	out := &DeleteMessageBatchResult{}
	for i, err := range errs {
		if err != nil {
			out.Failed = append(out.Failed, c.failed(id(i), err))
			continue
		}
		if out.Successful == nil { // an empty list is left out
			out.Successful = make([]DeleteMessageBatchResultEntry, 0, len(errs))
		}
		out.Successful = append(out.Successful, DeleteMessageBatchResultEntry{Id: id(i)})
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
