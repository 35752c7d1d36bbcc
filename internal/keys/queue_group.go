package keys

import (
	"encoding/binary"
	"fmt"

	"weir.dev/weir/internal/model"
)

// Group is the key of a message group's record.
func Group(dst []byte, r model.ResourceID, slot model.Slot, name string) []byte {
	return append(AppendData(dst, r, slot, typeGroup), name...)
}

// Grouped is the key of a message in its group's list.
func Grouped(dst []byte, r model.ResourceID, slot model.Slot, name string, priority uint8, number uint64) []byte {
	dst = model.AppendString(AppendData(dst, r, slot, typeGrouped), name)
	return binary.BigEndian.AppendUint64(append(dst, priority), number)
}

// SplitGrouped returns the number in a key made by Grouped.
func SplitGrouped(key []byte) (number uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || typ != typeGrouped || len(rest) < 10 {
		return 0, false
	}
	return binary.BigEndian.Uint64(rest[len(rest)-8:]), true
}

// Noisy is the key of the list of a priority's noisy groups.
func Noisy(dst []byte, r model.ResourceID, slot model.Slot, priority uint8) []byte {
	return append(AppendData(dst, r, slot, typeNoisy), priority)
}

// Loud is the key of the mark of a group that may count as noisy.
func Loud(dst []byte, r model.ResourceID, slot model.Slot, name string) []byte {
	return append(AppendData(dst, r, slot, typeLoud), name...)
}

// LoudSpan is the span of all those marks.
func LoudSpan(r model.ResourceID, slot model.Slot) (lo, hi []byte) {
	return AppendData(nil, r, slot, typeLoud), AppendData(nil, r, slot, typeLoud+1)
}

// SplitLoud returns the name in a key made by Loud.
func SplitLoud(key []byte) (name string, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	return string(rest), ok && typ == typeLoud
}

// Alarm is one of the indexes of what a queue does to groups at some time.
type Alarm byte

// The alarms.
const (
	AlarmWaiting   Alarm = typeWaiting   // the group's rate allows a message
	AlarmLingering Alarm = typeLingering // the record of a group without messages may go
)

// AlarmKey is the key of an alarm.
func AlarmKey(dst []byte, r model.ResourceID, slot model.Slot, a Alarm, atMs int64, number uint64) []byte {
	dst = binary.BigEndian.AppendUint64(AppendData(dst, r, slot, byte(a)), uint64(atMs))
	return binary.BigEndian.AppendUint64(dst, number)
}

// AlarmsFrom is the span of the alarms from the given one on.
func AlarmsFrom(r model.ResourceID, slot model.Slot, a Alarm, atMs int64, number uint64) (lo, hi []byte) {
	return AlarmKey(nil, r, slot, a, atMs, number), AppendData(nil, r, slot, byte(a)+1)
}

// SplitAlarm takes a key made by AlarmKey apart.
func SplitAlarm(key []byte) (atMs int64, number uint64, ok bool) {
	_, _, typ, rest, ok := SplitData(key)
	if !ok || len(rest) != 16 || typ != typeWaiting && typ != typeLingering {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(rest)), binary.BigEndian.Uint64(rest[8:]), true
}

// Sent is the key under which a deduplication id is remembered in a period. It
// counts in a message group if perGroup is set, else in the queue.
func Sent(dst []byte, r model.ResourceID, slot model.Slot, period uint64, perGroup bool, group, id string) []byte {
	dst = binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeSent), period)
	if perGroup {
		return append(model.AppendString(append(dst, 1), group), id...)
	}
	return append(append(dst, 0), id...)
}

// Attempt is the key under which a receive is remembered in a period.
func Attempt(dst []byte, r model.ResourceID, slot model.Slot, period uint64, attempt model.RequestID) []byte {
	dst = binary.BigEndian.AppendUint64(AppendData(dst, r, slot, typeAttempt), period)
	return append(dst, attempt[:]...)
}

// LatelySpans are the spans of what was sent and received in the periods
// [lo, hi).
func LatelySpans(r model.ResourceID, slot model.Slot, lo, hi uint64) [2][2][]byte {
	span := func(typ byte) [2][]byte {
		return [2][]byte{
			binary.BigEndian.AppendUint64(AppendData(nil, r, slot, typ), lo),
			binary.BigEndian.AppendUint64(AppendData(nil, r, slot, typ), hi),
		}
	}
	return [2][2][]byte{span(typeSent), span(typeAttempt)}
}

// groupString prints the type and rest of a data key that is about groups, or
// about what was sent and received lately.
func groupString(typ byte, rest []byte) (s string, ok bool) {
	switch typ {
	case typeGroup:
		return fmt.Sprintf("group/%q", rest), true
	case typeGrouped:
		d := model.NewDecoder(rest)
		name, priority, number := d.String(), d.Byte(), d.Fixed(8)
		return fmt.Sprintf("grouped/%q/%d/%d", name, priority, binary.BigEndian.Uint64(number)), d.Done() == nil
	case typeNoisy:
		return fmt.Sprintf("noisy/%x", rest), len(rest) == 1
	case typeLoud:
		return fmt.Sprintf("loud/%q", rest), true
	case typeWaiting, typeLingering:
		name := map[byte]string{typeWaiting: "waiting", typeLingering: "lingering"}[typ]
		d := model.NewDecoder(rest)
		at, number := binary.BigEndian.Uint64(d.Fixed(8)), binary.BigEndian.Uint64(d.Fixed(8))
		return fmt.Sprintf("%s/%d/%d", name, at, number), d.Done() == nil
	case typeSent:
		d := model.NewDecoder(rest)
		s = fmt.Sprintf("sent/%d/", binary.BigEndian.Uint64(d.Fixed(8)))
		if d.Bool() {
			s += fmt.Sprintf("%q/", d.Bytes())
		}
		return s + fmt.Sprintf("%q", d.Rest()), d.Err() == nil
	case typeAttempt:
		d := model.NewDecoder(rest)
		s = fmt.Sprintf("attempt/%d/%x", binary.BigEndian.Uint64(d.Fixed(8)), d.Fixed(len(model.RequestID{})))
		return s, d.Done() == nil
	default:
		return "", false
	}
}
