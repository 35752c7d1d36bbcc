package service

import (
	"context"
	"crypto/sha256"
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
// the first one; the result is empty when the wait ends without. Errors:
// *QueueError, ErrNotFound, ErrOverLimit, and the cluster's.
func (s *Service) ReceiveMessages(ctx context.Context, req *ReceiveRequest) ([]model.Received, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	var wait time.Duration
	proposed, fifo := true, false
	propose := func(ctx context.Context, cmd *model.Command) (res model.Result, err error) {
		if req.Retry {
			// What the first try took is no longer there to be waited for.
			if res, err := s.cluster.Propose(ctx, cmd); err != nil || res.Status != model.StatusOK || tookSome(res) {
				return res, err
			}
		}
		res, proposed, err = s.cluster.ProposeWhenReady(ctx, cmd, wait)
		return res, err
	}
	call := queueCall{model.CmdReceive, req.Invocation}
	nonce := s.rand.Uint64()
	res, err := s.onQueue(ctx, req.Queue, call, propose, func(q *Queue, d *requestDigest) ([]byte, error) {
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
			return nil, err
		}
		d.add(attempt[:])
		fifo = q.Spec.Fifo
		wait = time.Duration(waitSeconds) * time.Second
		body := model.Receive{Settings: q.Spec.Settings(), Max: uint32(req.Max), VisibilityMs: visible * 1000, Nonce: nonce, Attempt: attempt}
		return body.Append(nil), nil
	})
	if err != nil || !proposed {
		return nil, err
	}
	if res.Status == model.StatusOverLimit {
		if wait > 0 || fifo { // as SQS: a long poll, and a FIFO queue, answers without messages and without an error
			return nil, nil
		}
		return nil, model.Errorf(model.ErrOverLimit, "Too many messages in flight: a queue may have %d.", model.MaxQueueInFlight)
	}
	var received model.ReceiveResult
	if err := decodeResult(res, &received); err != nil {
		return nil, err
	}
	return received.Messages, nil
}

// tookSome reports whether a receive took messages. Its result begins with
// their number.
func tookSome(res model.Result) bool { return model.NewDecoder(res.Body).Uvarint() > 0 }

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
