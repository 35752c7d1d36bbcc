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
	typeReady   = 'r' // visible messages; rest: order (8 bytes BE)
	typeHidden  = 'v' // delayed and in flight; rest: visible at (Unix ms, 8 bytes BE) | seq
	typeDead    = 'x' // dead messages; rest: order
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

// Ready is the key of the visible message at the given place in their order.
func Ready(dst []byte, r model.ResourceID, slot model.Slot, order uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeReady), order)
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

// MessageSpans are the spans of everything that a queue keeps of its messages.
func MessageSpans(r model.ResourceID, slot model.Slot) [][2][]byte {
	var spans [][2][]byte
	for _, typ := range []byte{typeMessage, typeState, typeReady, typeHidden, typeDead} {
		spans = append(spans, [2][]byte{AppendData(nil, r, slot, typ), AppendData(nil, r, slot, typ+1)})
	}
	return spans
}

// SplitOrder returns the order in a key made by Ready or Dead.
func SplitOrder(key []byte) (order uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
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
	case typeDead:
		return number("dead")
	case typeHidden:
		if len(rest) != 16 {
			return "", false
		}
		return fmt.Sprintf("hidden/%d/%d", binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])), true
	default:
		return "", false
	}
}
