package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

func noConsumer(ref *ConsumerRef, stream string) error {
	return streamFault(FaultStreamNotFound, "Consumer %s in stream %s under account %s not found.", ref.Consumer, stream, ref.account())
}

// RegisterConsumer registers a consumer, which is ACTIVE at once. Errors:
// *StreamError.
func (s *Service) RegisterConsumer(ctx context.Context, req *RegisterConsumerRequest) (*Consumer, error) {
	tags, err := addStreamTags(nil, req.Tags, &req.StreamRef)
	if err != nil {
		return nil, err
	}
	c := model.StreamConsumer{Name: req.Consumer, Tags: tags}
	st, err := s.changeStream(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		limit := model.MaxStreamConsumers
		if s.awsLimits() {
			limit = awsConsumers
		}
		at, found := findConsumer(spec, req.Consumer)
		switch {
		case found:
			return streamFault(FaultStreamInUse, "Consumer %s in stream %s under account %s already exists.", req.Consumer, st.Name, req.account())
		case len(spec.Consumers) >= limit:
			return streamFault(FaultStreamLimit, "Stream %s under account %s has reached the limit of %d registered consumers.", st.Name, req.account(), limit)
		}
		c.CreatedMs = s.nowMs()
		spec.Consumers = slices.Insert(slices.Clone(spec.Consumers), at, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Consumer{Name: c.Name, CreatedMs: c.CreatedMs, Stream: st}, nil
}

func findConsumer(spec *model.StreamSpec, name string) (int, bool) {
	return slices.BinarySearchFunc(spec.Consumers, name, func(c model.StreamConsumer, name string) int { return strings.Compare(c.Name, name) })
}

// consumer is the registered consumer that a request names.
func (s *Service) consumer(ctx context.Context, ref *ConsumerRef) (*Stream, *model.StreamConsumer, error) {
	st, err := s.stream(ctx, &ref.StreamRef)
	if err != nil {
		return nil, nil, err
	}
	if c, ok := ref.find(st.Spec); ok {
		return st, c, nil
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, nil, err
	}
	if st, err = s.stream(ctx, &ref.StreamRef); err != nil {
		return nil, nil, err
	}
	c, ok := ref.find(st.Spec)
	if !ok {
		return nil, nil, noConsumer(ref, st.Name)
	}
	return st, c, nil
}

func (ref *ConsumerRef) find(spec *model.StreamSpec) (*model.StreamConsumer, bool) {
	at, found := findConsumer(spec, ref.Consumer)
	if !found || ref.CreatedMs != 0 && spec.Consumers[at].CreatedMs/1000 != ref.CreatedMs/1000 {
		return nil, false
	}
	return &spec.Consumers[at], true
}

// DescribeConsumer returns a registered consumer. Errors: *StreamError.
func (s *Service) DescribeConsumer(ctx context.Context, ref ConsumerRef) (*Consumer, error) {
	st, c, err := s.consumer(ctx, &ref)
	if err != nil {
		return nil, err
	}
	return &Consumer{Name: c.Name, CreatedMs: c.CreatedMs, Stream: st}, nil
}

// ListConsumers returns a stream's registered consumers by name. Errors:
// *StreamError.
func (s *Service) ListConsumers(ctx context.Context, req *ListConsumersRequest) (*ListConsumersResult, error) {
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return nil, err
	}
	if req.CreatedMs != nil && *req.CreatedMs/1000 != st.CreatedMs/1000 {
		return nil, noStream(&req.StreamRef)
	}
	start := ""
	if req.Token != "" {
		t, err := s.openPageToken(tokenConsumers, req.Token)
		if err != nil {
			return nil, err
		}
		if t.stream != st.ID {
			return nil, streamFault(FaultStreamArgument, "NextToken is not of the stream that the request names.")
		}
		start = t.last
	}
	limit := req.Limit
	if limit <= 0 {
		limit = defaultStreamPage
	}
	page := &ListConsumersResult{}
	for _, c := range st.Spec.Consumers {
		if start != "" && c.Name <= start {
			continue
		}
		if len(page.Consumers) == limit {
			page.Next = s.pageToken(tokenConsumers, st.ID, page.Consumers[limit-1].Name, nil)
			break
		}
		page.Consumers = append(page.Consumers, Consumer{Name: c.Name, CreatedMs: c.CreatedMs, Stream: st})
	}
	return page, nil
}

// DeregisterConsumer removes a registered consumer; its subscriptions end.
// Errors: *StreamError.
func (s *Service) DeregisterConsumer(ctx context.Context, ref ConsumerRef) error {
	st, c, err := s.consumer(ctx, &ref)
	if err != nil {
		return err
	}
	group := subscriptionGroup(c)
	if err := s.changeConsumer(ctx, &ref, func(spec *model.StreamSpec, at int) error {
		spec.Consumers = slices.Delete(spec.Consumers, at, at+1)
		return nil
	}); err != nil {
		return err
	}
	s.forgetGroup(ctx, st, group)
	return nil
}

// changeConsumer changes the stream's spec where it says something about a
// registered consumer; change may write into the spec's consumers.
func (s *Service) changeConsumer(ctx context.Context, ref *ConsumerRef, change func(spec *model.StreamSpec, at int) error) error {
	_, err := s.changeStream(ctx, &ref.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		if _, ok := ref.find(spec); !ok {
			return noConsumer(ref, st.Name)
		}
		at, _ := findConsumer(spec, ref.Consumer)
		spec.Consumers = slices.Clone(spec.Consumers)
		return change(spec, at)
	})
	return err
}

