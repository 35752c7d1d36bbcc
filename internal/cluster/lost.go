package cluster

import (
	"fmt"
	"math"
	"sync/atomic"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/lost"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// asyncCounts counts what a replica's leaders here answered before a majority
// had it, and what became of that.
type asyncCounts struct {
	answered, ahead, inDoubt atomic.Int64
	lost, unsure             atomic.Uint64 // writes kept in files: answered surely, and perhaps
}

// asyncOf is what the tablet asks of the node for writes at model.LevelAsync.
func (n *Node) asyncOf(r *replica) tablet.Async {
	return tablet.Async{
		Known: func(cmd *model.Command) (model.Result, bool) {
			lo, hi := r.tablet.Slots()
			return machine.Known(n.view, r.id, lo, hi, cmd)
		},
		Bound: n.levels.bound,
	}
}

// noteAsync shows everybody what the tablet has answered early. It runs on the
// lane.
func (r *replica) noteAsync() {
	s := r.tablet.Async()
	r.async.answered.Store(int64(s.Answered))
	r.async.ahead.Store(int64(s.Ahead))
	if before := r.async.inDoubt.Swap(int64(s.InDoubt)); s.InDoubt > int(before) {
		r.lane.node.log.Warn("leadership was lost with async writes that were answered and not agreed: the new leader's log decides", "tablet", r.id, "writes", s.InDoubt)
	}
}

// keepLost keeps the writes that this node answered early and that an append
// takes out of the log, before it does. It runs on the lane: this is rare, and
// nothing may overtake it. certain says that an agreed log takes their place,
// not a snapshot.
func (n *Node) keepLost(r *replica, first model.Index, certain bool) error {
	last, err := r.log.LastIndex()
	if err != nil || first == 0 || uint64(first) > last || base.Bug("losequietly") {
		return err
	}
	start, err := r.log.FirstIndex()
	if err != nil {
		return err
	}
	entries, err := r.log.Entries(max(uint64(first), start), last+1, math.MaxUint64)
	if err != nil {
		return err
	}
	found, err := r.tablet.Lost(entries)
	if err != nil || len(found) == 0 {
		return err
	}
	var writes []lost.Write
	for i := range found {
		l := &found[i]
		at := lost.At{Tablet: r.id, Term: l.Term, Index: l.Index, Ordinal: l.Ordinal, Answered: l.Answered, Certain: certain}
		list, err := lost.Writes(at, n.nameOf(l.Command.Resource), &l.Command)
		if err != nil {
			return err
		}
		writes = append(writes, list...)
		if l.Answered {
			r.async.lost.Add(uint64(len(list)))
		} else {
			r.async.unsure.Add(uint64(len(list)))
		}
	}
	where := ""
	if n.opts.KeepLost != nil {
		if where, err = n.opts.KeepLost(writes); err != nil {
			return err
		}
	}
	n.log.Error("async writes were lost: another leader's log does not have them, or cannot be compared; they are kept in a file",
		"tablet", r.id, "writes", len(writes), "file", where)
	return nil
}

// nameOf is the name of a resource; "" when it is not there any more.
func (n *Node) nameOf(id model.ResourceID) string {
	if res, ok := n.Catalog().ResourceByID(id); ok {
		return res.Name
	}
	return ""
}

// mustKeepLost is keepLost; the node cannot go on when that fails, because the
// log is about to forget what was answered.
func (n *Node) mustKeepLost(r *replica, first model.Index, certain bool) bool {
	if err := n.keepLost(r, first, certain); err != nil {
		n.fatal(fmt.Errorf("cannot keep the async writes that tablet %v lost: %w", r.id, err))
		return false
	}
	return true
}
