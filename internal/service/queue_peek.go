package service

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

// query asks one of the queue's slots and decodes the answer.
func (s *Service) query(ctx context.Context, q *Queue, slot model.Slot, kind model.QueryKind, body []byte, into interface{ Decode(d *model.Decoder) }) error {
	res, err := s.cluster.Read(ctx, &model.Query{Kind: kind, Resource: q.ID, Slot: slot, Body: body}, true)
	if err != nil {
		return err
	}
	if res.Status == model.StatusGone {
		return model.Errorf(model.ErrNotFound, "%s not found", q.Name)
	}
	return decodeResult(res, into)
}

// CountQueue counts the queue's messages. Errors: ErrNotFound, and the
// cluster's.
func (s *Service) CountQueue(ctx context.Context, q *Queue) (all model.QueueCounts, err error) {
	body := (&model.QueueQuery{NowMs: s.clock.Now().UnixMilli()}).Append(nil)
	for _, slot := range q.slots {
		var n model.QueueCounts
		if err := s.query(ctx, q, slot, model.QueryQueue, body, &n); err != nil {
			return all, err
		}
		all.Visible, all.Delayed, all.InFlight = all.Visible+n.Visible, all.Delayed+n.Delayed, all.InFlight+n.InFlight
		all.Claimed, all.Dead, all.Bytes = all.Claimed+n.Claimed, all.Dead+n.Dead, all.Bytes+n.Bytes
		all.Groups, all.Noisy = all.Groups+n.Groups, all.Noisy+n.Noisy
		if n.OldestMs != 0 && (all.OldestMs == 0 || n.OldestMs < all.OldestMs) {
			all.OldestMs = n.OldestMs
		}
	}
	return all, nil
}

// Peek shows messages without taking them, slot by slot in the order of their
// numbers. A page may be short, or empty, and not be the last. Errors:
// *QueueError, ErrNotFound, and the cluster's.
func (s *Service) Peek(ctx context.Context, req *PeekRequest) (*PeekResult, error) {
	q, err := s.GetQueue(ctx, req.Queue)
	if err != nil {
		return nil, err
	}
	if req.Max < 1 || req.Max > model.MaxReceiveMessages {
		return nil, badParameter("Max", req.Max, fmt.Sprintf("Must be between 1 and %d.", model.MaxReceiveMessages))
	}
	at, after, ok := parsePeek(req.Start, len(q.slots))
	if !ok {
		return nil, badParameter("Start", shortHandle(req.Start), "It is not the Next of an earlier page.")
	}
	page := &PeekResult{}
	for ; at < len(q.slots); at, after = at+1, 0 {
		body := model.PeekQuery{
			NowMs: s.clock.Now().UnixMilli(), After: after, Max: uint32(req.Max - len(page.Messages)), Contains: req.Contains, Group: req.Group,
		}
		var part model.PeekResult
		if err := s.query(ctx, q, q.slots[at], model.QueryPeek, body.Append(nil), &part); err != nil {
			return nil, err
		}
		page.Messages = append(page.Messages, part.Messages...)
		if part.More {
			page.Next = formatPeek(at, part.Next)
			return page, nil
		}
		if len(page.Messages) == req.Max && at+1 < len(q.slots) {
			page.Next = formatPeek(at+1, 0)
			return page, nil
		}
	}
	return page, nil
}

// formatPeek is where the next page begins: in which of the queue's slots, and
// behind which number.
func formatPeek(at int, after uint64) string { return fmt.Sprintf("%d.%d", at, after) }

func parsePeek(text string, slots int) (at int, after uint64, ok bool) {
	if text == "" {
		return 0, 0, true
	}
	first, second, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(first, 10, 31)
	if err != nil || int(n) >= slots {
		return 0, 0, false
	}
	after, err = strconv.ParseUint(second, 10, 64)
	return int(n), after, err == nil
}

// CancelScheduled takes back messages that wait for the time for which they
// were scheduled. The errors are in the order of the ids: nil, or ErrNotFound
// when no message of that id waits. Errors: *QueueError, ErrNotFound, and the
// cluster's.
func (s *Service) CancelScheduled(ctx context.Context, req *CancelScheduledRequest) ([]error, error) {
	if n := len(req.IDs); n < 1 || n > maxBatchEntries {
		return nil, badParameter("IDs", n, fmt.Sprintf("A request names 1 to %d messages.", maxBatchEntries))
	}
	q, err := s.GetQueue(ctx, req.Queue)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(req.IDs))
	for i, id := range req.IDs {
		errs[i] = model.Errorf(model.ErrNotFound, "no message %x of queue %s waits for its time", id[:], q.Name)
	}
	body := (&model.CancelScheduled{IDs: req.IDs}).Append(nil)
	for _, slot := range q.slots { // an id does not say which slot its message is in
		cmd := model.Command{Kind: model.CmdCancelScheduled, ID: s.newRequestID(), Resource: q.ID, Slot: slot, Body: body}
		res, err := s.cluster.Propose(ctx, &cmd)
		if err != nil {
			return nil, err
		}
		if res.Status == model.StatusGone {
			return nil, model.Errorf(model.ErrNotFound, "%s not found", q.Name)
		}
		var statuses model.EntryStatuses
		if err := decodeResult(res, &statuses); err != nil {
			return nil, err
		}
		if len(statuses) != len(errs) {
			return nil, errMiscounted
		}
		for i, status := range statuses {
			if status == model.EntryOK {
				errs[i] = nil
			}
		}
	}
	return errs, nil
}
