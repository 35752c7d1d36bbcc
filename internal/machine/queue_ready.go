package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// readyHorizonMs is how far Ready looks ahead: the longest long poll.
const readyHorizonMs = 20_000

// Ready says whether a CmdReceive or CmdClaim would find something at now. If
// it would not, nextMs is the Unix millisecond at which something may become
// visible by itself; zero is never. It only reads, and may run beside Apply.
// When it says ready and the command then takes nothing after all, because
// what it found had expired or died, the command has made the queue shorter.
func Ready(r Reader, cmd *model.Command, now model.Stamp) (ready bool, nextMs int64, err error) {
	head, err := readQueueHead(r, cmd.Resource, cmd.Slot)
	if err != nil {
		return false, 0, err
	}
	if cmd.Kind == model.CmdClaim {
		var c model.Claim
		d := model.NewDecoder(cmd.Body)
		c.Decode(d)
		if err := d.Done(); err != nil {
			return false, 0, err
		}
		if c.Dead {
			return head.Dead > 0, 0, nil
		}
	}
	if head.Visible > 0 {
		return true, 0, nil
	}
	if head.InFlight+head.Delayed == 0 {
		return false, 0, nil
	}
	nowMs := now.Millis()
	lo := keys.Hidden(nil, cmd.Resource, cmd.Slot, head.LowHiddenMs, head.LowHiddenSeq)
	hi := keys.Hidden(nil, cmd.Resource, cmd.Slot, nowMs+readyHorizonMs, 0)
	it, err := r.Scan(lo, hi, false)
	if err != nil {
		return false, 0, err
	}
	nextMs = nowMs + readyHorizonMs
	if it.Next() {
		at, _, ok := keys.SplitHidden(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return false, 0, model.ErrCorrupt
		}
		nextMs = at
	}
	if nextMs <= nowMs {
		return true, 0, it.Close()
	}
	return false, nextMs, it.Close()
}

// TookNothing reports whether the command was a receive or claim that found
// nothing to take. Such a command is harmless to repeat, so its result need
// not be recorded; who waits goes on waiting. The result may be the recorded
// or the expanded one.
func TookNothing(cmd *model.Command, res model.Result) bool {
	if cmd.Kind != model.CmdReceive && cmd.Kind != model.CmdClaim || res.Status != model.StatusOK {
		return false
	}
	d := model.NewDecoder(res.Body)
	return d.Uvarint() == 0 && d.Err() == nil
}

// maxDueCounted bounds how many due messages a query of a queue looks at.
const maxDueCounted = 10_000

// queryQueue counts a queue's messages.
func queryQueue(r Reader, query *model.Query) (model.Result, error) {
	var body model.QueueQuery
	d := model.NewDecoder(query.Body)
	body.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	head, err := readQueueHead(r, query.Resource, query.Slot)
	if err != nil {
		return model.Result{}, err
	}
	counts := model.QueueCounts{
		Visible: head.Visible, Delayed: head.Delayed, InFlight: head.InFlight,
		Claimed: head.Claimed, Dead: head.Dead, Bytes: head.Bytes,
	}
	if head.Visible > 0 {
		counts.OldestMs = head.HeadMs
	}
	if err := countDue(r, query, &head, body.NowMs, &counts); err != nil {
		return model.Result{}, err
	}
	return model.Result{Body: counts.Append(nil)}, nil
}

// countDue counts hidden messages as visible whose time has come.
func countDue(r Reader, query *model.Query, head *keys.QueueRecord, nowMs int64, counts *model.QueueCounts) error {
	if head.InFlight+head.Delayed == 0 || head.LowHiddenMs > nowMs {
		return nil
	}
	lo := keys.Hidden(nil, query.Resource, query.Slot, head.LowHiddenMs, head.LowHiddenSeq)
	hi := keys.Hidden(nil, query.Resource, query.Slot, nowMs+1, 0)
	it, err := r.Scan(lo, hi, false)
	if err != nil {
		return err
	}
	for n := 0; n < maxDueCounted && it.Next(); n++ {
		if len(it.Value()) > 0 {
			counts.Delayed--
		} else {
			counts.InFlight--
		}
		counts.Visible++
	}
	return it.Close()
}
