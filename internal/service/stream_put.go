package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// PutRecords puts records into the shards that their keys belong to. The
// records of one shard are put all or none, in the order of the request, and
// the shards side by side. With an Invocation, a call that its client repeats
// puts each record once, also when the stream was resharded in between.
//
// Errors: *StreamError when the request breaks a rule, and for a Single one
// whatever is in the way of its record; ErrUnknownOutcome, ErrNotAbroad or
// ErrNotOnAll when records of a call with an Invocation may have been put or not,
// by this try or one before, or were put but are not where they have to be:
// repeating the call is safe, putting the records by another one is not. All
// other failures are those of each record.
func (s *Service) PutRecords(ctx context.Context, req *PutRecordsRequest) (*PutRecordsResult, error) {
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return nil, err
	}
	s.laggards.disturbed(s.clock.Now())
	p := &put{service: s, req: req, out: make([]PutRecord, len(req.Records))}
	if err := p.prepare(st); err != nil {
		return nil, err
	}
	for range maxStreamTries {
		again, err := p.run(ctx, st)
		if err != nil {
			return nil, err
		}
		if !again {
			break
		}
		// The stream was deleted; there may be another of its name.
		if err := s.cluster.SyncCatalog(ctx); err != nil {
			return nil, err
		}
		if st, err = s.stream(ctx, &req.StreamRef); err != nil {
			return nil, err
		}
		if err := p.prepare(st); err != nil {
			return nil, err
		}
	}
	return p.result(st)
}

// put is a PutRecords under way.
type put struct {
	service *Service
	req     *PutRecordsRequest
	records []model.Record
	hashes  []model.HashKey
	call    model.RequestID // the commands' ids are made of it
	out     []PutRecord
	next    []model.ShardNumber // of each record: it is put into no shard before this one
	open    []int               // records that are still to be put
}

// prepare checks the request against the stream and forgets what was done.
func (p *put) prepare(st *Stream) error {
	if err := p.check(st); err != nil {
		return err
	}
	req := p.req
	p.records = make([]model.Record, len(req.Records))
	p.hashes = make([]model.HashKey, len(req.Records))
	p.next, p.open = make([]model.ShardNumber, len(req.Records)), p.open[:0]
	clear(p.out)
	d := newRequestDigest(queueCall{model.CmdPutRecords, req.Invocation}, st.ID)
	for i := range req.Records {
		in := &req.Records[i]
		r := &p.records[i]
		r.PartitionKey, r.Data = []byte(in.Key), in.Data
		if in.HashKey != "" {
			h, err := model.ParseHashKey(in.HashKey)
			if err != nil {
				return streamFault(FaultStreamArgument, "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", in.HashKey)
			}
			r.Explicit, r.HashKey = true, h
		}
		p.hashes[i] = r.Hash()
		addTo(&d, r.PartitionKey)
		addTo(&d, in.HashKey)
		addTo(&d, r.Data)
		p.open = append(p.open, i)
	}
	p.call = model.RequestID(d.sum(p.service))
	return nil
}

// shardGroup is what of a request goes to one shard.
type shardGroup struct {
	shard   *model.Shard
	indexes []int
	blocked bool // records of an ancestor are still to be put
	status  model.Status
	got     model.PutRecordsResult
	err     error
}

