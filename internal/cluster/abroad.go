package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// abroad holds back the answers to a tablet's writes until other regions have
// them on disk, as links of the modes sync and sync-if-up and requests ask for.
// A write is applied first; its answer waits until enough links have shipped the
// change log up to where it ended then. How far they are, their workers on this
// node say (Node.Shipped).
type abroad struct {
	mu      sync.Mutex // guards what follows
	links   map[model.ResourceID]*reach
	waiting []*abroadWait // in the order in which they were applied

	short, degraded, refused atomic.Uint64
}

// maxAbroad bounds the answers that a tablet holds back.
const maxAbroad = 1 << 16

// reach is how far a link has come, as its worker here said last.
type reach struct {
	model.Shipped
	logged model.ChangeNumber // the end of the log then, or of a write that it did not ship in time
	behind bool               // it did not ship a write in time, and has not caught up since
}

// abroadWait is an answer that is held back.
type abroadWait struct {
	resource model.ResourceID
	at       model.ChangeNumber // the end of the log when it was applied
	repeated bool               // it may have been applied before the resource was watched
	links    []model.ResourceID // all that ship the resource
	needs    []need
	timer    base.Timer
	done     func(answer)
	answer   answer
}

// refusal is why a write is not proposed that other regions must have.
type refusal struct {
	why  *model.Error
	soon bool // it may be well in a moment: a worker is being started
}

func (r *refusal) Error() string { return r.why.Message }
func (r *refusal) Unwrap() error { return r.why }

// Shipped is told by the worker of a link how far it has come in a tablet that
// this node leads. It does not block.
func (n *Node) Shipped(link model.ResourceID, id model.TabletID, s model.Shipped) {
	if r := n.replica(id); r != nil {
		r.abroad.told(link, &s, model.ChangeNumber(r.logged.Load()))
	}
}

func (a *abroad) told(link model.ResourceID, s *model.Shipped, logged model.ChangeNumber) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.links[link]
	if at == nil {
		at = &reach{logged: logged}
		if a.links == nil {
			a.links = map[model.ResourceID]*reach{}
		}
		a.links[link] = at
	}
	if s.Worker < at.Worker {
		return
	}
	at.Shipped = *s
	if s.UpTo >= at.logged {
		at.behind = false // it is one message behind, not more
	}
	at.logged = logged
	a.answerMet()
}

// proposeAbroad proposes a write and holds its answer back.
func (n *Node) proposeAbroad(r *replica, cmd *model.Command, level model.Level, links []model.ResourceID, needs []need, done func(answer)) {
	if why := r.abroad.admit(cmd.Resource, needs); why != nil {
		r.abroad.refused.Add(1)
		done(answer{err: why})
		return
	}
	w := &abroadWait{resource: cmd.Resource, links: links, needs: needs, done: done}
	end := n.clock.Now().Add(model.RegionPatience)
	r.propose(cmd, max(level, model.LevelQuorum), func(a answer) {
		if a.err != nil || a.result.Status != model.StatusOK {
			done(a)
			return
		}
		w.answer, w.at, w.repeated = a, model.ChangeNumber(r.logged.Load()), a.result.Repeated
		r.abroad.wait(n, w, end.Sub(n.clock.Now()))
	})
}

// admit says why a write cannot be answered as it must be, if that is known
// before it is proposed.
func (a *abroad) admit(resource model.ResourceID, needs []need) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) >= maxAbroad {
		return &refusal{model.Errorf(model.ErrUnavailable, "%d writes wait for other regions already; this try of the request was not carried out", maxAbroad), false}
	}
	for i := range needs {
		w := &needs[i]
		ships, starting := 0, 0
		for _, id := range w.links {
			switch at := a.links[id]; {
			case at == nil, at.Stopped, !at.ships(resource, false):
				starting++
			case !at.behind || !w.mode:
				ships++
			}
		}
		if w.soft || ships >= w.count {
			continue
		}
		why := model.Errorf(model.ErrUnavailable, "the write must be on disk in %d other regions, and links to %d of them are not stopped, behind or at their first copy: weir region status says why; this try of the request was not carried out", w.count, ships)
		return &refusal{why, ships+starting >= w.count}
	}
	return nil
}

