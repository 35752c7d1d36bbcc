package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// queueLoad is the workload of producers and consumers of a standard queue.
// Its promises: every acknowledged message is delivered, and comes back until it
// is deleted, none after its deletion was acknowledged, and none to two
// consumers within its visibility.
type queueLoad struct {
	w *world

	mu       sync.Mutex // guards what follows
	sent     map[string]time.Duration
	maybe    int // sends whose outcome stayed unknown
	received map[string][]delivery
	deleted  map[string]time.Duration // when the deletion was acknowledged
	asked    map[string]bool          // deletion was asked for, whatever became of it
	failures []string
}

// delivery is one message in the hands of a consumer.
type delivery struct{ called, returned time.Duration }

const (
	simQueue        = "work"
	queueVisibility = 8 * time.Second
)

func newQueueLoad(w *world) *queueLoad {
	return &queueLoad{w: w, sent: map[string]time.Duration{}, received: map[string][]delivery{}, deleted: map[string]time.Duration{}, asked: map[string]bool{}}
}

// createQueues makes the queues of all workloads.
func (w *world) createQueues(s *service.Service) error {
	type attributes = []service.QueueAttribute
	redrive := fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:%s","maxReceiveCount":%d}`, riskyDead, riskyMost)
	for _, req := range []service.CreateQueueRequest{
		{Name: simQueue}, {Name: likesQueue}, {Name: likesDead}, {Name: rescuedQueue}, {Name: riskyDead},
		{Name: riskyQueue, Attributes: attributes{{Name: "RedrivePolicy", Value: redrive}}},
		{Name: fifoQueue, Attributes: attributes{{Name: "FifoQueue", Value: "true"}}},
		{Name: flowQueue, Attributes: attributes{{Name: "FifoQueue", Value: "true"}}},
	} {
		ctx, cancel := contextFor(10 * time.Second)
		_, err := s.CreateQueue(ctx, &req)
		cancel()
		if err != nil && !exists(err) {
			return err
		}
	}
	return nil
}

func exists(err error) bool {
	var known *model.Error
	return errors.As(err, &known) && known.Kind == model.ErrInUse
}

func (q *queueLoad) clients() int { return 3 }

// client is a producer or a consumer.
func (q *queueLoad) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(q.w.seed, 200+uint64(id)))
	for i := 0; !closed(stop); i++ {
		pause(rng, 200*time.Millisecond)
		if id%10 == 0 {
			q.send(rng, fmt.Sprintf("m%d", i))
		} else {
			q.consume(rng, time.Duration(rng.IntN(3))*time.Second)
		}
	}
}

