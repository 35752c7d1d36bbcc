package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// receipts reads receipt handles. A bad one has its error in errs; good are
// the places of the others.
func receipts(q *Queue, handles []string, errs []error) (list []model.Receipt, good []int) {
	for i, h := range handles {
		if h == "" {
			errs[i] = queueFault(FaultMissing, "The request must contain the parameter ReceiptHandle.")
			continue
		}
		r, err := model.ParseReceipt(q.ID, h)
		if err != nil {
			errs[i] = err
			continue
		}
		list, good = append(list, r), append(good, i)
	}
	return list, good
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
// handles: ErrReceiptInvalid or nil. To delete a message again is no error.
func (s *Service) DeleteMessages(ctx context.Context, req *DeleteMessagesRequest) ([]error, error) {
	errs := make([]error, len(req.Handles))
	call := queueCall{model.CmdDeleteMessages, req.Invocation}
	_, err := s.onQueue(ctx, req.Queue, call, s.cluster.Propose, func(q *Queue, d *requestDigest) ([]byte, error) {
		clear(errs)
		list, good := receipts(q, req.Handles, errs)
		if len(good) == 0 {
			return nil, nil
		}
		body := (&model.DeleteMessages{Receipts: list}).Append(nil)
		d.add(body)
		return body, nil
	})
	return errs, err
}

// ChangeVisibility changes for how long received messages stay invisible. The
// errors are in the order of the changes: *QueueError, ErrReceiptInvalid,
// ErrNotInflight or nil.
func (s *Service) ChangeVisibility(ctx context.Context, req *ChangeVisibilityRequest) ([]error, error) {
	errs := make([]error, len(req.Changes))
	handles := make([]string, len(req.Changes))
	var good []int
	call := queueCall{model.CmdChangeVisibility, req.Invocation}
	res, err := s.onQueue(ctx, req.Queue, call, s.cluster.Propose, func(q *Queue, d *requestDigest) ([]byte, error) {
		clear(errs)
		for i, c := range req.Changes {
			handles[i] = c.Handle
		}
		list, parsed := receipts(q, handles, errs)
		var change model.ChangeVisibility
		good = good[:0]
		for k, i := range parsed {
			seconds := req.Changes[i].Seconds
			if seconds < 0 || seconds > maxVisibleSeconds {
				errs[i] = badParameter("VisibilityTimeout", seconds, "Must be between 0 and 43200.")
				continue
			}
			change.Changes = append(change.Changes, model.VisibilityChange{Receipt: list[k], VisibilityMs: seconds * 1000})
			good = append(good, i)
		}
		if len(good) == 0 {
			return nil, nil
		}
		body := change.Append(nil)
		d.add(body)
		return body, nil
	})
	if err != nil || len(good) == 0 {
		return errs, err
	}
	var statuses model.EntryStatuses
	if err := decodeResult(res, &statuses); err != nil {
		return nil, err
	}
	if len(statuses) != len(good) {
		return nil, errMiscounted
	}
	for k, i := range good {
		errs[i] = visibilityError(statuses[k], &req.Changes[i])
	}
	return errs, nil
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
	res, err := s.onQueue(ctx, name, queueCall{model.CmdPurge, invocation}, s.cluster.Propose,
		func(*Queue, *requestDigest) ([]byte, error) { return []byte{}, nil })
	if err == nil && res.Status == model.StatusOverLimit {
		err = model.Errorf(model.ErrPurgeInProgress, "Only one PurgeQueue operation on %s is allowed every 60 seconds.", name)
	}
	return err
}
