package tablet

import (
	"errors"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Proposal is a command on its way into the log.
type Proposal struct {
	Command *model.Command // stamped by the tablet
	// Level is how many replicas must have it before it is answered.
	Level model.Level
	// Done is called once, on the lane, with the result and the entry's index,
	// or with ErrNotLeader, ErrBusy (surely not applied) or ErrUnknown. With
	// ErrNotOnAll there are a result and an index too: a majority has it. So there
	// are with ErrOnlyHere, at model.LevelAsync.
	Done func(res model.Result, at model.Index, err error)
}

// proposals holds what has been proposed and not yet answered.
type proposals struct {
	waiting []Proposal        // for the end of the turn, or for T2
	hurried bool              // some of those may be answered early
	batches map[uint64]*batch // by batch number: in the log
	held    []held            // by index: applied, and not on every voter yet
}

// held is an answer that waits until every voter has the entry.
type held struct {
	proposal Proposal
	result   model.Result
	index    model.Index
	until    uint64 // the tick at which the waiting ends
}

// Propose adds a command to the batch of this turn.
func (t *Tablet) Propose(p Proposal) {
	switch {
	case !t.leads:
		p.Done(model.Result{}, 0, ErrNotLeader)
	case len(t.proposals.waiting) >= maxWaitingProposals:
		p.Done(model.Result{}, 0, ErrBusy)
	default:
		t.proposals.waiting = append(t.proposals.waiting, p)
		t.proposals.hurried = t.proposals.hurried || p.Level == model.LevelAsync
	}
}

// Hurried reports whether commands wait that may be answered before a majority
// has them: they gain nothing by sharing an entry with those that come later.
func (t *Tablet) Hurried() bool { return t.proposals.hurried }

// Gather says whether the commands that wait at the end of the next turns shall
// go on waiting for more, so that they fill fewer entries. It reports whether
// any wait now.
func (t *Tablet) Gather(on bool) (waiting bool) {
	t.gather = on
	return t.ready && len(t.proposals.waiting) > 0
}

// UnderWay is the number of entries that were proposed here and not answered.
func (t *Tablet) UnderWay() int { return len(t.proposals.batches) }

// proposeWaiting stamps the waiting commands and hands them to raft, as few
// entries as maxBatchBytes allows.
func (t *Tablet) proposeWaiting() {
	if !t.ready || t.gather {
		return
	}
	t.proposals.hurried = false
	for len(t.proposals.waiting) > 0 {
		t.counter++
		number := t.counter
		stamp := t.stamp
		now := t.now()
		size, n := 0, 0
		for _, p := range t.proposals.waiting {
			if n > 0 && size > maxBatchBytes {
				break
			}
			size += len(p.Command.Body) + 64
			n++
		}
		b := t.newBatch(t.proposals.waiting[:n])
		head := Batch{Nonce: t.nonce, Number: number, Early: uint64(len(b.results))}
		if head.Early > 0 {
			head.Node = t.node
		}
		data := appendBatchHeader(make([]byte, 0, size+40), head)
		for _, p := range b.proposals {
			stamp = stamp.Next(now)
			if p.Command.Kind == model.CmdApplyChanges {
				stamp = max(stamp, p.Command.Stamp) // ahead of what other regions have stamped
			}
			p.Command.Stamp = stamp
			data = p.Command.Append(data)
		}
		t.proposals.waiting = append(t.proposals.waiting[:0], t.proposals.waiting[n:]...)
		if err := t.rn.Propose(data); err != nil {
			answer := ErrNotLeader
			if errors.Is(err, raft.ErrProposalDropped) && t.rn.BasicStatus().LeadTransferee == 0 {
				answer = ErrBusy
			}
			failProposals(b.proposals, answer)
			continue
		}
		t.stamp = stamp
		if base.Bug("ackearly") && b.proposals[0].Command.Kind == model.CmdPutItem {
			for _, p := range b.proposals {
				p.Done(model.Result{}, model.Index(0), nil)
			}
			continue
		}
		t.proposed(number, b)
	}
}

// failAll answers everything when leadership is lost: what never reached the
// log is surely not applied, the rest is unknown.
func (t *Tablet) failAll() {
	p := &t.proposals
	failProposals(p.waiting, ErrNotLeader)
	p.waiting, p.hurried = nil, false
	for _, h := range p.held {
		h.proposal.Done(h.result, h.index, ErrNotOnAll)
	}
	p.held = nil
	lost := p.batches
	p.batches = map[uint64]*batch{}
	for _, number := range sortedKeys(lost) {
		b := lost[number]
		t.early.lose(number, b)
		failProposals(b.proposals[b.answered:], ErrUnknown)
	}
	t.early = early{answered: t.early.answered, doubt: t.early.doubt}
}

func failProposals(ps []Proposal, err error) {
	for _, p := range ps {
		p.Done(model.Result{}, 0, err)
	}
}

// BatchResult is what applying one of this run's batches gave: one result for
// each of its commands.
type BatchResult struct {
	Number  uint64
	Index   model.Index
	Results []model.Result
}

func (t *Tablet) answer(r BatchResult) {
	b, ok := t.proposals.batches[r.Number]
	if !ok {
		delete(t.early.doubt, r.Number) // another leader has kept it
		return
	}
	delete(t.proposals.batches, r.Number)
	t.early.settled(b)
	for i, p := range b.proposals {
		if i < b.answered {
			continue
		}
		if p.Level > model.LevelQuorum && t.leads {
			t.proposals.held = append(t.proposals.held, held{p, r.Results[i], r.Index, t.ticks + allTicks})
			continue
		}
		p.Done(r.Results[i], r.Index, nil)
	}
}

// answerHeld answers what every voter has by now, and what has waited for it
// long enough.
func (t *Tablet) answerHeld() {
	if len(t.proposals.held) == 0 {
		return
	}
	all := t.onAll()
	n := 0
	for _, h := range t.proposals.held {
		switch {
		case h.index <= all || base.Bug("allatquorum"):
			h.proposal.Done(h.result, h.index, nil)
		case t.ticks >= h.until:
			h.proposal.Done(h.result, h.index, ErrNotOnAll)
		default:
			t.proposals.held[n] = h
			n++
		}
	}
	clear(t.proposals.held[n:])
	t.proposals.held = t.proposals.held[:n]
}

// onAll is the index up to which every voter, also one that is leaving, is
// known to have the log on disk.
func (t *Tablet) onAll() model.Index {
	least := model.Index(math.MaxUint64)
	t.rn.WithProgress(func(_ uint64, typ raft.ProgressType, pr tracker.Progress) {
		if typ == raft.ProgressTypePeer {
			least = min(least, model.Index(pr.Match))
		}
	})
	return least
}

// Abandon answers everything that is open, when the node stops.
func (t *Tablet) Abandon() {
	t.leads, t.ready = false, false
	t.failAll()
	t.reads.failAll()
}
