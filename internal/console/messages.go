package console

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// QueueMessage is a message in the admin API.
type QueueMessage struct {
	ID         string             `json:"id"`
	Body       string             `json:"body"`
	Place      string             `json:"place,omitempty"` // of a peeked message
	Sent       time.Time          `json:"sent"`
	VisibleAt  *time.Time         `json:"visible_at,omitempty"` // of one that is delayed or in flight
	Receives   uint32             `json:"receives"`
	Group      string             `json:"group,omitempty"`
	Dedup      string             `json:"dedup,omitempty"`
	Sequence   string             `json:"sequence,omitempty"` // FIFO's
	Priority   uint8              `json:"priority,omitempty"`
	Sender     string             `json:"sender,omitempty"`
	DeadFrom   string             `json:"dead_from,omitempty"` // the queue that a dead letter died in
	Attributes []MessageAttribute `json:"attributes,omitempty"`
	Receipt    string             `json:"receipt,omitempty"` // of a received message
}

// MessageAttribute is a message's attribute; a Binary value is in base64.
type MessageAttribute struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// QueueMessages is one page of messages.
type QueueMessages struct {
	Messages []QueueMessage `json:"messages"`
	Next     string         `json:"next,omitempty"` // the next page's start; a page may be empty and have one
}

// view is a message as the admin API shows it; name names queues.
func view(m *model.Received, name func(model.ResourceID) (string, bool)) QueueMessage {
	v := QueueMessage{
		ID: formatID(m.ID), Body: string(m.Body), Sent: atMs(m.SentMs), Receives: m.Receives, Group: m.Group, Dedup: m.Dedup,
		Priority: m.Priority, Sender: m.Sender, Receipt: m.Receipt,
	}
	if m.Dedup != "" { // a FIFO queue's
		v.Sequence = service.SequenceNumber(m.Seq)
	}
	v.DeadFrom, _ = name(m.DeadFrom)
	for i := range m.Attrs {
		a := &m.Attrs[i]
		shown := MessageAttribute{Name: a.Name, Type: a.DataType, Value: a.Value}
		if strings.HasPrefix(a.DataType, "Binary") {
			shown.Value = base64.StdEncoding.EncodeToString([]byte(a.Value))
		}
		v.Attributes = append(v.Attributes, shown)
	}
	return v
}

func (c *console) peekQueue(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	params := r.URL.Query()
	most, err := number(params, "max", 100, 1, model.MaxReceiveMessages)
	if err != nil {
		return nil, err
	}
	page, err := c.queues.Peek(ctx, &service.PeekRequest{
		Queue: r.PathValue("name"), Start: params.Get("start"), Max: most, Contains: params.Get("contains"), Group: params.Get("group"),
	})
	if err != nil {
		return nil, err
	}
	list := QueueMessages{Messages: []QueueMessage{}, Next: page.Next}
	for i := range page.Messages {
		p := &page.Messages[i]
		m := view(&p.Received, c.queues.QueueName)
		m.Place = p.Place.String()
		if p.AtMs != 0 {
			at := atMs(p.AtMs)
			m.VisibleAt = &at
		}
		list.Messages = append(list.Messages, m)
	}
	return list, nil
}

// NewMessage is the body of POST /api/queues/NAME/messages.
type NewMessage struct {
	Body       string             `json:"body"`
	Group      string             `json:"group,omitempty"`
	Dedup      string             `json:"dedup,omitempty"`
	Delay      *int64             `json:"delay,omitempty"` // seconds; not set: the queue's
	Attributes []MessageAttribute `json:"attributes,omitempty"`
}

// SentMessage is its answer.
type SentMessage struct {
	ID       string `json:"id"`
	Sequence string `json:"sequence,omitempty"`
}

// consoleSender is the SenderId of messages that are sent here.
const consoleSender = "weir-console"

