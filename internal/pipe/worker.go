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

	mu    sync.Mutex // guards what follows
	job   job
	open  map[model.ClaimSeq]bool // claims being driven
	floor model.ClaimSeq          // at the source: every claim below it is settled

	bucket *bucket // of run's goroutine only
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
	// moverPause is how often a queue is asked for dead messages.
	moverPause = time.Second
	// retryPause follows a step that failed.
	retryPause = 50 * time.Millisecond
)

func (e *Engine) startWorker(j job) *worker {
	w := &worker{engine: e, nonce: e.rand.Uint64(), job: j, open: map[model.ClaimSeq]bool{}, slots: make(chan struct{}, maxDriving), ended: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(e.ctx)
	w.bucket = newBucket(rateOf(&j.spec), e.clock.Now())
	e.tasks.Go(w.run)
	return w
}

func rateOf(s *model.PipeSpec) float64 { return float64(s.RateMilli) / 1000 }

// update tells the worker what the catalog says now.
func (w *worker) update(j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.job = j
}

func (w *worker) current() job {
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
			if err := w.recover(&j); err != nil {
				w.pause(retryPause)
				continue
			}
			recovered = now
		}
		if j.ending {
			if w.idle() && w.end(&j) {
				return
			}
			recovered = time.Time{}
			w.pause(retryPause)
			continue
		}
		if j.spec.Paused || !w.targetExists(&j) {
			w.pause(superviseEvery)
			continue
		}
		if !w.claim(&j) {
			recovered = time.Time{} // a claim may have been made unheard
			w.pause(retryPause)
		}
	}
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
	_, ok := w.engine.cluster.Catalog().ResourceByID(j.spec.Target)
	return ok
}

// claim takes a portion of messages, as the rate allows, and drives it. It
// reports false when the outcome is not known.
func (w *worker) claim(j *job) bool {
	now := w.engine.clock.Now()
	w.bucket.setRate(rateOf(&j.spec), now)
	n, wait := w.bucket.take(now)
	if n == 0 {
		w.pause(min(wait, superviseEvery))
		return true
	}
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return true
	}
	took, ok := w.claimUpTo(j, n)
	w.bucket.giveBack(n - took)
	if took == 0 {
		<-w.slots
	}
	return ok
}

// claimUpTo claims at most n messages and starts to drive them; whoever drives
// them frees the slot.
func (w *worker) claimUpTo(j *job, n int) (took int, ok bool) {
	body := model.Claim{Settings: w.settings(j.spec.Source), Pipe: j.id, Max: uint32(n), Dead: j.mover, Nonce: w.nonce, Plan: plan(&j.spec)}
	cmd := &model.Command{Kind: model.CmdClaim, ID: w.engine.requestID(), Resource: j.spec.Source, Slot: j.slot(), Body: body.Append(nil)}
	wait := claimWait
	if j.mover {
		wait = 0 // sends do not tell of deaths
	}
	res, proposed, err := w.engine.cluster.ProposeWhenReady(w.ctx, cmd, wait)
	if err != nil {
		return 0, false
	}
	if !proposed || res.Status != model.StatusOK {
		if j.mover || proposed {
			w.pause(moverPause)
		}
		return 0, true
	}
	var claimed model.ClaimResult
	d := model.NewDecoder(res.Body)
	claimed.Decode(d)
	if d.Done() != nil {
		return 0, false
	}
	if claimed.Taken == 0 {
		return 0, true
	}
	w.noteFloor(claimed.Floor)
	w.drive(model.UnsettledClaim{Pipe: j.id, Seq: claimed.Seq, Nonce: w.nonce, Dead: j.mover, Plan: body.Plan, Messages: claimed.Messages})
	return int(claimed.Taken), true
}

// settings are the settings of a queue that commands on it carry; none for
// other resources.
func (w *worker) settings(id model.ResourceID) model.QueueSettings {
	var q model.QueueSpec
	if r, ok := w.engine.cluster.Catalog().ResourceByID(id); ok && r.Kind == model.KindQueue {
		q.Decode(model.NewDecoder(r.Spec))
	}
	return q.Settings()
}

// recover drives the unsettled claims that nobody here drives.
func (w *worker) recover(j *job) error {
	for after := model.ClaimSeq(0); ; {
		q := model.ClaimsQuery{Pipe: j.id, After: after}
		res, err := w.engine.cluster.Read(w.ctx, &model.Query{Kind: model.QueryClaims, Resource: j.spec.Source, Slot: j.slot(), Body: q.Append(nil)}, true)
		if err != nil {
			return err
		}
		if res.Status == model.StatusGone {
			return nil
		}
		var page model.ClaimsResult
		d := model.NewDecoder(res.Body)
		page.Decode(d)
		if err := d.Done(); err != nil {
			return err
		}
		w.noteFloor(page.Floor)
		for _, c := range page.Claims {
			after = c.Seq
			if w.isOpen(c.Seq) {
				continue
			}
			select {
			case w.slots <- struct{}{}:
				w.drive(c)
			case <-w.ctx.Done():
				return w.ctx.Err()
			}
		}
		if !page.More || len(page.Claims) == 0 {
			return nil
		}
	}
}

func (w *worker) isOpen(seq model.ClaimSeq) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[seq]
}

// drive rolls a claim forward on a goroutine of its own, which then frees the
// slot that the caller took.
func (w *worker) drive(c model.UnsettledClaim) {
	w.mu.Lock()
	w.open[c.Seq] = true
	w.mu.Unlock()
	w.drives.Go(func() {
		w.rollForward(&c)
		w.mu.Lock()
		delete(w.open, c.Seq)
		w.mu.Unlock()
		<-w.slots
	})
}

// noteFloor keeps what the source said last: every claim below it is settled.
// The worker's own picture would not do: a claim whose answer was lost is
// unsettled too.
func (w *worker) noteFloor(floor model.ClaimSeq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.floor = max(w.floor, floor)
}

func (w *worker) knownFloor() model.ClaimSeq {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.floor
}
