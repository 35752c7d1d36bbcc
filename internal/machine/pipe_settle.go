package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applySettle ends a claim: its messages are deleted, or become visible again
// when the command says so. A claim that is settled already is left alone, so
// the command may be repeated at any time (invariant 5).
func applySettle(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Settle](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	record, ok, err := readClaim(tx, q.id, q.slot, cmd.Pipe, cmd.Claim)
	if err != nil || !ok {
		return model.Result{}, err
	}
	settled := uint64(0)
	for i := range record.Entries {
		found, err := q.settle(&record.Entries[i], cmd.Release)
		if err != nil {
			return model.Result{}, err
		}
		if found && !cmd.Release {
			settled++
		}
	}
	tx.Delete(keys.Claim(q.key[:0], q.id, q.slot, cmd.Pipe, cmd.Claim))
	claims, err := readClaims(tx, q.id, q.slot, cmd.Pipe)
	if err != nil {
		return model.Result{}, err
	}
	claims.Unsettled--
	claims.Settled += settled - min(settled, cmd.Returned)
	if cmd.Claim == claims.Low {
		if claims.Low, err = nextUnsettled(tx, cmd.Pipe, cmd.Claim+1, claims.Next); err != nil {
			return model.Result{}, err
		}
	}
	q.writeClaims(cmd.Pipe, &claims)
	return model.Result{}, q.flush()
}

// settle ends one message's claim; found is false when the message was purged
// or deleted.
func (q *queue) settle(e *keys.QueueEntry, release bool) (found bool, err error) {
	if e.Seq < q.head.PurgedBelow {
		return false, nil
	}
	var st *keys.StateRecord
	if e.Receives > 0 {
		if st, err = q.state(e.Seq); err != nil || st == nil {
			return false, err
		}
	}
	q.head.Claimed--
	q.comeBack(e)
	if release {
		q.show(e, st, false)
	} else {
		q.drop(e)
	}
	return true, nil
}

// nextUnsettled is the first unsettled claim in [from, end), or end. It is the
// floor: no unsettled claim is below it (invariant 3).
func nextUnsettled(tx *Tx, pipe model.ResourceID, from, end model.ClaimSeq) (model.ClaimSeq, error) {
	id, slot := tx.Command.Resource, tx.Command.Slot
	it, err := tx.Scan(keys.Claim(nil, id, slot, pipe, from), keys.Claim(nil, id, slot, pipe, end), false)
	if err != nil {
		return 0, err
	}
	if it.Next() {
		_, seq, ok := keys.SplitClaim(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return 0, model.ErrCorrupt
		}
		end = seq
	}
	return end, it.Close()
}
