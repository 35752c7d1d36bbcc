package tablet

import (
	"errors"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// ErrOnlyHere comes with a result and an index: the leader has the command on
// its disk, and a majority may not have it yet. It can be lost with the
// leadership, within Async.Bound.
var ErrOnlyHere = errors.New("the leader has it, and perhaps not yet a majority")

// Async is what a tablet asks of its node for commands at model.LevelAsync.
// Both functions are called on the lane.
type Async struct {
	// Known is the result that a command will have, whatever is applied before
	// it; false when that cannot be told. All that earlier leaders agreed is
	// applied when it is called.
	Known func(*model.Command) (model.Result, bool)
	// Bound is how far answers may be ahead: see model.ClusterSettings.AsyncBound.
	Bound func() (window time.Duration, writes int)
}

// early is what a leader has answered before a majority has it.
//
// An answer comes early only while all of this holds: the command's entry is
// durable here, so that the answer survives a crash; a batch that was proposed
// within the window before now is applied, so that a majority followed this
// leader then; fewer commands than the bound are answered and not applied; no
// resource is being dropped, which would change results; and leadership is not
// being handed over. What does not come early comes as for a majority.
type early struct {
	agreed   time.Time   // when the newest applied batch of this leadership was proposed; zero: none is applied
	index    model.Index // of the newest entry of this leadership with commands answered early
	waiting  int         // commands in the log that may be answered early and are not answered
	ahead    int         // commands answered early and not applied
	dropping uint64      // the newest batch that drops a resource
	answered uint64      // commands answered early in this run
	// doubt counts, by batch, the commands that were answered early before
	// leadership was lost and of which it is not known yet what became of them.
	doubt map[uint64]int
}

// batch is an entry that this run proposed and that is not applied.
type batch struct {
	proposals []Proposal     // those that may be answered early come first
	results   []model.Result // of those
	answered  int            // of those
	at        time.Time      // when it was proposed
}

// newBatch orders proposals so that those which may be answered early come
// first: none is answered yet, so that one order is as good as another.
func (t *Tablet) newBatch(ps []Proposal) *batch {
	b := &batch{proposals: make([]Proposal, 0, len(ps))}
	others := ps
	if t.async.Known != nil {
		b.at = t.now()
		if slices.ContainsFunc(ps, func(p Proposal) bool { return p.Level == model.LevelAsync }) {
			others = t.takeEarly(b, ps)
		}
	}
	b.proposals = append(b.proposals, others...)
	return b
}

// takeEarly adds the proposals that may be answered early, with their results,
// and returns the others.
func (t *Tablet) takeEarly(b *batch, ps []Proposal) (others []Proposal) {
	for _, p := range ps {
		if p.Level == model.LevelAsync {
			if res, ok := t.async.Known(p.Command); ok {
				b.proposals, b.results = append(b.proposals, p), append(b.results, res)
				continue
			}
		}
		others = append(others, p)
	}
	return others
}

// proposed notes a batch that is in the log now.
func (t *Tablet) proposed(number uint64, b *batch) {
	t.proposals.batches[number] = b
	t.early.waiting += len(b.results)
	if slices.ContainsFunc(b.proposals, func(p Proposal) bool { return p.Command.Kind == model.CmdDropResource }) {
		t.early.dropping = number
	}
}

// answerEarly answers what may be of entries that are durable here.
func (t *Tablet) answerEarly(entries []*pb.Entry) {
	if t.early.waiting == 0 || !t.Leads() {
		return
	}
	for _, e := range entries {
		if e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
			continue
		}
		head, err := DecodeBatch(e.GetData())
		if err != nil || head.Nonce != t.nonce {
			continue
		}
		if b, ok := t.proposals.batches[head.Number]; ok {
			t.answerBatchEarly(b, model.Index(e.GetIndex()))
		}
	}
}

func (t *Tablet) answerBatchEarly(b *batch, at model.Index) {
	window, writes := t.async.Bound()
	_, dropping := t.proposals.batches[t.early.dropping]
	stale := t.early.agreed.IsZero() || t.now().Sub(t.early.agreed) > window
	if stale && !base.Bug("earlystale") || dropping || t.rn.BasicStatus().LeadTransferee != 0 {
		return
	}
	for b.answered < len(b.results) && t.early.ahead < writes {
		p := b.proposals[b.answered]
		res := b.results[b.answered]
		b.answered++
		t.early.ahead++
		t.early.waiting--
		t.early.answered++
		t.early.index = max(t.early.index, at)
		p.Done(res, at, ErrOnlyHere)
	}
}

// settled notes that a batch is applied.
func (e *early) settled(b *batch) {
	e.ahead -= b.answered
	e.waiting -= len(b.results) - b.answered
	if b.at.After(e.agreed) {
		e.agreed = b.at
	}
}

// lose ends the leadership: what became of batches whose commands were answered
// is not known yet.
func (e *early) lose(number uint64, b *batch) {
	if b.answered > 0 {
		if e.doubt == nil {
			e.doubt = map[uint64]int{}
		}
		e.doubt[number] = b.answered
	}
}

// AsyncStatus is what a tablet tells of commands that it answered early.
type AsyncStatus struct {
	Answered uint64 // in this run
	Ahead    int    // of those, not applied yet
	InDoubt  int    // answered before leadership was lost, and not known to be kept or lost
}

// Async tells of the commands that were answered early.
func (t *Tablet) Async() AsyncStatus {
	s := AsyncStatus{Answered: t.early.answered, Ahead: t.early.ahead}
	for _, n := range t.early.doubt {
		s.InDoubt += n
	}
	return s
}

// Lost is a command that this node, as a leader, answered before a majority had
// it, and whose entry has left its log without having been agreed here.
type Lost struct {
	Index   model.Index
	Term    model.Term
	Ordinal uint32
	// Answered says that the client surely was answered; otherwise an earlier run
	// of the node proposed it, and only that run knew.
	Answered bool
	Command  model.Command
}

// Lost finds in entries that leave the log the commands that this node has
// answered early, or may have. What it finds it tells once.
func (t *Tablet) Lost(entries []*pb.Entry) (lost []Lost, err error) {
	for _, e := range entries {
		if e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
			continue
		}
		b, err := DecodeBatch(e.GetData())
		if err != nil {
			return lost, err
		}
		if b.Node != t.node {
			continue
		}
		n, mine := int(b.Early), b.Nonce == t.nonce
		if mine {
			n = t.early.doubt[b.Number]
			delete(t.early.doubt, b.Number)
		}
		for ordinal := 1; ordinal <= n; ordinal++ {
			l := Lost{Index: model.Index(e.GetIndex()), Term: model.Term(e.GetTerm()), Ordinal: uint32(ordinal), Answered: mine}
			if !b.Next(&l.Command) {
				break
			}
			lost = append(lost, l)
		}
		if b.Err() != nil {
			return lost, b.Err()
		}
	}
	return lost, nil
}

// Unagreed is the index of the first entry here that is not known to be agreed.
func (t *Tablet) Unagreed() model.Index { return max(t.applied.Index, t.agreed) + 1 }
