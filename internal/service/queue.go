package service

import (
	"context"
	"errors"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// SQS's limits on queues.
const (
	maxQueueNameBytes = 80
	maxQueuesListed   = 1000
	// maxSpecTries bounds how often a change of a queue's settings is tried
	// again because another one came between.
	maxSpecTries = 8
	// maxBatchEntries is how many entries a batch has at most.
	maxBatchEntries = 10
)

// CreateQueue creates a queue. If it exists and has all attributes that the
// request names, it is returned as it is. Errors: *QueueError, ErrInUse (it
// has other attributes).
func (s *Service) CreateQueue(ctx context.Context, req *CreateQueueRequest) (*Queue, error) {
	spec, err := newQueueSpec(req)
	if err != nil {
		return nil, err
	}
	if err := s.resolveRedrive(ctx, req.Name, spec, req.Attributes); err != nil {
		return nil, err
	}
	if q, err := s.GetQueue(ctx, req.Name); err == nil {
		return q, sameQueue(q.Spec, spec, req.Attributes)
	} else if !isKind(err, model.ErrNotFound) {
		return nil, err
	}
	spec.CreatedMs = s.clock.Now().UnixMilli()
	spec.ModifiedMs = spec.CreatedMs
	r, err := s.createResource(ctx, model.KindQueue, req.Name, spec.Tags, spec.Append(nil))
	switch {
	case isKind(err, model.ErrInUse): // another request was faster
		q, err := s.queueOf(r)
		if err != nil {
			return nil, err
		}
		return q, sameQueue(q.Spec, spec, req.Attributes)
	case err != nil:
		return nil, err
	}
	return s.queueOf(r)
}

// newQueueSpec is the spec that a request to create a queue describes, but for
// the queue that its redrive policy names.
func newQueueSpec(req *CreateQueueRequest) (*model.QueueSpec, error) {
	spec := model.NewQueueSpec()
	spec.ManagedEncryption = false // what is true unless somebody asks for more
	if slices.ContainsFunc(req.Attributes, func(a QueueAttribute) bool { return a.Name == fifoQueue && a.Value == "true" }) {
		spec.Partitions = 1
	}
	if err := checkQueueName(req.Name, req.Attributes); err != nil {
		return nil, err
	}
	if err := setAttributes(nil, &spec, req.Attributes); err != nil {
		return nil, err
	}
	var err error
	spec.Tags, err = mergeTags(nil, req.Tags, req.Name)
	return &spec, err
}

// sameQueue is nil if a queue that exists has the attributes that a request to
// create it names.
func sameQueue(has, wants *model.QueueSpec, named []QueueAttribute) error {
	for _, a := range named {
		if attributeOf(has, a.Name) != attributeOf(wants, a.Name) {
			return model.Errorf(model.ErrInUse, "A queue already exists with the same name and a different value for attribute %s", a.Name)
		}
	}
	return nil
}

// fifoSuffix ends the names of FIFO queues, and of no others.
const fifoSuffix = ".fifo"

func checkQueueName(name string, attrs []QueueAttribute) error {
	fifo := slices.ContainsFunc(attrs, func(a QueueAttribute) bool { return a.Name == fifoQueue && a.Value == "true" })
	base, suffixed := strings.CutSuffix(name, fifoSuffix)
	switch {
	case name == "":
		return queueFault(FaultParameter, "Queue name cannot be empty")
	case fifo && (!suffixed || !isQueueName(base) || len(name) > maxQueueNameBytes):
		return queueFault(FaultParameter, "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "+
			"must end with .fifo suffix and be 1 to 80 in length.")
	case !fifo && !isQueueName(name):
		return queueFault(FaultParameter, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return nil
}

func isQueueName(s string) bool {
	if s == "" || len(s) > maxQueueNameBytes {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9, c|0x20 >= 'a' && c|0x20 <= 'z', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// GetQueue returns the queue of that name, or ErrNotFound.
func (s *Service) GetQueue(ctx context.Context, name string) (*Queue, error) {
	r, err := s.resource(ctx, model.KindQueue, name)
	if err != nil {
		return nil, err
	}
	return s.queueOf(r)
}

// QueueName is the name of the queue of that id; ok is false when there is
// none, or none any more.
func (s *Service) QueueName(id model.ResourceID) (name string, ok bool) {
	if id == 0 {
		return "", false
	}
	r, ok := s.cluster.Catalog().ResourceByID(id)
	if !ok || r.Kind != model.KindQueue {
		return "", false
	}
	return r.Name, true
}

// ListQueues returns names in order.
func (s *Service) ListQueues(ctx context.Context, req *ListQueuesRequest) (*ListQueuesResult, error) {
	return s.listQueues(ctx, req, func(*model.Resource) (bool, error) { return true, nil })
}

func (s *Service) listQueues(ctx context.Context, req *ListQueuesRequest, listed func(r *model.Resource) (bool, error)) (*ListQueuesResult, error) {
	limit := req.Limit
	if limit <= 0 || limit > maxQueuesListed {
		limit = maxQueuesListed
	}
	all, err := s.resources(ctx, model.KindQueue, max(req.Start, req.Prefix))
	if err != nil {
		return nil, err
	}
	page := &ListQueuesResult{}
	for r := range all {
		if !strings.HasPrefix(r.Name, req.Prefix) {
			break // nor has any later one
		}
		if r.Name == req.Start {
			continue
		}
		if ok, err := listed(r); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		if len(page.Names) == limit {
			page.Last = page.Names[limit-1]
			break
		}
		page.Names = append(page.Names, r.Name)
	}
	return page, nil
}

// DeleteQueue deletes a queue and all its messages. Its name is free at once.
func (s *Service) DeleteQueue(ctx context.Context, name string) error {
	r, err := s.resource(ctx, model.KindQueue, name)
	if err != nil {
		return err
	}
	return s.deleteResource(ctx, r)
}

// SetQueueAttributes changes the attributes that are named.
func (s *Service) SetQueueAttributes(ctx context.Context, name string, attrs []QueueAttribute) error {
	return s.changeQueue(ctx, name, func(q *Queue, spec *model.QueueSpec) error {
		if err := setAttributes(q, spec, attrs); err != nil {
			return err
		}
		return s.resolveRedrive(ctx, name, spec, attrs)
	})
}

// TagQueue adds tags, replacing those of the same key.
func (s *Service) TagQueue(ctx context.Context, name string, tags []model.Tag) error {
	return s.changeQueue(ctx, name, func(_ *Queue, spec *model.QueueSpec) (err error) {
		spec.Tags, err = mergeTags(spec.Tags, tags, name)
		return err
	})
}

// UntagQueue removes the tags of those keys; absent ones are no error.
func (s *Service) UntagQueue(ctx context.Context, name string, keys []string) error {
	return s.changeQueue(ctx, name, func(_ *Queue, spec *model.QueueSpec) error {
		var kept []model.Tag
		for _, t := range spec.Tags {
			if !slices.Contains(keys, t.Key) {
				kept = append(kept, t)
			}
		}
		spec.Tags = kept
		return nil
	})
}

// changeQueue changes a copy of the queue's spec and stores it. change may be
// called several times, each time with the queue as it is and a fresh copy.
func (s *Service) changeQueue(ctx context.Context, name string, change func(q *Queue, spec *model.QueueSpec) error) error {
	for range maxSpecTries {
		q, err := s.GetQueue(ctx, name)
		if err == nil {
			err = s.checkWrites(model.KindQueue, q.Name)
		}
		if err != nil {
			return err
		}
		spec := *q.Spec
		if err := change(q, &spec); err != nil {
			return err
		}
		spec.ModifiedMs = s.clock.Now().UnixMilli()
		_, err = s.updateResource(ctx, q.ID, q.version, spec.Tags, spec.Append(nil))
		if isKind(err, model.ErrInUse) || isKind(err, model.ErrNotFound) { // our catalog was behind
			if err := s.cluster.SyncCatalog(ctx); err != nil {
				return err
			}
			continue
		}
		return err
	}
	return model.Errorf(model.ErrUnavailable, "The settings of the queue are being changed by many requests at once. Try again.")
}

// isKind reports whether err is a *model.Error of that kind.
func isKind(err error, kind model.ErrorKind) bool {
	if err == nil {
		return false
	}
	var e *model.Error
	return errors.As(err, &e) && e.Kind == kind
}

// partly reports whether what failed was carried out all the same, or may have
// been.
func partly(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind.Partly()
}

// SQS's limits on tags.
const (
	maxTags          = 50
	maxTagKeyBytes   = 128
	maxTagValueBytes = 256
)

// mergeTags returns old with more added, by key; it changes neither.
func mergeTags(old, more []model.Tag, queue string) ([]model.Tag, error) {
	merged := slices.Clone(old)
	for _, t := range more {
		if t.Key == "" || len(t.Key) > maxTagKeyBytes {
			return nil, queueFault(FaultParameter, "Tag keys must be between 1 and %d characters in length.", maxTagKeyBytes)
		}
		if len(t.Value) > maxTagValueBytes {
			return nil, queueFault(FaultParameter, "Tag values must be between 0 and %d characters in length.", maxTagValueBytes)
		}
		at, found := slices.BinarySearchFunc(merged, t.Key, func(t model.Tag, key string) int { return strings.Compare(t.Key, key) })
		if found {
			merged[at] = t
		} else {
			merged = slices.Insert(merged, at, t)
		}
	}
	if len(merged) > maxTags {
		return nil, queueFault(FaultParameter, "Too many tags added for queue %s.", queue)
	}
	return merged, nil
}
