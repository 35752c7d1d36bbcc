package pipe

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// outgoing is a message of a claim on its way into a stream.
type outgoing struct {
	message *model.Received
	record  []byte // as a batch holds it
	hash    model.HashKey
	at      model.ShardNumber // the shard that is to take it, or has it
}

// applyRecords puts the claim's messages into the target stream, and returns
// those that cannot be put.
//
// Whoever rolls the claim forward takes the same way: each record is offered to
// the shard that was open when the claim was made, as its plan says, and from
// there to the next one that had the record's hash key, until one has taken it.
// A part is a shard. A closed one answers for good whether it has the part. A
// shard is offered its records when it is known of all of them that they end up
// there, so its part is the same for everybody.
func (w *worker) applyRecords(c *claim, spec *model.PipeSpec) (rejected []dead, err error) {
	m, err := compileMapping(spec.Mapping)
	if err != nil {
		return nil, fmt.Errorf("cannot read the claim's mapping: %w", err)
	}
	read, err := w.reader(c, spec)
	if err != nil {
		return nil, err
	}
	open := make([]outgoing, 0, len(c.Messages))
	for i := range c.Messages {
		msg := &c.Messages[i]
		r, err := m.record(read(msg))
		switch {
		case err != nil:
			rejected = append(rejected, dead{msg, err.Error()})
		case len(spec.TargetShards) == 0: // there was no such stream any more
			rejected = append(rejected, dead{msg, targetDeleted})
		default:
			open = append(open, outgoing{msg, model.AppendRecord(nil, r), r.Hash(), spec.ShardOf(r.Hash())})
		}
	}
	for len(open) > 0 {
		st, err := w.engine.service.StreamByID(w.ctx, spec.Target)
		if err == nil && st == nil {
			for i := range open {
				rejected = append(rejected, dead{open[i].message, targetDeleted})
			}
			break
		}
		if err == nil {
			open, err = w.putRound(c, st, open)
		}
		if err := w.tryAgain(err); err != nil {
			return nil, err
		}
	}
	return rejected, nil
}

// tryAgain pauses after an error that a later try may not meet, and returns
// any other.
func (w *worker) tryAgain(err error) error {
	var known *model.Error
	var refused *service.StreamError
	switch {
	case err == nil:
		return nil
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case errors.As(err, &known), errors.As(err, &refused):
		w.pause(retryPause)
		return nil
	default:
		return err
	}
}

// putRound offers records to the shards where they are, and returns those that
// nobody has taken yet, with the shards that are next.
func (w *worker) putRound(c *claim, st *service.Stream, open []outgoing) (left []outgoing, err error) {
	var shards []model.ShardNumber
	for i := range open {
		shards = append(shards, open[i].at)
	}
	slices.Sort(shards)
	shards = slices.Compact(shards)
	for _, n := range shards {
		part := part{number: uint32(n), target: st.ID, slot: model.ShardSlot(st.ID, n)}
		if blocked(st, open, n) {
			continue
		}
		for i := range open {
			if open[i].at == n {
				part.effects = append(part.effects, model.PipeEffect{Message: open[i].message.Seq, Kind: model.CmdPutRecords, Body: open[i].record})
			}
		}
		res, err := w.propose(w.applyCommand(c, &part))
		switch {
		case err != nil:
			return open, err
		case res.Status == model.StatusOK:
			open = slices.DeleteFunc(open, func(o outgoing) bool { return o.at == n })
		case res.Status == model.StatusClosed:
			if err := w.moveOn(st, open, n); err != nil {
				return open, err
			}
		case res.Status == model.StatusStale:
			return open, errStale
		case res.Status == model.StatusGone:
			return open, nil // the next round finds that the stream is gone
		default:
			return open, fmt.Errorf("shard %v answered with status %d: %s", n, res.Status, res.Body)
		}
	}
	return open, nil
}

// blocked reports whether records that are still with an older shard may come
// to the shard n.
func blocked(st *service.Stream, open []outgoing, n model.ShardNumber) bool {
	sh, ok := st.Spec.Shard(n)
	return ok && slices.ContainsFunc(open, func(o outgoing) bool { return o.at < n && sh.Range.Contains(o.hash) })
}

// moveOn sends the records of a closed shard to those that came after it. When
// this node does not know them yet, they stay where they are for a later round.
func (w *worker) moveOn(st *service.Stream, open []outgoing, n model.ShardNumber) error {
	for i := range open {
		if open[i].at != n {
			continue
		}
		next := slices.IndexFunc(st.Spec.Shards, func(sh model.Shard) bool { return sh.Number > n && sh.Range.Contains(open[i].hash) })
		if next < 0 {
			return w.engine.service.AfterReshard(w.ctx, st.ID)
		}
		open[i].at = st.Spec.Shards[next].Number
	}
	return nil
}

// record is the record that a message makes. An error is the reason that the
// message's dead letter carries.
func (m *mapping) record(msg *Message) (*model.Record, error) {
	key, err := textOf(m.partitionKey, msg)
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(key); n < 1 || n > model.MaxRecordKey {
		return nil, fmt.Errorf("the partition key has %d characters, not 1 to %d", n, model.MaxRecordKey)
	}
	data := msg.Body
	if m.data != nil {
		if data, err = textOf(m.data, msg); err != nil {
			return nil, err
		}
	}
	return &model.Record{PartitionKey: []byte(key), Data: []byte(data)}, nil
}

// textOf is a source's value as text.
func textOf(s *Source, msg *Message) (string, error) {
	v, err := s.Value(msg)
	if err != nil {
		return "", err
	}
	if v.Kind != model.KindS && v.Kind != model.KindN {
		return "", fmt.Errorf("%s is neither text nor a number", s.text)
	}
	return v.Str, nil
}
