package kinesis

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func addTags(c *call, in *AddTagsToStreamInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.TagStream(c.ctx, ref, tagsIn(in.Tags))
}

func removeTags(c *call, in *RemoveTagsFromStreamInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.UntagStream(c.ctx, ref, in.TagKeys)
}

func listTags(c *call, in *ListTagsForStreamInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	page, err := c.door.service.ListStreamTags(c.ctx, &service.ListStreamTagsRequest{StreamRef: ref, Start: in.ExclusiveStartTagKey.V, Limit: int(in.Limit.V)})
	if err != nil {
		return nil, err
	}
	return &ListTagsForStreamOutput{Tags: tagsOut(page.Tags), HasMoreTags: awsapi.Some(page.More)}, nil
}

// The operations on resources take the ARN of a stream or of a consumer.

func tagResource(c *call, in *TagResourceInput) (output, error) {
	ref, isConsumer, err := c.resource(in.ResourceARN, in.StreamId)
	switch {
	case err != nil:
		return nil, err
	case isConsumer:
		return nil, c.door.service.TagConsumer(c.ctx, ref, tagsIn(in.Tags))
	}
	return nil, c.door.service.TagStream(c.ctx, ref.StreamRef, tagsIn(in.Tags))
}

func untagResource(c *call, in *UntagResourceInput) (output, error) {
	ref, isConsumer, err := c.resource(in.ResourceARN, in.StreamId)
	switch {
	case err != nil:
		return nil, err
	case isConsumer:
		return nil, c.door.service.UntagConsumer(c.ctx, ref, in.TagKeys)
	}
	return nil, c.door.service.UntagStream(c.ctx, ref.StreamRef, in.TagKeys)
}

func listResourceTags(c *call, in *ListTagsForResourceInput) (output, error) {
	ref, isConsumer, err := c.resource(in.ResourceARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	if isConsumer {
		tags, err := c.door.service.ConsumerTags(c.ctx, ref)
		if err != nil {
			return nil, err
		}
		return &ListTagsForResourceOutput{Tags: tagsOut(tags)}, nil
	}
	all, err := c.door.service.ListStreamTags(c.ctx, &service.ListStreamTagsRequest{StreamRef: ref.StreamRef})
	if err != nil {
		return nil, err
	}
	return &ListTagsForResourceOutput{Tags: tagsOut(all.Tags)}, nil
}

func putPolicy(c *call, in *PutResourcePolicyInput) (output, error) {
	ref, isConsumer, err := c.resource(in.ResourceARN, in.StreamId)
	switch {
	case err != nil:
		return nil, err
	case isConsumer:
		return nil, c.door.service.PutConsumerPolicy(c.ctx, ref, in.Policy.V)
	}
	return nil, c.door.service.PutStreamPolicy(c.ctx, ref.StreamRef, in.Policy.V)
}

func getPolicy(c *call, in *GetResourcePolicyInput) (output, error) {
	ref, isConsumer, err := c.resource(in.ResourceARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	var policy string
	if isConsumer {
		policy, err = c.door.service.GetConsumerPolicy(c.ctx, ref)
	} else {
		policy, err = c.door.service.GetStreamPolicy(c.ctx, ref.StreamRef)
	}
	if err != nil {
		return nil, err
	}
	return &GetResourcePolicyOutput{Policy: awsapi.Some(policy)}, nil
}

func deletePolicy(c *call, in *DeleteResourcePolicyInput) (output, error) {
	ref, isConsumer, err := c.resource(in.ResourceARN, in.StreamId)
	switch {
	case err != nil:
		return nil, err
	case isConsumer:
		return nil, c.door.service.DeleteConsumerPolicy(c.ctx, ref)
	}
	return nil, c.door.service.DeleteStreamPolicy(c.ctx, ref.StreamRef)
}
