package pipe

import (
	"encoding/base64"
	"fmt"
	"slices"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// reader is what makes of a claim's messages those that sources read from. The
// sequence number of a record has something of its shard in it.
func (w *worker) reader(c *claim, spec *model.PipeSpec) (func(*model.Received) *Message, error) {
	read := func(msg *model.Received) *Message {
		return &Message{ID: formatID(msg.ID), Key: msg.Group, SentMs: msg.SentMs, Body: string(msg.Body)}
	}
	if spec.SourceKind != model.KindStream || len(c.Messages) == 0 {
		return read, nil
	}
	sh, err := w.shardOf(spec.Source, c.Shard)
	if err != nil {
		return nil, err
	}
	return func(msg *model.Received) *Message {
		m := read(msg)
		m.ID = sh.Sequence(msg.Seq, msg.SentMs).String()
		return m
	}, nil
}

// shardOf is a shard of the source, which this node's catalog may not have yet. A
// stream that is gone has shards of no name: nobody reads its records any more.
func (w *worker) shardOf(stream model.ResourceID, n model.ShardNumber) (*model.Shard, error) {
	for {
		st, err := w.engine.service.StreamByID(w.ctx, stream)
		if err != nil {
			return nil, err
		}
		if st == nil || st.Spec.Forgot(n) {
			return &model.Shard{Number: n}, nil
		}
		if sh, ok := st.Spec.Shard(n); ok {
			return sh, nil
		}
		if err := w.tryAgain(w.engine.service.AfterReshard(w.ctx, stream)); err != nil {
			return nil, err
		}
		w.pause(retryPause)
	}
}

// sends are the messages that a claim's records become, and the records that
// cannot be one.
func (m *mapping) sends(c *claim, spec *model.PipeSpec, read func(*model.Received) *Message) (parts []part, rejected []dead) {
	slots := model.QueueSlots(spec.Target, max(spec.TargetSlots, 1))
	for i := range c.Messages {
		msg := &c.Messages[i]
		out, err := m.message(read(msg))
		if err != nil {
			rejected = append(rejected, dead{msg, err.Error()})
			continue
		}
		out.ID = msg.ID
		slot := slots[uint64(c.Seq)%uint64(len(slots))]
		if out.Group != "" {
			slot = model.GroupSlot(slots, out.Group)
		}
		p := partFor(&parts, spec.Target, uint32(slices.Index(slots, slot)), slot)
		e := model.SendEntry{Message: *out}
		p.effects = append(p.effects, model.PipeEffect{Message: msg.Seq, Kind: model.CmdSend, Body: e.Append(nil)})
	}
	return parts, rejected
}

// message is the message that a record makes. An error is the reason that the
// record's dead letter carries.
func (m *mapping) message(msg *Message) (*model.Message, error) {
	body := msg.Body
	var err error
	if m.data != nil {
		if body, err = textOf(m.data, msg); err != nil {
			return nil, err
		}
	}
	switch {
	case len(body) > model.MaxMessageBytes:
		return nil, fmt.Errorf("a message has at most %d bytes, not %d", model.MaxMessageBytes, len(body))
	case service.CheckText(body) != nil:
		return nil, fmt.Errorf("the data is not text that a message can have")
	}
	out := &model.Message{Body: []byte(body)}
	if m.group != nil {
		if out.Group, err = textOf(m.group, msg); err != nil {
			return nil, err
		}
		if err := service.CheckGroup(out.Group); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// The attributes of a record's dead letter besides the reason and the pipe.
const (
	keyAttribute      = "weir.key"
	sequenceAttribute = "weir.sequence" // the number within the shard
	shardAttribute    = "weir.shard"
	encodingAttribute = "weir.encoding"
)

// recordLetter is the dead letter of a record: its data, in base64 when they are
// no text; those that no message can hold stay in the stream.
func recordLetter(r dead, j *job, shard model.ShardNumber) []byte {
	msg := r.message
	body, encoding := string(msg.Body), ""
	if service.CheckText(body) != nil {
		body, encoding = base64.StdEncoding.EncodeToString(msg.Body), "base64"
	}
	if body == "" || len(body) > model.MaxMessageBytes {
		body, encoding = fmt.Sprintf("%d bytes", len(msg.Body)), "none"
	}
	e := model.SendEntry{Message: model.Message{ID: msg.ID, SentMs: msg.SentMs, Body: []byte(body)}}
	add := func(name, value string) {
		if value != "" {
			e.Message.Attrs = append(e.Message.Attrs, model.MessageAttr{Name: name, DataType: "String", Value: value})
		}
	}
	add(reasonAttribute, shorten(r.reason, model.MaxReasonBytes))
	add(pipeAttribute, j.name)
	add(shardAttribute, shard.String())
	add(sequenceAttribute, fmt.Sprint(msg.Seq))
	if service.CheckText(msg.Group) == nil {
		add(keyAttribute, msg.Group)
	}
	add(encodingAttribute, encoding)
	return e.Append(nil)
}
