package expr

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf16"

	"weir.dev/weir/internal/model"
)

// maxParamBytes is the longest #name or :value, in bytes.
const maxParamBytes = 255

// Params are the ExpressionAttributeNames and ExpressionAttributeValues that
// the expressions of one request share. It remembers which of them were used.
type Params struct {
	names      []nameParam // by key
	values     model.Item  // by key
	valuesUsed []bool
}

type nameParam struct {
	key, name string
	used      bool
}

// NewParams checks the keys of both and makes a Params. names maps each #name
// to an attribute's name; values holds each :value. nil is none, which differs
// from empty: DynamoDB refuses the latter. values is kept. A nil *Params is
// one without names and values.
func NewParams(names map[string]string, values model.Item) (*Params, error) {
	if names != nil && len(names) == 0 {
		return nil, validationf("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, validationf("ExpressionAttributeValues must not be empty")
	}
	p := &Params{values: values, valuesUsed: make([]bool, len(values))}
	for key, name := range names {
		p.names = append(p.names, nameParam{key: key, name: name})
	}
	slices.SortFunc(p.names, func(a, b nameParam) int { return strings.Compare(a.key, b.key) })
	for _, n := range p.names {
		if len(n.key) > maxParamBytes {
			return nil, validationf("ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long; size of key: %d", len(n.key))
		}
		if !isParamKey(n.key, '#') {
			return nil, validationf("ExpressionAttributeNames contains invalid key: Syntax error; key: %q", n.key)
		}
		if n.name == "" {
			return nil, validationf("ExpressionAttributeNames contains invalid value: Empty attribute name for key %s", n.key)
		}
	}
	for i := range values {
		key := values[i].Name
		if len(key) > maxParamBytes {
			return nil, validationf("ExpressionAttributeValues contains invalid key: The expression attribute map contains a key that is too long;")
		}
		if !isParamKey(key, ':') {
			return nil, validationf("ExpressionAttributeValues contains invalid key: Syntax error; key: %q", key)
		}
	}
	return p, nil
}

func isParamKey(key string, mark byte) bool {
	return len(key) > 1 && key[0] == mark && skipWord(key, 1) == len(key)
}

// name returns the attribute's name that key stands for, and marks it used.
func (p *Params) name(key string) (string, bool) {
	if p == nil {
		return "", false
	}
	i, ok := slices.BinarySearchFunc(p.names, key, func(n nameParam, key string) int { return strings.Compare(n.key, key) })
	if !ok {
		return "", false
	}
	p.names[i].used = true
	return p.names[i].name, true
}

// value returns the value that key stands for, and marks it used.
func (p *Params) value(key string) (*model.Value, bool) {
	if p == nil {
		return nil, false
	}
	i, ok := slices.BinarySearchFunc(p.values, key, func(a model.Attr, key string) int { return strings.Compare(a.Name, key) })
	if !ok {
		return nil, false
	}
	p.valuesUsed[i] = true
	return &p.values[i].Value, true
}

// CheckUnused is the error that AWS gives when an expression used none of a
// #name or :value; call it after the request's last expression was parsed.
func (p *Params) CheckUnused() error {
	if p == nil {
		return nil
	}
	var unused []string
	for _, n := range p.names {
		if !n.used {
			unused = append(unused, n.key)
		}
	}
	if len(unused) > 0 {
		return validationf("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", joinHashed(unused, len(p.names)))
	}
	for i, used := range p.valuesUsed {
		if !used {
			unused = append(unused, p.values[i].Name)
		}
	}
	if len(unused) > 0 {
		return validationf("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", joinHashed(unused, len(p.values)))
	}
	return nil
}

// joinHashed lists keys in the order in which DynamoDB does: that of a Java
// hash set which once held total keys.
func joinHashed(keys []string, total int) string {
	buckets := uint32(16)
	for int(buckets)*3/4 < total {
		buckets *= 2
	}
	bucket := func(key string) uint32 {
		h := uint32(0)
		for _, unit := range utf16.Encode([]rune(key)) {
			h = 31*h + uint32(unit)
		}
		return (h ^ h>>16) & (buckets - 1)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(bucket(a), bucket(b)) })
	return strings.Join(keys, ", ")
}
