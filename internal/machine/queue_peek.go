package machine

import (
	"bytes"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Bounds of the work of one peek, besides those of its page.
const (
	maxPeekedRows  = 10_000
	maxPeekedBytes = 8 << 20 // stored messages
)

// peek is one page of messages being made.
type peek struct {
	reader  Reader
	query   *model.Query
	body    model.PeekQuery
	head    keys.QueueRecord
	claimed map[uint64]bool // messages in claims that have no state; nil before it is known
	result  model.PeekResult
	bytes   int
}

// queryPeek shows messages by number, wherever they are.
func queryPeek(r Reader, query *model.Query) (model.Result, error) {
	p := peek{reader: r, query: query}
	var err error
	if p.body, err = bodyOf[model.PeekQuery](query.Body); err != nil {
		return model.Result{}, err
	}
	if err := readQueueHead(r, query.Resource, query.Slot, &p.head); err != nil {
		return model.Result{}, err
	}
	p.result.Next = p.body.After
	if p.body.After+1 == 0 {
		return model.Result{Body: p.result.Append(nil)}, nil
	}
	rows, err := newMessageRows(r, query.Resource, query.Slot, max(p.body.After+1, p.head.PurgedBelow))
	if err != nil {
		return model.Result{}, err
	}
	for n, read := 0, 0; rows.next(); n++ {
		if n == maxPeekedRows || read >= maxPeekedBytes || p.full() {
			p.result.More = true
			break
		}
		read += len(rows.value)
		if err := p.add(rows); err != nil {
			_ = rows.close() // the first error is the one to report
			return model.Result{}, err
		}
	}
	return model.Result{Body: p.result.Append(nil)}, rows.close()
}

func (p *peek) full() bool {
	return len(p.result.Messages) >= int(min(p.body.Max, model.MaxReceiveMessages)) || p.bytes >= model.MaxPageBytes
}

// add adds a stored message if it is asked for.
func (p *peek) add(rows *messageRows) error {
	seq, value := rows.seq, rows.value
	p.result.Next = seq
	if !bytes.Contains(value, []byte(p.body.Contains)) { // nor does the body then, nor an attribute
		return nil
	}
	m := model.Peeked{Received: model.Received{Seq: seq}}
	dueMs, err := decodeMessage(value, &m.Message)
	if err != nil || !p.asks(&m.Message) {
		return err
	}
	if err := p.locate(&m, dueMs, rows.block); err != nil {
		return err
	}
	p.bytes += len(value)
	p.result.Messages = append(p.result.Messages, m)
	return nil
}

// asks reports whether the message is one of those asked for.
func (p *peek) asks(m *model.Message) bool {
	if p.body.Group != "" && m.Group != p.body.Group {
		return false
	}
	if bytes.Contains(m.Body, []byte(p.body.Contains)) {
		return true
	}
	for i := range m.Attrs {
		if bytes.Contains([]byte(m.Attrs[i].Value), []byte(p.body.Contains)) {
			return true
		}
	}
	return false
}

// locate says where the message is.
func (p *peek) locate(m *model.Peeked, dueMs int64, block *keys.BlockState) error {
	if block != nil {
		return p.locateInBlock(m, block)
	}
	st, err := readState(p.reader, p.query.Resource, p.query.Slot, m.Seq)
	if err != nil {
		return err
	}
	m.Place = model.MessageVisible
	if st == nil {
		if dueMs > p.body.NowMs {
			m.Place, m.AtMs = model.MessageDelayed, dueMs
			return nil
		}
		claimed, err := p.isClaimed(m.Seq)
		if claimed {
			m.Place = model.MessageClaimed
		}
		return err
	}
	m.Receives, m.FirstReceiveMs = st.Receives, st.FirstReceiveMs
	switch {
	case st.Place == keys.PlaceInFlight && int64(st.At) > p.body.NowMs:
		m.Place, m.AtMs = model.MessageInFlight, int64(st.At)
	case st.Place == keys.PlaceClaimed:
		m.Place = model.MessageClaimed
	case st.Place == keys.PlaceDead:
		m.Place = model.MessageDead
	}
	return nil
}

// locateInBlock says where a message is that is in a block.
func (p *peek) locateInBlock(m *model.Peeked, block *keys.BlockState) error {
	m.Place = model.MessageVisible
	_, i, _ := keys.SplitInBlock(m.Seq)
	switch part := partOf(block, i); {
	case p.head.Unfiled > 0:
	case part != nil:
		m.Receives, m.FirstReceiveMs = 1, part.ReceivedMs
		if part.UntilMs > p.body.NowMs {
			m.Place, m.AtMs = model.MessageInFlight, part.UntilMs
		}
	case p.head.Fifo: // in its group's list
		claimed, err := p.isClaimed(m.Seq)
		if claimed {
			m.Place = model.MessageClaimed
		}
		return err
	case m.Seq < p.head.Lines[0].Low:
		m.Place = model.MessageClaimed // nothing else has become of it
	}
	return nil
}

// isClaimed reports whether a message without a state is in a claim. Pipes
// have at most MaxPipeClaims claims each.
func (p *peek) isClaimed(seq uint64) (bool, error) {
	if p.head.Claimed == 0 {
		return false, nil
	}
	if p.claimed == nil {
		p.claimed = map[uint64]bool{}
		lo, hi := keys.ClaimSpan(p.query.Resource, p.query.Slot)
		err := scan(p.reader, lo, hi, func(_, value []byte) error {
			record, err := bodyOf[keys.ClaimRecord](value)
			for i := range record.Entries {
				p.claimed[record.Entries[i].Seq] = true
			}
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return p.claimed[seq], nil
}
