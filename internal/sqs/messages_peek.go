package sqs

import (
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// The names with which ReceiveMessage peeks: among the system attributes that
// it asks for, because every SDK lets these through. Those that end in = carry
// a value behind it.
const (
	peekName     = "weir.Peek"
	peekAfter    = "weir.PeekAfter="
	peekContains = "weir.Contains="
	peekGroup    = "weir.Group="
)

// The attributes that a peeked message has besides SQS's.
const (
	attrPlace = "weir.Place"
	attrAt    = "weir.VisibleAt"
	attrNext  = "weir.PeekNext" // of the last message, when there may be more
)

// maxPeeked is how many messages one peek shows at most.
const maxPeeked = model.MaxReceiveMessages

// peek shows messages without taking them: they have no receipt handle, and
// nothing about them changes. Visibility and waiting do not apply.
func (c *call) peek(queue string, names []string, in *ReceiveMessageRequest) (output, error) {
	req := service.PeekRequest{Queue: queue, Max: int(in.MaxNumberOfMessages.Or(1))}
	if req.Max < 1 || req.Max > maxPeeked {
		return nil, errInvalidParameter.error("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and %d, if provided.", req.Max, maxPeeked)
	}
	var system []string
	for _, n := range names {
		switch {
		case n == peekName:
		case strings.HasPrefix(n, peekAfter):
			req.Start = n[len(peekAfter):]
		case strings.HasPrefix(n, peekContains):
			req.Contains = n[len(peekContains):]
		case strings.HasPrefix(n, peekGroup):
			req.Group = n[len(peekGroup):]
		default:
			system = append(system, n)
		}
	}
	if err := checkSystemNames(system); err != nil {
		return nil, err
	}
	page, err := c.peekSome(&req)
	if err != nil {
		return nil, err
	}
	out := &ReceiveMessageResult{}
	t := newTexts(len(page.Messages), 0)
	for i := range page.Messages {
		p := &page.Messages[i]
		var m Message
		c.message(&m, &p.Received, t, system, in.MessageAttributeNames)
		m.Attributes = append(slices.Clone(m.Attributes), awsapi.Entry[string]{Key: attrPlace, Val: p.Place.String()})
		if p.AtMs != 0 {
			m.Attributes = append(m.Attributes, awsapi.Entry[string]{Key: attrAt, Val: strconv.FormatInt(p.AtMs, 10)})
		}
		if i == len(page.Messages)-1 && page.Next != "" {
			m.Attributes = append(m.Attributes, awsapi.Entry[string]{Key: attrNext, Val: page.Next})
		}
		m.Attributes = awsapi.NewMap(m.Attributes)
		out.Messages = append(out.Messages, m)
	}
	return out, nil
}

// peekSome goes on until there is a message to show: only a message can say
// where the next page begins.
func (c *call) peekSome(req *service.PeekRequest) (*service.PeekResult, error) {
	for {
		page, err := c.door.service.Peek(c.ctx, req)
		if err != nil || len(page.Messages) > 0 || page.Next == "" {
			return page, err
		}
		if err := c.ctx.Err(); err != nil {
			return nil, model.Errorf(model.ErrUnavailable, "The search did not end in time.")
		}
		req.Start = page.Next
	}
}
