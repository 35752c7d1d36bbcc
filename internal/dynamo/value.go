package dynamo

import (
	"fmt"
	"slices"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

// AWS's words for attribute values that are well-typed JSON but no value.
const (
	msgInvalid      = "One or more parameter values were invalid: "
	msgEmptyValue   = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	msgManyTypes    = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	msgNullNotTrue  = msgInvalid + "Null attribute value types must have the value of true"
	msgEmptySS      = msgInvalid + "An string set  may not be empty" // both blanks are AWS's
	msgEmptyNS      = msgInvalid + "An number set  may not be empty"
	msgEmptyBS      = msgInvalid + "Binary sets should not be empty"
	msgEmptyInSS    = msgInvalid + "An string set may not have a empty string as a member"
	msgEmptyInBS    = msgInvalid + "Binary sets may not contain null or empty values"
	msgDuplicateNS  = "Input collection contains duplicates"
	msgEmptyName    = msgInvalid + "Attribute names must not be empty"
	attributeValue  = "class com.amazonaws.dynamodb.v20120810.AttributeValue"
	attributeValues = "java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"
)

// valueReader reads the values of one member of a request. What is wrong with
// them is noted in the decoder, under the attribute that holds them, and told
// once the constraints of the request are checked.
type valueReader struct {
	d      *awsapi.Decoder
	member string
	key    string
}

func (r *valueReader) fault(message string) { r.d.AddFault(r.member, r.key, message) }

// decodeItem reads a map from name to value; never nil. member is the
// request's member that it is part of.
func decodeItem(d *awsapi.Decoder, member string) model.Item {
	r := valueReader{d: d, member: member}
	return r.item(0)
}

// decodeValue reads one value.
func decodeValue(d *awsapi.Decoder, member string) model.Value {
	r := valueReader{d: d, member: member}
	return r.value(0)
}

// itemHint is how many attributes of an item are gathered on the stack: most
// items have fewer, and so take no more memory than they need.
const itemHint = 8

// item reads a map; depth is how many lists and maps are around it.
func (r *valueReader) item(depth int) model.Item {
	var room [itemHint]model.Attr
	attrs := room[:0]
	for ok := r.d.Object(attributeValues, false); ok; ok = r.d.NextMember() {
		name := r.d.Name
		if depth == 0 {
			r.key = name
		}
		if name == "" {
			r.fault(msgEmptyName)
		}
		if r.d.Null() {
			r.fault(msgEmptyValue)
			continue
		}
		attrs = append(attrs, model.Attr{Name: name, Value: r.value(depth)})
	}
	item, _ := model.NewItem(slices.Clone(attrs))
	return item
}

// value reads one value, which is not null.
func (r *valueReader) value(depth int) (v model.Value) {
	types := 0
	for ok := r.d.Object(attributeValue, true); ok; ok = r.d.NextMember() {
		kind, known := kindOf(r.d.Name)
		if !known {
			r.d.Skip()
			continue
		}
		if r.d.Null() {
			continue
		}
		types++
		v = r.typed(kind, depth)
	}
	switch {
	case types == 0:
		r.fault(msgEmptyValue)
	case types > 1:
		r.fault(msgManyTypes)
	}
	return v
}

// kindOf is model.ParseKind without a search.
func kindOf(name string) (model.Kind, bool) {
	switch name {
	case "S":
		return model.KindS, true
	case "N":
		return model.KindN, true
	case "B":
		return model.KindB, true
	case "BOOL":
		return model.KindBool, true
	case "NULL":
		return model.KindNull, true
	case "M":
		return model.KindM, true
	case "L":
		return model.KindL, true
	case "SS":
		return model.KindSS, true
	case "NS":
		return model.KindNS, true
	case "BS":
		return model.KindBS, true
	}
	return 0, false
}

// typed reads what stands under a type's name.
func (r *valueReader) typed(kind model.Kind, depth int) model.Value {
	switch kind {
	case model.KindS:
		return model.StringValue(r.d.Text())
	case model.KindN:
		return r.number(r.d.Text())
	case model.KindB:
		return model.BytesValue(r.d.Base64())
	case model.KindBool:
		return model.BoolValue(r.d.Bool().V)
	case model.KindNull:
		if !r.d.Bool().V {
			r.fault(msgNullNotTrue)
		}
		return model.NullValue()
	case model.KindM, model.KindL:
		if depth++; depth > model.MaxNesting {
			r.fault(awsapi.NestingMessage)
			r.d.Skip()
			return model.NullValue()
		}
		if kind == model.KindM {
			return model.MapValue(r.item(depth))
		}
		return model.Value{Kind: model.KindL, List: r.list(depth)}
	default:
		return r.set(kind)
	}
}

func (r *valueReader) number(text string) model.Value {
	v, err := model.NumberValue(text)
	if err != nil {
		r.fault(err.Error())
		return model.Value{Kind: model.KindN, Str: "0"}
	}
	return v
}

func (r *valueReader) list(depth int) []model.Value {
	var list []model.Value
	for ok := r.d.Array(); ok; ok = r.d.NextElement() {
		if r.d.Null() {
			r.fault(msgEmptyValue)
			continue
		}
		list = append(list, r.value(depth))
	}
	return list
}

// set reads the members of a set; they must not be empty, nor occur twice.
func (r *valueReader) set(kind model.Kind) model.Value {
	members := make([]model.Value, 0, setHint)
	for ok := r.d.Array(); ok; ok = r.d.NextElement() {
		null := r.d.Null()
		var m model.Value
		switch {
		case kind == model.KindBS && !null:
			m = model.BytesValue(r.d.Base64())
		case kind == model.KindNS && !null:
			m = r.number(r.d.Text())
		case !null:
			m = model.StringValue(r.d.Text())
		}
		if null || m.Str == "" {
			r.fault(emptyMember(kind))
			continue
		}
		members = append(members, m)
	}
	if len(members) == 0 {
		r.fault(emptySet(kind))
	}
	if set := (model.Value{Kind: kind, List: members}); ascending(members) {
		return set
	}
	given := slices.Clone(members) // AWS repeats the members in the client's order
	set, duplicate := model.NewSet(kind, members)
	if duplicate {
		r.fault(duplicates(kind, given))
	}
	return set
}

// setHint is how many members a set is first given room for.
const setHint = 4

// ascending reports whether the members are in a set's order already, each
// once, as they are when a client writes back what it read.
func ascending(members []model.Value) bool {
	for i := 1; i < len(members); i++ {
		if cmp, ok := members[i-1].Compare(members[i]); !ok || cmp >= 0 {
			return false
		}
	}
	return true
}

func emptyMember(kind model.Kind) string {
	switch kind {
	case model.KindBS:
		return msgEmptyInBS
	case model.KindNS:
		return "The parameter cannot be converted to a numeric value"
	default:
		return msgEmptyInSS
	}
}

func emptySet(kind model.Kind) string {
	switch kind {
	case model.KindBS:
		return msgEmptyBS
	case model.KindNS:
		return msgEmptyNS
	default:
		return msgEmptySS
	}
}

// maxShownMembers bounds how many members of a refused set an error repeats.
const maxShownMembers = 20

func duplicates(kind model.Kind, members []model.Value) string {
	if kind == model.KindNS {
		return msgDuplicateNS
	}
	var shown []string
	for _, m := range members[:min(len(members), maxShownMembers)] {
		text := m.Str
		if kind == model.KindBS {
			text = strings.Trim(string(awsapi.AppendJSONBytes(nil, m.Str)), `"`)
		}
		shown = append(shown, text)
	}
	if kind == model.KindBS {
		return fmt.Sprintf("%sInput collection [%s]of type BS contains duplicates.", msgInvalid, strings.Join(shown, ", "))
	}
	return fmt.Sprintf("%sInput collection [%s] contains duplicates.", msgInvalid, strings.Join(shown, ", "))
}

// appendItem appends an item as JSON.
func appendItem(dst []byte, item model.Item) []byte {
	dst = append(dst, '{')
	for i := range item {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(awsapi.AppendJSONString(dst, item[i].Name), ':')
		dst = appendValue(dst, &item[i].Value)
	}
	return append(dst, '}')
}

// appendValue appends a value as JSON: its type's name and its content.
func appendValue(dst []byte, v *model.Value) []byte {
	dst = append(append(append(dst, '{', '"'), v.Kind.String()...), '"', ':')
	switch v.Kind {
	case model.KindBool:
		if v.Bool {
			dst = append(dst, "true"...)
		} else {
			dst = append(dst, "false"...)
		}
	case model.KindNull:
		dst = append(dst, "true"...)
	case model.KindM:
		dst = appendItem(dst, v.Map)
	case model.KindL:
		dst = append(dst, '[')
		for i := range v.List {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, &v.List[i])
		}
		dst = append(dst, ']')
	case model.KindSS, model.KindNS, model.KindBS:
		dst = append(dst, '[')
		for i := range v.List {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendScalar(dst, &v.List[i])
		}
		dst = append(dst, ']')
	default:
		dst = appendScalar(dst, v)
	}
	return append(dst, '}')
}

// appendScalar appends a text, number or bytes as a JSON string.
func appendScalar(dst []byte, v *model.Value) []byte {
	switch v.Kind {
	case model.KindB:
		return awsapi.AppendJSONBytes(dst, v.Str)
	case model.KindN:
		dst = append(append(dst, '"'), v.Str...)
		return append(dst, '"')
	default:
		return awsapi.AppendJSONString(dst, v.Str)
	}
}