// TagConsumer adds tags to a registered consumer. Errors: *StreamError.
func (s *Service) TagConsumer(ctx context.Context, ref ConsumerRef, tags []model.Tag) error {
	return s.changeConsumer(ctx, &ref, func(spec *model.StreamSpec, at int) (err error) {
		spec.Consumers[at].Tags, err = addStreamTags(spec.Consumers[at].Tags, tags, &ref.StreamRef)
		return err
	})
}

// UntagConsumer removes the tags of those keys. Errors: *StreamError.
func (s *Service) UntagConsumer(ctx context.Context, ref ConsumerRef, keys []string) error {
	return s.changeConsumer(ctx, &ref, func(spec *model.StreamSpec, at int) error {
		spec.Consumers[at].Tags = withoutTags(spec.Consumers[at].Tags, keys)
		return nil
	})
}

// ConsumerTags returns the tags of a registered consumer by key.
func (s *Service) ConsumerTags(ctx context.Context, ref ConsumerRef) ([]model.Tag, error) {
	_, c, err := s.consumer(ctx, &ref)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.Tags), nil
}

// PutConsumerPolicy keeps a registered consumer's resource policy.
func (s *Service) PutConsumerPolicy(ctx context.Context, ref ConsumerRef, policy string) error {
	if err := checkStreamPolicy(policy); err != nil {
		return err
	}
	return s.changeConsumer(ctx, &ref, func(spec *model.StreamSpec, at int) error {
		spec.Consumers[at].Policy = policy
		return nil
	})
}

// GetConsumerPolicy returns a registered consumer's resource policy. Errors:
// *StreamError, also when there is none.
func (s *Service) GetConsumerPolicy(ctx context.Context, ref ConsumerRef) (string, error) {
	_, c, err := s.consumer(ctx, &ref)
	if err != nil {
		return "", err
	}
	return shownPolicy(c.Policy, "consumer "+c.Name)
}

// DeleteConsumerPolicy removes a registered consumer's resource policy.
// Errors: *StreamError, also when there is none.
func (s *Service) DeleteConsumerPolicy(ctx context.Context, ref ConsumerRef) error {
	if _, err := s.GetConsumerPolicy(ctx, ref); err != nil {
		return err
	}
	return s.changeConsumer(ctx, &ref, func(spec *model.StreamSpec, at int) error {
		spec.Consumers[at].Policy = ""
		return nil
	})
}

// subscriptionGroup is the name under which the shards keep who of a registered
// consumer is subscribed. No consumer group can have it: it begins with a zero
// byte.
func subscriptionGroup(c *model.StreamConsumer) string {
	sum := sha256.Sum256([]byte(c.Name + "\x00" + strconv.FormatInt(c.CreatedMs, 10)))
	return "\x00" + hex.EncodeToString(sum[:16])
}

// forgetGroup removes a group's positions from all shards, as far as they can
// be reached: what is left behind is small, and goes with the stream.
func (s *Service) forgetGroup(ctx context.Context, st *Stream, group string) {
	_ = sideBySide(len(st.Spec.Shards), func(i int) error {
		body := model.SetPosition{Op: model.PositionForget, Shard: st.Spec.Shards[i].Number, Group: group}
		_, _, err := s.setPosition(ctx, st, &body)
		return err
	})
}

// setPosition proposes a change of a group's position.
func (s *Service) setPosition(ctx context.Context, st *Stream, body *model.SetPosition) (model.Position, model.Status, error) {
	var p model.Position
	cmd := &model.Command{Kind: model.CmdSetPosition, Resource: st.ID, Slot: model.ShardSlot(st.ID, body.Shard), Body: body.Append(nil)}
	res, err := s.cluster.Propose(ctx, cmd)
	if err != nil {
		return p, 0, err
	}
	switch res.Status {
	case model.StatusGone:
		return p, res.Status, noStream(&StreamRef{Name: st.Name})
	case model.StatusOK, model.StatusStale, model.StatusInvalid:
		d := model.NewDecoder(res.Body)
		p.Decode(d)
		err = d.Done()
	}
	return p, res.Status, err
}
