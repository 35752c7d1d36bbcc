package pipe

import (
	"context"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

// worker runs one pipe on the node that leads its source. Two workers of one
// pipe, around a change of leader, do no harm: claims are handed out by the
// source's log, and driving a claim twice has the effect of once.
type worker struct {
	engine *Engine
	nonce  uint64 // marks this worker's claims
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex // guards what follows
	job     *job
	open    map[claimID]bool              // claims being driven
	floors  map[model.Slot]model.ClaimSeq // at the source: every claim below it is settled
	failure string                        // of a move task: why it cannot go on
	bucket  *bucket
	// Of a source that is a stream: the shards that are being read, and those that
	// were read to their end.
	running, finished map[model.ShardNumber]bool
	nudged            bool // of a mover: something may have died since it looked
	resting           bool // of a mover: it ends, since there is nothing to do

	turn   int  // of run's goroutine only, as what follows: which of the source's slots was asked first
	empty  bool // of a mover: it has found nothing dead
	looked time.Time
	slots  chan struct{}
	drives sync.WaitGroup
}

const (
	// maxDriving is how many claims a worker drives at once: enough to hide a
	// round trip to a target at full flow.
	maxDriving = 16
	// claimWait is how long a claim waits at the source for messages: a pause
	// takes effect that late.
	claimWait = 200 * time.Millisecond
	// recoverEvery is how often a worker looks for claims that nobody drives:
	// of a worker before it, or its own whose answer was lost.
	recoverEvery = 3 * time.Second
	// moverPause is how often a queue is asked for dead messages while some are on
	// their way.
	moverPause = time.Second
	// retryPause follows a step that failed.
	retryPause = 50 * time.Millisecond
)

func (e *Engine) startWorker(j *job) *worker {
	w := &worker{engine: e, nonce: e.rand.Uint64(), job: j, open: map[claimID]bool{}, floors: map[model.Slot]model.ClaimSeq{},
		slots: make(chan struct{}, maxDriving), ended: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(e.ctx)
	w.bucket = newBucket(rateOf(&j.spec), e.clock.Now())
	if j.fromStream() {
		w.running, w.finished = map[model.ShardNumber]bool{}, map[model.ShardNumber]bool{}
		e.tasks.Go(w.runStream)
		return w
	}
	e.tasks.Go(w.run)
	return w
}

func rateOf(s *model.PipeSpec) float64 { return float64(s.RateMilli) / 1000 }

// update tells the worker what the catalog says now.
func (w *worker) update(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.job = j
}

func (w *worker) current() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.job
}

func (w *worker) done() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// run claims and drives until the worker is stopped or its pipe forgotten.
func (w *worker) run() {
	defer close(w.ended)
	defer w.drives.Wait()
	defer w.cancel()
	var recovered time.Time
	for w.ctx.Err() == nil {
		j := w.current()
		if now := w.engine.clock.Now(); now.Sub(recovered) >= recoverEvery || now.Before(recovered) {
			if err := w.recover(j); err != nil {
				w.pause(retryPause)
				continue
			}
			recovered = now
		}
		if j.ending {
			if w.idle() && w.end(j) {
				return
			}
			recovered = time.Time{}
			w.pause(retryPause)
			continue
		}
		if status, reason := w.moveEnds(j); status != "" {
			if w.endMove(j, status, reason) {
				return
			}
			w.pause(retryPause)
			continue
		}
		if j.spec.Paused || !w.targetExists(j) {
			if j.mover && w.rest() { // it is looked after again with the catalog, or by the sweep
				return
			}
			w.pause(superviseEvery)
			continue
		}
		if !w.claim(j) {
			recovered = time.Time{} // a claim may have been made unheard
			w.pause(retryPause)
			continue
		}
		if w.empty {
			if w.rest() {
				return
			}
			w.empty = false
			w.pause(moverPause)
		}
	}
}

// rest reports whether a mover may end, since it drives nothing and nobody has
// told it to look again.
func (w *worker) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) > 0 || w.nudged {
		w.nudged = false
		return false
	}
	w.resting = true
	w.engine.nudges.rest(w.job.id)
	return true
}

// nudge has a mover look again; false when it ends.
func (w *worker) nudge() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nudged = true
	return !w.resting
}

func (w *worker) rests() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resting
}

func (w *worker) pause(d time.Duration) { w.engine.sleep(w.ctx, d) }

// idle waits for the claims being driven and reports that there are none.
func (w *worker) idle() bool {
	w.drives.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open) == 0 && w.ctx.Err() == nil
}

// targetExists keeps a pipe whose target was deleted from sending its whole
// backlog to the dead letters: it waits, and its source keeps the messages.
func (w *worker) targetExists(j *job) bool {
	if j.spec.Target == 0 {
		return true
	}
	_, ok := w.engine.cluster.Catalog().ResourceByID(j.spec.Target)
	return ok
}
