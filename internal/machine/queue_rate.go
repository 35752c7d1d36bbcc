package machine

import (
	"math"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A rate is a token bucket of one message or a tenth of a second's worth,
// whichever is more. It is kept as the time at which it will be full, in
// nanoseconds: each message moves that time on by its cost.

const (
	nsPerMs = 1_000_000
	burstNs = 100 * nsPerMs
)

// costNs is the time after which a rate, in messages per 1,000 seconds, allows
// another message.
func costNs(rateMilli uint64) uint64 {
	const all = 1_000_000 * nsPerMs
	return max(1, all/rateMilli+min(1, all%rateMilli))
}

// allowed is how many messages the rate allows now.
func allowed(fullNs, rateMilli uint64, nowMs int64) uint64 {
	if rateMilli == 0 {
		return math.MaxUint64
	}
	cost, now := costNs(rateMilli), uint64(nowMs)*nsPerMs
	room, used := max(cost, burstNs), max(fullNs, now)-now
	if used >= room {
		return 0
	}
	return (room - used) / cost
}

// spend counts n messages.
func spend(fullNs *uint64, rateMilli uint64, nowMs int64, n uint64) {
	if rateMilli > 0 && n > 0 {
		*fullNs = max(*fullNs, uint64(nowMs)*nsPerMs) + n*costNs(rateMilli)
	}
}

// nextMs is the Unix millisecond at which the rate allows the next message.
func nextMs(fullNs, rateMilli uint64) int64 {
	cost := costNs(rateMilli)
	return ceilMs(fullNs + cost - min(fullNs+cost, max(cost, burstNs)))
}

func ceilMs(ns uint64) int64 { return int64((ns + nsPerMs - 1) / nsPerMs) }

// fullMs is when the group's rate can be forgotten.
func (q *queue) fullMs(g *group) int64 { return ceilMs(g.FullNs) }

// wait keeps the group out of line until its rate allows a message.
func (q *queue) wait(s *model.QueueSettings, g *group) {
	g.WaitMs = max(nextMs(g.FullNs, s.GroupRateMilli), q.nowMs+1)
	q.setAlarm(keys.AlarmWaiting, &q.head.Waiting, g.WaitMs, g.name)
}

// setAlarm files that something is to be done to the group at a time, which is
// in the future.
func (q *queue) setAlarm(kind keys.Alarm, a *keys.Alarms, atMs int64, name string) {
	q.tx.Set(keys.AlarmKey(q.key[:0], q.id, q.slot, kind, atMs, q.head.NextNumber), []byte(name))
	q.head.NextNumber++
	a.Count++
	if atMs < a.LowMs { // only after all were rung before their time
		a.LowMs, a.LowNumber = atMs, 0
	}
}

// endWaits puts groups back in line whose rate allows a message, at most
// maxDueMoved; all of them when there is no rate any more, or when all is set.
func (q *queue) endWaits(s *model.QueueSettings, all bool) (more bool, err error) {
	until := q.nowMs
	if all || s.GroupRateMilli == 0 {
		until = math.MaxInt64 - 1
	}
	return q.ring(keys.AlarmWaiting, &q.head.Waiting, until, func(g *group, atMs int64) {
		if g.WaitMs == atMs {
			g.WaitMs = 0
		}
	})
}

// endLingering looks whether records of groups may go, at most maxDueMoved.
func (q *queue) endLingering() (more bool, err error) {
	return q.ring(keys.AlarmLingering, &q.head.Lingering, q.nowMs, func(g *group, atMs int64) {
		if g.LingerMs == atMs {
			g.LingerMs = 0
		}
	})
}

// ring calls f for the groups whose alarms are for untilMs or before, at most
// maxDueMoved. Every alarm is set for a time after its command's, so the low
// mark does not go back unless alarms were rung before their time.
func (q *queue) ring(kind keys.Alarm, a *keys.Alarms, untilMs int64, f func(g *group, atMs int64)) (more bool, err error) {
	if a.Count == 0 || a.LowMs > untilMs {
		return false, nil
	}
	lo, hi := keys.AlarmsFrom(q.id, q.slot, kind, a.LowMs, a.LowNumber)
	it, err := q.tx.Scan(lo, hi, false)
	if err != nil {
		return false, err
	}
	last := q.nowMs
	for rung := 0; it.Next(); rung++ {
		at, number, ok := keys.SplitAlarm(it.Key())
		if !ok {
			_ = it.Close() // the first error is the one to report
			return false, model.ErrCorrupt
		}
		if at > untilMs {
			break
		}
		if rung == maxDueMoved {
			a.LowMs, a.LowNumber = at, number
			return true, it.Close()
		}
		f(q.group(string(it.Value())), at)
		last = max(last, at)
		a.Count--
		q.tx.Delete(it.Key())
	}
	a.LowMs, a.LowNumber = last+1, 0
	return false, it.Close()
}
