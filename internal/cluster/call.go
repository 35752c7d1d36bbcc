package cluster

import (
	"errors"
	"fmt"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/transport"
)

// callKind says what one node asks of another. The numbers are part of the
// protocol between nodes; see docs/format/call.md.
type callKind uint8

const (
	callPropose   callKind = 1 // a command for a tablet that the other node leads
	callWhenReady callKind = 2 // the same, to be proposed when machine.Ready says so
	callRead      callKind = 3 // a query
	callReadIndex callKind = 4 // the index at which a strong read of a tablet may be answered
	callStatus    callKind = 5 // the node's status
	callAwait     callKind = 6 // wait until machine.Ready says that a command would find something
	callAwaitRead callKind = 7 // a query, to be answered when machine.QueryReady says so
	callLeave     callKind = 8 // the request that waits under that number has ended
	callTell      callKind = 9 // something for the other node's Regions, in the query's body
)

// waits reports whether calls of this kind wait at the leader.
func (k callKind) waits() bool { return k == callWhenReady || k == callAwait || k == callAwaitRead }

// call is a request between nodes.
type call struct {
	kind    callKind
	tablet  model.TabletID
	command model.Command // callPropose, callWhenReady, callAwait
	wait    time.Duration // of the kinds that wait
	number  uint64        // of the kinds that wait and callLeave: the asking node's name for it
	strong  bool          // callRead
	query   model.Query   // callRead, callAwaitRead
	level   model.Level   // callPropose, callWhenReady: the least durability
	regions int           // of the same: how many other regions must have the write at least
}

func (c *call) encode() []byte {
	b := model.AppendUvarint(append(make([]byte, 0, 96+len(c.command.Body)+len(c.query.Body)), byte(c.kind)), uint64(c.tablet))
	if c.kind.waits() {
		b = model.AppendUvarint(model.AppendUvarint(b, c.number), uint64(c.wait))
	}
	switch c.kind {
	case callPropose, callWhenReady:
		b = c.command.Append(model.AppendUvarint(append(b, byte(c.level)), uint64(c.regions)))
	case callAwait:
		b = c.command.Append(b)
	case callRead:
		b = c.query.Append(model.AppendBool(b, c.strong))
	case callAwaitRead:
		b = c.query.Append(b)
	case callTell:
		b = model.AppendBytes(b, c.query.Body)
	case callLeave:
		b = model.AppendUvarint(b, c.number)
	}
	return b
}

func decodeCall(b []byte) (*call, error) {
	d := model.NewDecoder(b)
	c := &call{kind: callKind(d.Byte()), tablet: model.TabletID(d.Uvarint())}
	if c.kind.waits() {
		c.number, c.wait = d.Uvarint(), time.Duration(d.Uvarint())
	}
	switch c.kind {
	case callPropose, callWhenReady:
		c.level, c.regions = d.Level(), int(d.Uvarint())
		c.command.Decode(d)
	case callAwait:
		c.command.Decode(d)
	case callRead:
		c.strong = d.Bool()
		c.query.Decode(d)
	case callAwaitRead:
		c.query.Decode(d)
	case callTell:
		c.query.Body = d.Bytes()
	case callLeave:
		c.number = d.Uvarint()
	case callReadIndex, callStatus:
	default:
		d.Fail()
	}
	return c, d.Done()
}

// answer is what a tablet's node says to a call.
type answer struct {
	result model.Result
	index  model.Index  // of the entry, or of the read
	ready  bool         // of the kinds that wait: false when the wait ran out
	level  model.Level  // callPropose, callWhenReady: the one reached: LevelAsync, LevelQuorum or LevelAll
	short  bool         // the command asked for LevelAll, and only a majority has it
	abroad abroadAnswer // callPropose, callWhenReady
	err    error        // tablet's errors, or one that ends the request
	leader model.NodeID // with tablet.ErrNotLeader: who leads, as far as the one asked knows
}

// abroadAnswer says what other regions had on disk when a write was answered.
type abroadAnswer struct {
	waited bool // the write had to be there
	have   int  // so many regions had it
	lacks  int  // and so many more must have
}

// The codes of answers between nodes.
const (
	answerOK        = 0
	answerNotLeader = 1
	answerBusy      = 2
	answerUnknown   = 3
	answerFailed    = 4
	answerDiskFull  = 5
	answerRefused   = 6
)

func (a *answer) encode() []byte {
	var code byte
	switch {
	case a.err == nil:
		code = answerOK
	case errors.Is(a.err, tablet.ErrNotLeader):
		code = answerNotLeader
	case errors.Is(a.err, tablet.ErrBusy):
		code = answerBusy
	case errors.Is(a.err, tablet.ErrUnknown):
		code = answerUnknown
	case errors.Is(a.err, errDiskFull):
		code = answerDiskFull
	default:
		return a.encodeFailure()
	}
	b := append(make([]byte, 0, 16+len(a.result.Body)), code)
	if code == answerNotLeader {
		b = model.AppendUvarint(b, uint64(a.leader))
	}
	if code == answerOK {
		b = model.AppendUvarint(b, uint64(a.index))
		b = append(model.AppendBool(b, a.ready), byte(a.level))
		b = model.AppendBool(model.AppendBool(b, a.short), a.abroad.waited)
		b = model.AppendUvarint(model.AppendUvarint(b, uint64(a.abroad.have)), uint64(a.abroad.lacks))
		b = a.result.Append(b)
	}
	return b
}

// encodeFailure encodes an answer whose error has no code of its own.
func (a *answer) encodeFailure() []byte {
	var refused *refusal
	if errors.As(a.err, &refused) {
		b := append(model.AppendBool([]byte{answerRefused}, refused.soon), byte(refused.why.Kind))
		return model.AppendString(b, refused.why.Message)
	}
	return model.AppendString([]byte{answerFailed}, a.err.Error())
}

func decodeAnswer(b []byte) (a answer) {
	d := model.NewDecoder(b)
	switch code := d.Byte(); code {
	case answerOK:
		a.index = model.Index(d.Uvarint())
		a.ready = d.Bool()
		a.level, a.short, a.abroad.waited = d.Level(), d.Bool(), d.Bool()
		a.abroad.have, a.abroad.lacks = int(d.Uvarint()), int(d.Uvarint())
		a.result.Decode(d)
	case answerNotLeader:
		a.err = tablet.ErrNotLeader
		a.leader = model.NodeID(d.Uvarint())
	case answerBusy:
		a.err = tablet.ErrBusy
	case answerUnknown:
		a.err = tablet.ErrUnknown
	case answerDiskFull:
		a.err = errDiskFull
	case answerRefused:
		soon, kind := d.Bool(), model.ErrorKind(d.Byte())
		a.err = &refusal{&model.Error{Kind: kind, Message: d.String()}, soon}
	case answerFailed:
		a.err = errors.New(d.String())
	default:
		d.Fail()
	}
	if err := d.Done(); err != nil {
		a.err = fmt.Errorf("cannot read a node's answer: %w", err)
	}
	return a
}

// ask sends a call to another node and hands its answer to done, once.
func (n *Node) ask(to model.NodeID, c *call, timeout time.Duration, done func(answer)) {
	n.transport.Call(to, c.encode(), timeout, func(resp []byte, err error) {
		switch {
		case err == nil:
			done(decodeAnswer(resp))
		case errors.Is(err, transport.ErrNotSent):
			done(answer{err: tablet.ErrNotLeader})
		case errors.Is(err, transport.ErrUnknown):
			done(answer{err: tablet.ErrUnknown})
		default:
			done(answer{err: err})
		}
	})
}
