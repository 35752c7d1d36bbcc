package sqs

import (
	"slices"
	"strconv"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func setQueueAttributes(c *call, in *SetQueueAttributesRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if len(in.Attributes) == 0 {
		return nil, missing("Attributes")
	}
	attrs, err := c.attributesIn(in.Attributes)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.SetQueueAttributes(c.ctx, queue, attrs)
}

func (c *call) attributesIn(attrs awsapi.Map[string]) ([]service.QueueAttribute, error) {
	var list []service.QueueAttribute
	for _, a := range attrs {
		if a.Key == "" { // a form can name a value without a name
			return nil, missing("Attribute.Name")
		}
		list = append(list, service.QueueAttribute{Name: a.Key, Value: a.Val})
	}
	return list, nil
}

// The attributes that the queue's content decides.
const (
	attrVisible  = "ApproximateNumberOfMessages"
	attrDelayed  = "ApproximateNumberOfMessagesDelayed"
	attrInFlight = "ApproximateNumberOfMessagesNotVisible"
)

// shownAttributes are those that cannot be set.
var shownAttributes = []string{attrVisible, attrDelayed, attrInFlight, "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"}

func getQueueAttributes(c *call, in *GetQueueAttributesRequest) (output, error) {
	queue, err := c.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	for _, n := range in.AttributeNames {
		if n != "All" && !slices.Contains(shownAttributes, n) && !service.HasQueueAttribute(n) {
			return nil, errInvalidAttrName.error("Unknown Attribute %s.", shortened(n))
		}
	}
	q, err := c.door.service.GetQueue(c.ctx, queue)
	if err != nil {
		return nil, err
	}
	all := slices.Contains(in.AttributeNames, "All")
	asked := func(name string) bool { return all || slices.Contains(in.AttributeNames, name) }
	attrs, err := c.describe(q, asked)
	if err != nil {
		return nil, err
	}
	return &GetQueueAttributesResult{Attributes: attrs}, nil
}

// describe returns the attributes that were asked for and that the queue has.
func (c *call) describe(q *service.Queue, asked func(name string) bool) (awsapi.Map[string], error) {
	var view []awsapi.Entry[string]
	add := func(name, value string) {
		if asked(name) {
			view = append(view, awsapi.Entry[string]{Key: name, Val: value})
		}
	}
	for _, a := range service.QueueAttributes(q.Spec) {
		add(a.Name, a.Value)
	}
	add("QueueArn", c.queueARN(q.Name))
	add("CreatedTimestamp", seconds(q.CreatedMs))
	add("LastModifiedTimestamp", seconds(q.Spec.ModifiedMs))
	if asked(attrVisible) || asked(attrDelayed) || asked(attrInFlight) {
		n, err := c.door.service.CountQueue(c.ctx, q)
		if err != nil {
			return nil, err
		}
		add(attrVisible, strconv.FormatUint(n.Visible, 10))
		add(attrInFlight, strconv.FormatUint(n.InFlight+n.Claimed+n.Dead, 10))
		add(attrDelayed, strconv.FormatUint(n.Delayed, 10))
	}
	return awsapi.NewMap(view), nil
}

func seconds(ms int64) string { return strconv.FormatInt(ms/1000, 10) }
