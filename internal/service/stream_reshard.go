package service

import (
	"context"
	"sync"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// SplitShard splits an open shard in two at a hash key. The plan is in the
// catalog when the first step has been taken; what is left of it then is
// finished by this call, by any request that meets a closed shard, or by the
// node that looks after the stream. Errors: *StreamError.
func (s *Service) SplitShard(ctx context.Context, req *SplitShardRequest) error {
	if err := s.learnShards(ctx, &req.StreamRef, req.Shard); err != nil {
		return err
	}
	return s.reshard(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		sh, err := s.reshardable(&req.StreamRef, st, req.Shard)
		if err != nil {
			return err
		}
		at, err := model.ParseHashKey(req.HashKey)
		// Kinesis wants children of more than one hash key each.
		if r := sh.Range; err != nil || at.Compare(r.Lo) <= 0 || at.Prev() == r.Lo || at.Compare(r.Hi) >= 0 {
			return streamFault(FaultStreamArgument, "NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s "+
				"is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
				req.HashKey, sh.Number, st.Name, req.account(), r.Lo, r.Hi)
		}
		if err := s.checkShardCount(ctx, &req.StreamRef, st, st.OpenShards+1); err != nil {
			return err
		}
		return spec.BeginSplit(sh.Number, at, s.nowMs())
	})
}

// MergeShards merges two open shards whose hash ranges are neighbours, as
// SplitShard splits one. Errors: *StreamError.
func (s *Service) MergeShards(ctx context.Context, req *MergeShardsRequest) error {
	if err := s.learnShards(ctx, &req.StreamRef, req.Shard, req.Adjacent); err != nil {
		return err
	}
	return s.reshard(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		a, err := s.reshardable(&req.StreamRef, st, req.Shard)
		if err != nil {
			return err
		}
		b, err := s.reshardable(&req.StreamRef, st, req.Adjacent)
		if err != nil {
			return err
		}
		if spec.BeginMerge(a.Number, b.Number, s.nowMs()) != nil {
			return streamFault(FaultStreamArgument, "Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging.",
				a.Number, b.Number, st.Name, req.account())
		}
		return nil
	})
}

// learnShards makes sure that this node's catalog has the shards, if there are
// such.
func (s *Service) learnShards(ctx context.Context, ref *StreamRef, ids ...string) error {
	st, err := s.stream(ctx, ref)
	for _, id := range ids {
		if err == nil {
			st, _, err = s.namedShard(ctx, ref, st, id)
		}
	}
	return err
}

// reshardable is the open shard of that id in a provisioned stream that is not
// being resharded.
func (s *Service) reshardable(ref *StreamRef, st *Stream, id string) (*model.Shard, error) {
	if err := checkProvisioned(ref, st); err != nil {
		return nil, err
	}
	n, err := model.ParseShardID(id)
	sh, ok := st.Spec.Shard(n)
	if err != nil || !ok {
		return nil, noShard(ref, st.Name, id)
	}
	if !sh.Open() {
		return nil, streamFault(FaultStreamArgument, "Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.",
			n, st.Name, ref.account())
	}
	return sh, nil
}

func checkProvisioned(ref *StreamRef, st *Stream) error {
	if st.OnDemand {
		return streamFault(FaultStreamValidation, "Request is invalid. Stream %s under account %s is in On-Demand mode.", st.Name, ref.account())
	}
	return checkActive(ref, st)
}

func checkActive(ref *StreamRef, st *Stream) error {
	if st.Status != StreamActive {
		return streamBusy(ref, st.Name, st.Status)
	}
	return nil
}

// checkShardCount refuses more shards than a stream, or under the aws profile
// an account, may have.
func (s *Service) checkShardCount(ctx context.Context, ref *StreamRef, st *Stream, target int) error {
	more := target - st.OpenShards
	if target > model.MaxStreamShards {
		return tooManyShards(ref, int64(st.OpenShards), int64(more), model.MaxStreamShards)
	}
	if more <= 0 {
		return nil
	}
	return s.checkStreamCounts(ctx, ref, int64(more), 0)
}

