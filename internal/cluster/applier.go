package cluster

import (
	"fmt"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
)

// applier applies the committed entries of one lane's tablets, in order, on a
// goroutine of its own: a slow disk read does not hold up the lane's
// heartbeats. It owns the machines.
type applier struct {
	node  *Node
	batch *storage.Batch

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
	return &applier{node: n, batch: n.db.NewBatch(), wake: make(chan struct{}, 1)}
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

func (a *applier) run() {
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

// applyEntries applies the entries that the state does not hold yet.
func (a *applier) applyEntries(r *replica, apply *tablet.Apply) (*applyDone, error) {
	done := &applyDone{apply: apply}
	for _, e := range apply.Entries {
		if model.Index(e.GetIndex()) <= r.state.Index {
			continue
		}
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			if err := a.applyBatch(r, e, done); err != nil {
				return nil, err
			}
		} else if err := a.applyEmpty(r, e, apply); err != nil {
			return nil, err
		}
		r.notePosition(a.node)
	}
	done.state = r.state
	return done, nil
}

// applyEmpty passes an entry without commands: a new leader's first, or a
// change of membership, which is stored with the index it holds from.
func (a *applier) applyEmpty(r *replica, e *pb.Entry, apply *tablet.Apply) error {
	r.state.Index, r.state.Term, r.state.Ordinal = model.Index(e.GetIndex()), model.Term(e.GetTerm()), 0
	if m, ok := apply.Members[e.GetIndex()]; ok {
		r.state.Conf = m
	}
	return a.commit(r)
}

// applyBatch applies an entry's commands. Each is committed together with the
// record that it is applied, so that a crash between two of them is no harm.
func (a *applier) applyBatch(r *replica, e *pb.Entry, done *applyDone) error {
	b, err := tablet.DecodeBatch(e.GetData())
	if err != nil {
		return err
	}
	mine := b.Nonce == r.nonce
	result := tablet.BatchResult{Number: b.Number, Index: model.Index(e.GetIndex())}
	skip := r.state.Ordinal
	for ordinal := uint32(1); b.More(); ordinal++ {
		cmd := new(model.Command)
		if !b.Next(cmd) {
			break
		}
		if ordinal <= skip {
			continue
		}
		at := machine.Position{Index: result.Index, Ordinal: ordinal}
		out, err := r.machine.Apply(a.node.view, a.batch, at, cmd)
		if err != nil {
			return err
		}
		r.state.Stamp, r.state.Ordinal = cmd.Stamp, ordinal
		if !b.More() {
			r.state.Index, r.state.Term, r.state.Ordinal = result.Index, model.Term(e.GetTerm()), 0
		}
		if err := a.commit(r); err != nil {
			return err
		}
		if a.node.opts.OnApply != nil {
			a.node.opts.OnApply(r.id, at, cmd, out)
		}
		if mine {
			if out.Result, err = machine.Expand(a.node.view, cmd, out.Result); err != nil {
				return err
			}
			result.Results = append(result.Results, out.Result)
		}
		if out.Wake {
			r.waits.wake(waitKey{cmd.Resource, cmd.Slot})
		}
	}
	if mine {
		done.results = append(done.results, result)
	}
	return b.Err()
}

func (a *applier) commit(r *replica) error {
	var buf [160]byte
	if bugApplyTwice && r.state.Index%8 != 0 {
		return a.batch.Commit()
	}
	a.batch.Set(r.appliedKey, r.state.Append(buf[:0]))
	return a.batch.Commit()
}
