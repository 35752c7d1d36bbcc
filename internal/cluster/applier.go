package cluster

import (
	"fmt"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
)

// applier applies the committed entries of one lane's tablets, in order, on a
// goroutine of its own: a slow disk read does not hold up the lane's
// heartbeats. It owns the machines.
type applier struct {
	node *Node
	run  *storage.Run     // of the entries under way
	done []appliedCommand // what is in run

	mu      sync.Mutex // guards what follows
	queue   []work
	stopped bool
	wake    chan struct{} // holds one token while the queue is not empty
}

// work is one thing to do: apply entries, or run something in their order.
type work struct {
	replica *replica
	apply   *tablet.Apply
	run     func()
}

// applyDone tells the lane what an Apply came to.
type applyDone struct {
	apply   *tablet.Apply
	state   tablet.Applied
	results []tablet.BatchResult
}

func newApplier(n *Node) *applier {
	return &applier{node: n, run: n.db.NewRun(), wake: make(chan struct{}, 1)}
}

func (a *applier) submit(w work) {
	a.mu.Lock()
	a.queue = append(a.queue, w)
	a.mu.Unlock()
	a.signal()
}

func (a *applier) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.signal()
}

func (a *applier) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *applier) loop() {
	var queue []work
	for range a.wake {
		a.mu.Lock()
		queue, a.queue = a.queue, queue[:0]
		stopped := a.stopped
		a.mu.Unlock()
		if stopped {
			return
		}
		for _, w := range queue {
			if w.run != nil {
				w.run()
				continue
			}
			done, err := a.applyEntries(w.replica, w.apply)
			if err != nil {
				a.node.fatal(fmt.Errorf("cannot go on: %w", err))
				return
			}
			w.replica.lane.post(event{kind: evApplyDone, replica: w.replica, applied: done})
		}
		clear(queue)
	}
}

// appliedCommand is a command of the run under way and what it did.
type appliedCommand struct {
	at  machine.Position
	cmd model.Command
	out machine.Outcome
}

// maxRunBytes is the size of the changes above which a run ends.
const maxRunBytes = 1 << 20

// usualBatch is how many results an entry is first given room for.
const usualBatch = 8

// applyEntries applies the entries that the state does not hold yet: in one
// run, or in several when there is much to change.
func (a *applier) applyEntries(r *replica, apply *tablet.Apply) (*applyDone, error) {
	done := &applyDone{apply: apply}
	before := r.state.Index
	for _, e := range apply.Entries {
		if model.Index(e.GetIndex()) <= r.state.Index {
			continue
		}
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			if err := a.applyBatch(r, e, done); err != nil {
				return nil, err
			}
		}
		r.state.Index, r.state.Term, r.state.Ordinal = model.Index(e.GetIndex()), model.Term(e.GetTerm()), 0
		if m, ok := apply.Members[e.GetIndex()]; ok && !base.Bug("oldmembers") {
			r.state.Conf = m // stored with the index it holds from
		}
	}
	if r.state.Index > before {
		if err := a.commit(r); err != nil {
			return nil, err
		}
	}
	done.state = r.state
	return done, nil
}

// applyBatch applies an entry's commands. A run may end between two of them: a
// crash there is no harm.
func (a *applier) applyBatch(r *replica, e *pb.Entry, done *applyDone) error {
	b, err := tablet.DecodeBatch(e.GetData())
	if err != nil {
		return err
	}
	mine := b.Nonce == r.nonce
	result := tablet.BatchResult{Number: b.Number, Index: model.Index(e.GetIndex())}
	skip := r.state.Ordinal
	for ordinal := uint32(1); b.More(); ordinal++ {
		var c appliedCommand
		if !b.Next(&c.cmd) {
			break
		}
		if ordinal <= skip {
			continue
		}
		full := a.run.SizeBytes() > maxRunBytes
		c.at = machine.Position{Index: result.Index, Ordinal: ordinal, More: b.More() && !full}
		if err := a.applyCommand(r, c); err != nil {
			return err
		}
		if mine {
			did := &a.done[len(a.done)-1]
			res, err := did.out.Expand(a.run, &did.cmd)
			if err != nil {
				return err
			}
			res.Repeated = did.out.Repeated
			if result.Results == nil {
				result.Results = make([]model.Result, 0, usualBatch)
			}
			result.Results = append(result.Results, res)
		}
		if full {
			if err := a.commit(r); err != nil {
				return err
			}
		}
	}
	if mine {
		done.results = append(done.results, result)
	}
	return b.Err()
}

// applyCommand adds a command to the run.
func (a *applier) applyCommand(r *replica, c appliedCommand) (err error) {
	a.done = append(a.done, c)
	did := &a.done[len(a.done)-1]
	did.out, err = r.machine.Apply(a.run, a.run, did.at, &did.cmd)
	a.run.End()
	r.state.Stamp, r.state.Ordinal = did.cmd.Stamp, did.at.Ordinal
	return err
}

// commit makes the run visible, with the record of how far it brings the
// state, and then tells of it.
func (a *applier) commit(r *replica) error {
	var buf [160]byte
	key := r.appliedKey
	if base.Bug("applytwice") && r.state.Index%8 != 0 {
		key = nil
	}
	if err := a.run.Commit(key, r.state.Append(buf[:0])); err != nil {
		return err
	}
	r.heads.publish(r.machine)
	for i := range a.done {
		c := &a.done[i]
		if a.node.opts.OnApply != nil {
			a.node.opts.OnApply(r.id, c.at, &c.cmd, c.out)
		}
		if c.out.Buried {
			a.node.buried.note(c.cmd.Resource)
		}
		if c.out.Wake {
			r.waits.wake(waitKey{c.cmd.Resource, c.cmd.Slot})
		}
	}
	clear(a.done)
	a.done = a.done[:0]
	r.notePosition(a.node)
	return nil
}
