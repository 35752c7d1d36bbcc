package service

import (
	"bytes"
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// What regions need of queues and streams that are shipped between them; see
// internal/region.

// CopyQueue makes a queue with the spec of another region's, unless there is one
// of that name: then that has to have as many slots, and becomes as the other one
// if follows is set. deadLetters names its dead-letter queue there; where there is
// no such queue here, it has none. Errors: ErrValidation.
func (s *Service) CopyQueue(ctx context.Context, name string, spec *model.QueueSpec, deadLetters string, follows bool) error {
	copied := *spec
	if dead, ok := s.cluster.Catalog().Resource(model.KindQueue, deadLetters); ok && copied.Redrive.MaxReceives > 0 {
		copied.Redrive.DeadLetters = dead.ID
	} else {
		copied.Redrive = model.RedrivePolicy{}
	}
	r, err := s.haveCopy(ctx, model.KindQueue, name, copied.Tags, copied.Append(nil))
	if err != nil {
		return err
	}
	q, err := s.queueOf(r)
	if err != nil {
		return err
	}
	if q.Spec.Fifo != spec.Fifo || q.Spec.Partitions != spec.Partitions {
		return model.Errorf(model.ErrValidation, "the queue %s is of another kind there than here, or has another number of partitions", name)
	}
	return s.followCopy(ctx, r, copied.Tags, copied.Append(nil), follows)
}

// CopyStream is CopyQueue for a stream. known says that it has followed the other
// one before; if not, its shards have to be among those of the other one.
func (s *Service) CopyStream(ctx context.Context, name string, spec *model.StreamSpec, follows, known bool) error {
	r, err := s.haveCopy(ctx, model.KindStream, name, spec.Tags, spec.Append(nil))
	if err != nil {
		return err
	}
	st, err := s.streams.of(s.cluster.Catalog(), r)
	if err != nil {
		return err
	}
	for i := range st.Spec.Shards {
		here := &st.Spec.Shards[i]
		if there, ok := spec.Shard(here.Number); !known && (!ok || there.Epoch != here.Epoch || there.Range != here.Range) {
			return model.Errorf(model.ErrValidation, "the stream %s has other shards there than here: delete the one that is to become the copy", name)
		}
	}
	return s.followCopy(ctx, r, spec.Tags, spec.Append(nil), follows)
}

// haveCopy finds a resource or makes it.
func (s *Service) haveCopy(ctx context.Context, kind model.ResourceKind, name string, tags []model.Tag, spec []byte) (*model.Resource, error) {
	if r, ok := s.cluster.Catalog().Resource(kind, name); ok {
		return r, nil
	}
	r, err := s.createResource(ctx, kind, name, tags, spec)
	if isKind(err, model.ErrInUse) && r != nil {
		err = nil
	}
	return r, err
}

// followCopy makes a spec what it is in the other region.
func (s *Service) followCopy(ctx context.Context, r *model.Resource, tags []model.Tag, spec []byte, follows bool) error {
	if !follows || bytes.Equal(r.Spec, spec) {
		return nil
	}
	_, err := s.updateResource(ctx, r.ID, r.Version, tags, spec)
	if isKind(err, model.ErrInUse) { // the other region says it again
		return model.Errorf(model.ErrUnavailable, "%s is being changed", r.Name)
	}
	return err
}

// EndShards closes the shards that a stream's map says are closed, and makes the
// map agree with where they end: the region that had closed them may not have
// shipped all. It is for the region that takes the writes.
func (s *Service) EndShards(ctx context.Context, id model.ResourceID) error {
	st, err := s.streamOf(ctx, refOf(id), id)
	if err != nil {
		return err
	}
	var ends []model.ShardEnd
	for i := range st.Spec.Shards {
		sh := &st.Spec.Shards[i]
		if sh.Open() {
			continue
		}
		state, err := s.closeShard(ctx, id, sh.Number)
		if err != nil {
			return err
		}
		if state.Next != sh.End {
			ends = append(ends, model.ShardEnd{Number: sh.Number, End: state.Next, ClosedMs: max(sh.ClosedMs, state.ClosedMs), RetriedMs: state.RetriedMs})
		}
	}
	if len(ends) == 0 {
		return nil
	}
	_, err = s.changeStream(ctx, refOf(id), func(_ *Stream, spec *model.StreamSpec) error {
		spec.Shards = slices.Clone(spec.Shards)
		for _, e := range ends {
			if sh, ok := spec.Shard(e.Number); ok {
				sh.End, sh.ClosedMs, sh.RetriedMs = e.End, e.ClosedMs, e.RetriedMs
			}
		}
		return nil
	})
	return err
}

// PutMoved puts records that another region had taken into a stream, each into
// the shard that its hash key belongs to now.
func (s *Service) PutMoved(ctx context.Context, r *model.Resource, id model.RequestID, records []model.Record) error {
	for lo := 0; lo < len(records); {
		hi, size := lo, 0
		for hi < len(records) && hi-lo < model.MaxPutRecords && (hi == lo || size+len(records[hi].Data)+len(records[hi].PartitionKey) <= model.MaxPutRecordsBytes) {
			size += len(records[hi].Data) + len(records[hi].PartitionKey)
			hi++
		}
		req := PutRecordsRequest{StreamRef: *refOf(r.ID), Invocation: id, Retry: true}
		req.Invocation[0] ^= byte(lo)
		req.Invocation[1] ^= byte(lo >> 8)
		for _, rec := range records[lo:hi] {
			out := OutgoingRecord{Data: rec.Data, Key: string(rec.PartitionKey)}
			if rec.Explicit {
				out.HashKey = rec.HashKey.String()
			}
			req.Records = append(req.Records, out)
		}
		res, err := s.PutRecords(ctx, &req)
		if err != nil {
			return err
		}
		for i := range res.Records {
			if res.Records[i].Err != nil {
				return res.Records[i].Err
			}
		}
		lo = hi
	}
	return nil
}

func (s *Service) closeShard(ctx context.Context, id model.ResourceID, n model.ShardNumber) (state model.ShardState, err error) {
	body := model.CloseShard{Shard: n}
	res, err := s.cluster.Propose(ctx, &model.Command{Kind: model.CmdCloseShard, Resource: id, Slot: model.ShardSlot(id, n), Body: body.Append(nil)})
	if err != nil {
		return state, err
	}
	if res.Status == model.StatusGone {
		return state, noStream(refOf(id))
	}
	return state, decodeResult(res, &state)
}

// followsElsewhere reports whether another region has the writes of a queue or
// stream, by this node's catalog.
func (s *Service) followsElsewhere(r *model.Resource) bool {
	c := s.cluster.Catalog()
	for tie := range c.Resources.Of(model.KindInbound) {
		var spec model.InboundSpec
		d := model.NewDecoder(tie.Spec)
		if spec.Decode(d); d.Done() == nil && spec.Passive && spec.Ships(r) {
			return true
		}
	}
	for tie := range c.Resources.Of(model.KindLink) {
		var spec model.LinkSpec
		d := model.NewDecoder(tie.Spec)
		if spec.Decode(d); d.Done() == nil && spec.Passive && spec.Ships(r) {
			return true
		}
	}
	return false
}

// checkWrites refuses to change the settings of a queue or stream whose writes
// another region has: they come from there.
func (s *Service) checkWrites(kind model.ResourceKind, name string) error {
	if s.followsElsewhere(&model.Resource{Kind: kind, Name: name}) {
		return errNoWrites(kind)
	}
	return nil
}

func errNoWrites(kind model.ResourceKind) error {
	what := "queue"
	if kind == model.KindStream {
		what = "stream"
	}
	return model.Errorf(model.ErrUnavailable, "The %s takes no writes in this region: another region does (weir region status says which). The request was not carried out", what)
}

// unitCluster is a cluster whose refusals of commands on passive queues and
// streams are errors: nothing was done.
type unitCluster struct{ Cluster }

func (c unitCluster) Propose(ctx context.Context, cmd *model.Command) (model.Result, error) {
	res, err := c.Cluster.Propose(ctx, cmd)
	if err == nil {
		err = refusal(cmd, &res)
	}
	return res, err
}

func (c unitCluster) ProposeWhenReady(ctx context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	res, proposed, err := c.Cluster.ProposeWhenReady(ctx, cmd, wait)
	if err == nil && proposed {
		err = refusal(cmd, &res)
	}
	return res, proposed, err
}

// refusal is the error of a command on a queue or stream that takes no writes.
func refusal(cmd *model.Command, res *model.Result) error {
	if res.Status != model.StatusPassive {
		return nil
	}
	switch cmd.Kind {
	case model.CmdSend, model.CmdReceive, model.CmdDeleteMessages, model.CmdChangeVisibility, model.CmdPurge, model.CmdCancelScheduled, model.CmdClaim, model.CmdSettle:
		return errNoWrites(model.KindQueue)
	case model.CmdPutRecords, model.CmdCloseShard, model.CmdTrimShard, model.CmdSetPosition:
		return errNoWrites(model.KindStream)
	default:
		return nil
	}
}
