package service

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
)

// ExtensionPrefix begins the names of all attributes, of queues and of
// messages, that SQS does not have. They do nothing unless they are named; a
// name that Weir does not know is refused rather than kept without effect.
const ExtensionPrefix = "weir."

// The message attributes that Weir interprets. They are kept as ordinary
// attributes, too.
const (
	deliverAt = "weir.DeliverAt"
	priority  = "weir.Priority"
)

// letterAttributes are what pipes add to a dead letter: a letter may be sent
// again as it is.
var letterAttributes = []string{"weir.reason", "weir.pipe"}

// maxDeliverMs is the last moment that a message can be scheduled for: the end
// of the year 9999, the last one that RFC 3339 can write.
const maxDeliverMs = 253402300799999

// extensions are what a message's own attributes ask for.
type extensions struct {
	atMs     int64 // when to deliver it, Unix milliseconds; zero when not scheduled
	priority uint8
}

// extensions reads the message's attributes that begin with ExtensionPrefix.
func (m *OutgoingMessage) extensions(spec *model.QueueSpec) (x extensions, err error) {
	for i := range m.Attributes {
		a := &m.Attributes[i]
		if !hasPrefixFold(a.Name, ExtensionPrefix) || slices.Contains(letterAttributes, a.Name) {
			continue
		}
		if a.Name != deliverAt && a.Name != priority {
			return x, queueFault(FaultParameter, "Message (user) attribute '%s' is unknown: names that begin with '%s' are reserved for %s and %s.",
				a.Name, ExtensionPrefix, deliverAt, priority)
		}
		if spec.Fifo {
			return x, queueFault(FaultParameter, "Message (user) attribute '%s' is not valid for FIFO queues, which deliver in the order of sending.", a.Name)
		}
		if a.Name == deliverAt {
			x.atMs, err = deliverTime(a)
		} else {
			x.priority, err = priorityOf(a)
		}
		if err != nil {
			return x, err
		}
	}
	if x.atMs != 0 && m.Delay != nil && *m.Delay != 0 {
		return x, queueFault(FaultParameter, "A message cannot have both DelaySeconds and the message (user) attribute '%s'.", deliverAt)
	}
	return x, nil
}

// deliverTime reads the time of weir.DeliverAt: Unix seconds as a Number, or an
// RFC 3339 text as a String.
func deliverTime(a *model.MessageAttr) (ms int64, err error) {
	switch a.DataType {
	case "Number":
		if seconds, err := strconv.ParseFloat(a.Value, 64); err == nil && seconds > 0 && seconds*1000 <= maxDeliverMs {
			return int64(seconds * 1000), nil
		}
	case "String":
		if at, err := time.Parse(time.RFC3339Nano, a.Value); err == nil && at.UnixMilli() > 0 && at.UnixMilli() <= maxDeliverMs {
			return at.UnixMilli(), nil
		}
	}
	return 0, queueFault(FaultParameter, "Message (user) attribute '%s' must be a Number of seconds since 1970, or a String with a time as 2030-01-31T12:00:00Z (RFC 3339).", deliverAt)
}

func priorityOf(a *model.MessageAttr) (uint8, error) {
	if a.DataType == "Number" && len(a.Value) == 1 && a.Value[0] >= '0' && a.Value[0] <= '0'+model.MaxPriority {
		return a.Value[0] - '0', nil
	}
	return 0, queueFault(FaultParameter, "Message (user) attribute '%s' must be a Number from 0 to %d.", priority, model.MaxPriority)
}

// maxQueueRateMilli is the highest rate that can be set: far above what a queue
// delivers.
const maxQueueRateMilli = 1e10

// parseRate reads a rate as "200/s" or "12.5/s", in thousandths per second; ""
// is no limit.
func parseRate(text string) (milli uint64, ok bool) {
	if text == "" {
		return 0, true
	}
	number, ok := strings.CutSuffix(text, "/s")
	whole, part, fraction := strings.Cut(number, ".")
	if !ok || len(part) > 3 || fraction && part == "" {
		return 0, false
	}
	milli, err := strconv.ParseUint(whole+(part + "000")[:3], 10, 63)
	return milli, err == nil && whole != "" && milli > 0 && milli <= maxQueueRateMilli
}

// formatRate is what parseRate reads.
func formatRate(milli uint64) string {
	if milli == 0 {
		return ""
	}
	text := strconv.FormatUint(milli/1000, 10)
	if milli%1000 != 0 {
		text += "." + strings.TrimRight(strconv.FormatUint(1000+milli%1000, 10)[1:], "0")
	}
	return text + "/s"
}
