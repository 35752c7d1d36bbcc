package kinesis

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

// statusActive is the status of every registered consumer.
const statusActive = "ACTIVE"

func registerConsumer(c *call, in *RegisterStreamConsumerInput) (output, error) {
	ref, err := c.stream(text{}, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	co, err := c.door.service.RegisterConsumer(c.ctx, &service.RegisterConsumerRequest{StreamRef: ref, Consumer: in.ConsumerName.V, Tags: tagsIn(in.Tags)})
	if err != nil {
		return nil, err
	}
	shown := c.consumerOut(co)
	return &RegisterStreamConsumerOutput{Consumer: &shown}, nil
}

func deregisterConsumer(c *call, in *DeregisterStreamConsumerInput) (output, error) {
	ref, err := c.consumer(in.ConsumerARN, in.StreamARN, in.StreamId, in.ConsumerName)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.DeregisterConsumer(c.ctx, ref)
}

func describeConsumer(c *call, in *DescribeStreamConsumerInput) (output, error) {
	ref, err := c.consumer(in.ConsumerARN, in.StreamARN, in.StreamId, in.ConsumerName)
	if err != nil {
		return nil, err
	}
	co, err := c.door.service.DescribeConsumer(c.ctx, ref)
	if err != nil {
		return nil, err
	}
	shown := c.consumerOut(co)
	return &DescribeStreamConsumerOutput{ConsumerDescription: &ConsumerDescription{
		ConsumerName: shown.ConsumerName, ConsumerARN: shown.ConsumerARN, ConsumerStatus: shown.ConsumerStatus,
		ConsumerCreationTimestamp: shown.ConsumerCreationTimestamp, StreamARN: awsapi.Some(c.streamARN(co.Stream.Name)),
	}}, nil
}

func listConsumers(c *call, in *ListStreamConsumersInput) (output, error) {
	ref, err := c.stream(text{}, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	page, err := c.door.service.ListConsumers(c.ctx, &service.ListConsumersRequest{
		StreamRef: ref, Token: in.NextToken.V, Limit: int(in.MaxResults.V), CreatedMs: set(in.StreamCreationTimestamp),
	})
	if err != nil {
		return nil, err
	}
	out := &ListStreamConsumersOutput{Consumers: []Consumer{}, NextToken: optional(page.Next)}
	for i := range page.Consumers {
		out.Consumers = append(out.Consumers, c.consumerOut(&page.Consumers[i]))
	}
	return out, nil
}

func (c *call) consumerOut(co *service.Consumer) Consumer {
	return Consumer{
		ConsumerName: awsapi.Some(co.Name), ConsumerARN: awsapi.Some(c.consumerARN(co)), ConsumerStatus: awsapi.Some(statusActive),
		ConsumerCreationTimestamp: awsapi.Some(co.CreatedMs),
	}
}
