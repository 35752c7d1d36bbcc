package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// sweepExpired removes expired messages from the heads of the lines. It costs
// nothing until the head's message can have expired. more says that the bound
// was reached.
func (q *queue) sweepExpired(s *model.QueueSettings) (more bool, err error) {
	if s.RetentionMs == 0 {
		return false, nil
	}
	left := maxSwept
	for p := range q.head.Lines {
		l := &q.head.Lines[p]
		if l.Count == 0 || l.HeadMs+s.RetentionMs > q.nowMs {
			continue
		}
		err := q.walkLine(uint8(p), func(order uint64, e *keys.QueueEntry) verdict {
			if left <= 0 || !q.expired(s, e) {
				return stop
			}
			if e.Turn {
				return q.sweepTurn(s, uint8(p), e, &left)
			}
			left--
			q.head.Visible--
			q.drop(e)
			return taken
		})
		if err != nil {
			return false, err
		}
	}
	return left <= 0, q.err
}

// sweepTurn removes expired messages from the beginning of a group's list and
// sends the group to the end of the line.
func (q *queue) sweepTurn(s *model.QueueSettings, priority uint8, turn *keys.QueueEntry, left *int) verdict {
	g := q.group(turn.Group)
	l := g.list(priority)
	if l == nil {
		q.fail(model.ErrCorrupt)
		return stop
	}
	l.Turn = keys.TurnNone
	*left--
	for *left > 0 && len(l.Front) > 0 && q.shown(&l.Front[0]) && q.expired(s, &l.Front[0]) {
		*left--
		e := q.pop(g, l, 0)
		q.drop(&e)
	}
	if q.gives(g, l) {
		q.giveTurn(g, l)
	}
	return taken
}

// applySetQueueSettings does the work that other commands do on the side.
func applySetQueueSettings(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.SetQueueSettings](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	q, err := m.openQueue(tx)
	if err != nil {
		return model.Result{}, err
	}
	var res model.SweepResult
	for _, sweep := range []func(*model.QueueSettings) (bool, error){q.showDue, q.endAllWaits, q.sweepExpired, q.sweepNoisy, q.revive} {
		more, err := sweep(&cmd.Settings)
		if err != nil {
			return model.Result{}, err
		}
		res.More = res.More || more
	}
	q.forgetLately()
	return model.Result{Body: res.Append(nil)}, q.flush()
}

// endAllWaits lets groups try again that wait for a rate which may be another
// one now.
func (q *queue) endAllWaits(s *model.QueueSettings) (more bool, err error) {
	return q.endWaits(s, true)
}

// sweepNoisy puts the groups back in line that are not noisy any more, so that
// their expired messages are found.
func (q *queue) sweepNoisy(*model.QueueSettings) (more bool, err error) {
	for p, n := range q.head.Noisy {
		if n > 0 {
			q.reconcile(uint8(p))
		}
	}
	return false, q.err
}

// revive makes dead messages visible again once the queue has no redrive
// policy any more.
func (q *queue) revive(s *model.QueueSettings) (more bool, err error) {
	if s.MaxReceives > 0 {
		return false, nil
	}
	revived := 0
	err = q.walkDead(maxSwept, func(e *keys.QueueEntry) verdict {
		st, err := q.state(e.Seq)
		if err != nil || st == nil {
			q.fail(orCorrupt(err))
			return stop
		}
		revived++
		q.show(e, st, false)
		return taken
	})
	if err != nil {
		return false, err
	}
	return revived == maxSwept, q.err
}
