package expr

import "weir.dev/weir/internal/model"

// KeyCondition is a compiled KeyConditionExpression. What it means depends on
// the table's or index's key: see Resolve.
type KeyCondition struct {
	terms []keyTerm
}

// keyTerm is what one attribute is compared with.
type keyTerm struct {
	name  string
	op    op
	value model.Value
	high  model.Value // opBetween
}

// SortOp is what a key condition asks of the sort key.
type SortOp uint8

// The sort key's conditions.
const (
	SortEqual          SortOp = 1
	SortLess           SortOp = 2
	SortLessOrEqual    SortOp = 3
	SortGreater        SortOp = 4
	SortGreaterOrEqual SortOp = 5
	SortBetween        SortOp = 6 // Value and High included
	SortBeginsWith     SortOp = 7 // Value is text or bytes
)

// SortCondition limits the sort keys that a query reads. Its values are of
// the sort key's kind.
type SortCondition struct {
	Op    SortOp
	Value model.Value
	High  model.Value // SortBetween
}

// Holds reports whether a sort key meets the condition. A nil condition is met
// by all.
func (c *SortCondition) Holds(key model.Value) bool {
	if c == nil {
		return true
	}
	switch c.Op {
	case SortEqual:
		return key.Equal(c.Value)
	case SortLess:
		return ordered(opLt, &key, &c.Value)
	case SortLessOrEqual:
		return ordered(opLe, &key, &c.Value)
	case SortGreater:
		return ordered(opGt, &key, &c.Value)
	case SortGreaterOrEqual:
		return ordered(opGe, &key, &c.Value)
	case SortBetween:
		return ordered(opGe, &key, &c.Value) && ordered(opLe, &key, &c.High)
	default:
		n := node{op: opBeginsWith, kids: []node{{op: opValue, value: &key}, {op: opValue, value: &c.Value}}}
		return n.holds(nil)
	}
}

var sortOps = [opCount]SortOp{
	opEq: SortEqual, opLt: SortLess, opLe: SortLessOrEqual, opGt: SortGreater, opGe: SortGreaterOrEqual,
	opBetween: SortBetween, opBeginsWith: SortBeginsWith,
}

// ParseKeyCondition compiles a KeyConditionExpression. Errors are
// ErrValidation.
func ParseKeyCondition(text string, params *Params) (*KeyCondition, error) {
	root, err := parseCondition(keyConditionParam, text, params)
	if err != nil {
		return nil, err
	}
	k := &KeyCondition{}
	if err := k.collect(&root); err != nil {
		return nil, err
	}
	return k, nil
}

// collect takes the terms out of a tree of AND.
func (k *KeyCondition) collect(n *node) error {
	if n.op == opAnd {
		for i := range n.kids {
			if err := k.collect(&n.kids[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if sortOps[n.op] == 0 {
		return validationf("Invalid operator used in KeyConditionExpression: %s", ops[n.op].name)
	}
	t, err := termOf(n)
	if err != nil {
		return err
	}
	for i := range k.terms {
		if k.terms[i].name == t.name {
			return validationf("KeyConditionExpressions must only contain one condition per key")
		}
	}
	k.terms = append(k.terms, t)
	return nil
}

// mirrored is the op that says the same with its operands exchanged.
var mirrored = [opCount]op{opEq: opEq, opLt: opGt, opLe: opGe, opGt: opLt, opGe: opLe}

func termOf(n *node) (keyTerm, error) {
	t := keyTerm{op: n.op}
	var values [2]model.Value
	count := 0
	for i := range n.kids {
		switch k := &n.kids[i]; k.op {
		case opPath:
			if t.name != "" {
				return t, validationf("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
			}
			if len(k.path) > 1 {
				return t, validationf("KeyConditionExpressions cannot have conditions on nested attributes")
			}
			t.name = k.path[0].Name
		case opValue:
			if t.name == "" && mirrored[n.op] == 0 {
				return t, validationf("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", ops[n.op].name)
			}
			if t.name == "" {
				t.op = mirrored[n.op]
			}
			if count < len(values) {
				values[count] = *k.value
				count++
			}
		default:
			return t, validationf("KeyConditionExpressions cannot contain nested operations")
		}
	}
	if t.name == "" {
		return t, validationf("Invalid condition in KeyConditionExpression: No key attribute specified")
	}
	t.value, t.high = values[0], values[1]
	return t, nil
}

// Resolve applies the rules of a key: equality on the partition key and at
// most one condition on the sort key, whose Name is empty when there is none.
// It returns the partition key's value and the sort key's condition, nil for
// none. Errors are ErrValidation.
func (k *KeyCondition) Resolve(partition, sort model.KeyAttr) (model.Value, *SortCondition, error) {
	hash, rng := k.term(partition.Name), k.term(sort.Name)
	switch {
	case len(k.terms) > 2:
		return model.Value{}, nil, validationf("Conditions can be of length 1 or 2 only")
	case len(k.terms) == 2 && sort.Name == "":
		return model.Value{}, nil, validationf("Query key condition not supported")
	case hash == nil:
		return model.Value{}, nil, validationf("Query condition missed key schema element: %s", partition.Name)
	case len(k.terms) == 2 && rng == nil:
		return model.Value{}, nil, validationf("Query condition missed key schema element: %s", sort.Name)
	case hash.op != opEq:
		return model.Value{}, nil, validationf("Query key condition not supported")
	}
	if err := hash.check(partition); err != nil {
		return model.Value{}, nil, err
	}
	if rng == nil {
		return hash.value, nil, nil
	}
	if err := rng.check(sort); err != nil {
		return model.Value{}, nil, err
	}
	return hash.value, &SortCondition{Op: sortOps[rng.op], Value: rng.value, High: rng.high}, nil
}

// term returns the term on the attribute; nil when there is none.
func (k *KeyCondition) term(name string) *keyTerm {
	for i := range k.terms {
		if name != "" && k.terms[i].name == name {
			return &k.terms[i]
		}
	}
	return nil
}

// check compares the term's values with the key attribute's kind.
func (t *keyTerm) check(key model.KeyAttr) error {
	values := []model.Value{t.value, t.high}
	if t.op != opBetween {
		values = values[:1]
	}
	for _, v := range values {
		if v.Kind != key.Kind {
			return validationf("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		if v.Kind != model.KindN && v.Str == "" {
			what := "string"
			if v.Kind == model.KindB {
				what = "binary"
			}
			return validationf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", what, key.Name)
		}
	}
	return nil
}
