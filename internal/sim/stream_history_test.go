package sim

import (
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// TestStreamChecker breaks each promise in a history of two records of one key
// in a shard and one in its child: the check must find it.
func TestStreamChecker(t *testing.T) {
	parent, child := model.Shard{Number: 1, Epoch: 100}, model.Shard{Number: 2, Epoch: 101}
	first, second, third := parent.Sequence(1, 5000), parent.Sequence(2, 5000), child.Sequence(1, 5000)
	record := func(data string, q model.Sequence) service.Record {
		return service.Record{Data: []byte(data), Sequence: q.String()}
	}
	acked := func(h *streamHistory, data string, q model.Sequence) { h.ack(data, q.Shard.String(), q.String()) }
	read := func(h *streamHistory, floor uint64, records ...service.Record) {
		q, _ := model.ParseSequence(records[0].Sequence)
		h.read("r", q.Shard.String(), floor, records)
	}
	putAll := func(h *streamHistory) {
		acked(h, "k/1", first)
		acked(h, "k/2", second)
		acked(h, "k/3", third)
	}
	readAll := func(h *streamHistory) {
		read(h, 0, record("k/1", first), record("k/2", second))
		read(h, 0, record("k/3", third))
	}
	for _, c := range []struct {
		name, want string
		history    func(h *streamHistory)
	}{
		{"all is well", "", func(h *streamHistory) { putAll(h); acked(h, "k/2", second); readAll(h) }},
		{"a group repeats", "", func(h *streamHistory) {
			putAll(h)
			readAll(h)
			h.commit("r", parent.Number.String(), 2)
			read(h, 2, record("k/2", second))
		}},
		{"an unknown record is late", "", func(h *streamHistory) { h.unknown = 1; acked(h, "k/1", first); acked(h, "k/3", third); readAll(h) }},
		{"lost", "never read 1 acknowledged", func(h *streamHistory) { putAll(h); read(h, 0, record("k/1", first), record("k/2", second)) }},
		{"skipped", "records were skipped", func(h *streamHistory) { putAll(h); read(h, 0, record("k/2", second)) }},
		{"stored twice", "twice", func(h *streamHistory) { putAll(h); readAll(h); read(h, 0, record("k/1", parent.Sequence(3, 6000))) }},
		{"made up", "of 3 that were put", func(h *streamHistory) { putAll(h); readAll(h); read(h, 0, record("k/9", parent.Sequence(3, 6000))) }},
		{"repeated after the commit", "though 3 was committed", func(h *streamHistory) { putAll(h); readAll(h); read(h, 3, record("k/2", second)) }},
		{"child before parent", "after record 3", func(h *streamHistory) {
			putAll(h)
			read(h, 0, record("k/3", third))
			read(h, 0, record("k/1", first), record("k/2", second))
		}},
		{"sequence numbers fall", "but the one put before it", func(h *streamHistory) { acked(h, "k/1", third); acked(h, "k/2", first) }},
		{"acknowledged twice", "for a repetition", func(h *streamHistory) { acked(h, "k/1", first); acked(h, "k/1", second) }},
		{"another number", "other sequence numbers", func(h *streamHistory) { acked(h, "k/1", second); read(h, 0, record("k/1", first)) }},
		{"another shard", "with the sequence number", func(h *streamHistory) { h.ack("k/1", child.Number.String(), first.String()) }},
	} {
		h := newStreamHistory()
		c.history(h)
		got := strings.Join(h.check(), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, got, c.want)
		}
	}
}
