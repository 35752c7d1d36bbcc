package sim

import (
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// TestMessageChecks gives the check of queues that are shipped histories that it
// must not let pass, and one that it must.
func TestMessageChecks(t *testing.T) {
	began := time.Unix(1000, 0)
	// step is one answer: messages received in a region, some time after the
	// beginning.
	type step struct {
		region int
		at     time.Duration
		queue  string
		got    []model.Received
		delete bool // and delete them
		move   bool // before: the writes may have moved
	}
	one := func(body string, receives uint32) []model.Received {
		m := model.Received{Message: model.Message{ID: model.MessageID{body[2]}, Body: []byte(body), Group: "g" + body[:1]}, Seq: uint64(body[2]), Receives: receives}
		return []model.Received{m}
	}
	other := one("1/1", 1)
	other[0].Seq++
	for name, c := range map[string]struct {
		steps []step
		bad   bool
		force bool
	}{
		"in order":                  {steps: []step{{queue: unitFifo, got: one("1/1", 1), delete: true}, {at: time.Second, queue: unitFifo, got: one("1/2", 1)}}},
		"after its delete":          {bad: true, steps: []step{{queue: unitFifo, got: one("1/1", 1), delete: true}, {region: 1, move: true, at: time.Minute, queue: unitFifo, got: one("1/1", 1)}}},
		"after it, forced":          {force: true, steps: []step{{queue: unitFifo, got: one("1/1", 1), delete: true}, {region: 1, move: true, at: time.Minute, queue: unitFifo, got: one("1/1", 1)}}},
		"before the one ahead":      {bad: true, steps: []step{{queue: unitFifo, got: one("1/2", 1)}}},
		"while one is in flight":    {bad: true, steps: []step{{queue: unitFifo, got: one("1/1", 1)}, {region: 1, move: true, at: time.Second, queue: unitFifo, got: one("1/2", 1)}}},
		"again elsewhere":           {steps: []step{{queue: unitFifo, got: one("1/1", 1)}, {region: 1, move: true, at: time.Second, queue: unitFifo, got: one("1/1", 1)}}},
		"under another number":      {bad: true, steps: []step{{queue: unitFifo, got: one("1/1", 1)}, {region: 1, move: true, at: time.Second, queue: unitFifo, got: other}}},
		"within its visibility":     {bad: true, steps: []step{{queue: unitQueue, got: one("1/3", 1)}, {at: time.Second, queue: unitQueue, got: one("1/3", 2)}}},
		"not counted":               {bad: true, steps: []step{{queue: unitQueue, got: one("1/3", 1)}, {at: time.Minute, queue: unitQueue, got: one("1/3", 1)}}},
		"counted too often":         {bad: true, steps: []step{{queue: unitQueue, got: one("1/3", 3)}}},
		"counted anew elsewhere":    {steps: []step{{queue: unitQueue, got: one("1/3", 1)}, {region: 1, move: true, at: time.Second, queue: unitQueue, got: one("1/3", 1)}}},
		"sent twice":                {bad: true, steps: []step{{queue: unitFifo, got: one("1/9", 1)}}},
		"before it is due":          {bad: true, steps: []step{{queue: unitQueue, got: one("1/4", 1)}}},
		"when it is due":            {steps: []step{{at: 9 * time.Second, queue: unitQueue, got: one("1/4", 1)}}},
		"received after its death":  {bad: true, steps: []step{{queue: unitDead, got: one("1/5", 1)}, {at: time.Second, queue: unitRisky, got: one("1/5", 1)}}},
		"received after two deaths": {bad: true, steps: []step{{queue: unitRisky, got: one("1/5", 1)}, {at: 9 * time.Second, queue: unitRisky, got: one("1/5", 2)}, {at: 18 * time.Second, queue: unitRisky, got: one("1/5", 3)}}},
	} {
		h := newMessageHistory()
		h.exact = !c.force
		h.send(unitFifo+" 1/1", "g1")
		h.send(unitFifo+" 1/2", "g1")
		h.again[unitFifo+" 1/9"] = unitFifo + " 1/1"
		h.due[unitQueue+" 1/4"] = began.Add(9 * time.Second)
		for _, s := range c.steps {
			if s.move {
				h.moves++
			}
			d := unitDelivery{region: s.region, moves: h.moves, called: began.Add(s.at), returned: began.Add(s.at + time.Millisecond), visibility: 6 * time.Second}
			h.receive(s.queue, s.got, d)
			if known := h.seen[s.queue+" "+string(s.got[0].Body)]; s.delete {
				known.asked, known.deleted = true, d.returned
			}
		}
		if (len(h.failures) > 0) != c.bad {
			t.Errorf("%s: %q", name, h.failures)
		}
	}
	h := newMessageHistory()
	h.send(unitRisky+" 1/5", "")
	h.receive(unitRisky, one("1/5", 1), unitDelivery{})
	if len(h.check()) != 1 {
		t.Error("a message that is no dead letter in the end passes")
	}
	h.receive(unitDead, one("1/5", 1), unitDelivery{})
	if got := h.check(); len(got) != 0 {
		t.Errorf("a dead letter fails: %q", got)
	}
}

// TestGroupChecks is TestMessageChecks of the positions of a named consumer.
func TestGroupChecks(t *testing.T) {
	record := func(n uint64, data string) service.Record {
		return service.Record{Sequence: model.Sequence{N: n}.String(), Key: "k", Data: []byte(data)}
	}
	const shard = "s"
	for name, c := range map[string]struct {
		play func(h *groupHistory)
		bad  bool
	}{
		"goes on": {play: func(h *groupHistory) {
			h.commit(0, shard, &unitHold{first: h.note(shard, []service.Record{record(1, "0/1")}), last: record(1, "").Sequence})
			h.commit(1, shard, &unitHold{first: h.note(shard, []service.Record{record(2, "0/2")}), last: record(2, "").Sequence, floor: 2})
		}},
		"passes one over": {bad: true, play: func(h *groupHistory) {
			h.note(shard, []service.Record{record(1, "0/1"), record(3, "0/2")})
		}},
		"goes back": {bad: true, play: func(h *groupHistory) {
			h.commit(0, shard, &unitHold{first: h.note(shard, []service.Record{record(1, "0/1"), record(2, "0/2")}), last: record(2, "").Sequence})
			h.commit(1, shard, &unitHold{first: h.note(shard, []service.Record{record(2, "0/2")}), last: record(2, "").Sequence, floor: 3})
		}},
		"goes back to what had not arrived": {play: func(h *groupHistory) {
			h.commit(0, shard, &unitHold{first: h.note(shard, []service.Record{record(1, "0/1"), record(2, "0/2")}), last: record(2, "").Sequence})
			h.exact, h.done, h.fenced = false, map[string]uint64{shard: 2}, 0
			h.commit(0, shard, &unitHold{last: record(9, "").Sequence})
			h.commit(1, shard, &unitHold{first: h.note(shard, []service.Record{record(2, "0/2")}), last: record(2, "").Sequence, floor: 2})
		}},
		"goes back farther": {bad: true, play: func(h *groupHistory) {
			h.commit(0, shard, &unitHold{first: h.note(shard, []service.Record{record(1, "0/1"), record(2, "0/2")}), last: record(2, "").Sequence})
			h.exact, h.done, h.fenced = false, map[string]uint64{shard: 2}, 0
			h.commit(1, shard, &unitHold{first: h.note(shard, []service.Record{record(1, "0/1")}), last: record(2, "").Sequence, floor: 2})
		}},
		"out of order": {bad: true, play: func(h *groupHistory) {
			h.note(shard, []service.Record{record(1, "0/2"), record(2, "0/1")})
		}},
	} {
		h := newGroupHistory()
		if c.play(h); (len(h.fail) > 0) != c.bad {
			t.Errorf("%s: %q", name, h.fail)
		}
	}
	h := newGroupHistory()
	h.note(shard, []service.Record{record(1, "0/1")})
	if len(h.missing(map[string]string{"s 1": "0/1"})) != 0 || len(h.missing(map[string]string{"s 1": "0/1", "s 2": "0/2"})) != 1 {
		t.Error("a record that was never read passes, or one that was fails")
	}
}
