package service

import (
	"sync"

	"weir.dev/weir/internal/model"
)

// queueCallKind is a kind of calls that SQS counts by itself.
type queueCallKind uint8

const (
	sendCalls queueCallKind = iota
	receiveCalls
	deleteCalls
	queueCallKinds
)

// queueQuota is what of a queue's quotas is used up on this node. It is empty
// without a Profile.
type queueQuota struct {
	mu       sync.Mutex // guards what follows
	second   int64      // of the Unix time, that is being counted
	calls    [queueCallKinds]int
	messages [queueCallKinds]int
}

// spend counts a call with so many messages against the quotas of the queue.
// Errors: *QueueError (FaultThrottled).
func (s *Service) spend(q *Queue, kind queueCallKind, messages int) error {
	if s.profile.FifoCalls == 0 || !q.Spec.Fifo || q.Spec.PerGroupThroughput {
		return nil
	}
	u := &q.traffic.quota
	second := s.clock.Now().Unix()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.second != second {
		u.second = second
		clear(u.calls[:])
		clear(u.messages[:])
	}
	if u.calls[kind] >= s.profile.FifoCalls || u.messages[kind]+messages > s.profile.FifoMessages {
		return queueFault(FaultThrottled, "Rate exceeded")
	}
	u.calls[kind]++
	u.messages[kind] += messages
	return nil
}

// moveQuota holds a new task that moves messages to the profile.
func (s *Service) moveQuota() error {
	if s.profile.MoveTasks == 0 {
		return nil
	}
	running := 0
	c := s.cluster.Catalog()
	for r := range c.Resources.From(model.KindPipe, movePrefix) {
		if !IsMoveTask(r.Name) {
			break
		}
		p, err := NewPipe(r)
		if err != nil {
			return err
		}
		state, err := ReadMoveState(&p.Spec)
		if err != nil {
			return err
		}
		if !state.Ended() {
			running++
		}
	}
	if running >= s.profile.MoveTasks {
		return queueFault(FaultThrottled, "Rate exceeded")
	}
	return nil
}