func (c *console) sendMessage(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var n NewMessage
	if err := unmarshal(body, &n); err != nil {
		return nil, err
	}
	m := service.OutgoingMessage{Body: n.Body, Group: n.Group, Dedup: n.Dedup, Delay: n.Delay}
	for _, a := range n.Attributes {
		if strings.HasPrefix(a.Type, "Binary") {
			value, err := base64.StdEncoding.DecodeString(a.Value)
			if err != nil {
				return nil, model.Errorf(model.ErrValidation, "the value of attribute %s is not base64", a.Name)
			}
			a.Value = string(value)
		}
		m.Attributes = append(m.Attributes, model.MessageAttr{Name: a.Name, DataType: a.Type, Value: a.Value})
	}
	slices.SortStableFunc(m.Attributes, func(a, b model.MessageAttr) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(m.Attributes); i++ {
		if name := m.Attributes[i].Name; name == m.Attributes[i-1].Name {
			return nil, model.Errorf(model.ErrValidation, "the attribute %s is there twice", name)
		}
	}
	sent, err := c.queues.SendMessages(ctx, &service.SendRequest{
		Queue: r.PathValue("name"), Sender: consoleSender, Messages: []service.OutgoingMessage{m},
	})
	if err == nil {
		err = sent[0].Err
	}
	if err != nil {
		return nil, err
	}
	return SentMessage{ID: formatID(sent[0].ID), Sequence: sent[0].Sequence}, nil
}

// maxQueueWait is how long a receive waits at most, in seconds: less than
// requestTimeout.
const maxQueueWait = 15

// ReceiveRequest is the body of POST /api/queues/NAME/receive.
type ReceiveRequest struct {
	Max        int    `json:"max"`                  // 1 to 10
	Visibility *int64 `json:"visibility,omitempty"` // seconds; not set: the queue's
	Wait       int64  `json:"wait"`                 // seconds, 0 to 15
	Delete     bool   `json:"delete"`               // what is received, at once
}

func (c *console) receiveMessages(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req ReceiveRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	if req.Wait < 0 || req.Wait > maxQueueWait {
		return nil, model.Errorf(model.ErrValidation, "wait is 0 to %d seconds, not %d", maxQueueWait, req.Wait)
	}
	name := r.PathValue("name")
	received, err := c.queues.ReceiveMessages(ctx, &service.ReceiveRequest{Queue: name, Max: req.Max, Visibility: req.Visibility, Wait: &req.Wait})
	if err != nil {
		return nil, err
	}
	list := QueueMessages{Messages: []QueueMessage{}}
	deletes := service.DeleteMessagesRequest{Queue: name}
	for i := range received {
		list.Messages = append(list.Messages, view(&received[i], c.queues.QueueName))
		deletes.Handles = append(deletes.Handles, received[i].Receipt)
	}
	if req.Delete && len(deletes.Handles) > 0 {
		errs, err := c.queues.DeleteMessages(ctx, &deletes)
		for _, e := range errs {
			if err == nil {
				err = e
			}
		}
		if err != nil { // they come again, when their visibility ends
			return nil, err
		}
	}
	return list, nil
}

// Cancelled is the answer of POST /api/queues/NAME/cancel: for each id, in the
// order of the request, whether its message was taken back.
type Cancelled struct {
	Cancelled []bool `json:"cancelled"`
}

// MessageIDs is its body: 1 to 10 ids.
type MessageIDs struct {
	IDs []string `json:"ids"`
}

func (c *console) cancelScheduled(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var ids MessageIDs
	if err := unmarshal(body, &ids); err != nil {
		return nil, err
	}
	req := &service.CancelScheduledRequest{Queue: r.PathValue("name")}
	for _, text := range ids.IDs {
		id, ok := parseID(text)
		if !ok {
			return nil, model.Errorf(model.ErrValidation, "%.64q is no id of a message", text)
		}
		req.IDs = append(req.IDs, id)
	}
	errs, err := c.queues.CancelScheduled(ctx, req)
	if err != nil {
		return nil, err
	}
	answer := Cancelled{Cancelled: make([]bool, len(errs))}
	for i, err := range errs {
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		answer.Cancelled[i] = err == nil
	}
	return answer, nil
}

// formatID is a message's id as SQS shows it.
func formatID(id model.MessageID) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func parseID(text string) (id model.MessageID, ok bool) {
	if len(text) != 36 {
		return id, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || copy(id[:], b) != len(id) || formatID(id) != strings.ToLower(text) {
		return id, false
	}
	return id, true
}
