package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A pipe moves messages in three commands: claim at the source, apply at the
// target, settle at the source. The numbered invariants in the comments of
// these files are those of docs/format/pipe.md.

// readClaims returns a pipe's claims record in a queue's slot.
func readClaims(r Reader, id model.ResourceID, slot model.Slot, pipe model.ResourceID) (keys.ClaimsRecord, error) {
	var buf [64]byte
	c := keys.ClaimsRecord{Next: 1, Low: 1}
	value, ok, err := r.Get(keys.Claims(buf[:0], id, slot, pipe))
	if err != nil || !ok {
		return c, err
	}
	return bodyOf[keys.ClaimsRecord](value)
}

func (q *queue) writeClaims(pipe model.ResourceID, c *keys.ClaimsRecord) {
	q.value = c.Append(q.value[:0])
	q.tx.Set(keys.Claims(q.key[:0], q.id, q.slot, pipe), q.value)
}

// readClaim returns a claim; ok is false when it is settled.
func readClaim(r Reader, id model.ResourceID, slot model.Slot, pipe model.ResourceID, seq model.ClaimSeq) (c keys.ClaimRecord, ok bool, err error) {
	var buf [64]byte
	value, ok, err := r.Get(keys.Claim(buf[:0], id, slot, pipe, seq))
	if err != nil || !ok {
		return c, false, err
	}
	c, err = bodyOf[keys.ClaimRecord](value)
	return c, true, err
}

