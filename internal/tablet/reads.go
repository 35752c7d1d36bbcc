package tablet

import (
	"cmp"
	"encoding/binary"
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Read asks for a moment at which the leader's applied state holds everything
// that was agreed before the read arrived.
type Read struct {
	// Done is called once, on the lane, when that moment has come (with the
	// index that was confirmed), or with ErrNotLeader.
	Done func(at model.Index, err error)
}

type reads struct {
	waiting   []Read            // for the end of the turn, or for T2
	asked     map[uint64][]Read // by request number: waiting for a majority
	confirmed []confirmedReads  // waiting for the applied index
}

type confirmedReads struct {
	index model.Index
	reads []Read
}

// Read adds a read to the request of this turn: one round of messages serves
// them all.
func (t *Tablet) Read(r Read) {
	if !t.leads {
		r.Done(0, ErrNotLeader)
		return
	}
	t.reads.waiting = append(t.reads.waiting, r)
}

// askReads starts a read request for the waiting reads. Before the leader has
// applied an entry of its term it does not know what is committed.
func (t *Tablet) askReads() {
	if len(t.reads.waiting) == 0 || !t.ready {
		return
	}
	waiting := t.reads.waiting
	t.reads.waiting = nil
	if base.Bug("localreads") {
		for _, r := range waiting {
			r.Done(t.applied.Index, nil)
		}
		return
	}
	t.counter++
	t.reads.asked[t.counter] = waiting
	// A context is never used twice, not even across restarts: an old answer
	// must not confirm a new read.
	ctx := binary.BigEndian.AppendUint64(nil, t.nonce)
	t.rn.ReadIndex(binary.BigEndian.AppendUint64(ctx, t.counter))
}

func (t *Tablet) readConfirmed(index uint64, ctx []byte) {
	if len(ctx) != 16 || binary.BigEndian.Uint64(ctx) != t.nonce {
		return
	}
	number := binary.BigEndian.Uint64(ctx[8:])
	if asked, ok := t.reads.asked[number]; ok {
		delete(t.reads.asked, number)
		// What this leader has answered early, a strong read shows, or waits for.
		t.reads.confirmed = append(t.reads.confirmed, confirmedReads{max(model.Index(index), t.early.index), asked})
	}
}

// answerReads answers the confirmed reads that the applied state covers.
func (t *Tablet) answerReads() {
	for len(t.reads.confirmed) > 0 && t.reads.confirmed[0].index <= t.applied.Index {
		c := t.reads.confirmed[0]
		t.reads.confirmed = t.reads.confirmed[1:]
		for _, r := range c.reads {
			r.Done(c.index, nil)
		}
	}
}

func (r *reads) failAll() {
	failReads(r.waiting)
	for _, number := range sortedKeys(r.asked) {
		failReads(r.asked[number])
	}
	for _, c := range r.confirmed {
		failReads(c.reads)
	}
	*r = reads{asked: map[uint64][]Read{}}
}

func failReads(rs []Read) {
	for _, r := range rs {
		r.Done(0, ErrNotLeader)
	}
}

// sortedKeys gives a map's keys in order, so that answers are given in the
// same order in every run of a simulation.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
