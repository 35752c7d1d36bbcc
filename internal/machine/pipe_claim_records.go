package machine

import (
	"math"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A pipe from a stream keeps a position in each shard, as a consumer group does.
// A claim holds the position: it names the records behind it, and the position
// moves past them when the claim is settled, in one commit. So at most one claim
// of a pipe on a shard is unsettled, and its records are in no other. The
// numbered invariants are those of docs/format/pipe.md.

// pipePosition is the pipe's position in the shard; known is false when it comes
// to the shard for the first time.
func (s *shard) pipePosition(pipe model.ResourceID, startMs int64) (p *model.Position, known bool, err error) {
	if p, err = readPosition(s.tx, s.id, s.slot, s.number, model.PipeGroup(pipe)); err != nil || p != nil {
		return p, true, err
	}
	b, ok, err := s.records().firstAt(startMs)
	p = &model.Position{Group: model.PipeGroup(pipe), N: s.head.Next}
	if ok {
		p.N = b.First
	}
	return p, false, err
}

func (s *shard) setPipePosition(p *model.Position) {
	s.tx.Set(keys.GroupPosition(s.key[:0], s.id, s.slot, s.number, p.Group), p.Append(nil))
}

// applyClaimRecords hands records over to a pipe (invariant 1).
func applyClaimRecords(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.ClaimRecords](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	if m.dropped[cmd.Pipe] { // the pipe is being ended: no more claims, or its end would leave one behind
		return model.Result{Status: model.StatusGone}, nil
	}
	s, err := openShard(tx, cmd.Shard)
	if err != nil {
		return model.Result{}, err
	}
	p, known, err := s.pipePosition(cmd.Pipe, cmd.StartMs)
	if err != nil {
		return model.Result{}, err
	}
	claims, err := readClaims(tx, s.id, s.slot, cmd.Pipe)
	switch {
	case err != nil:
		return model.Result{}, err
	case p.Owner != "" && !base.Bug("claimtwice"):
		return model.Result{Status: model.StatusStale}, nil
	case claims.Unsettled >= model.MaxPipeClaims || len(cmd.Plan) > model.MaxPlanBytes,
		!known && s.head.Groups >= 2*(model.MaxStreamGroups+model.MaxStreamConsumers): // half of them for pipes
		return model.Result{Status: model.StatusOverLimit}, nil
	}
	from, count, err := s.records().nextFor(p.N, &cmd)
	if err != nil {
		return model.Result{}, err
	}
	res := model.ClaimResult{Taken: count, Floor: claims.Low}
	switch {
	case count == 0 && s.head.ClosedMs != 0:
		return model.Result{Status: model.StatusClosed}, nil
	case count == 0:
		return model.Result{Body: res.Append(nil)}, nil
	}
	res.Seq = claims.Next
	if !known {
		s.head.Groups++
	}
	s.claim(&cmd, &claims, p, from, count)
	s.flush()
	return model.Result{Body: res.Append(nil)}, nil
}

// claim records the claim.
func (s *shard) claim(cmd *model.ClaimRecords, claims *keys.ClaimsRecord, p *model.Position, from, count uint64) {
	record := keys.ClaimRecord{Nonce: cmd.Nonce, Plan: cmd.Plan, Shard: s.number, From: from, Count: count}
	s.tx.Set(keys.Claim(s.key[:0], s.id, s.slot, cmd.Pipe, claims.Next), record.Append(nil))
	p.N, p.Generation, p.Owner, p.ExpiresMs = from, uint64(claims.Next), p.Group, math.MaxInt64
	s.setPipePosition(p)
	claims.Next++
	claims.Unsettled++
	s.setClaims(cmd.Pipe, claims)
}

func (s *shard) setClaims(pipe model.ResourceID, c *keys.ClaimsRecord) {
	s.tx.Set(keys.Claims(s.key[:0], s.id, s.slot, pipe), c.Append(s.value[:0]))
}

// nextFor finds the records that a claim takes from the position n on.
func (s *records) nextFor(n uint64, cmd *model.ClaimRecords) (from, count uint64, err error) {
	from = s.position(n)
	if from == s.head.Next {
		return from, 0, nil
	}
	b, err := s.holding(from)
	if err != nil {
		return 0, 0, err
	}
	if b.ArrivalMs < cmd.HorizonMs { // all expired up to the horizon
		at, ok, err := s.firstAt(cmd.HorizonMs)
		if err != nil || !ok {
			return s.head.Next, 0, err
		}
		b, from = at, at.First
	}
	it, err := s.scan(b.First, s.head.Next, false)
	if err != nil {
		return 0, 0, err
	}
	left, room := model.MaxClaimBytes, uint64(min(max(cmd.Max, 1), model.MaxReceiveMessages))
	for next := from; it.Next() && room > 0; next = from + count {
		took, bytes, full, err := fitBlock(it.Key(), it.Value(), next, left, room, count == 0)
		if err != nil {
			_ = it.Close() // the first error is the one to report
			return 0, 0, err
		}
		count, room, left = count+took, room-took, left-bytes
		if full {
			break
		}
	}
	return from, count, it.Close()
}

// fitBlock is how many records of a block, from the number next on, fit into so
// many bytes and records; with atLeastOne the first does in any case. full says
// that one did not.
func fitBlock(key, value []byte, next uint64, left int, room uint64, atLeastOne bool) (took uint64, bytes int, full bool, err error) {
	b, ok := keys.SplitBlock(key)
	batch, err := model.OpenRecordBatch(value)
	if !ok || err != nil || next < b.First || next-b.First >= uint64(batch.Len()) {
		return 0, 0, false, model.ErrCorrupt
	}
	lo := int(next - b.First)
	hi := min(batch.Fit(lo, max(left, 0)), lo+int(room))
	if hi == lo && atLeastOne {
		hi = lo + 1
	}
	if hi > lo {
		bytes = batch.Bytes(lo, hi)
	}
	return uint64(hi - lo), bytes, hi < batch.Len(), nil
}

// readClaimedRecords reads a claim's records but those removed since.
func readClaimedRecords(r Reader, id model.ResourceID, slot model.Slot, c *keys.ClaimRecord) ([]model.Received, error) {
	head, err := readShardHead(r, id, slot, c.Shard)
	if err != nil {
		return nil, err
	}
	s := &records{r, id, slot, c.Shard, &head}
	n, end := max(c.From, head.Low), c.From+c.Count
	if n >= end {
		return nil, nil
	}
	b, err := s.holding(n)
	if err != nil {
		return nil, err
	}
	ms := make([]model.Received, 0, end-n)
	lo := keys.BlockFrom(nil, id, slot, c.Shard, b.First)
	err = scan(r, lo, keys.BlockFrom(nil, id, slot, c.Shard, end), func(key, value []byte) error {
		b, ok := keys.SplitBlock(key)
		batch, err := model.OpenRecordBatch(append([]byte(nil), value...)) // the messages outlive the value
		if !ok || err != nil {
			return model.ErrCorrupt
		}
		for i := range batch.Len() {
			if at := b.First + uint64(i); at >= n && at < end {
				record := batch.Record(i)
				ms = append(ms, model.RecordMessage(id, c.Shard, at, b.ArrivalMs, &record))
			}
		}
		return nil
	})
	return ms, err
}

// applySettleRecords ends a claim: the pipe's position is behind its records. A
// claim that is settled already is left alone, so the command may be repeated at
// any time (invariant 5).
func applySettleRecords(_ *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Settle](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	record, ok, err := readClaim(tx, tx.Command.Resource, tx.Command.Slot, cmd.Pipe, cmd.Claim)
	if err != nil || !ok {
		return model.Result{}, err
	}
	s, err := openShard(tx, record.Shard)
	if err != nil {
		return model.Result{}, err
	}
	p, err := readPosition(tx, s.id, s.slot, s.number, model.PipeGroup(cmd.Pipe))
	if err != nil || p == nil {
		return model.Result{}, orCorrupt(err)
	}
	p.Owner, p.ExpiresMs, p.CommitMs = "", 0, s.nowMs
	if !cmd.Release {
		p.N = record.From + record.Count
	}
	s.setPipePosition(p)
	tx.Delete(keys.Claim(s.key[:0], s.id, s.slot, cmd.Pipe, cmd.Claim))
	claims, err := readClaims(tx, s.id, s.slot, cmd.Pipe)
	if err != nil {
		return model.Result{}, err
	}
	claims.Unsettled--
	if !cmd.Release {
		claims.Settled += record.Count
	}
	if cmd.Claim == claims.Low {
		if claims.Low, err = nextUnsettled(tx, cmd.Pipe, cmd.Claim+1, claims.Next); err != nil {
			return model.Result{}, err
		}
	}
	s.setClaims(cmd.Pipe, &claims)
	tx.Wake = true // another worker may wait for this one's claim
	return model.Result{}, nil
}

// claimReady says whether a CmdClaimRecords would find something: records, or
// the shard's end. While a claim is unsettled there is nothing.
func claimReady(r Reader, cmd *model.Command) (bool, error) {
	body, err := bodyOf[model.ClaimRecords](cmd.Body)
	if err != nil {
		return false, err
	}
	head, err := readShardHead(r, cmd.Resource, cmd.Slot, body.Shard)
	if err != nil {
		return false, err
	}
	s := &records{r, cmd.Resource, cmd.Slot, body.Shard, &head}
	p, err := readPosition(r, s.id, s.slot, s.number, model.PipeGroup(body.Pipe))
	switch {
	case err != nil:
		return false, err
	case head.ClosedMs != 0:
		return p == nil || p.Owner == "", nil
	case p == nil:
		_, ok, err := s.firstAt(body.StartMs)
		return ok, err
	default:
		return p.Owner == "" && s.position(p.N) < head.Next, nil
	}
}
