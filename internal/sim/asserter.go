package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// asserter watches every command that any replica applies. It fails when two
// replicas apply different commands at one position, when a replica leaves one
// out, or when it applies one again in one run.
type asserter struct {
	mu       sync.Mutex // guards what follows
	agreed   map[place]seen
	failures []string
	applied  int
	repeats  int // commands whose request id had been applied before
	trace    uint64
}

// seen is what the first replica made of a command.
type seen struct {
	sum  uint64
	node model.NodeID
	what string
}

type place struct {
	tablet model.TabletID
	at     machine.Position
}

func newAsserter() *asserter { return &asserter{agreed: map[place]seen{}} }

// run watches one node from its start to its crash.
type run struct {
	*asserter
	node model.NodeID
	last map[model.TabletID]machine.Position
}

func (a *asserter) newRun(node model.NodeID) *run {
	return &run{asserter: a, node: node, last: map[model.TabletID]machine.Position{}}
}

// onApply is the node's OnApply.
func (r *run) onApply(t model.TabletID, at machine.Position, cmd *model.Command, out machine.Outcome) {
	h := fnv.New64a()
	_, _ = h.Write(cmd.Append(nil))        // a hash never fails
	_, _ = h.Write(out.Result.Append(nil)) // replicas must agree on results too
	_, _ = h.Write(model.AppendBool(nil, out.Repeated))
	sum := h.Sum64()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied++
	if out.Repeated {
		r.repeats++
	}
	r.extendTrace(t, at, sum)
	where := place{t, at}
	now := seen{sum, r.node, fmt.Sprintf("kind %d, stamp %d, status %d, %d bytes %.40x, repeated %v", cmd.Kind, cmd.Stamp, out.Result.Status, len(out.Result.Body), out.Result.Body, out.Repeated)}
	if first, ok := r.agreed[where]; !ok {
		r.agreed[where] = now
	} else if first.sum != sum {
		r.fail("replicas disagree at %v/%d.%d: node %v: %s; node %v: %s", t, at.Index, at.Ordinal, first.node, first.what, r.node, now.what)
	}
	if last, ok := r.last[t]; ok {
		switch {
		case at.Index < last.Index || at.Index == last.Index && at.Ordinal <= last.Ordinal:
			r.fail("node %v applied %v/%d.%d again after %d.%d", r.node, t, at.Index, at.Ordinal, last.Index, last.Ordinal)
		case at.Index == last.Index && at.Ordinal != last.Ordinal+1:
			r.fail("node %v left out commands of %v/%d between %d and %d", r.node, t, at.Index, last.Ordinal, at.Ordinal)
		}
	}
	r.last[t] = at
}

// extendTrace adds to the trace what was applied, where and when: two runs with
// one trace have done the same.
func (r *run) extendTrace(t model.TabletID, at machine.Position, sum uint64) {
	h := fnv.New64a()
	for _, n := range []uint64{r.trace, uint64(time.Now().UnixNano()), uint64(r.node), uint64(t), uint64(at.Index), uint64(at.Ordinal), sum} {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, n)) // a hash never fails
	}
	r.trace = h.Sum64()
}

func (a *asserter) fail(format string, args ...any) {
	if len(a.failures) < 20 {
		a.failures = append(a.failures, fmt.Sprintf(format, args...))
	}
}
