package service

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// SQS's limits on receiving.
const (
	maxReceived       = 10
	maxWaitSeconds    = 20
	maxVisibleSeconds = model.MaxVisibilityMs / 1000
)

// ReceiveMessages takes messages from a queue, which then nobody else is given
// until their visibility timeout has passed. If there are none it waits for
// the first one; the result is empty when the wait ends without. All of them
// are from one of the queue's slots. Errors: *QueueError, ErrNotFound,
// ErrOverLimit, and the cluster's.
func (s *Service) ReceiveMessages(ctx context.Context, req *ReceiveRequest) (got []model.Received, err error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	nonce := s.rand.Uint64()
	err = s.onQueue(ctx, req.Queue, func(q *Queue) error {
		if err := s.spend(q, receiveCalls, 0); err != nil {
			return err
		}
		r := receiver{service: s, queue: q, client: req.Client, doubt: -1}
		defer func() {
			if req.Client != nil && req.Invocation == (model.RequestID{}) && req.Client.Gone() {
				r.giveBack(ctx, got)
			}
		}()
		if err := r.prepare(req, nonce); err != nil {
			return err
		}
		if req.Retry {
			if got, err = r.again(ctx); err != nil || len(got) > 0 {
				return err
			}
		}
		if s.overInFlight(ctx, q) {
			if r.wait == 0 {
				return errOverInFlight()
			}
			return nil
		}
		got, err = r.receive(ctx)
		q.traffic.inFlight.add(len(got))
		return err
	})
	return got, err
}

// receiver carries out one receive.
type receiver struct {
	service *Service
	queue   *Queue
	wait    time.Duration
	call    callID
	asks    model.Receive
	body    []byte      // asks, encoded
	slots   []slotState // by slot
	client  Client      // nil: it surely stays
	doubt   int         // the slot that may have been taken from without an answer; -1: none
}

// slotState is what a receive knows of a slot.
type slotState struct {
	over  bool // too much is in flight there
	spent bool // an earlier try of the call took there what is gone by now
}

// cmd is the command for a slot.
func (r *receiver) cmd(at int) *model.Command {
	slot := r.queue.slots[at]
	return &model.Command{Kind: model.CmdReceive, ID: r.call.at(slot, 0), Resource: r.queue.ID, Slot: slot, Body: r.body}
}

// nothing is the body of commands that take nothing.
func (r *receiver) nothing() []byte {
	asks := r.asks
	asks.Max = 0
	return asks.Append(nil)
}

// prepare makes what the commands need, of which there is one for each slot.
func (r *receiver) prepare(req *ReceiveRequest, nonce uint64) error {
	q := r.queue
	d := newRequestDigest(queueCall{model.CmdReceive, req.Invocation}, q.ID)
	visible, waitSeconds := q.Spec.VisibilityTimeout, q.Spec.ReceiveMessageWaitTimeSeconds
	if req.Visibility != nil {
		visible = *req.Visibility
		d.number(visible)
	}
	if req.Wait != nil {
		waitSeconds = *req.Wait
	}
	d.number(int64(req.Max))
	attempt, err := req.attempt(q.Spec)
	if err != nil {
		return err
	}
	addTo(&d, attempt[:])
	r.wait = time.Duration(waitSeconds) * time.Second
	r.asks = model.Receive{Settings: q.Spec.Settings(), Max: uint32(req.Max), VisibilityMs: visible * 1000, Nonce: nonce, Attempt: attempt}
	r.body = r.asks.Append(make([]byte, 0, 64))
	r.call, r.slots = d.sum(r.service), make([]slotState, len(q.slots))
	return nil
}

// again looks for what an earlier try of the call took: it is no longer there
// to be waited for. Where there is only one slot to look in, the command itself
// is the question: if the first try is still under way, they are one. Otherwise
// each slot is asked with a command that is the first try's and takes nothing.
// A first try that arrives after that takes messages that nobody hears of; they
// come back after their visibility timeout.
func (r *receiver) again(ctx context.Context) ([]model.Received, error) {
	for i := range r.slots {
		ask := r.cmd(i)
		if len(r.slots) > 1 {
			ask.Body = r.nothing()
		}
		res, err := r.service.cluster.Propose(ctx, ask)
		if err != nil {
			return nil, err
		}
		if got, err := r.taken(i, res); err != nil || len(got) > 0 {
			return got, err
		}
	}
	return nil, nil
}