// run puts the open records into the stream's shards, generation by generation:
// those that meet a closed shard go to its children. again says that the stream
// is gone.
//
// A child's records are proposed only when it is known of all records of the
// request that belong there whether an ancestor took them: so every repetition
// of the call makes the same command for the child, and its id, made of the
// call and the shard, names the same records each time.
func (p *put) run(ctx context.Context, st *Stream) (again bool, err error) {
	s := p.service
	for tries := 0; len(p.open) > 0; {
		groups, complete := p.groups(st)
		if !complete { // a shard was closed, and this node has not seen its children
			if tries++; tries > maxStreamTries {
				return false, p.fail(model.Errorf(model.ErrUnavailable, "the stream is being resharded"))
			}
			if st, err = s.afterReshard(ctx, &p.req.StreamRef, st); err != nil {
				if isKind(err, model.ErrNotFound) {
					return false, err
				}
				return false, p.fail(err)
			}
			continue
		}
		groups = slices.DeleteFunc(groups, func(g *shardGroup) bool { return g.blocked })
		_ = sideBySide(len(groups), func(i int) error {
			p.propose(ctx, st, groups[i])
			return nil
		})
		for _, g := range groups {
			if g.err == nil && g.status == model.StatusGone {
				return true, nil
			}
		}
		for _, g := range groups {
			p.settle(g)
		}
		p.open = slices.DeleteFunc(p.open, func(i int) bool { return p.out[i].Err != nil || p.out[i].Sequence != "" })
		for _, g := range groups {
			if g.err != nil { // whether its records are there is open: nothing may follow them
				return false, p.fail(g.err)
			}
		}
	}
	return false, nil
}

// afterReshard waits until the catalog has the children of shards that were
// found closed, and finishes the resharding if nobody else does.
func (s *Service) afterReshard(ctx context.Context, ref *StreamRef, st *Stream) (*Stream, error) {
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	if err := s.FinishReshard(ctx, st.ID); err != nil {
		return nil, err
	}
	return s.streamOf(ctx, ref, st.ID)
}

// putOverheadBytes is about what a record needs beside its key and data in a
// command.
const putOverheadBytes = 32

// propose puts a group's records into its shard.
func (p *put) propose(ctx context.Context, st *Stream, g *shardGroup) {
	n := g.shard.Number
	records := make([]model.Record, len(g.indexes))
	bytes := 0
	for k, i := range g.indexes {
		records[k] = p.records[i]
		bytes += p.records[i].Size()
	}
	if g.shard.Open() {
		if g.err = p.service.meterPut(&p.req.StreamRef, st, n, bytes, len(records)); g.err != nil {
			return
		}
	}
	body := model.PutRecords{Shard: n, Retry: p.req.Retry && !p.req.Invocation.IsZero()}
	cmd := &model.Command{
		Kind: model.CmdPutRecords, ID: model.ShardRequest(p.call, n), Resource: st.ID, Slot: model.ShardSlot(st.ID, n),
		Body: body.AppendRecords(make([]byte, 0, bytes+putOverheadBytes*(1+len(records))), records),
	}
	res, err := p.service.cluster.Propose(ctx, cmd)
	if g.err, g.status = err, res.Status; err != nil || g.status == model.StatusGone || g.status == model.StatusClosed {
		return
	}
	if g.err = decodeResult(res, &g.got); g.err == nil && g.got.Count != uint64(len(records)) {
		g.err = errMiscounted
	}
}

// settle notes what became of a group.
func (p *put) settle(g *shardGroup) {
	for k, i := range g.indexes {
		switch {
		case g.err != nil:
			p.out[i].Err = g.err
		case g.status == model.StatusClosed:
			p.next[i] = g.shard.Number + 1
		default:
			p.out[i].Shard = g.shard.Number.String()
			p.out[i].Sequence = g.shard.Sequence(g.got.First+uint64(k), g.got.ArrivalMs).String()
		}
	}
}

// fail gives an error to all records that are still to be put.
func (p *put) fail(err error) error {
	for _, i := range p.open {
		p.out[i].Err = err
	}
	p.open = nil
	return nil
}

// result is the call's answer.
func (p *put) result(st *Stream) (*PutRecordsResult, error) {
	res := &PutRecordsResult{Records: p.out, KeyID: st.KeyID}
	for i := range p.out {
		err := p.out[i].Err
		if err == nil {
			continue
		}
		res.Failed++
		named := !p.req.Invocation.IsZero()
		if named && p.req.Retry && isKind(err, model.ErrUnavailable) {
			// This try did not put it, but the one before may have, or may yet.
			err = model.Errorf(model.ErrUnknownOutcome, "the records may or may not have been put; it is safe to send the request again with the same invocation id")
		}
		if p.req.Single || named && (p.req.Retry || partly(err)) {
			return nil, err
		}
	}
	return res, nil
}
