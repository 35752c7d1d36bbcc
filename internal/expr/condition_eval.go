package expr

import (
	"strings"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// Eval reports whether the condition holds for the item; nil is an item
// without attributes. An operand that the item lacks makes every condition on
// it false but attribute_not_exists and <>, and so does one of a kind that the
// operator does not take. It cannot fail.
func (c *Condition) Eval(item model.Item) bool { return c.root.holds(item) }

func (n *node) holds(item model.Item) bool {
	switch n.op {
	case opAnd:
		for i := range n.kids {
			if !n.kids[i].holds(item) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.kids {
			if n.kids[i].holds(item) {
				return true
			}
		}
		return false
	case opNot:
		return !n.kids[0].holds(item)
	case opExists:
		return n.kids[0].operand(item) != nil
	case opNotExists:
		return n.kids[0].operand(item) == nil
	case opNe:
		return !equal(n.kids[0].operand(item), n.kids[1].operand(item))
	}
	left := n.kids[0].operand(item)
	if left == nil {
		return false
	}
	if n.op == opIn {
		return n.isIn(left, item)
	}
	right := n.kids[1].operand(item)
	if right == nil {
		return false
	}
	switch n.op {
	case opEq:
		return left.Equal(*right)
	case opType:
		return right.Kind == model.KindS && left.Kind.String() == right.Str
	case opBeginsWith:
		return isText(left) && left.Kind == right.Kind && strings.HasPrefix(left.Str, right.Str)
	case opContains:
		return contains(left, right)
	case opBetween:
		high := n.kids[2].operand(item)
		return high != nil && ordered(opGe, left, right) && ordered(opLe, left, high)
	default:
		return ordered(n.op, left, right)
	}
}

func (n *node) isIn(left *model.Value, item model.Item) bool {
	for i := range n.kids[1:] {
		if equal(left, n.kids[i+1].operand(item)) {
			return true
		}
	}
	return false
}

// operand is the value of an operand of a condition; nil when it has none.
func (n *node) operand(item model.Item) *model.Value {
	switch n.op {
	case opPath:
		return n.path.find(item)
	case opValue:
		return n.value
	case opSize:
		return sizeOf(n.kids[0].operand(item))
	default:
		return nil
	}
}

func equal(a, b *model.Value) bool { return a != nil && b != nil && a.Equal(*b) }

// ordered reports whether a stands to b as the comparator says; false when the
// two have no order.
func ordered(o op, a, b *model.Value) bool {
	cmp, ok := a.Compare(*b)
	if !ok {
		return false
	}
	switch o {
	case opLt:
		return cmp < 0
	case opLe:
		return cmp <= 0
	case opGt:
		return cmp > 0
	default:
		return cmp >= 0
	}
}

func isText(v *model.Value) bool { return v.Kind == model.KindS || v.Kind == model.KindB }

// contains reports whether a text has the part, or a set or list the element.
func contains(v, part *model.Value) bool {
	switch {
	case isText(v):
		return v.Kind == part.Kind && strings.Contains(v.Str, part.Str)
	case v.Kind.IsSet():
		return v.SetHas(*part)
	case v.Kind == model.KindL:
		for i := range v.List {
			if v.List[i].Equal(*part) {
				return true
			}
		}
	}
	return false
}

// sizeOf is the value of size(v): the length of a text in UTF-16 units, as
// Java counts, of bytes in bytes, of sets, lists and maps in elements; nil for
// what has no size.
func sizeOf(v *model.Value) *model.Value {
	size := 0
	switch {
	case v == nil:
		return nil
	case v.Kind == model.KindS:
		for _, r := range v.Str {
			size++
			if r > 0xffff && r <= utf8.MaxRune {
				size++
			}
		}
	case v.Kind == model.KindB:
		size = len(v.Str)
	case v.Kind == model.KindM:
		size = len(v.Map)
	case v.Kind == model.KindL || v.Kind.IsSet():
		size = len(v.List)
	default:
		return nil
	}
	return &model.Value{Kind: model.KindN, Str: model.IntNumber(int64(size))}
}
