package service

import (
	"encoding/json"
	"strconv"

	"weir.dev/weir/internal/model"
)

// queueAttribute is an attribute of queues that requests may set. value is ""
// for what a queue does not have.
type queueAttribute struct {
	name  string
	set   func(spec *model.QueueSpec, value string) error
	value func(spec *model.QueueSpec) string
}

// queueAttributes are all that may be set, in the order of SQS's documentation.
var queueAttributes = append(numericAttributes(),
	queueAttribute{
		name: "Policy",
		set: func(spec *model.QueueSpec, v string) error {
			spec.Policy = v
			return checkDocument("Policy", v)
		},
		value: func(spec *model.QueueSpec) string { return spec.Policy },
	},
	queueAttribute{
		name: "RedriveAllowPolicy",
		set: func(spec *model.QueueSpec, v string) error {
			spec.RedriveAllowPolicy = v
			return checkDocument("RedriveAllowPolicy", v)
		},
		value: func(spec *model.QueueSpec) string { return spec.RedriveAllowPolicy },
	},
	queueAttribute{
		name: "SqsManagedSseEnabled",
		set: func(spec *model.QueueSpec, v string) error {
			spec.ManagedEncryption = v == "true"
			if v != "true" && v != "false" {
				return badAttribute("SqsManagedSseEnabled")
			}
			return nil
		},
		value: func(spec *model.QueueSpec) string { return strconv.FormatBool(spec.ManagedEncryption) },
	},
	queueAttribute{name: redrivePolicy, set: setRedrive, value: redriveValue},
	unservedAttribute("KmsMasterKeyId", "Encryption with KMS keys is not served by Weir."),
	unservedAttribute("KmsDataKeyReusePeriodSeconds", "Encryption with KMS keys is not served by Weir."),
)

func numericAttributes() []queueAttribute {
	var list []queueAttribute
	for _, n := range model.QueueNumbers {
		list = append(list, queueAttribute{
			name: n.Name,
			set: func(spec *model.QueueSpec, v string) error {
				value, err := strconv.ParseUint(v, 10, 63) // no sign, no space, no fraction
				if err != nil || int64(value) < n.Min || int64(value) > n.Max {
					return badAttribute(n.Name)
				}
				*spec.Number(n.Name) = int64(value)
				return nil
			},
			value: func(spec *model.QueueSpec) string { return strconv.FormatInt(*spec.Number(n.Name), 10) },
		})
	}
	return list
}

// unservedAttribute is one that SQS has and Weir does not. To take it away,
// as an empty value does, is no error.
func unservedAttribute(name, message string) queueAttribute {
	return queueAttribute{
		name: name,
		set: func(_ *model.QueueSpec, v string) error {
			if v == "" {
				return nil
			}
			return model.Errorf(model.ErrUnsupported, "%s", message)
		},
		value: func(*model.QueueSpec) string { return "" },
	}
}

// maxDocumentBytes bounds policies; SQS takes them up to 8 KB.
const maxDocumentBytes = 8 << 10

// checkDocument holds a policy to being a JSON object; an empty one takes the
// policy away.
func checkDocument(name, v string) error {
	if v == "" {
		return nil
	}
	var fields map[string]json.RawMessage
	if len(v) > maxDocumentBytes || json.Unmarshal([]byte(v), &fields) != nil || fields == nil {
		return badAttribute(name)
	}
	return nil
}

func badAttribute(name string) error {
	return queueFault(FaultAttributeValue, "Invalid value for the parameter %s.", name)
}

// setAttribute sets one attribute of a spec.
func setAttribute(spec *model.QueueSpec, a QueueAttribute) error {
	for i := range queueAttributes {
		if queueAttributes[i].name == a.Name {
			return queueAttributes[i].set(spec, a.Value)
		}
	}
	return queueFault(FaultAttributeName, "Unknown Attribute %s.", a.Name)
}

// attributeOf is a spec's attribute; "" when it has none of that name.
func attributeOf(spec *model.QueueSpec, name string) string {
	for i := range queueAttributes {
		if queueAttributes[i].name == name {
			return queueAttributes[i].value(spec)
		}
	}
	return ""
}

// QueueAttributes are the attributes that the spec has, without those that the
// catalog or the queue's content decide.
func QueueAttributes(spec *model.QueueSpec) []QueueAttribute {
	var list []QueueAttribute
	for i := range queueAttributes {
		a := &queueAttributes[i]
		if v := a.value(spec); v != "" {
			list = append(list, QueueAttribute{Name: a.name, Value: v})
		}
	}
	return list
}
