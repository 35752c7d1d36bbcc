package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// streamHistory is what a stream's producers were told and what its consumers
// read, and the check of the promises: every acknowledged record is read by
// every consumer, once but for what a consumer group had not committed, under
// the sequence number that was acknowledged, those of one key in their order,
// across reshardings too. Sequence numbers grow within a shard and, for each
// key, from a shard to its children. It is used under a lock.
//
// A record's data is its key and a serial number: key/serial. The serials of a
// key grow in the order in which they are put, each after the answer to the one
// before.
type streamHistory struct {
	acked    map[string]acknowledged
	last     map[string]acknowledged // by key
	unknown  int                     // records whose put stayed unknown
	readers  map[string]*readHistory
	failures []string
}

type acknowledged struct {
	shard    string
	sequence model.Sequence
}

// readHistory is what one consumer read: one reader, or all members of a group.
type readHistory struct {
	seen      map[string]acknowledged
	serials   map[string][]int // by key, in the order in which they were first read
	high      map[string]uint64
	committed map[string]uint64 // a group's: all records before were done and committed
}

func newStreamHistory() *streamHistory {
	return &streamHistory{acked: map[string]acknowledged{}, last: map[string]acknowledged{}, readers: map[string]*readHistory{}}
}

func (h *streamHistory) fail(format string, args ...any) {
	if len(h.failures) < 10 {
		h.failures = append(h.failures, fmt.Sprintf(format, args...))
	}
}

func (h *streamHistory) reader(name string) *readHistory {
	r := h.readers[name]
	if r == nil {
		r = &readHistory{seen: map[string]acknowledged{}, serials: map[string][]int{}, high: map[string]uint64{}, committed: map[string]uint64{}}
		h.readers[name] = r
	}
	return r
}

// ack notes what a producer was told of a record.
func (h *streamHistory) ack(data, shard, sequence string) {
	q, err := model.ParseSequence(sequence)
	if err != nil || q.Shard.String() != shard {
		h.fail("record %s was acknowledged in shard %s with the sequence number %q", data, shard, sequence)
		return
	}
	now := acknowledged{shard, q}
	if before, ok := h.acked[data]; ok {
		if before != now {
			h.fail("record %s was acknowledged as %s, and for a repetition of the call as %s", data, before.sequence, q)
		}
		return
	}
	key, _ := splitData(data)
	if before, ok := h.last[key]; ok && before.sequence.Compare(q) >= 0 {
		h.fail("record %s has the sequence number %s in shard %s, but the one put before it %s in shard %s", data, q, shard, before.sequence, before.shard)
	}
	h.acked[data], h.last[key] = now, now
}

func splitData(data string) (key string, serial int) {
	key, number, _ := strings.Cut(data, "/")
	serial, _ = strconv.Atoi(number)
	return key, serial
}

// read notes records that a consumer read from a shard, in one answer. floor is
// the number that the group had committed before the member came to the shard.
func (h *streamHistory) read(reader, shard string, floor uint64, records []service.Record) {
	r := h.reader(reader)
	for i := range records {
		data := string(records[i].Data)
		q, err := model.ParseSequence(records[i].Sequence)
		if err != nil || q.Shard.String() != shard {
			h.fail("%s read %s from shard %s with the sequence number %q", reader, data, shard, records[i].Sequence)
			return
		}
		if q.N > r.high[shard]+1 {
			h.fail("%s read record %d of shard %s, but of those before only up to %d: records were skipped", reader, q.N, shard, r.high[shard])
		}
		if q.N < floor {
			h.fail("%s read record %d of shard %s again, though %d was committed before", reader, q.N, shard, floor)
		}
		r.high[shard] = max(r.high[shard], q.N)
		before, again := r.seen[data]
		if now := (acknowledged{shard, q}); again && before != now {
			h.fail("%s read record %s twice: as %s in shard %s and as %s in shard %s", reader, data, before.sequence, before.shard, q, shard)
		} else if !again {
			r.seen[data] = now
			key, serial := splitData(data)
			r.serials[key] = append(r.serials[key], serial)
		}
	}
}

// commit notes that a group's commit was acknowledged: all records of the shard
// before number n are done.
func (h *streamHistory) commit(reader, shard string, n uint64) {
	r := h.reader(reader)
	r.committed[shard] = max(r.committed[shard], n)
}

// missing is how many acknowledged records the reader has not read.
func (h *streamHistory) missing(reader string) (n int) {
	r := h.reader(reader)
	for data := range h.acked {
		if _, ok := r.seen[data]; !ok {
			n++
		}
	}
	return n
}

// check returns what is wrong, when everything should have been read.
func (h *streamHistory) check() []string {
	var names []string
	for name := range h.readers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h.checkReader(name, h.readers[name])
	}
	return h.failures
}

func (h *streamHistory) checkReader(name string, r *readHistory) {
	var lost, wrong []string
	for data, want := range h.acked {
		if got, ok := r.seen[data]; !ok {
			lost = append(lost, data)
		} else if got != want {
			wrong = append(wrong, data)
		}
	}
	slices.Sort(lost)
	slices.Sort(wrong)
	if len(lost) > 0 {
		h.fail("%s never read %d acknowledged records, the first is %s in shard %s", name, len(lost), lost[0], h.acked[lost[0]].shard)
	}
	if len(wrong) > 0 {
		h.fail("%s read %d records under other sequence numbers than acknowledged, the first is %s", name, len(wrong), wrong[0])
	}
	if len(r.seen) > len(h.acked)+h.unknown {
		h.fail("%s read %d records, of %d that were put and %d that may have been", name, len(r.seen), len(h.acked), h.unknown)
	}
	var keys []string
	for key := range r.serials {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		last := -1
		for _, serial := range r.serials[key] {
			// A put of unknown outcome may take effect late.
			if _, ok := h.acked[fmt.Sprintf("%s/%d", key, serial)]; !ok {
				continue
			}
			if serial < last {
				h.fail("%s read record %d of key %s after record %d", name, serial, key, last)
				break
			}
			last = serial
		}
	}
}
