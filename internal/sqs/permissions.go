package sqs

import "weir.dev/weir/internal/service"

func addPermission(c *call, in *AddPermissionRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.AddPermission(c.ctx, &service.AddPermissionRequest{
		Queue: queue, ARN: c.queueARN(queue), Label: in.Label.V, Accounts: in.AWSAccountIds, Actions: in.Actions,
	})
}

func removePermission(c *call, in *RemovePermissionRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.RemovePermission(c.ctx, queue, in.Label.V)
}
