package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// receiptPart is what one command does: the receipts of one slot.
type receiptPart struct {
	at   int // which of the queue's slots
	list []model.Receipt
	good []int // the place of each in the request
}

// receiptParts reads receipt handles and sorts them by their slots. A bad one
// has its error in errs; those that have one already are left out.
func receiptParts(q *Queue, n int, handle func(i int) string, errs []error) []receiptPart {
	parts := make([]receiptPart, 0, 1)
	for i := range n {
		if errs[i] != nil {
			continue
		}
		if handle(i) == "" {
			errs[i] = queueFault(FaultMissing, "The request must contain the parameter ReceiptHandle.")
			continue
		}
		r, err := model.ParseReceipt(q.ID, handle(i))
		if err != nil {
			errs[i] = err
			continue
		}
		at := slices.Index(q.slots, r.Slot)
		if at < 0 { // Weir has given no such handle
			errs[i] = model.Errorf(model.ErrReceiptInvalid, "The input receipt handle %q is not a valid receipt handle.", shortHandle(handle(i)))
			continue
		}
		k := slices.IndexFunc(parts, func(p receiptPart) bool { return p.at == at })
		if k < 0 {
			k = len(parts)
			p := receiptPart{at: at}
			if k == 0 { // most requests have one part
				p.list, p.good = make([]model.Receipt, 0, n), make([]int, 0, n)
			}
			parts = append(parts, p)
		}
		parts[k].list, parts[k].good = append(parts[k].list, r), append(parts[k].good, i)
	}
	return parts
}

// maxShownHandleBytes bounds how much of a handle an error repeats: all of any
// that Weir has given.
const maxShownHandleBytes = 256

func shortHandle(h string) string {
	if len(h) > maxShownHandleBytes {
		return h[:maxShownHandleBytes] + "..."
	}
	return h
}

// DeleteMessages deletes received messages. The errors are in the order of the
// handles: ErrReceiptInvalid, *QueueError (the handle of a FIFO queue's message
// has expired) or nil. To delete a message again is no error.
func (s *Service) DeleteMessages(ctx context.Context, req *DeleteMessagesRequest) (errs []error, err error) {
	err = s.onQueue(ctx, req.Queue, func(q *Queue) error {
		if err := s.spend(q, deleteCalls, len(req.Handles)); err != nil {
			return err
		}
		errs = make([]error, len(req.Handles))
		for _, p := range receiptParts(q, len(req.Handles), func(i int) string { return req.Handles[i] }, errs) {
			if err := s.deletePart(ctx, q, req, &p, errs); err != nil {
				return err
			}
		}
		return nil
	})
	return errs, err
}

func (s *Service) deletePart(ctx context.Context, q *Queue, req *DeleteMessagesRequest, p *receiptPart, errs []error) error {
	d := newRequestDigest(queueCall{model.CmdDeleteMessages, req.Invocation}, q.ID)
	body := (&model.DeleteMessages{Receipts: p.list}).Append(nil)
	addTo(&d, body)
	res, err := s.propose(ctx, q, p.at, model.CmdDeleteMessages, d.sum(s).at(q.slots[p.at], 0), body)
	if err != nil || len(res.Body) == 0 {
		return err
	}
	statuses, err := p.statuses(res)
	if err != nil {
		return err
	}
	for k, i := range p.good {
		if statuses[k] != model.EntryOK {
			errs[i] = badParameter("ReceiptHandle", shortHandle(req.Handles[i]), "The receipt handle has expired.")
		}
	}
	return nil
}

// statuses reads what became of the part's receipts.
func (p *receiptPart) statuses(res model.Result) (statuses model.EntryStatuses, err error) {
	if err := decodeResult(res, &statuses); err != nil {
		return nil, err
	}
	if len(statuses) != len(p.good) {
		return nil, errMiscounted
	}
	return statuses, nil
}

// ChangeVisibility changes for how long received messages stay invisible. The
// errors are in the order of the changes: *QueueError, ErrReceiptInvalid,
// ErrNotInflight or nil.
func (s *Service) ChangeVisibility(ctx context.Context, req *ChangeVisibilityRequest) (errs []error, err error) {
	err = s.onQueue(ctx, req.Queue, func(q *Queue) error {
		errs = make([]error, len(req.Changes))
		for i, c := range req.Changes {
			if c.Seconds < 0 || c.Seconds > maxVisibleSeconds {
				errs[i] = badParameter("VisibilityTimeout", c.Seconds, "Must be between 0 and 43200.")
			}
		}
		for _, p := range receiptParts(q, len(req.Changes), func(i int) string { return req.Changes[i].Handle }, errs) {
			if err := s.changePart(ctx, q, req, &p, errs); err != nil {
				return err
			}
		}
		return nil
	})
	return errs, err
}

func (s *Service) changePart(ctx context.Context, q *Queue, req *ChangeVisibilityRequest, p *receiptPart, errs []error) error {
	var change model.ChangeVisibility
	for k, i := range p.good {
		change.Changes = append(change.Changes, model.VisibilityChange{Receipt: p.list[k], VisibilityMs: req.Changes[i].Seconds * 1000})
	}
	d := newRequestDigest(queueCall{model.CmdChangeVisibility, req.Invocation}, q.ID)
	body := change.Append(nil)
	addTo(&d, body)
	res, err := s.propose(ctx, q, p.at, model.CmdChangeVisibility, d.sum(s).at(q.slots[p.at], 0), body)
	if err != nil {
		return err
	}
	statuses, err := p.statuses(res)
	if err != nil {
		return err
	}
	for k, i := range p.good {
		errs[i] = visibilityError(statuses[k], &req.Changes[i])
	}
	return nil
}

func visibilityError(status model.EntryStatus, c *VisibilityChange) error {
	switch status {
	case model.EntryOK:
		return nil
	case model.EntryNotInflight:
		return model.Errorf(model.ErrNotInflight, "The specified message isn't in flight.")
	case model.EntryOverLimit:
		return badParameter("VisibilityTimeout", c.Seconds, "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	default:
		return badParameter("ReceiptHandle", shortHandle(c.Handle), "Message does not exist or is not available for visibility timeout change.")
	}
}

// PurgeQueue deletes all messages that were sent before it. Errors:
// ErrPurgeInProgress (the last purge is less than 60 seconds ago), ErrNotFound,
// and the cluster's.
func (s *Service) PurgeQueue(ctx context.Context, invocation model.RequestID, name string) error {
	return s.onQueue(ctx, name, func(q *Queue) error {
		d := newRequestDigest(queueCall{model.CmdPurge, invocation}, q.ID)
		call := d.sum(s)
		for at, slot := range q.slots {
			body := (&model.Purge{Follows: at > 0}).Append(nil) // the first slot decides for all
			res, err := s.propose(ctx, q, at, model.CmdPurge, call.at(slot, 0), body)
			if err != nil {
				return err
			}
			if res.Status == model.StatusOverLimit {
				return model.Errorf(model.ErrPurgeInProgress, "Only one PurgeQueue operation on %s is allowed every 60 seconds.", name)
			}
		}
		return nil
	})
}
