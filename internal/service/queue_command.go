package service

import (
	"context"
	"fmt"
	"sync/atomic"

	"weir.dev/weir/internal/model"
)

// maxQueueTries bounds how often a command is sent again because its queue was
// deleted, and perhaps created anew, while this node's catalog was behind.
const maxQueueTries = 3

// onQueue builds a command's body for the queue of that name and sends the
// command where the queue lives. A nil body sends nothing. build may be called
// again, for another queue of that name.
func (s *Service) onQueue(ctx context.Context, name string, cmd *model.Command,
	propose func(context.Context, *model.Command) (model.Result, error), build func(q *Queue) ([]byte, error),
) (model.Result, error) {
	for range maxQueueTries {
		q, err := s.GetQueue(ctx, name)
		if err != nil {
			return model.Result{}, err
		}
		cmd.Resource, cmd.Slot = q.ID, model.QueueSlot(q.ID)
		if cmd.Body, err = build(q); err != nil || cmd.Body == nil {
			return model.Result{}, err
		}
		res, err := propose(ctx, cmd)
		if err != nil || res.Status != model.StatusGone {
			return res, err
		}
		if err := s.cluster.SyncCatalog(ctx); err != nil {
			return model.Result{}, err
		}
	}
	return model.Result{}, model.Errorf(model.ErrNotFound, "%s is being deleted", name)
}

// errReusedInvocation answers a request whose invocation id was used for
// another one before: the result that the tablet remembers is not for it.
var errReusedInvocation = model.Errorf(model.ErrValidation,
	"The amz-sdk-invocation-id of this request was used for another request before. Every request needs an id of its own.")

// decodeResult reads the body of a result that must be StatusOK.
func decodeResult(res model.Result, into interface{ Decode(d *model.Decoder) }) error {
	d := model.NewDecoder(res.Body)
	if into.Decode(d); res.Status != model.StatusOK || d.Done() != nil {
		return errReusedInvocation
	}
	return nil
}

// queueCache holds the decoded queues, so that a request does not decode a
// spec. Readers take no lock; a miss makes a new map of the queues that still
// exist, which bounds it by the catalog. Its zero value is ready.
type queueCache struct {
	queues atomic.Pointer[map[model.ResourceID]*Queue]
}

// of returns the queue of a resource in the catalog.
func (c *queueCache) of(cat *model.Catalog, r *model.Resource) (*Queue, error) {
	var known map[model.ResourceID]*Queue
	if p := c.queues.Load(); p != nil {
		known = *p
	}
	if q, ok := known[r.ID]; ok && q.version == r.Version {
		return q, nil
	}
	q := &Queue{ID: r.ID, Name: r.Name, CreatedMs: r.CreatedMs, version: r.Version}
	var spec model.QueueSpec
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("cannot decode the spec of queue %s: %w", r.Name, err)
	}
	q.Spec = &spec
	next := make(map[model.ResourceID]*Queue, len(known)+1)
	for i := range cat.Resources {
		if old, ok := known[cat.Resources[i].ID]; ok {
			next[old.ID] = old
		}
	}
	next[r.ID] = q
	c.queues.Store(&next) // two misses at once may lose one; it is decoded again
	return q, nil
}

// queueOf is the queue that the catalog's resource describes.
func (s *Service) queueOf(r *model.Resource) (*Queue, error) {
	return s.queues.of(s.cluster.Catalog(), r)
}
