package sqs

import (
	"encoding/base64"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

const msgNoName = "Value for parameter QueueName is invalid. Reason: Must specify a queue name."

func createQueue(c *call, in *CreateQueueRequest) (output, error) {
	if !in.QueueName.Set {
		return nil, errInvalidParameter.error(msgNoName)
	}
	attrs, err := c.attributesIn(in.Attributes)
	if err != nil {
		return nil, err
	}
	q, err := c.door.service.CreateQueue(c.ctx, &service.CreateQueueRequest{
		Name: in.QueueName.V, Attributes: attrs, Tags: tagsIn(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &CreateQueueResult{QueueUrl: awsapi.Some(c.queueURL(q.Name))}, nil
}

func getQueueURL(c *call, in *GetQueueUrlRequest) (output, error) {
	if in.QueueName.V == "" {
		return nil, errInvalidParameter.error(msgNoName)
	}
	if in.QueueOwnerAWSAccountId.Set && in.QueueOwnerAWSAccountId.V != c.req.Account {
		return nil, errQueueDoesNotExist.error(msgNoQueue)
	}
	q, err := c.door.service.GetQueue(c.ctx, in.QueueName.V)
	if err != nil {
		return nil, err
	}
	return &GetQueueUrlResult{QueueUrl: awsapi.Some(c.queueURL(q.Name))}, nil
}

// maxListed is how many queues SQS lists at most.
const maxListed = 1000

func listQueues(c *call, in *ListQueuesRequest) (output, error) {
	req, err := listing(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	req.Prefix = in.QueueNamePrefix.V
	page, err := c.door.service.ListQueues(c.ctx, req)
	if err != nil {
		return nil, err
	}
	out := &ListQueuesResult{}
	out.QueueUrls, out.NextToken = c.listed(page, in.MaxResults)
	return out, nil
}

func listDeadLetterSourceQueues(c *call, in *ListDeadLetterSourceQueuesRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	req, err := listing(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, err := c.door.service.ListDeadLetterSources(c.ctx, queue, req)
	if err != nil {
		return nil, err
	}
	out := &ListDeadLetterSourceQueuesResult{}
	out.QueueUrls, out.NextToken = c.listed(page, in.MaxResults)
	return out, nil
}

// listing is the page of queues that a request asks for.
func listing(most awsapi.Opt[int64], token awsapi.Opt[string]) (*service.ListQueuesRequest, error) {
	req := &service.ListQueuesRequest{}
	if most.Set {
		if most.V < 1 || most.V > maxListed {
			return nil, errInvalidParameter.error("Value %d for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.", most.V)
		}
		req.Limit = int(most.V)
	}
	if token.V != "" {
		start, err := base64.URLEncoding.DecodeString(token.V)
		if err != nil {
			return nil, errInvalidParameter.error("Invalid or expired next token.")
		}
		req.Start = string(start)
	}
	return req, nil
}

// listed is a page of queues as URLs, and the token of the next one: AWS pages
// only for those who ask with MaxResults.
func (c *call) listed(page *service.ListQueuesResult, most awsapi.Opt[int64]) (urls []string, next awsapi.Opt[string]) {
	for _, name := range page.Names {
		urls = append(urls, c.queueURL(name))
	}
	if page.Last != "" && most.Set {
		next = awsapi.Some(base64.URLEncoding.EncodeToString([]byte(page.Last)))
	}
	return urls, next
}

func deleteQueue(c *call, in *DeleteQueueRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.DeleteQueue(c.ctx, queue)
}

func purgeQueue(c *call, in *PurgeQueueRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.PurgeQueue(c.ctx, c.req.Invocation, queue)
}

func tagQueue(c *call, in *TagQueueRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, missing("Tags")
	}
	return nil, c.door.service.TagQueue(c.ctx, queue, tagsIn(in.Tags))
}

func untagQueue(c *call, in *UntagQueueRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) == 0 {
		return nil, missing("TagKeys")
	}
	return nil, c.door.service.UntagQueue(c.ctx, queue, in.TagKeys)
}

func listQueueTags(c *call, in *ListQueueTagsRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	q, err := c.door.service.GetQueue(c.ctx, queue)
	if err != nil {
		return nil, err
	}
	out := &ListQueueTagsResult{}
	for _, t := range q.Spec.Tags {
		out.Tags = append(out.Tags, awsapi.Entry[string]{Key: t.Key, Val: t.Value})
	}
	return out, nil
}

func tagsIn(tags awsapi.Map[string]) []model.Tag {
	var list []model.Tag
	for _, t := range tags {
		list = append(list, model.Tag{Key: t.Key, Value: t.Val})
	}
	return list
}