// ships reports whether the link ships the resource's changes, and, when copied is
// asked for, has shipped what was there before.
func (r *reach) ships(resource model.ResourceID, copied bool) bool {
	for i := range r.Tables {
		if t := &r.Tables[i]; t.ID == resource {
			return t.Copied || !copied
		}
	}
	return false
}

// wait holds an answer back, for so long at most.
func (a *abroad) wait(n *Node, w *abroadWait, patience time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, w)
	w.timer = n.clock.AfterFunc(max(0, patience)+n.jitter(), func() { a.giveUp(w) })
	a.answerMet()
}

// answerMet answers those that have what they need; the lock is held.
func (a *abroad) answerMet() {
	a.waiting = slices.DeleteFunc(a.waiting, func(w *abroadWait) bool {
		met, _ := a.met(w, false)
		if base.Bug("syncearly") {
			met = true
		}
		if met {
			a.answer(w)
		}
		return met
	})
}

// met reports whether a write has what it needs: at the end of its time, what
// it must have. Otherwise it returns the number of regions that it lacks.
func (a *abroad) met(w *abroadWait, atEnd bool) (ok bool, lacks int) {
	for i := range w.needs {
		x := &w.needs[i]
		has, able := 0, 0
		for _, id := range x.links {
			at := a.links[id]
			if a.has(w, id) {
				has++
			} else if at != nil && !at.Stopped && !at.behind && at.ships(w.resource, false) {
				able++
			}
		}
		switch {
		case !x.soft:
			lacks = max(lacks, x.count-has)
		case !atEnd:
			lacks = max(lacks, min(x.count-has, able))
		}
	}
	return lacks <= 0, lacks
}

// has reports whether a link has shipped a write.
func (a *abroad) has(w *abroadWait, link model.ResourceID) bool {
	at := a.links[link]
	return at != nil && at.UpTo >= w.at && at.ships(w.resource, w.repeated)
}

// answer lets an answer go that has all it must have; the lock is held.
func (a *abroad) answer(w *abroadWait) {
	w.timer.Stop()
	w.answer.abroad = abroadAnswer{waited: true, have: a.have(w)}
	for i := range w.needs {
		if x := &w.needs[i]; x.soft && w.answer.abroad.have < x.count {
			a.degraded.Add(1)
			break
		}
	}
	w.done(w.answer)
}

func (a *abroad) have(w *abroadWait) (n int) {
	for _, id := range w.links {
		if a.has(w, id) {
			n++
		}
	}
	return n
}

// giveUp ends the waiting of a write whose time is over.
func (a *abroad) giveUp(w *abroadWait) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.Index(a.waiting, w)
	if at < 0 {
		return // it was answered
	}
	a.waiting = slices.Delete(a.waiting, at, at+1)
	for i := range w.needs {
		for _, id := range w.needs[i].links {
			if r := a.links[id]; r != nil && w.needs[i].mode && !a.has(w, id) {
				r.behind, r.logged = true, max(r.logged, w.at)
			}
		}
	}
	if ok, lacks := a.met(w, true); ok {
		a.answer(w)
	} else {
		a.short.Add(1)
		w.answer.abroad = abroadAnswer{waited: true, have: a.have(w), lacks: lacks}
		w.done(w.answer)
	}
	a.answerMet() // others no longer wait for a link that is behind
}

// abandon forgets everything: this node no longer leads, or stops. Whoever waits
// asks the new leader.
func (a *abroad) abandon(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := a.waiting
	a.waiting, a.links = nil, nil
	for _, w := range waiting {
		w.timer.Stop()
		w.done(answer{err: err})
	}
}
