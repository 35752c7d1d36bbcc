package model

import "slices"

// NewSet makes a set of kind (KindSS, KindNS or KindBS) from members of that
// set's member kind, sorting members in place. When a member occurs twice it
// is kept once and duplicate is true: DynamoDB refuses such a set in a request.
func NewSet(kind Kind, members []Value) (set Value, duplicate bool) {
	slices.SortFunc(members, compareMembers)
	kept := slices.CompactFunc(members, func(a, b Value) bool { return a.Str == b.Str })
	return Value{Kind: kind, List: kept}, len(kept) != len(members)
}

// compareMembers orders two members of one set.
func compareMembers(a, b Value) int {
	cmp, _ := a.Compare(b)
	return cmp
}

// SetHas reports whether the set v has the member m; false when m is not of
// the set's member kind.
func (v Value) SetHas(m Value) bool {
	if m.Kind != v.Kind.Member() {
		return false
	}
	_, ok := slices.BinarySearchFunc(v.List, m, compareMembers)
	return ok
}

// Union returns the set of the members of v, w or both, which are sets of the
// same kind.
func (v Value) Union(w Value) Value {
	out := make([]Value, 0, len(v.List)+len(w.List))
	a, b := v.List, w.List
	for len(a) > 0 && len(b) > 0 {
		switch cmp := compareMembers(a[0], b[0]); {
		case cmp < 0:
			out, a = append(out, a[0]), a[1:]
		case cmp > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return Value{Kind: v.Kind, List: append(append(out, a...), b...)}
}

// Minus returns the set of the members of v that w, a set of the same kind,
// has not. It may be empty; an empty set cannot be stored.
func (v Value) Minus(w Value) Value {
	var out []Value
	a, b := v.List, w.List
	for len(a) > 0 && len(b) > 0 {
		switch cmp := compareMembers(a[0], b[0]); {
		case cmp < 0:
			out, a = append(out, a[0]), a[1:]
		case cmp > 0:
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return Value{Kind: v.Kind, List: append(out, a...)}
}
