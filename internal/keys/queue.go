package keys

import (
	"encoding/binary"
	"fmt"

	"weir.dev/weir/internal/model"
)

// The types of a queue's data keys. See docs/format/queue.md.
const (
	typeQueue   = 'q' // the queue's head record; no rest
	typeMessage = 'm' // rest: seq (8 bytes BE)
	typeState   = 's' // a message's state, once it was received; rest: seq
	typeReady   = 'r' // visible messages of priority 0, and turns of groups; rest: order (8 bytes BE)
	typeUrgent  = 'p' // the same of higher priorities; rest: priority (1 byte) | order
	typeHidden  = 'v' // delayed and in flight; rest: visible at (Unix ms, 8 bytes BE) | seq
	typeDead    = 'x' // dead messages; rest: order
	typeTimed   = 'j' // scheduled messages by id; rest: id (16 bytes)

	typeBlock      = 'b' // messages that were sent together; rest: number (8 bytes BE)
	typeBlockState = 'h' // what became of them; rest: number

	typeGroup     = 'g' // a message group's record; rest: its name
	typeGrouped   = 'e' // messages of a group; rest: name (behind its length, uvarint) | priority (1 byte) | number (8 bytes BE)
	typeNoisy     = 'n' // the noisy groups whose turn it is; rest: priority (1 byte)
	typeLoud      = 'l' // groups that may count as noisy; rest: name
	typeWaiting   = 'w' // groups that wait for their rate; rest: until (Unix ms, 8 bytes BE) | number (8 bytes BE)
	typeLingering = 'z' // groups without messages that are kept for a while; rest: as above

	typeSent    = 'u' // deduplication ids; rest: period (8 bytes BE) | group (behind its length, uvarint) or nothing | id
	typeAttempt = 'y' // receives by their attempt; rest: period (8 bytes BE) | attempt (16 bytes)
)

// QueueHead is the key of a queue's head record.
func QueueHead(dst []byte, r model.ResourceID, slot model.Slot) []byte {
	return AppendData(dst, r, slot, typeQueue)
}

// Message is the key of a message's record.
func Message(dst []byte, r model.ResourceID, slot model.Slot, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeMessage), seq)
}

// MessageState is the key of a message's state.
func MessageState(dst []byte, r model.ResourceID, slot model.Slot, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeState), seq)
}

// Ready is the key of the visible message, or turn of a group, at the given
// place in the order of its priority.
func Ready(dst []byte, r model.ResourceID, slot model.Slot, priority uint8, order uint64) []byte {
	if priority == 0 {
		return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeReady), order)
	}
	return binary.BigEndian.AppendUint64(append(AppendData(dst, r, slot, typeUrgent), priority), order)
}

// BlockKey is the key of a block of messages. Its number is its place in the
// line of priority 0, too.
func BlockKey(dst []byte, r model.ResourceID, slot model.Slot, block uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeBlock), block)
}

// BlockStateKey is the key of what became of a block's messages.
func BlockStateKey(dst []byte, r model.ResourceID, slot model.Slot, block uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeBlockState), block)
}

// BlocksFrom is the span of a queue's blocks from the one on that has, or would
// have, the given number of a message.
func BlocksFrom(r model.ResourceID, slot model.Slot, seq uint64) (lo, hi []byte) {
	return BlockKey(nil, r, slot, BlockStart(seq)), AppendData(nil, r, slot, typeBlock+1)
}

// SplitBlockKey returns the number in a key made by BlockKey.
func SplitBlockKey(key []byte) (block uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || len(rest) != 8 || typ != typeBlock {
		return 0, false
	}
	block = binary.BigEndian.Uint64(rest)
	return block, IsBlock(block)
}

// Dead is the key of the dead message at the given place in their order.
func Dead(dst []byte, r model.ResourceID, slot model.Slot, order uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeDead), order)
}

