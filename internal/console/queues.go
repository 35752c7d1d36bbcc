package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// maxQueuesShown bounds a page of queues: each is counted where it lives.
const maxQueuesShown = 100

// handleQueues registers the operations on queues.
func (c *console) handleQueues(mux *http.ServeMux) {
	c.handle(mux, "GET /api/queues", c.listQueues)
	c.handle(mux, "POST /api/queues", c.createQueue)
	c.handle(mux, "GET /api/queues/{name}", c.describeQueue)
	c.handle(mux, "DELETE /api/queues/{name}", c.deleteQueue)
	c.handle(mux, "POST /api/queues/{name}/purge", c.purgeQueue)
	c.handle(mux, "GET /api/queues/{name}/messages", c.peekQueue)
	c.handle(mux, "POST /api/queues/{name}/messages", c.sendMessage)
	c.handle(mux, "POST /api/queues/{name}/receive", c.receiveMessages)
	c.handle(mux, "POST /api/queues/{name}/cancel", c.cancelScheduled)
	c.handle(mux, "GET /api/queues/{name}/moves", c.listMoves)
	c.handle(mux, "POST /api/queues/{name}/moves", c.startMove)
	c.handle(mux, "DELETE /api/queues/{name}/moves", c.cancelMove)
}

// Queue is a queue in the admin API.
type Queue struct {
	Name        string            `json:"name"`
	Fifo        bool              `json:"fifo"`
	Partitions  uint32            `json:"partitions"`
	Created     time.Time         `json:"created"`
	Modified    time.Time         `json:"modified"`
	Attributes  map[string]string `json:"attributes"` // as SQS names and writes them
	Tags        map[string]string `json:"tags,omitempty"`
	DeadLetters string            `json:"dead_letters,omitempty"` // the queue that its dead letters go to
	Sources     []string          `json:"sources,omitempty"`      // of GET /api/queues/NAME: the queues whose dead letters come here
	Counts      QueueCounts       `json:"counts"`
}

// QueueCounts are a queue's messages by what they wait for.
type QueueCounts struct {
	Visible  uint64     `json:"visible"`
	Delayed  uint64     `json:"delayed"`   // scheduled ones included
	InFlight uint64     `json:"in_flight"` // with consumers
	Claimed  uint64     `json:"claimed"`   // with pipes
	Dead     uint64     `json:"dead"`      // on their way to the dead-letter queue
	Bytes    uint64     `json:"bytes"`
	Groups   uint64     `json:"groups"` // message groups that have messages
	Noisy    uint64     `json:"noisy"`  // of these, noisy neighbours
	Oldest   *time.Time `json:"oldest,omitempty"`
}

// QueueList is one page of queues.
type QueueList struct {
	Queues []Queue `json:"queues"`
	Next   string  `json:"next,omitempty"` // the next page's after; "" when there are no more
}

// NewQueue is the body of POST /api/queues.
type NewQueue struct {
	Name       string            `json:"name"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
}

func (c *console) listQueues(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	params := r.URL.Query()
	limit, err := number(params, "limit", maxQueuesShown, 1, maxQueuesShown)
	if err != nil {
		return nil, err
	}
	page, err := c.queues.ListQueues(ctx, &service.ListQueuesRequest{Prefix: params.Get("prefix"), Start: params.Get("after"), Limit: limit})
	if err != nil {
		return nil, err
	}
	list := QueueList{Queues: []Queue{}, Next: page.Last}
	for _, name := range page.Names {
		q, err := c.queue(ctx, name)
		if isNotFound(err) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		list.Queues = append(list.Queues, *q)
	}
	return list, nil
}

// queue describes a queue and counts its messages.
func (c *console) queue(ctx context.Context, name string) (*Queue, error) {
	q, err := c.queues.GetQueue(ctx, name)
	if err != nil {
		return nil, err
	}
	n, err := c.queues.CountQueue(ctx, q)
	if err != nil {
		return nil, err
	}
	view := &Queue{
		Name: q.Name, Fifo: q.Spec.Fifo, Partitions: q.Spec.Partitions, Created: atMs(q.CreatedMs), Modified: atMs(q.Spec.ModifiedMs),
		Attributes: map[string]string{}, Counts: QueueCounts{
			Visible: n.Visible, Delayed: n.Delayed, InFlight: n.InFlight, Claimed: n.Claimed, Dead: n.Dead,
			Bytes: n.Bytes, Groups: n.Groups, Noisy: n.Noisy,
		},
	}
	if n.OldestMs != 0 {
		oldest := atMs(n.OldestMs)
		view.Counts.Oldest = &oldest
	}
	for _, a := range service.QueueAttributes(q.Spec) {
		view.Attributes[a.Name] = a.Value
	}
	for _, t := range q.Spec.Tags {
		if view.Tags == nil {
			view.Tags = map[string]string{}
		}
		view.Tags[t.Key] = t.Value
	}
	view.DeadLetters, _ = c.queues.QueueName(q.Spec.Redrive.DeadLetters)
	return view, nil
}

func (c *console) describeQueue(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	q, err := c.queue(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	sources, err := c.queues.ListDeadLetterSources(ctx, q.Name, &service.ListQueuesRequest{})
	if err != nil {
		return nil, err
	}
	q.Sources = sources.Names
	return q, nil
}

func (c *console) createQueue(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var n NewQueue
	if err := unmarshal(body, &n); err != nil {
		return nil, err
	}
	req := &service.CreateQueueRequest{Name: n.Name}
	for _, name := range sortedKeys(n.Attributes) {
		req.Attributes = append(req.Attributes, service.QueueAttribute{Name: name, Value: n.Attributes[name]})
	}
	for _, key := range sortedKeys(n.Tags) {
		req.Tags = append(req.Tags, model.Tag{Key: key, Value: n.Tags[key]})
	}
	if _, err := c.queues.CreateQueue(ctx, req); err != nil {
		return nil, err
	}
	return c.queue(ctx, n.Name)
}

func (c *console) deleteQueue(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.queues.DeleteQueue(ctx, r.PathValue("name"))
}

func (c *console) purgeQueue(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.queues.PurgeQueue(ctx, model.RequestID{}, r.PathValue("name"))
}

func atMs(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// number reads a parameter of the URL.
func number(params url.Values, name string, def, least, most int) (int, error) {
	text := params.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, model.Errorf(model.ErrValidation, "%s is a number from %d to %d, not %.64q", name, least, most, text)
	}
	return n, nil
}

func isNotFound(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind == model.ErrNotFound
}

func unmarshal(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
