package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

const (
	// maxDueCounted bounds how many due messages a query of a queue looks at.
	maxDueCounted = 10_000
	// maxLoudCounted bounds how many groups it looks at that may be noisy: those
	// with NoisyInFlight in flight are fewer.
	maxLoudCounted = 10_000
)

// queryQueue counts a queue's messages.
func queryQueue(r Reader, query *model.Query) (model.Result, error) {
	body, err := bodyOf[model.QueueQuery](query.Body)
	if err != nil {
		return model.Result{}, err
	}
	var head keys.QueueRecord
	if err := readQueueHead(r, query.Resource, query.Slot, &head); err != nil {
		return model.Result{}, err
	}
	counts := model.QueueCounts{
		Visible: head.Visible + head.Unfiled, Delayed: head.Delayed, InFlight: head.InFlight,
		Claimed: head.Claimed, Dead: head.Dead, Bytes: head.Bytes, Groups: head.Groups,
	}
	if head.Visible > 0 {
		if counts.OldestMs, err = oldestMs(r, query, &head); err != nil {
			return model.Result{}, err
		}
	}
	if err := countDue(r, query, &head, body.NowMs, &counts); err != nil {
		return model.Result{}, err
	}
	if head.Groups > 0 && !head.Fifo {
		if counts.Noisy, err = countNoisy(r, query, &head, body.NowMs); err != nil {
			return model.Result{}, err
		}
	}
	return model.Result{Body: counts.Append(nil)}, nil
}

// oldestMs is when the first of the messages at the heads was sent. When all
// groups of a FIFO queue are blocked it is when the last head was.
func oldestMs(r Reader, query *model.Query, head *keys.QueueRecord) (ms int64, err error) {
	note := func(at int64) {
		if ms == 0 || at < ms {
			ms = at
		}
	}
	for p := range head.Lines {
		if head.Lines[p].Count > 0 {
			note(head.Lines[p].HeadMs)
		}
		if head.Noisy[p] == 0 {
			continue
		}
		names, err := readNoisy(r, query.Resource, query.Slot, uint8(p))
		if err != nil {
			return 0, err
		}
		for _, name := range names {
			g, err := readGroup(r, query.Resource, query.Slot, name)
			if err != nil {
				return 0, err
			}
			if l := g.list(uint8(p)); l != nil && len(l.Front) > 0 {
				note(l.Front[0].SentMs)
			}
		}
	}
	if ms == 0 {
		ms = head.Lines[0].HeadMs
	}
	return ms, nil
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
		due, err := countHidden(r, query, it.Key())
		if err != nil {
			_ = it.Close() // the first error is the one to report
			return err
		}
		if len(it.Value()) > 0 {
			counts.Delayed -= due
		} else {
			counts.InFlight -= due
		}
		counts.Visible += due
	}
	return it.Close()
}

// countHidden is how many messages an entry under Hidden stands for.
func countHidden(r Reader, query *model.Query, key []byte) (n uint64, err error) {
	at, seq, ok := keys.SplitHidden(key)
	if !ok {
		return 0, model.ErrCorrupt
	}
	if !keys.IsBlock(seq) {
		return 1, nil
	}
	state, _, err := readBlockState(r, query.Resource, query.Slot, seq)
	for i := range state.Parts {
		if p := &state.Parts[i]; p.UntilMs == at {
			n += uint64(p.Members.Count())
		}
	}
	return n, err
}

// countNoisy counts the noisy groups among those that may be.
func countNoisy(r Reader, query *model.Query, head *keys.QueueRecord, nowMs int64) (noisy uint64, err error) {
	lo, hi := keys.LoudSpan(query.Resource, query.Slot)
	it, err := r.Scan(lo, hi, false)
	if err != nil {
		return 0, err
	}
	for n := 0; n < maxLoudCounted && it.Next(); n++ {
		name, ok := keys.SplitLoud(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return 0, model.ErrCorrupt
		}
		g, err := readGroup(r, query.Resource, query.Slot, name)
		if err != nil {
			_ = it.Close() // the first error is the one to report
			return 0, err
		}
		if g.Messages > 0 && isNoisy(head, &g.GroupRecord, head.InFlight+head.Claimed, nowMs) {
			noisy++
		}
	}
	return noisy, it.Close()
}