// send sends one message, retrying with the same request id as an SDK does.
func (q *queueLoad) send(rng *rand.Rand, body string) {
	req := &service.SendRequest{Invocation: randomID(rng), First: true, Queue: simQueue, Messages: []service.OutgoingMessage{{Body: body}}}
	if rng.IntN(4) == 0 {
		delay := int64(1 + rng.IntN(3))
		req.Messages[0].Delay = &delay
	}
	for range 3 {
		node := q.w.anyNode(rng)
		if node == nil {
			pause(rng, time.Second)
			continue
		}
		ctx, cancel := contextFor(4*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
		res, err := node.service.SendMessages(ctx, req)
		cancel()
		req.First = false
		if err == nil && res[0].Err == nil {
			q.mu.Lock()
			q.sent[body] = q.w.elapsed()
			q.mu.Unlock()
			return
		}
	}
	q.mu.Lock()
	q.maybe++
	q.mu.Unlock()
}

// consume receives messages and deletes most of them. It reports whether
// there were any.
func (q *queueLoad) consume(rng *rand.Rand, wait time.Duration) bool {
	node := q.w.anyNode(rng)
	if node == nil {
		return false
	}
	visibility, seconds := int64(queueVisibility/time.Second), int64(wait/time.Second)
	req := &service.ReceiveRequest{Invocation: randomID(rng), Queue: simQueue, Max: 1 + rng.IntN(10), Visibility: &visibility, Wait: &seconds}
	called := q.w.elapsed()
	ctx, cancel := contextFor(wait + 5*time.Second)
	messages, err := node.service.ReceiveMessages(ctx, req)
	cancel()
	if err != nil {
		return false
	}
	returned := q.w.elapsed()
	for _, m := range messages {
		q.noteReceived(string(m.Body), delivery{called, returned})
	}
	for _, m := range messages {
		if rng.IntN(5) > 0 {
			q.delete(rng, m, called)
		}
	}
	return len(messages) > 0
}

// delete deletes a message that a request of the given time received. Only a
// deletion that is answered within the visibility is sure: after it, the
// message may have been received again, and the old receipt deletes nothing.
func (q *queueLoad) delete(rng *rand.Rand, m model.Received, received time.Duration) {
	node := q.w.anyNode(rng)
	if node == nil {
		return
	}
	q.mu.Lock()
	q.asked[string(m.Body)] = true
	q.mu.Unlock()
	ctx, cancel := contextFor(4 * time.Second)
	defer cancel()
	errs, err := node.service.DeleteMessages(ctx, &service.DeleteMessagesRequest{Invocation: randomID(rng), Queue: simQueue, Handles: []string{m.Receipt}})
	now := q.w.elapsed()
	if err == nil && errs[0] == nil && now+2*maxSkew < received+queueVisibility {
		q.mu.Lock()
		q.deleted[string(m.Body)] = now
		q.mu.Unlock()
	}
}

// noteReceived checks a delivery against the others of its message.
func (q *queueLoad) noteReceived(body string, d delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at, ok := q.deleted[body]; ok && d.called > at {
		q.fail("message %s was delivered to a request of %v after its deletion was acknowledged at %v", body, d.called, at)
	}
	// Visibility is counted on the leader's clock, and the leader may change to
	// one whose clock is ahead.
	for _, other := range q.received[body] {
		if d.returned > other.called && d.returned+2*maxSkew < other.called+queueVisibility {
			q.fail("message %s was delivered at %v and again at %v, within its visibility of %v", body, other.called, d.returned, queueVisibility)
		}
	}
	q.received[body] = append(q.received[body], d)
}

func (q *queueLoad) fail(format string, args ...any) {
	if len(q.failures) < 10 {
		q.failures = append(q.failures, fmt.Sprintf(format, args...))
	}
}

// finish drains the queue: everything acknowledged must come out.
func (q *queueLoad) finish() error {
	rng := rand.New(rand.NewPCG(q.w.seed, 299))
	for empty := 0; empty < 12; {
		if q.consume(rng, 2*time.Second) {
			empty = 0
		} else {
			empty++
		}
		time.Sleep(time.Duration(1 + rng.IntN(1000)))
	}
	return nil
}

func (q *queueLoad) check() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var lost, stuck []string
	for body := range q.sent {
		switch {
		case len(q.received[body]) == 0:
			lost = append(lost, body)
		case !q.asked[body]:
			stuck = append(stuck, body)
		}
	}
	slices.Sort(lost)
	slices.Sort(stuck)
	if len(stuck) > 0 {
		q.fail("%d messages were received, not deleted, and never came back, the first is %s", len(stuck), stuck[0])
	}
	if len(lost) > 0 {
		q.fail("%d acknowledged messages were never delivered, the first is %s sent at %v", len(lost), lost[0], q.sent[lost[0]])
	}
	for body := range q.received {
		if _, ok := q.sent[body]; !ok && q.maybe == 0 {
			q.fail("message %s was delivered but never sent", body)
		}
	}
	return q.failures
}

func (q *queueLoad) report(r *Report) {
	r.Sent, r.Received, r.Deleted = len(q.sent), len(q.received), len(q.deleted)
}
