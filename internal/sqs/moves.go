package sqs

import (
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func startMessageMoveTask(c *call, in *StartMessageMoveTaskRequest) (output, error) {
	source, err := c.queueOf("SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	req := service.MoveTaskRequest{Source: source, MaxPerSec: in.MaxNumberOfMessagesPerSecond.V}
	if in.MaxNumberOfMessagesPerSecond.Set && req.MaxPerSec == 0 { // which to the service is none
		return nil, errInvalidParameter.error("Value for parameter MaxNumberOfMessagesPerSecond is invalid. " +
			"Reason: You must enter a number that's between 1 and 500.")
	}
	if in.DestinationArn.V != "" {
		if req.Destination, err = c.queueOf("DestinationArn", in.DestinationArn); err != nil {
			return nil, err
		}
	}
	handle, err := c.door.service.StartMoveTask(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	return &StartMessageMoveTaskResult{TaskHandle: awsapi.Some(handle)}, nil
}

func cancelMessageMoveTask(c *call, in *CancelMessageMoveTaskRequest) (output, error) {
	if in.TaskHandle.V == "" {
		return nil, missing("TaskHandle")
	}
	moved, err := c.door.service.CancelMoveTask(c.ctx, in.TaskHandle.V)
	if err != nil {
		return nil, err
	}
	return &CancelMessageMoveTaskResult{ApproximateNumberOfMessagesMoved: awsapi.Some(int64(moved))}, nil
}

func listMessageMoveTasks(c *call, in *ListMessageMoveTasksRequest) (output, error) {
	source, err := c.queueOf("SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	tasks, err := c.door.service.ListMoveTasks(c.ctx, source, int(in.MaxResults.Or(1)))
	if err != nil {
		return nil, err
	}
	out := &ListMessageMoveTasksResult{}
	for i := range tasks {
		out.Results = append(out.Results, c.moveTask(&tasks[i]))
	}
	return out, nil
}

func (c *call) moveTask(t *service.MoveTask) ListMessageMoveTasksResultEntry {
	e := ListMessageMoveTasksResultEntry{
		TaskHandle: optional(t.Handle), Status: awsapi.Some(t.Status), SourceArn: awsapi.Some(c.queueARN(t.Source)),
		ApproximateNumberOfMessagesMoved:  awsapi.Some(int64(t.Moved)),
		ApproximateNumberOfMessagesToMove: awsapi.Some(int64(t.ToMove)), StartedTimestamp: awsapi.Some(t.StartedMs),
		FailureReason: optional(t.Reason),
	}
	if t.Destination != "" {
		e.DestinationArn = awsapi.Some(c.queueARN(t.Destination))
	}
	if t.MaxPerSec != 0 {
		e.MaxNumberOfMessagesPerSecond = awsapi.Some(t.MaxPerSec)
	}
	return e
}

// optional is a text that is not there when it is empty.
func optional(text string) awsapi.Opt[string] { return awsapi.Opt[string]{V: text, Set: text != ""} }

// queueOf is the name of the queue in an ARN. parameter is how the request
// calls the ARN. Its region does not count, as everywhere.
func (c *call) queueOf(parameter string, arn awsapi.Opt[string]) (string, error) {
	if arn.V == "" {
		return "", missing(parameter)
	}
	parts := strings.Split(arn.V, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" || parts[5] == "" {
		return "", errInvalidParameter.error("You must use this format to specify the %s: "+
			"arn:<partition>:<service>:<region>:<account-id>:<resource-id>", parameter)
	}
	if parts[4] != c.req.Account {
		return "", errNoResource.error("The resource that you specified for the %s parameter doesn't exist.", parameter)
	}
	return parts[5], nil
}
