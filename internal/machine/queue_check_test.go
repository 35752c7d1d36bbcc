package machine

import (
	"encoding/binary"
	"fmt"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// stored is everything that a queue has stored, counted anew.
type storedQueue struct {
	r    *queueRig
	id   model.ResourceID
	head keys.QueueRecord

	messages, states, hidden, delayed, dead, timed, waiting, lingering uint64
	visible, out, deadGrouped, listed, groups                          uint64
	lines                                                              [model.MaxPriority + 1]uint64
	turns                                                              map[string]bool // name/priority/order
	filed                                                              map[string]uint64
	records                                                            map[string]*group
	loud                                                               map[string]bool
	noisy                                                              map[string]bool // name/priority
	blocks                                                             map[uint64]keys.BlockState
	blocked                                                            map[string]bool // until/number of a block's parts
	stored                                                             map[uint64][]byte
	hiddenBlocks                                                       []string // as in blocked
	inLine                                                             uint64   // messages of blocks
}

// checkQueue compares what the head and the groups say with what the indexes
// hold.
func (r *queueRig) checkQueue(id model.ResourceID) {
	r.t.Helper()
	s := &storedQueue{r: r, id: id, head: r.head(id), turns: map[string]bool{}, filed: map[string]uint64{},
		records: map[string]*group{}, loud: map[string]bool{}, noisy: map[string]bool{},
		blocks: map[uint64]keys.BlockState{}, blocked: map[string]bool{}, stored: map[uint64][]byte{}}
	prefix := string(keys.AppendData(nil, id, model.QueueSlot(id), 0)[:11])
	for _, k := range r.view.keys {
		if len(k) > 11 && k[:11] == prefix {
			s.count(k[11], k[12:], r.view.values[k])
		}
	}
	s.checkBlocks()
	for name, g := range s.records {
		s.checkGroup(name, g)
	}
	s.checkSums()
}

func (s *storedQueue) must(ok bool, format string, args ...any) {
	s.r.t.Helper()
	if !ok {
		s.r.t.Fatalf("queue %d at %d: %s", s.id, s.r.nowMs, fmt.Sprintf(format, args...))
	}
}

func (s *storedQueue) count(typ byte, rest string, value []byte) {
	switch typ {
	case 'm':
		s.messages++
	case 's':
		s.states++
	case 'r':
		s.countLine(0, binary.BigEndian.Uint64([]byte(rest)), value)
	case 'p':
		s.countLine(rest[0], binary.BigEndian.Uint64([]byte(rest[1:])), value)
	case 'b':
		s.stored[binary.BigEndian.Uint64([]byte(rest))] = value
	case 'h':
		s.blocks[binary.BigEndian.Uint64([]byte(rest))] = decodeAs[keys.BlockState](s.r.t, value)
	case 'v':
		if number := binary.BigEndian.Uint64([]byte(rest[8:])); keys.IsBlock(number) {
			s.must(len(value) == 0, "block %d is hidden as a delayed message", number)
			s.hiddenBlocks = append(s.hiddenBlocks, fmt.Sprintf("%d/%d", binary.BigEndian.Uint64([]byte(rest)), number))
			return
		}
		s.hidden++
		if len(value) > 0 {
			s.delayed++
		}
	case 'x':
		s.dead++
	case 'j':
		s.timed++
	case 'w':
		s.waiting++
	case 'z':
		s.lingering++
	case 'l':
		s.loud[rest] = true
	case 'g':
		g, err := readGroup(s.r.view, s.id, model.QueueSlot(s.id), rest)
		s.must(err == nil, "group %q: %v", rest, err)
		s.records[rest] = g
	case 'e':
		d := model.NewDecoder([]byte(rest))
		s.filed[fmt.Sprintf("%s/%d", d.String(), d.Byte())]++
	case 'n':
		names := decodeAs[keys.NoisyGroups](s.r.t, value)
		for _, name := range names {
			s.noisy[fmt.Sprintf("%s/%d", name, rest[0])] = true
		}
		s.must(s.head.Noisy[rest[0]] == uint64(len(names)), "%d noisy groups, head says %d", len(names), s.head.Noisy[rest[0]])
	}
}

func (s *storedQueue) countLine(priority byte, order uint64, value []byte) {
	e := decodeAs[keys.QueueEntry](s.r.t, value)
	s.lines[priority]++
	if e.Turn {
		s.turns[fmt.Sprintf("%s/%d/%d", e.Group, priority, order)] = true
	} else {
		s.visible++
	}
}

func (s *storedQueue) checkBlocks() {
	for number, value := range s.stored {
		s.countBlock(number, value)
	}
	for _, filed := range s.hiddenBlocks {
		s.must(s.blocked[filed], "no part of a block is hidden at %s", filed)
		delete(s.blocked, filed)
	}
}

func (s *storedQueue) countBlock(number uint64, value []byte) {
	_, ok := keys.SplitQueueBlock(number, value)
	state := s.blocks[number]
	delete(s.blocks, number)
	s.must(ok && state.Gone != keys.AllOf(number), "block %d: %v, gone %b", number, ok, state.Gone)
	if s.head.Unfiled > 0 {
		s.messages += uint64((keys.AllOf(number) &^ state.Gone).Count())
		return
	}
	for i := range keys.BlockSize(number) {
		switch part := partOf(&state, i); {
		case state.Gone.Has(i):
			s.must(part == nil, "message %d of block %d is gone and in flight", i, number)
			continue
		case part != nil:
			s.must(s.head.Fifo || keys.InBlock(number, i) < s.head.Lines[0].Low, "message %d of block %d is in line and in flight", i, number)
			s.blocked[fmt.Sprintf("%d/%d", part.UntilMs, number)] = true
			s.hidden++
		case s.head.Fifo: // in a list or a claim, which is counted there
		case keys.InBlock(number, i) >= s.head.Lines[0].Low:
			s.lines[0]++
			s.visible++
			s.inLine++
		}
		s.messages++
	}
}

func (s *storedQueue) checkGroup(name string, g *group) {
	q := &queue{head: s.head, nowMs: s.r.nowMs}
	s.must(g.Messages > 0 || g.WaitMs != 0 || g.LingerMs != 0, "group %q is kept for nothing", name)
	s.must(g.Loud == s.loud[name], "group %q: loud %v", name, g.Loud)
	if g.Messages > 0 {
		s.groups++
	}
	s.out += g.Out
	s.deadGrouped += g.Dead
	s.must(g.Out+g.Dead <= g.Messages, "group %q: %d out, %d dead, %d messages", name, g.Out, g.Dead, g.Messages)
	for i := range g.Lists {
		l := &g.Lists[i]
		list := fmt.Sprintf("%s/%d", name, l.Priority)
		s.must(s.filed[list] == l.Stored, "list %s: %d stored, record says %d", list, s.filed[list], l.Stored)
		delete(s.filed, list)
		s.must(len(l.Front) > 0, "list %s is kept for nothing", list)
		s.listed += uint64(len(l.Front)) + l.Stored
		s.must(q.gives(g, l) == (l.Turn != keys.TurnNone), "list %s: turn %d, gives %v", list, l.Turn, q.gives(g, l))
		switch l.Turn {
		case keys.TurnReady:
			turn := fmt.Sprintf("%s/%d", list, l.TurnAt)
			s.must(s.turns[turn], "no turn %s", turn)
			delete(s.turns, turn)
		case keys.TurnNoisy:
			s.must(s.noisy[list], "list %s is not among the noisy ones", list)
			delete(s.noisy, list)
		}
	}
}

func (s *storedQueue) checkSums() {
	h := &s.head
	s.must(s.messages == h.Visible+h.Delayed+h.InFlight+h.Claimed+h.Dead+h.Unfiled, "%d messages, head %+v", s.messages, *h)
	s.must(s.lines == lineCounts(h), "lines hold %v, head says %v", s.lines, lineCounts(h))
	s.must(s.hidden == h.Delayed+h.InFlight && s.delayed == h.Delayed, "%d hidden, %d delayed, head %+v", s.hidden, s.delayed, *h)
	s.must(len(s.blocked)+len(s.blocks) == 0, "blocks are not hidden at %v, a state only of %v", s.blocked, s.blocks)
	s.must(s.inLine == h.Blocked, "%d messages of blocks in line, head %+v", s.inLine, *h)
	s.must(s.dead == h.Dead, "%d dead, head %+v", s.dead, *h)
	s.must(s.groups == h.Groups && s.waiting == h.Waiting.Count && s.lingering == h.Lingering.Count,
		"%d groups, %d waiting, %d lingering, head %+v", s.groups, s.waiting, s.lingering, *h)
	s.must(len(s.turns)+len(s.filed)+len(s.noisy) == 0, "turns %v, filed %v, noisy %v belong to no group", s.turns, s.filed, s.noisy)
	if h.Fifo {
		s.must(s.out == h.InFlight+h.Claimed && s.deadGrouped == h.Dead, "%d out and %d dead in groups, head %+v", s.out, s.deadGrouped, *h)
		s.must(s.listed == h.Visible+h.Delayed && s.visible == 0, "%d in lists, %d not, head %+v", s.listed, s.visible, *h)
	} else {
		s.must(s.listed+s.visible == h.Visible, "%d in lists, %d not, head %+v", s.listed, s.visible, *h)
	}
	if s.messages == 0 {
		s.must(s.states+s.timed+h.Bytes == 0, "empty, but has %d states, %d timed, %d bytes", s.states, s.timed, h.Bytes)
	}
}

func lineCounts(h *keys.QueueRecord) (counts [model.MaxPriority + 1]uint64) {
	for p := range h.Lines {
		counts[p] = h.Lines[p].Count
	}
	return counts
}
