package service

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

// StartMoveTask starts to move the messages of a dead-letter queue: those that
// are in it now, and others that come while it is under way. Errors:
// *QueueError.
func (s *Service) StartMoveTask(ctx context.Context, req *MoveTaskRequest) (handle string, err error) {
	source, err := s.GetQueue(ctx, req.Source)
	if isKind(err, model.ErrNotFound) {
		return "", queueFault(FaultNoResource, "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	if err != nil {
		return "", err
	}
	state := &MoveState{Status: MoveRunning, Source: source.Name, Destination: req.Destination, MaxPerSec: req.MaxPerSec}
	spec := model.PipeSpec{
		Source: source.ID, SourceSlots: source.Spec.Partitions, TargetKind: model.KindQueue, Mapping: []byte(MoveMapping),
		RateMilli: uint64(req.MaxPerSec) * 1000, BatchMax: maxMovePerSec, MaxClaims: maxMoveClaims, CreatedMs: s.clock.Now().UnixMilli(),
	}
	if err := s.checkMove(ctx, req, source, &spec); err != nil {
		return "", err
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return "", err
	}
	tasks, err := s.moveTasks(source.ID)
	if err != nil {
		return "", err
	}
	number := uint64(1)
	if len(tasks) > 0 {
		if number = tasks[0].number + 1; !tasks[0].state.Ended() {
			return "", errMoveRuns()
		}
	}
	if err := s.moveQuota(); err != nil {
		return "", err
	}
	if err := s.measureMove(ctx, source, state); err != nil {
		return "", err
	}
	if err := state.write(&spec); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s%d/%d", movePrefix, source.ID, number)
	if _, err := s.createResource(ctx, model.KindPipe, name, spec.Tags, spec.Append(nil)); isKind(err, model.ErrInUse) {
		return "", errMoveRuns() // another request was faster
	} else if err != nil {
		return "", err
	}
	for i := maxMoveTasks - 1; i < len(tasks); i++ {
		if err := s.RemoveMoveTask(ctx, tasks[i].resource); err != nil {
			return "", err
		}
	}
	return moveHandle(name), nil
}

func errMoveRuns() error {
	return queueFault(FaultParameter, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
}

// checkMove holds the request to SQS's rules and finds its destination.
func (s *Service) checkMove(ctx context.Context, req *MoveTaskRequest, source *Queue, spec *model.PipeSpec) error {
	if req.MaxPerSec < 0 || req.MaxPerSec > maxMovePerSec {
		return queueFault(FaultParameter, "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and 500.")
	}
	sources, err := s.ListDeadLetterSources(ctx, source.Name, &ListQueuesRequest{Limit: 1})
	if err != nil {
		return err
	}
	if len(sources.Names) == 0 {
		return queueFault(FaultParameter, "Source queue must be configured as a Dead Letter Queue.")
	}
	if req.Destination == "" {
		return nil
	}
	target, err := s.GetQueue(ctx, req.Destination)
	switch {
	case isKind(err, model.ErrNotFound):
		return queueFault(FaultNoResource, "The resource that you specified for the DestinationArn parameter doesn't exist.")
	case err != nil:
		return err
	case target.ID == source.ID:
		return queueFault(FaultParameter, "Source queue arn and destination queue arn cannot be the same.")
	case target.Spec.Fifo != source.Spec.Fifo:
		return queueFault(FaultParameter, "The source queue and destination queue must be of the same queue type.")
	}
	spec.Target, spec.TargetSlots = target.ID, target.Spec.Partitions
	return nil
}

// measureMove notes what is in the source: the task is done when nothing of it
// is left.
func (s *Service) measureMove(ctx context.Context, source *Queue, state *MoveState) error {
	for _, slot := range source.slots {
		last, err := s.lastNumber(ctx, source, slot)
		if err != nil {
			return err
		}
		state.Last = append(state.Last, last)
	}
	n, err := s.CountQueue(ctx, source)
	state.ToMove = n.Visible + n.Delayed + n.InFlight
	return err
}

// lastNumber is the highest number of a message in the slot, zero when it is
// empty: the place behind which there is none, searched for by halves.
func (s *Service) lastNumber(ctx context.Context, q *Queue, slot model.Slot) (uint64, error) {
	behind := func(after uint64) (bool, error) {
		body := model.PeekQuery{NowMs: s.clock.Now().UnixMilli(), After: after, Max: 1}
		var page model.PeekResult
		err := s.query(ctx, q, slot, model.QueryPeek, body.Append(nil), &page)
		return len(page.Messages) > 0 || page.More, err
	}
	low, high := uint64(0), uint64(1) // something is behind low-1, nothing behind high
	for {
		more, err := behind(high)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		low, high = high, 2*high
	}
	for low < high {
		mid := low + (high-low)/2
		more, err := behind(mid)
		if err != nil {
			return 0, err
		}
		if more {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}

// ListMoveTasks returns a source's tasks, the newest first, at most most of
// them. Errors: *QueueError, and the cluster's.
func (s *Service) ListMoveTasks(ctx context.Context, source string, most int) ([]MoveTask, error) {
	if most < 1 || most > maxMoveTasks {
		return nil, badParameter("MaxResults", most, "Must be between 1 and 10, if provided.")
	}
	q, err := s.GetQueue(ctx, source)
	if isKind(err, model.ErrNotFound) {
		return nil, queueFault(FaultNoResource, "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	if err != nil {
		return nil, err
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	tasks, err := s.moveTasks(q.ID)
	if err != nil {
		return nil, err
	}
	list := make([]MoveTask, 0, min(most, len(tasks)))
	for i := range tasks[:min(most, len(tasks))] {
		t := &tasks[i]
		shown := MoveTask{
			Status: t.state.Status, Source: t.state.Source, Destination: t.state.Destination, MaxPerSec: t.state.MaxPerSec,
			ToMove: t.state.ToMove, StartedMs: t.spec.CreatedMs, Reason: t.state.Reason,
		}
		if t.state.Status == MoveRunning {
			shown.Handle = moveHandle(t.resource.Name)
		}
		if shown.Moved, err = s.moved(ctx, q, t); err != nil {
			return nil, err
		}
		list = append(list, shown)
	}
	return list, nil
}

// moved is how many messages a task has moved.
func (s *Service) moved(ctx context.Context, source *Queue, t *moveTask) (n uint64, err error) {
	if t.state.Ended() {
		return t.state.Moved, nil
	}
	body := (&model.ClaimsQuery{Pipe: t.resource.ID, After: 1<<64 - 2}).Append(nil) // the count, no claims
	for _, slot := range source.slots {
		var page model.ClaimsResult
		if err := s.query(ctx, source, slot, model.QueryClaims, body, &page); err != nil {
			return 0, err
		}
		n += page.Settled
	}
	return n, nil
}

// CancelMoveTask asks a task to end. It returns how many messages were moved by
// now; those that are on their way will be, too. Errors: *QueueError.
func (s *Service) CancelMoveTask(ctx context.Context, handle string) (moved uint64, err error) {
	name, err := base64.URLEncoding.DecodeString(handle)
	digits, ok := strings.CutPrefix(string(name), movePrefix)
	id, _, _ := strings.Cut(digits, "/")
	source, err2 := strconv.ParseUint(id, 10, 64)
	if err != nil || !ok || err2 != nil {
		return 0, queueFault(FaultParameter, "Value for parameter TaskHandle is invalid.")
	}
	queue, ok := s.QueueName(model.ResourceID(source))
	if !ok {
		return 0, queueFault(FaultNoResource, "Task does not exist.")
	}
	q, err := s.GetQueue(ctx, queue)
	if err != nil {
		return 0, err
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return 0, err
	}
	ended := false
	err = s.updateMove(ctx, string(name), func(m *MoveState) {
		if ended = m.Status != MoveRunning; !ended {
			m.Status = MoveCancelling
		}
	})
	switch {
	case isKind(err, model.ErrNotFound):
		return 0, queueFault(FaultNoResource, "Task does not exist.")
	case err != nil:
		return 0, err
	case ended:
		return 0, queueFault(FaultParameter, "Only active tasks can be cancelled.")
	}
	tasks, err := s.moveTasks(q.ID)
	if err != nil {
		return 0, err
	}
	for i := range tasks {
		if tasks[i].resource.Name == string(name) {
			return s.moved(ctx, q, &tasks[i])
		}
	}
	return 0, nil // it has ended, and was forgotten, since
}

// EndMoveTask writes down how a task ended, unless it has ended already. Package
// pipe calls it.
func (s *Service) EndMoveTask(ctx context.Context, name string, end func(*MoveState)) error {
	return s.updateMove(ctx, name, func(m *MoveState) {
		if !m.Ended() {
			end(m)
		}
	})
}

func (s *Service) updateMove(ctx context.Context, name string, change func(*MoveState)) error {
	var bad error
	_, err := s.updatePipe(ctx, name, func(spec *model.PipeSpec) {
		var state *MoveState
		if state, bad = ReadMoveState(spec); bad == nil {
			change(state)
			bad = state.write(spec)
		}
	})
	return cmp.Or(err, bad)
}

// RemoveMoveTask forgets a task.
func (s *Service) RemoveMoveTask(ctx context.Context, r *model.Resource) error {
	err := s.deleteResource(ctx, r)
	if isKind(err, model.ErrNotFound) {
		return nil
	}
	return err
}
