package machine

import (
	"math"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// readyHorizonMs is how far Ready looks ahead: the longest long poll.
const readyHorizonMs = 20_000

// Ready says whether a CmdReceive, CmdClaim or CmdClaimRecords would find something at now. If
// it would not, nextMs is the Unix millisecond at which it may find something
// though no other command is applied: a message becomes visible, or a rate
// allows another one; zero is never. It only reads, and may run beside Apply.
// When it says ready and the command then takes nothing after all, because
// what it found had expired, died or was over its rate, the command has made
// the queue shorter.
//
// Head is that of the queue in the state that r reads, or a moment before it; when
// it is nil, it is read.
func Ready(r Reader, head *Head, cmd *model.Command, now model.Stamp) (ready bool, nextMs int64, err error) {
	if cmd.Kind == model.CmdClaimRecords {
		ready, err := claimReady(r, cmd)
		return ready, 0, err
	}
	look := readyLook{reader: r, cmd: cmd, nowMs: now.Millis(), head: head}
	if head == nil {
		look.head = &Head{}
		if err := readQueueHead(r, cmd.Resource, cmd.Slot, &look.head.QueueRecord); err != nil {
			return false, 0, err
		}
	}
	switch cmd.Kind {
	case model.CmdClaim:
		body, err := bodyOf[model.Claim](cmd.Body)
		if err != nil {
			return false, 0, err
		}
		if body.Dead {
			ready, err = look.dead()
			return ready, 0, err
		}
		return look.visible(&body.Settings)
	case model.CmdReceive:
		body, err := bodyOf[model.Receive](cmd.Body)
		if err != nil {
			return false, 0, err
		}
		if again, err := readAttempt(r, cmd, body.Attempt, look.nowMs); err != nil || len(again) > 0 {
			return err == nil, 0, err
		}
		return look.visible(&body.Settings)
	default:
		return false, 0, nil
	}
}

// readyLook is a look at a queue for a command that waits for it.
type readyLook struct {
	reader Reader
	cmd    *model.Command
	nowMs  int64
	head   *Head
}

// dead reports whether there are dead messages to claim.
func (l *readyLook) dead() (bool, error) {
	if l.head.Dead == 0 {
		return false, nil
	}
	lo := keys.Dead(nil, l.cmd.Resource, l.cmd.Slot, l.head.LowDead)
	hi := keys.Dead(nil, l.cmd.Resource, l.cmd.Slot, l.head.NextDead)
	it, err := l.reader.Scan(lo, hi, false)
	if err != nil {
		return false, err
	}
	var first keys.QueueEntry
	if it.Next() {
		if first, err = bodyOf[keys.QueueEntry](it.Value()); err != nil {
			_ = it.Close() // the first error is the one to report
			return false, err
		}
	}
	if err := it.Close(); err != nil || !first.Fifo {
		return true, err
	}
	g, err := readGroup(l.reader, l.cmd.Resource, l.cmd.Slot, first.Group)
	return g.Out == 0, err // else the group's claim is to be settled first
}

// visible reports whether there are messages to take, or when.
func (l *readyLook) visible(s *model.QueueSettings) (ready bool, nextMs int64, err error) {
	if nextMs, err = l.shown(s); err != nil || nextMs == 0 {
		return false, 0, err
	}
	if allowed(l.head.FullNs, s.RateMilli, max(nextMs, l.nowMs)) == 0 {
		nextMs = nextMsOf(&l.head.QueueRecord, s)
	}
	if nextMs <= l.nowMs {
		return true, 0, nil
	}
	return false, nextMs, nil
}

func nextMsOf(head *keys.QueueRecord, s *model.QueueSettings) int64 {
	return nextMs(head.FullNs, s.RateMilli)
}

// shown is the time at which something is visible, whatever the queue's rate:
// now, later, or zero for never.
func (l *readyLook) shown(s *model.QueueSettings) (atMs int64, err error) {
	h := l.head
	if hasTurn(&h.QueueRecord) || h.Unfiled > 0 {
		return l.nowMs, nil
	}
	if h.Waiting.Count > 0 && s.GroupRateMilli == 0 {
		return l.nowMs, nil // they wait for a rate that is no more
	}
	if h.InFlight+h.Delayed+h.Waiting.Count == 0 {
		return 0, nil
	}
	next := l.nowMs + readyHorizonMs
	if h.InFlight+h.Delayed > 0 {
		lo := keys.Hidden(nil, l.cmd.Resource, l.cmd.Slot, h.LowHiddenMs, h.LowHiddenSeq)
		if h.stillMs > h.LowHiddenMs {
			lo = keys.Hidden(lo[:0], l.cmd.Resource, l.cmd.Slot, h.stillMs, 0)
		}
		hi := keys.Hidden(nil, l.cmd.Resource, l.cmd.Slot, next, 0)
		if next, err = firstTime(l.reader, lo, hi, next); err != nil {
			return 0, err
		}
	}
	if h.Waiting.Count > 0 {
		lo, _ := keys.AlarmsFrom(l.cmd.Resource, l.cmd.Slot, keys.AlarmWaiting, h.Waiting.LowMs, h.Waiting.LowNumber)
		hi := keys.AlarmKey(nil, l.cmd.Resource, l.cmd.Slot, keys.AlarmWaiting, next, math.MaxUint64)
		if next, err = firstTime(l.reader, lo, hi, next); err != nil {
			return 0, err
		}
	}
	return max(next, l.nowMs), nil
}

// firstTime is the time of the first entry of an index of times, or otherwise.
func firstTime(r Reader, lo, hi []byte, otherwise int64) (atMs int64, err error) {
	it, err := r.Scan(lo, hi, false)
	if err != nil {
		return 0, err
	}
	if !it.Next() {
		return otherwise, it.Close()
	}
	atMs, _, ok := keys.SplitHidden(it.Key())
	if !ok {
		if atMs, _, ok = keys.SplitAlarm(it.Key()); !ok {
			_ = it.Close() // the first error is the one to report
			return 0, model.ErrCorrupt
		}
	}
	return atMs, it.Close()
}

// TookNothing reports whether the command was a receive or claim that found
// nothing to take. Such a command is harmless to repeat, so its result need
// not be recorded; who waits goes on waiting. The result may be the recorded
// or the expanded one.
func TookNothing(cmd *model.Command, res model.Result) bool {
	if cmd.Kind != model.CmdReceive && cmd.Kind != model.CmdClaim && cmd.Kind != model.CmdClaimRecords || res.Status != model.StatusOK {
		return false
	}
	if res.Received != nil {
		return res.Received.Taken == 0
	}
	d := model.NewDecoder(res.Body)
	return d.Uvarint() == 0 && d.Err() == nil
}