// Hidden is the key of a message that becomes visible at the given Unix
// millisecond.
func Hidden(dst []byte, r model.ResourceID, slot model.Slot, visibleAtMs int64, seq uint64) []byte {
	dst = binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeHidden), uint64(visibleAtMs))
	return binary.BigEndian.AppendUint64(dst, seq)
}

// Timed is the key of what finds a scheduled message by its id.
func Timed(dst []byte, r model.ResourceID, slot model.Slot, id model.MessageID) []byte {
	return append(AppendData(dst, r, slot, typeTimed), id[:]...)
}

// MessageSpans are the spans of everything that a queue keeps of its messages
// and their groups, but not of what was sent and received lately.
func MessageSpans(r model.ResourceID, slot model.Slot) [][2][]byte {
	return append(IndexSpans(r, slot), typeSpan(r, slot, typeMessage), typeSpan(r, slot, typeTimed),
		typeSpan(r, slot, typeBlock), typeSpan(r, slot, typeBlockState))
}

// IndexSpans are the spans of what says of messages where they are, and of their
// groups.
func IndexSpans(r model.ResourceID, slot model.Slot) [][2][]byte {
	var spans [][2][]byte
	for _, typ := range []byte{typeState, typeReady, typeUrgent, typeHidden, typeDead,
		typeGroup, typeGrouped, typeNoisy, typeLoud, typeWaiting, typeLingering} {
		spans = append(spans, typeSpan(r, slot, typ))
	}
	return spans
}

func typeSpan(r model.ResourceID, slot model.Slot, typ byte) [2][]byte {
	return [2][]byte{AppendData(nil, r, slot, typ), AppendData(nil, r, slot, typ+1)}
}

// MessagesFrom is the span of a queue's messages from the given number on.
func MessagesFrom(r model.ResourceID, slot model.Slot, seq uint64) (lo, hi []byte) {
	return Message(nil, r, slot, seq), AppendData(nil, r, slot, typeMessage+1)
}

// SplitMessage returns the number in a key made by Message.
func SplitMessage(key []byte) (seq uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || len(rest) != 8 || typ != typeMessage {
		return 0, false
	}
	return binary.BigEndian.Uint64(rest), true
}

// SplitOrder returns the order in a key made by Ready or Dead.
func SplitOrder(key []byte) (order uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if ok && typ == typeUrgent && len(rest) == 9 {
		return binary.BigEndian.Uint64(rest[1:]), true
	}
	if !ok || len(rest) != 8 || typ != typeReady && typ != typeDead {
		return 0, false
	}
	return binary.BigEndian.Uint64(rest), true
}

// SplitHidden takes a key made by Hidden apart.
func SplitHidden(key []byte) (visibleAtMs int64, seq uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || len(rest) != 16 || typ != typeHidden {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(rest)), binary.BigEndian.Uint64(rest[8:]), true
}

// queueString prints the type and rest of a queue's data key; ok is false when
// it is none.
func queueString(typ byte, rest []byte) (s string, ok bool) {
	number := func(name string) (string, bool) {
		if len(rest) != 8 {
			return "", false
		}
		return fmt.Sprintf("%s/%d", name, binary.BigEndian.Uint64(rest)), true
	}
	switch typ {
	case typeQueue:
		return "queue", len(rest) == 0
	case typeMessage:
		return number("message")
	case typeState:
		return number("state")
	case typeReady:
		return number("ready")
	case typeBlock:
		return number("block")
	case typeBlockState:
		return number("blockstate")
	case typeDead:
		return number("dead")
	case typeHidden:
		if len(rest) != 16 {
			return "", false
		}
		return fmt.Sprintf("hidden/%d/%d", binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])), true
	case typeUrgent:
		if len(rest) != 9 {
			return "", false
		}
		return fmt.Sprintf("ready%d/%d", rest[0], binary.BigEndian.Uint64(rest[1:])), true
	case typeTimed:
		return fmt.Sprintf("timed/%x", rest), len(rest) == len(model.MessageID{})
	default:
		return groupString(typ, rest)
	}
}