// UpdateShardCount replaces the shards by that many of even size. Errors:
// *StreamError.
func (s *Service) UpdateShardCount(ctx context.Context, req *UpdateShardCountRequest) (*UpdateShardCountResult, error) {
	res := &UpdateShardCountResult{Target: req.Target}
	err := s.reshard(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		if err := checkProvisioned(&req.StreamRef, st); err != nil {
			return err
		}
		res.Stream, res.Current = st, int64(st.OpenShards)
		if err := s.checkScaling(ctx, req, st); err != nil {
			return err
		}
		return spec.BeginScale(int(req.Target), s.nowMs())
	})
	return res, err
}

func (s *Service) checkScaling(ctx context.Context, req *UpdateShardCountRequest, st *Stream) error {
	has := int64(st.OpenShards)
	if s.awsLimits() {
		switch {
		case req.Target > 2*has:
			return streamFault(FaultStreamArgument, "UpdateShardCount cannot scale up over double your current open shard count. "+
				"Current open shard count: %d Target shard count: %d", has, req.Target)
		case 2*req.Target < has:
			return streamFault(FaultStreamArgument, "UpdateShardCount cannot scale down below half your current open shard count. "+
				"Current open shard count: %d Target shard count: %d", has, req.Target)
		case has > awsShardsScaled && req.Target >= awsShardsScaled:
			return streamFault(FaultStreamArgument, "UpdateShardCount cannot scale a stream with more than %d shards unless the target is less than that.", awsShardsScaled)
		}
	}
	if req.Target > model.MaxStreamShards {
		return tooManyShards(&req.StreamRef, has, req.Target-has, model.MaxStreamShards)
	}
	return s.checkShardCount(ctx, &req.StreamRef, st, int(req.Target))
}

// reshard writes a plan into the stream's spec and carries it out. When that
// does not come to its end within ctx the plan is still there, and the node that
// looks after the stream goes on.
func (s *Service) reshard(ctx context.Context, ref *StreamRef, begin func(st *Stream, spec *model.StreamSpec) error) error {
	st, err := s.changeStream(ctx, ref, begin)
	if err != nil {
		return err
	}
	if st.Status == StreamUpdating {
		_ = s.FinishReshard(ctx, st.ID)
	}
	return nil
}

// SplitHotShard splits a shard in the middle of its hash range, whatever the
// stream's mode; how on-demand streams grow. A shard that is not open, or that
// has one hash key, is left as it is.
func (s *Service) SplitHotShard(ctx context.Context, id model.ResourceID, n model.ShardNumber) error {
	return s.reshard(ctx, refOf(id), func(st *Stream, spec *model.StreamSpec) error {
		sh, ok := spec.Shard(n)
		if !ok || st.OpenShards >= model.MaxStreamShards || spec.BeginSplit(n, sh.Range.Middle(), s.nowMs()) != nil {
			return errUnchanged
		}
		return nil
	})
}

// MergeColdShards merges two shards, whatever the stream's mode; how on-demand
// streams shrink. Shards that cannot be merged are left as they are.
func (s *Service) MergeColdShards(ctx context.Context, id model.ResourceID, a, b model.ShardNumber) error {
	return s.reshard(ctx, refOf(id), func(_ *Stream, spec *model.StreamSpec) error {
		if spec.BeginMerge(a, b, s.nowMs()) != nil {
			return errUnchanged
		}
		return nil
	})
}

// refOf names a stream by its id.
func refOf(id model.ResourceID) *StreamRef {
	st := Stream{ID: id}
	return &StreamRef{ID: st.StreamID()}
}