// receive asks the slots one after the other, and waits for the first that has
// something when none of them does.
func (r *receiver) receive(ctx context.Context) ([]model.Received, error) {
	s := r.service
	end := s.clock.Now().Add(r.wait)
	var failure error
	failed := 0
	for _, at := range s.receiveOrder(r.queue) {
		got, err := r.take(ctx, at, 0)
		switch {
		case isKind(err, model.ErrUnavailable): // the others may have something
			failed, failure = failed+1, err
		case err != nil || len(got) > 0:
			return got, err
		}
	}
	if failed == len(r.slots) {
		return nil, failure
	}
	if r.wait > 0 && r.client != nil {
		r.client.Watch()
	}
	if len(r.slots) == 1 && len(r.waiting()) == 1 && r.wait > 0 {
		if got, err := r.take(ctx, 0, r.wait); err != nil || len(got) > 0 {
			return got, err
		}
	}
	for len(r.slots) > 1 {
		left := end.Sub(s.clock.Now())
		waiting := r.waiting()
		if left <= 0 || len(waiting) == 0 {
			break
		}
		cmds := make([]*model.Command, len(waiting))
		for i, at := range waiting {
			cmds[i] = r.cmd(at)
		}
		i, err := AwaitAny(ctx, s.cluster, cmds, left)
		if err != nil || i < 0 {
			return nil, err
		}
		if got, err := r.take(ctx, waiting[i], 0); err != nil || len(got) > 0 {
			return got, err
		}
	}
	if r.wait == 0 && !r.queue.Spec.Fifo && slices.ContainsFunc(r.slots, func(s slotState) bool { return s.over }) {
		return nil, errOverInFlight()
	}
	return nil, nil // as SQS: a long poll, and a FIFO queue, ends without an error
}

// waiting are the slots that it makes sense to wait for.
func (r *receiver) waiting() (at []int) {
	for i := range r.slots {
		if !r.slots[i].over && !r.slots[i].spent {
			at = append(at, i)
		}
	}
	return at
}

// take takes messages from one slot, if there are any.
func (r *receiver) take(ctx context.Context, at int, wait time.Duration) ([]model.Received, error) {
	res, proposed, err := r.service.cluster.ProposeWhenReady(ctx, r.cmd(at), wait)
	if err != nil {
		if partly(err) {
			r.doubt = at
		}
		if ctx.Err() == nil {
			r.service.noteFailure(r.queue, at)
		}
		return nil, err
	}
	if !proposed {
		return nil, nil
	}
	return r.taken(at, res)
}

// taken reads what a slot answered.
func (r *receiver) taken(at int, res model.Result) ([]model.Received, error) {
	switch res.Status {
	case model.StatusGone:
		return nil, errDropped
	case model.StatusOverLimit:
		r.slots[at].over = true
		return nil, nil
	}
	received, err := res.Received, error(nil)
	if received == nil { // another node took them
		received = &model.ReceiveResult{}
		err = decodeResult(res, received)
	}
	r.slots[at].spent = received.Taken > 0 && len(received.Messages) == 0
	return received.Messages, err
}

// attempt is what the queue knows a ReceiveRequestAttemptId by; zero when there
// is none.
func (req *ReceiveRequest) attempt(spec *model.QueueSpec) (id model.RequestID, err error) {
	if req.Attempt == "" {
		return id, nil
	}
	if !spec.Fifo {
		return id, badParameter("ReceiveRequestAttemptId", shortHandle(req.Attempt), notForQueueType)
	}
	sum := sha256.Sum256([]byte(req.Attempt))
	copy(id[:], sum[:])
	return id, checkMessageID("ReceiveRequestAttemptId", req.Attempt)
}

func (req *ReceiveRequest) check() error {
	if req.Max < 1 || req.Max > maxReceived {
		return badParameter("MaxNumberOfMessages", req.Max, "Must be between 1 and 10, if provided.")
	}
	if v := req.Wait; v != nil && (*v < 0 || *v > maxWaitSeconds) {
		return badParameter("WaitTimeSeconds", *v, "Must be >= 0 and <= 20, if provided.")
	}
	if v := req.Visibility; v != nil && (*v < 0 || *v > maxVisibleSeconds) {
		return badParameter("VisibilityTimeout", *v, "Must be >= 0 and <= 43200, if provided.")
	}
	return nil
}