// applyClaim hands messages over to a pipe (invariant 1).
func applyClaim(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Claim](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	if m.dropped[cmd.Pipe] { // the pipe is being ended: no more claims, or its end would leave one behind
		return model.Result{Status: model.StatusGone}, nil
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	claims, err := readClaims(tx, q.id, q.slot, cmd.Pipe)
	if err != nil {
		return model.Result{}, err
	}
	if claims.Unsettled >= model.MaxPipeClaims || len(cmd.Plan) > model.MaxPlanBytes {
		return model.Result{Status: model.StatusOverLimit}, nil
	}
	if _, err := q.showDue(&cmd.Settings); err != nil {
		return model.Result{}, err
	}
	most := int(min(cmd.Max, model.MaxReceiveMessages))
	take := q.take
	if cmd.Dead {
		take = q.takeDead
	}
	got, err := take(&cmd.Settings, most)
	if err != nil {
		return model.Result{}, err
	}
	res := model.ClaimResult{Taken: uint64(len(got)), Floor: claims.Low}
	if len(got) > 0 {
		res.Seq = claims.Next
		if err := q.claim(&cmd, &claims, got); err != nil {
			return model.Result{}, err
		}
	}
	return model.Result{Body: res.Append(nil)}, q.flush()
}

// claim records the claim. The messages that have a state, because receipts of
// them are about, are marked, so that a deletion finds them.
func (q *queue) claim(cmd *model.Claim, claims *keys.ClaimsRecord, got []keys.QueueEntry) error {
	for i := range got {
		if got[i].Receives == 0 {
			continue
		}
		st, err := q.state(got[i].Seq)
		if err != nil || st == nil {
			return orCorrupt(err)
		}
		st.Place, st.At = keys.PlaceClaimed, uint64(claims.Next)
		q.setState(st, false)
	}
	record := keys.ClaimRecord{Nonce: cmd.Nonce, Dead: cmd.Dead, Plan: cmd.Plan, Entries: got}
	q.value = record.Append(q.value[:0])
	q.tx.SetNew(keys.Claim(q.key[:0], q.id, q.slot, cmd.Pipe, claims.Next), q.value)
	q.head.Claimed += uint64(len(got))
	q.taken = 0
	claims.Next++
	claims.Unsettled++
	q.writeClaims(cmd.Pipe, claims)
	return nil
}

// claimingPipe is the pipe that a command claims for.
func claimingPipe(cmd *model.Command) (model.ResourceID, error) {
	if cmd.Kind == model.CmdClaimRecords {
		body, err := bodyOf[model.ClaimRecords](cmd.Body)
		return body.Pipe, err
	}
	body, err := bodyOf[model.Claim](cmd.Body)
	return body.Pipe, err
}

// expandClaim reads the messages, or records, of the claim that the command made.
func expandClaim(r Reader, cmd *model.Command, recorded []byte) (model.ClaimResult, error) {
	res, err := bodyOf[model.ClaimResult](recorded)
	if err != nil || res.Taken == 0 {
		return res, err
	}
	pipe, err := claimingPipe(cmd)
	if err != nil {
		return res, err
	}
	record, ok, err := readClaim(r, cmd.Resource, cmd.Slot, pipe, res.Seq)
	if err != nil || !ok {
		return res, err
	}
	res.Messages, err = readClaimed(r, cmd.Resource, cmd.Slot, &record)
	return res, err
}

// readClaimed reads a claim's messages, or records, but those deleted since.
func readClaimed(r Reader, id model.ResourceID, slot model.Slot, c *keys.ClaimRecord) ([]model.Received, error) {
	if c.Count > 0 {
		return readClaimedRecords(r, id, slot, c)
	}
	ms := make([]model.Received, 0, len(c.Entries))
	bodies := messageReader{reader: r, id: id, slot: slot}
	for i := range c.Entries {
		var m model.Received
		ok, err := bodies.read(&c.Entries[i], &m)
		if err != nil {
			return nil, err
		}
		if ok {
			ms = append(ms, m)
		}
	}
	return ms, nil
}

// queryClaims finds the unsettled claims of one pipe, or of all.
func queryClaims(r Reader, query *model.Query) (model.Result, error) {
	body, err := bodyOf[model.ClaimsQuery](query.Body)
	if err != nil {
		return model.Result{}, err
	}
	page := claimsPage{reader: r, query: query, left: model.MaxReceiveBytes}
	if body.Pipe != 0 {
		claims, err := readClaims(r, query.Resource, query.Slot, body.Pipe)
		if err != nil {
			return model.Result{}, err
		}
		page.result.Floor, page.result.Settled = claims.Low, claims.Settled
		err = page.add(body.Pipe, max(claims.Low, body.After+1), claims.Next)
		return model.Result{Body: page.result.Append(nil)}, err
	}
	lo, hi := keys.ClaimsSpan(query.Resource, query.Slot)
	err = scan(r, lo, hi, func(key, value []byte) error {
		pipe, ok := keys.SplitClaims(key)
		claims, err := bodyOf[keys.ClaimsRecord](value)
		if !ok || err != nil {
			return model.ErrCorrupt
		}
		if claims.Unsettled == 0 {
			return nil
		}
		return page.add(pipe, claims.Low, claims.Next)
	})
	return model.Result{Body: page.result.Append(nil)}, err
}

// claimsPage collects claims until they are too large for one answer.
type claimsPage struct {
	reader Reader
	query  *model.Query
	result model.ClaimsResult
	left   int64
}

func (p *claimsPage) add(pipe model.ResourceID, from, to model.ClaimSeq) error {
	if p.result.More || from >= to {
		return nil
	}
	lo := keys.Claim(nil, p.query.Resource, p.query.Slot, pipe, from)
	hi := keys.Claim(nil, p.query.Resource, p.query.Slot, pipe, to)
	return scan(p.reader, lo, hi, func(key, value []byte) error {
		_, seq, ok := keys.SplitClaim(key)
		record, err := bodyOf[keys.ClaimRecord](value)
		if !ok || err != nil {
			return model.ErrCorrupt
		}
		if p.result.More {
			return nil
		}
		size := int64(len(value))
		if record.Count > 0 {
			size += model.MaxClaimBytes
		}
		for i := range record.Entries {
			size += int64(record.Entries[i].Size)
		}
		if len(p.result.Claims) > 0 && size > p.left {
			p.result.More = true
			return nil
		}
		p.left -= size
		ms, err := readClaimed(p.reader, p.query.Resource, p.query.Slot, &record)
		p.result.Claims = append(p.result.Claims, model.UnsettledClaim{
			Pipe: pipe, Shard: record.Shard, Seq: seq, Nonce: record.Nonce, Dead: record.Dead,
			Plan: append([]byte(nil), record.Plan...), Messages: ms,
		})
		return err
	})
}