// FinishReshard carries out the resharding of a stream that is under way, if
// any: it closes the parents and puts their children into the catalog. Each step
// may have been taken before, by this node or another, and may be taken by
// several at once. Requests of this node that want the same do it once.
func (s *Service) FinishReshard(ctx context.Context, id model.ResourceID) error {
	return s.streams.finish.do(ctx, id, func() error {
		for range maxStreamTries {
			st, err := s.streamOf(ctx, refOf(id), id)
			if err != nil || st.Spec.Reshard.Kind == 0 {
				return err
			}
			if err := s.finishRound(ctx, st); err != nil {
				return err
			}
		}
		return model.Errorf(model.ErrUnavailable, "The stream is being resharded by many requests at once. Try again.")
	})
}

// finishRound takes the steps of the plan that is in the stream's spec.
func (s *Service) finishRound(ctx context.Context, st *Stream) error {
	plan := &st.Spec.Reshard
	ends := make([]model.ShardEnd, len(plan.Closing))
	err := sideBySide(len(ends), func(i int) error {
		n := plan.Closing[i]
		body := model.CloseShard{Shard: n}
		cmd := &model.Command{Kind: model.CmdCloseShard, Resource: st.ID, Slot: model.ShardSlot(st.ID, n), Body: body.Append(nil)}
		if base.Bug("childearly") {
			cmd.Kind, cmd.Body = model.CmdTrimShard, (&model.TrimShard{Shard: n}).Append(nil)
		}
		res, err := s.cluster.Propose(ctx, cmd)
		if err != nil {
			return err
		}
		if res.Status == model.StatusGone {
			return noStream(refOf(st.ID))
		}
		var state model.ShardState
		if err := decodeResult(res, &state); err != nil {
			return err
		}
		ends[i] = model.ShardEnd{Number: n, End: state.Next, ClosedMs: state.ClosedMs, RetriedMs: state.RetriedMs}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.changeStream(ctx, refOf(st.ID), func(_ *Stream, spec *model.StreamSpec) error {
		if now := &spec.Reshard; now.Kind == 0 || now.Children[0].Number != plan.Children[0].Number {
			return errUnchanged // somebody else was faster
		}
		return spec.FinishReshard(ends, s.nowMs())
	})
	return err
}

// maxSideBySide is how many parts of one request are under way at once.
const maxSideBySide = 64

// sideBySide does n parts of a request, several at once, and returns the error
// of the first part that has one.
func sideBySide(n int, do func(i int) error) error {
	if n == 0 {
		return nil
	}
	errs := make([]error, n)
	var group sync.WaitGroup
	free := make(chan struct{}, maxSideBySide)
	for i := range n - 1 {
		free <- struct{}{}
		group.Go(func() {
			errs[i] = do(i)
			<-free
		})
	}
	errs[n-1] = do(n - 1) // here: a goroutine that is made has to wait for a processor
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// flights make one of several calls at once that would do the same. Its zero
// value is ready.
type flights struct {
	mu      sync.Mutex // guards running
	running map[model.ResourceID]*flight
}

type flight struct {
	landed chan struct{} // closed when it has ended
	err    error         // after that
}

// do does what it is given, or waits for the call that does it already.
func (f *flights) do(ctx context.Context, id model.ResourceID, what func() error) error {
	for {
		f.mu.Lock()
		other := f.running[id]
		if other == nil {
			break
		}
		f.mu.Unlock()
		select {
		case <-other.landed:
			if other.err == nil {
				return nil
			}
			// It may have failed because its client went away: try ourselves.
		case <-ctx.Done():
			return model.Errorf(model.ErrUnavailable, "the stream is still being resharded")
		}
	}
	mine := &flight{landed: make(chan struct{})}
	if f.running == nil {
		f.running = map[model.ResourceID]*flight{}
	}
	f.running[id] = mine
	f.mu.Unlock()
	mine.err = what()
	f.mu.Lock()
	delete(f.running, id)
	f.mu.Unlock()
	close(mine.landed)
	return mine.err
}
