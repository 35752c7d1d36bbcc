package service

import (
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

// queueAttribute is an attribute of queues that requests may set. value is ""
// for what a queue does not have.
type queueAttribute struct {
	name  string
	fixed bool // set when the queue is created, and never changed
	fifo  bool // only FIFO queues have it
	set   func(spec *model.QueueSpec, value string) error
	value func(spec *model.QueueSpec) string
}

const (
	fifoQueue           = "FifoQueue"
	deduplicationScope  = "DeduplicationScope"
	fifoThroughputLimit = "FifoThroughputLimit"
	managedEncryption   = "SqsManagedSseEnabled"
	kmsKey              = "KmsMasterKeyId"
	partitions          = "weir.Partitions"
)

// queueAttributes are all that may be set, in the order of SQS's documentation,
// and the extensions behind them. Each is set after those before it.
var queueAttributes = slices.Concat(
	[]queueAttribute{{name: fifoQueue, fixed: true, set: setFifo, value: fifoValue}},
	numericAttributes(),
	[]queueAttribute{
		{name: "Policy", set: setPolicy, value: func(spec *model.QueueSpec) string { return spec.Policy }},
		{name: "RedriveAllowPolicy", set: setRedriveAllow, value: func(spec *model.QueueSpec) string { return spec.RedriveAllowPolicy }},
		{
			name: managedEncryption,
			set: func(spec *model.QueueSpec, v string) error {
				if v == "true" {
					spec.KmsKey, spec.KmsReuseSeconds = "", 0
				}
				return setBool(managedEncryption, &spec.ManagedEncryption, v)
			},
			value: func(spec *model.QueueSpec) string { return strconv.FormatBool(spec.ManagedEncryption) },
		},
		{name: redrivePolicy, set: setRedrive, value: redriveValue},
		{name: kmsKey, set: setKmsKey, value: func(spec *model.QueueSpec) string { return spec.KmsKey }},
		{name: "KmsDataKeyReusePeriodSeconds", set: setKmsReuse, value: kmsReuseValue},
		{
			name: "ContentBasedDeduplication", fifo: true,
			set: func(spec *model.QueueSpec, v string) error {
				return setBool("ContentBasedDeduplication", &spec.ContentDedup, v)
			},
			value: func(spec *model.QueueSpec) string { return strconv.FormatBool(spec.ContentDedup) },
		},
		choice(deduplicationScope, "queue", "messageGroup", func(spec *model.QueueSpec) *bool { return &spec.DedupPerGroup }),
		choice(fifoThroughputLimit, "perQueue", "perMessageGroupId", func(spec *model.QueueSpec) *bool { return &spec.PerGroupThroughput }),
		{name: "weir.Retention", set: setRetention, value: retentionValue},
		rateAttribute("weir.DispatchRate", func(spec *model.QueueSpec) *uint64 { return &spec.RateMilli }),
		rateAttribute("weir.GroupDispatchRate", func(spec *model.QueueSpec) *uint64 { return &spec.GroupRateMilli }),
		{name: partitions, fixed: true, set: setPartitions, value: func(spec *model.QueueSpec) string { return strconv.FormatUint(uint64(spec.Partitions), 10) }},
	},
)

func numericAttributes() []queueAttribute {
	var list []queueAttribute
	for _, n := range model.QueueNumbers {
		list = append(list, queueAttribute{
			name: n.Name,
			set: func(spec *model.QueueSpec, v string) error {
				value, ok := parseWhole(v, n.Min, n.Max)
				if !ok {
					return badAttribute(n.Name)
				}
				*spec.Number(n.Name) = value
				return nil
			},
			value: func(spec *model.QueueSpec) string { return strconv.FormatInt(*spec.Number(n.Name), 10) },
		})
	}
	return list
}

// parseWhole reads a number without sign, space or fraction.
func parseWhole(v string, least, most int64) (int64, bool) {
	value, err := strconv.ParseUint(v, 10, 63)
	return int64(value), err == nil && int64(value) >= least && int64(value) <= most
}

// choice is an attribute of FIFO queues with two values; the field says that it
// has the second.
func choice(name, first, second string, field func(spec *model.QueueSpec) *bool) queueAttribute {
	return queueAttribute{
		name: name, fifo: true,
		set: func(spec *model.QueueSpec, v string) error {
			if v != first && v != second {
				return badAttribute(name)
			}
			*field(spec) = v == second
			return nil
		},
		value: func(spec *model.QueueSpec) string {
			if *field(spec) {
				return second
			}
			return first
		},
	}
}

func rateAttribute(name string, field func(spec *model.QueueSpec) *uint64) queueAttribute {
	return queueAttribute{
		name: name,
		set: func(spec *model.QueueSpec, v string) (err error) {
			milli, ok := parseRate(v)
			if !ok {
				return queueFault(FaultAttributeValue, "Invalid value for the parameter %s. Reason: A rate is a number of messages per second as 200/s or 12.5/s, or empty for no limit.", name)
			}
			*field(spec) = milli
			return nil
		},
		value: func(spec *model.QueueSpec) string { return formatRate(*field(spec)) },
	}
}

func setFifo(spec *model.QueueSpec, v string) error {
	spec.Fifo = v == "true"
	if v != "true" && v != "false" {
		return badAttribute(fifoQueue)
	}
	return nil
}

// fifoValue shows the attribute only where SQS does.
func fifoValue(spec *model.QueueSpec) string {
	if spec.Fifo {
		return "true"
	}
	return ""
}

func setBool(name string, field *bool, v string) error {
	*field = v == "true"
	if v != "true" && v != "false" {
		return badAttribute(name)
	}
	return nil
}

// maxKmsKeyBytes bounds a key's name; KMS's own ARNs and aliases are shorter.
const maxKmsKeyBytes = 2048

func setKmsKey(spec *model.QueueSpec, v string) error {
	if len(v) > maxKmsKeyBytes {
		return badAttribute(kmsKey)
	}
	if spec.KmsKey = v; v != "" {
		spec.ManagedEncryption = false
	} else {
		spec.KmsReuseSeconds = 0
	}
	return nil
}

const defaultKmsReuseSeconds = 300

func setKmsReuse(spec *model.QueueSpec, v string) (err error) {
	value, ok := parseWhole(v, 60, 86400)
	if !ok {
		return badAttribute("KmsDataKeyReusePeriodSeconds")
	}
	spec.KmsReuseSeconds = value
	return nil
}

func kmsReuseValue(spec *model.QueueSpec) string {
	switch {
	case spec.KmsReuseSeconds != 0:
		return strconv.FormatInt(spec.KmsReuseSeconds, 10)
	case spec.KmsKey != "":
		return strconv.Itoa(defaultKmsReuseSeconds)
	}
	return ""
}

func setRetention(spec *model.QueueSpec, v string) error {
	if v != "" && v != "forever" {
		return queueFault(FaultAttributeValue, "Invalid value for the parameter weir.Retention. Reason: It is forever, or empty for MessageRetentionPeriod.")
	}
	spec.KeepForever = v != ""
	return nil
}

func retentionValue(spec *model.QueueSpec) string {
	if spec.KeepForever {
		return "forever"
	}
	return ""
}

func setPartitions(spec *model.QueueSpec, v string) error {
	n, ok := parseWhole(v, 1, model.MaxQueuePartitions)
	if !ok {
		return queueFault(FaultAttributeValue, "Invalid value for the parameter %s. Reason: It is a number from 1 to %d.", partitions, model.MaxQueuePartitions)
	}
	if spec.Fifo && n != 1 {
		return queueFault(FaultAttributeValue, "Invalid value for the parameter %s. Reason: A FIFO queue has one partition.", partitions)
	}
	spec.Partitions = uint32(n)
	return nil
}

func badAttribute(name string) error {
	return queueFault(FaultAttributeValue, "Invalid value for the parameter %s.", name)
}

// setAttributes sets the attributes that a request names. self is the queue
// that has them; nil when it is new.
func setAttributes(self *Queue, spec *model.QueueSpec, named []QueueAttribute) error {
	for _, a := range named {
		if !slices.ContainsFunc(queueAttributes, func(q queueAttribute) bool { return q.name == a.Name }) {
			return unknownAttribute(a.Name)
		}
	}
	value := func(name string) (string, bool) {
		for _, a := range named {
			if a.Name == name {
				return a.Value, true
			}
		}
		return "", false
	}
	for i := range queueAttributes {
		a := &queueAttributes[i]
		v, ok := value(a.name)
		if !ok {
			continue
		}
		if a.fifo && !spec.Fifo {
			return notForStandard(a.name)
		}
		if err := a.set(spec, v); err != nil {
			return err
		}
		switch {
		case a.name == fifoQueue && (self == nil && !spec.Fifo || self != nil && !self.Spec.Fifo):
			return unknownAttribute(fifoQueue) // a standard queue does not have it, not even as false
		case a.fixed && self != nil && a.value(spec) != a.value(self.Spec):
			return cannotChange(a.name)
		}
	}
	managed, _ := value(managedEncryption)
	if key, _ := value(kmsKey); managed == "true" && key != "" {
		return queueFault(FaultAttributeName, "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	}
	if spec.PerGroupThroughput && !spec.DedupPerGroup {
		return queueFault(FaultAttributeValue, "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.")
	}
	return nil
}

func unknownAttribute(name string) error {
	if strings.HasPrefix(name, ExtensionPrefix) {
		return queueFault(FaultAttributeName, "Unknown Attribute %s. Weir's own are weir.DispatchRate, weir.GroupDispatchRate, weir.Partitions and weir.Retention.", name)
	}
	return queueFault(FaultAttributeName, "Unknown Attribute %s.", name)
}

// notForStandard is SQS's error for an attribute that only FIFO queues have.
func notForStandard(name string) error {
	if name == deduplicationScope || name == fifoThroughputLimit {
		return queueFault(FaultAttributeName, "You can specify the %s only when FifoQueue is set to true.", name)
	}
	return unknownAttribute(name)
}

func cannotChange(name string) error {
	if name == fifoQueue {
		return queueFault(FaultAttributeValue, "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
	}
	return queueFault(FaultAttributeValue, "Invalid value for the parameter %s. Reason: It is fixed when the queue is created.", name)
}

// attributeOf is a spec's attribute; "" when it has none of that name.
func attributeOf(spec *model.QueueSpec, name string) string {
	for i := range queueAttributes {
		if a := &queueAttributes[i]; a.name == name && (spec.Fifo || !a.fifo) {
			return a.value(spec)
		}
	}
	return ""
}

// QueueAttributes are the attributes that the spec has, without those that the
// catalog or the queue's content decide. Extensions, which begin with
// ExtensionPrefix, are among them.
func QueueAttributes(spec *model.QueueSpec) []QueueAttribute {
	var list []QueueAttribute
	for i := range queueAttributes {
		name := queueAttributes[i].name
		if v := attributeOf(spec, name); v != "" {
			list = append(list, QueueAttribute{Name: name, Value: v})
		}
	}
	return list
}
